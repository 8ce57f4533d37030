/**
 * PINGREQ: the peer is alive, and wants to know whether we are.
 *
 * @see MQTT 3.1.1 section 3.12, MQTT 5.0 section 3.12
 */
import { MALFORMED_PACKET, OK, PINGREQ, PINGRESP } from "../../wire/mqtt/codes.ts";
import { areFlagsValid } from "../../wire/mqtt/frame.ts";
import { PING_BYTES, writePingresp } from "../../wire/mqtt/ping.ts";
import type { Connection } from "./connection.ts";

export function onPingreq(connection: Connection, flags: number, at: number, end: number): number {
  const { link, server, version } = connection;
  if (at !== end || !areFlagsValid(version, PINGREQ, flags)) return MALFORMED_PACKET;
  const { output } = link;
  const start = output.reserve(PING_BYTES);
  output.commit(writePingresp(output.buffer, start)); // [MQTT311-3.12.4-1] [MQTT5-3.12.4-1]
  server.traffic.onSent(PINGRESP);
  return OK;
}
