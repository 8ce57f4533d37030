/** Serial lines with CoAP: their room, loaded in one piece with the first of them. */
import type { CoapLineConfig } from "../config/serial.ts";
import type { Principal } from "../core/ports.ts";
import { CoapServer } from "../protocol/coap/coap-server.ts";
import { Diagnostics } from "../protocol/serial/diagnostics.ts";
import type { SerialDoor } from "../protocol/serial/serial-line.ts";
import { SlipmuxPort } from "../protocol/serial/slipmux-port.ts";
import { coapPartsOf } from "./coap-shared.ts";
import type { Ground, Rooms } from "./rooms.ts";
import type { RunningLine } from "./running-line.ts";

/** A line of 1,200 baud sends a hundred bytes in it. */
const GOODBYE_MS = 1_000;

/** Serves CoAP on the line. */
export function createCoapLine(
  ground: Ground,
  rooms: Rooms,
  device: SerialDoor,
  { name, baud, coap }: CoapLineConfig,
): RunningLine {
  const { log, counters } = ground;
  const { router, authority } = rooms;
  const principal: Principal = { name: `serial:${name}`, clientId: `serial:${name}` };
  const diagnostics = new Diagnostics({ principal, router, authority, log, counters }, coap.diagnostics);
  const port = new SlipmuxPort({ ...coap, name, baud }, device, diagnostics, { counters, log });
  const server = new CoapServer(port, coapPartsOf(ground, rooms), { ...coap, anonymous: null, principal });
  device.handler = port;
  return {
    start: () => device.start(),
    stop: async () => {
      server.close();
      await port.written(GOODBYE_MS); // what is answered already
      await device.close();
    },
    leave: () => {},
  };
}
