/** The short packets that the client itself sends. Each writes into the output of its link. */
import type { Output } from "../../transport/output.ts";
import { ACK_BYTES_MAX, writeAck } from "../../wire/mqtt/ack.ts";
import { writeDisconnect } from "../../wire/mqtt/disconnect.ts";
import { PING_BYTES, writePingreq } from "../../wire/mqtt/ping.ts";

/** Room for a DISCONNECT without properties. */
const GOODBYE_BYTES = 16;

/** @param type PUBACK, PUBREC, PUBREL or PUBCOMP */
export function sendAck(output: Output, version: number, type: number, packetId: number, reasonCode: number): void {
  const at = output.reserve(ACK_BYTES_MAX);
  output.commit(writeAck(output.buffer, at, version, type, packetId, reasonCode));
}

export function sendPingreq(output: Output): void {
  const at = output.reserve(PING_BYTES);
  output.commit(writePingreq(output.buffer, at));
}

export function sendDisconnect(output: Output, version: number, reasonCode: number): void {
  const at = output.reserve(GOODBYE_BYTES);
  output.commit(writeDisconnect(output.buffer, at, version, reasonCode, null));
}
