/**
 * PUBREL from the peer: it knows that we have the message; the id is free once that is stored.
 *
 * @see MQTT 3.1.1 section 3.6, MQTT 5.0 section 3.6
 */
import type { Session } from "../../core/session.ts";
import { decodeAck } from "../../wire/mqtt/ack.ts";
import { OK, PACKET_IDENTIFIER_NOT_FOUND, PUBCOMP, PUBREL, SUCCESS } from "../../wire/mqtt/codes.ts";
import type { Connection } from "./connection.ts";
import { flushAcks } from "./send.ts";

export function onPubrel(connection: Connection, bytes: Buffer, flags: number, at: number, end: number): number {
  const { server, acks } = connection;
  const view = server.ackView;
  const code = decodeAck(bytes, PUBREL, flags, at, end, connection.version, view);
  if (code !== OK) return code;
  if (!acks.hasRoom()) return connection.waitForAcks();
  const session = connection.session as Session;
  const { packetId } = view;
  const known = session.inbound.delete(packetId);
  const token = known
    ? acks.pushRelease(PUBCOMP, packetId)
    : acks.pushUnknown(PUBCOMP, packetId, PACKET_IDENTIFIER_NOT_FOUND);
  if (session.durable) {
    if (known) server.parts.store.deleteInbound(session.queue.id, packetId);
    // An id that is not there may have gone a moment ago, on an earlier connection, and not be gone from the medium.
    server.parts.store.barrier(connection, token);
  } else {
    acks.resolve(token, SUCCESS);
  }
  flushAcks(connection);
  return OK;
}
