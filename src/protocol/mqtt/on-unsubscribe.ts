/**
 * UNSUBSCRIBE, as many filters in a turn as it has work for. For a session that outlives its connection UNSUBACK leaves when the store has it: a restart must not
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
import { FilterList } from "./filter-list.ts";
import { flushAcks } from "./send.ts";
import { PART } from "./states.ts";
import { UNSUBSCRIBE_PART_BYTES } from "./work.ts";

export function onUnsubscribe(connection: Connection, bytes: Buffer, at: number, end: number): number {
  const { server, version, acks } = connection;
  const view = server.unsubscribeView;
  let list = connection.filters;
  if (list === null) {
    const code = decodeUnsubscribeHead(bytes, at, end, version, view);
    if (code !== OK) return code;
    if (!hasRoomForCodes(connection) || !acks.hasRoom()) return connection.waitForAcks();
    list = new FilterList(view.packetId, 0, end - view.cursor);
  } else {
    view.cursor = end - list.left;
    view.end = end;
  }
  const session = connection.session as Session;
  const partEnd = view.cursor + UNSUBSCRIBE_PART_BYTES;
  for (;;) {
    const next = nextUnsubscription(bytes, view);
    if (next === NEED_MORE) break;
    if (next !== OK) return next;
    const filter = bytes.toString("utf8", view.filterAt, view.filterAt + view.filterLength);
    list.push(server.parts.registry.unsubscribe(session, filter) ? SUCCESS : NO_SUBSCRIPTION_EXISTED);
    if (view.cursor >= partEnd && view.cursor < end) {
      list.left = end - view.cursor;
      connection.filters = list;
      return PART;
    }
  }
  connection.filters = null;
  const size = frameBytes(unsubackLength(version, list.count));
  if (size > connection.peerPacketBytesMax) return PACKET_TOO_LARGE; // [MQTT5-3.1.2-24]
  const token = acks.push(UNSUBACK, list.packetId);
  keepCodes(connection, token, list.codes);
  if (session.durable) server.parts.store.barrier(connection, token);
  else acks.resolve(token, SUCCESS);
  flushAcks(connection);
  return OK;
}
