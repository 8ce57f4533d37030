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
  const known = session.inbound.delete(view.packetId);
  const token = known ? acks.pushRelease(PUBCOMP, view.packetId) : acks.push(PUBCOMP, view.packetId);
  if (known && session.durable) {
    server.parts.store.deleteInbound(session.queue.id, view.packetId);
    server.parts.store.barrier(connection, token);
  } else {
    acks.resolve(token, known ? SUCCESS : PACKET_IDENTIFIER_NOT_FOUND);
  }
  flushAcks(connection);
  return OK;
}
