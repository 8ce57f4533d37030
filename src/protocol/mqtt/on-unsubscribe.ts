/**
 * UNSUBSCRIBE.
 *
 * @see MQTT 3.1.1 section 3.10, MQTT 5.0 section 3.10
 */
import type { Session } from "../../core/session.ts";
import { NEED_MORE, NO_SUBSCRIPTION_EXISTED, OK, PACKET_TOO_LARGE, SUCCESS, UNSUBACK } from "../../wire/mqtt/codes.ts";
import { frameBytes } from "../../wire/mqtt/frame.ts";
import { unsubackLength, writeUnsuback } from "../../wire/mqtt/unsuback.ts";
import { decodeUnsubscribeHead, nextUnsubscription } from "../../wire/mqtt/unsubscribe.ts";
import type { Connection } from "./connection.ts";

export function onUnsubscribe(connection: Connection, bytes: Buffer, at: number, end: number): number {
  const { server, version } = connection;
  const view = server.unsubscribeView;
  const code = decodeUnsubscribeHead(bytes, at, end, version, view);
  if (code !== OK) return code;
  const session = connection.session as Session;
  const codes: number[] = [];
  for (;;) {
    const next = nextUnsubscription(bytes, view);
    if (next === NEED_MORE) break;
    if (next !== OK) return next;
    const filter = bytes.toString("utf8", view.filterAt, view.filterAt + view.filterLength);
    codes.push(server.parts.registry.unsubscribe(session, filter) ? SUCCESS : NO_SUBSCRIPTION_EXISTED);
  }
  const size = frameBytes(unsubackLength(version, codes.length));
  if (size > connection.peerPacketBytesMax) return PACKET_TOO_LARGE; // [MQTT5-3.1.2-24]
  const output = connection.link.output;
  const start = output.reserve(size);
  output.commit(writeUnsuback(output.buffer, start, version, view.packetId, Uint8Array.from(codes), codes.length));
  connection.server.traffic.onSent(UNSUBACK);
  return OK;
}
