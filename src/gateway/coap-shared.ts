/** What the doors of CoAP in a gateway share, whatever its messages come over: made with the first of them. */
import type { CoapParts } from "../protocol/coap/coap-server.ts";
import { CoapShared } from "../protocol/coap/shared.ts";
import { requestParts } from "./request-parts.ts";
import type { Ground, Rooms } from "./rooms.ts";

const coapShared = new WeakMap<Rooms, CoapShared>();

/** What a `CoapServer` of this gateway needs. */
export function coapPartsOf(ground: Ground, rooms: Rooms): CoapParts {
  const { wheel, queueHost, store } = rooms;
  const { schedule } = queueHost;
  const parts = { ...requestParts(ground, rooms), store, wheel, random: Math.random, schedule };
  let shared = coapShared.get(rooms);
  if (shared === undefined) {
    const made = new CoapShared(parts);
    coapShared.set(rooms, made);
    ground.stops.push(() => made.stop());
    shared = made;
  }
  return { ...parts, shared };
}
