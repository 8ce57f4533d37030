/**
 * Reason codes of SUBSCRIBEs and UNSUBSCRIBEs whose answer waits for the store: one per filter, so they do not fit in
 * the ring of acknowledgements. They take of the memory that all rings share, but for one packet's of each connection,
 * and are bounded by SUBACK_BYTES_MAX per connection.
 */
import type { Connection } from "./connection.ts";
import { SUBACK_BYTES_MAX } from "./states.ts";

/** Measured bytes of the codes of a packet besides themselves. */
export const CODES_BYTES = 256;

/** Whether there is room for the codes of one more packet. */
export function hasRoomForCodes({ subackBytes, server: { ackMemory } }: Connection): boolean {
  return subackBytes === 0 || (subackBytes < SUBACK_BYTES_MAX && ackMemory.used + CODES_BYTES <= ackMemory.bytesMax);
}

export function keepCodes(connection: Connection, token: number, codes: Uint8Array): void {
  connection.subackCodes ??= new Map();
  connection.subackCodes.set(token, codes);
  const bytes = CODES_BYTES + codes.length;
  connection.subackBytes += bytes;
  connection.server.ackMemory.takeAnyway(bytes);
}

export function takeCodes(connection: Connection, token: number): Uint8Array {
  const codes = connection.subackCodes?.get(token) ?? new Uint8Array();
  if (!connection.subackCodes?.delete(token)) return codes;
  const bytes = CODES_BYTES + codes.length;
  connection.subackBytes -= bytes;
  connection.server.ackMemory.give(bytes);
  return codes;
}

/** The connection is gone, and nobody is told. */
export function dropCodes(connection: Connection): void {
  connection.server.ackMemory.give(connection.subackBytes);
  connection.subackBytes = 0;
  connection.subackCodes = null;
}
