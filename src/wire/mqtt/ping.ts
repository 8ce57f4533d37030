/** PINGREQ and PINGRESP: MQTT 3.1.1 and MQTT 5.0 sections 3.12 and 3.13. */
import { MALFORMED_PACKET, OK, PINGREQ, PINGRESP } from "./codes.ts";

export const PING_BYTES = 2;

/** The whole packets. Shared: to be copied or written, not changed. */
export const PINGREQ_FRAME = Buffer.from([PINGREQ << 4, 0]);
export const PINGRESP_FRAME = Buffer.from([PINGRESP << 4, 0]);

/** Checks the body of either: it has none. */
export function decodePing(from: number, end: number): number {
  return from === end ? OK : MALFORMED_PACKET;
}

/** @returns the index after it */
export function writePingreq(out: Uint8Array, at: number): number {
  out[at] = PINGREQ << 4;
  out[at + 1] = 0;
  return at + PING_BYTES;
}

/** @returns the index after it */
export function writePingresp(out: Uint8Array, at: number): number {
  out[at] = PINGRESP << 4;
  out[at + 1] = 0;
  return at + PING_BYTES;
}
