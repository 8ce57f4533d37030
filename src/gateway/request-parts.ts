/** What conversations of requests and answers (HTTP, CoAP) need of the rooms. */
import type { Config } from "../config/config.ts";
import type { Ground, Rooms } from "./rooms.ts";

export function requestParts(
  { config, clock, counters }: Ground,
  { router, retained, authority, store, transport }: Rooms,
) {
  const limits: Config["limits"] = config.limits;
  const admitLogin = () => transport.admission.login();
  return { router, retained, authority, health: () => store.health, clock, counters, limits, admitLogin };
}
