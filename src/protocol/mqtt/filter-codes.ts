/**
 * Reason codes of SUBSCRIBEs and UNSUBSCRIBEs whose answer waits for the store: one per filter, so they do not fit in
 * the ring of acknowledgements. Bounded by SUBACK_BYTES_MAX per connection.
 */
import type { Connection } from "./connection.ts";
import { SUBACK_BYTES_MAX } from "./states.ts";

/** Whether there is room for the codes of one more packet. */
export function hasRoomForCodes(connection: Connection): boolean {
  return connection.subackBytes < SUBACK_BYTES_MAX;
}

export function keepCodes(connection: Connection, token: number, codes: Uint8Array): void {
  connection.subackCodes ??= new Map();
  connection.subackCodes.set(token, codes);
  connection.subackBytes += codes.length;
}

export function takeCodes(connection: Connection, token: number): Uint8Array {
  const codes = connection.subackCodes?.get(token) ?? new Uint8Array();
  connection.subackCodes?.delete(token);
  connection.subackBytes -= codes.length;
  return codes;
}
