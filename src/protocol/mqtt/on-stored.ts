/** What the store says to a connection: the acknowledgement that waited for it leaves, or turns into a refusal. */
import { MQTT_5, OK, PUBCOMP, PUBREC } from "../../wire/mqtt/codes.ts";
import { close } from "./close.ts";
import type { Connection } from "./connection.ts";
import { flushAcks } from "./send.ts";
import { CONNECTED } from "./states.ts";

/** The store's word on the publish, release or subscription that owes the acknowledgement `token`. */
export function onStored(connection: Connection, token: number, reason: number): void {
  const { acks, server, version } = connection;
  if (!acks.isOpen(token)) return;
  const type = acks.typeOf(token);
  // The id of a repeated PUBLISH stays; so does one that a failed disk may have. A full or read-only one rolled it back.
  const stays = acks.isRepeated(token) || (type === PUBREC && server.parts.store.health === "failed");
  if (reason !== OK && !stays) takeBack(connection, type, acks.packetIdOf(token), reason);
  if (connection.state !== CONNECTED) return;
  // Taken, and then the disk refused: there is no negative answer before 5.0, nor a PUBCOMP that says so. A negative
  // PUBREC would end an exchange whose message was or will be delivered, and the id's next message would be lost.
  if (reason !== OK && (version !== MQTT_5 || type === PUBCOMP || stays)) {
    close(connection, reason);
    return;
  }
  acks.resolve(token, reason);
  flushAcks(connection);
}

/** The store does not have a packet id that came, or has one that went; the session may have another connection by now. */
function takeBack(connection: Connection, type: number, packetId: number, reason: number): void {
  const session = connection.session ?? connection.left;
  if (session === null || session.slot < 0) return;
  if (type === PUBCOMP) {
    session.inbound.add(packetId);
  } else if (type === PUBREC && session.inbound.delete(packetId)) {
    if (session.durable) connection.server.parts.store.deleteInbound(session.queue.id, packetId);
    const successor = session.outlet as Connection;
    if (!connection.server.connections.has(successor)) return;
    // Who was told, or is about to be, that the copy is taken: it is lost.
    if (!successor.acks.refuse(PUBREC, packetId, reason) || successor === connection) return;
    if (successor.version === MQTT_5) flushAcks(successor);
    else close(successor, reason);
  }
}
