/** HTTP listeners: port and conversation, loaded with the first of them. */
import type { ListenerConfig } from "../config/listeners.ts";
import { HttpApi } from "../protocol/http/http-api.ts";
import { listenHttp } from "../transport/http.ts";
import type { Listener, ListenOptions } from "../transport/listener.ts";
import { requestParts } from "./request-parts.ts";
import type { Ground, Rooms } from "./rooms.ts";

/** From here, so that the room is loaded in one piece (uplink-rooms.ts says why). */
export { budget as httpBudget } from "../protocol/http/http-api.ts";

/** @throws when it cannot be bound, in words */
export function openHttp(
  ground: Ground,
  rooms: Rooms,
  options: ListenOptions,
  config: ListenerConfig,
): Promise<Listener> {
  const api = new HttpApi(requestParts(ground, rooms), config);
  return listenHttp({ ...options, tls: config.tls }, api.onRequest);
}
