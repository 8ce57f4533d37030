/**
 * UNSUBSCRIBE. For a session that outlives its connection UNSUBACK leaves when the store has it: a restart must not
 * bring back what the client was told is over.
 *
 * @see MQTT 3.1.1 section 3.10, MQTT 5.0 section 3.10
 */
import type { Session } from "../../core/session.ts";
import { NEED_MORE, NO_SUBSCRIPTION_EXISTED, OK, PACKET_TOO_LARGE, SUCCESS, UNSUBACK } from "../../wire/mqtt/codes.ts";
import { frameBytes } from "../../wire/mqtt/frame.ts";
import { unsubackLength } from "../../wire/mqtt/unsuback.ts";
import { decodeUnsubscribeHead, nextUnsubscription } from "../../wire/mqtt/unsubscribe.ts";
import type { Connection } from "./connection.ts";
import { hasRoomForCodes, keepCodes } from "./filter-codes.ts";
import { flushAcks } from "./send.ts";

export function onUnsubscribe(connection: Connection, bytes: Buffer, at: number, end: number): number {
  const { server, version, acks } = connection;
  const view = server.unsubscribeView;
  const code = decodeUnsubscribeHead(bytes, at, end, version, view);
  if (code !== OK) return code;
  if (!hasRoomForCodes(connection) || !acks.hasRoom()) return connection.waitForAcks();
  const session = connection.session as Session;
  const { packetId } = view;
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
  const token = acks.push(UNSUBACK, packetId);
  keepCodes(connection, token, codes);
  if (session.durable) server.parts.store.barrier(connection, token);
  else acks.resolve(token, SUCCESS);
  flushAcks(connection);
  return OK;
}
