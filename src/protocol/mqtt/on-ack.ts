/**
 * PUBACK, PUBREC and PUBCOMP from the peer: answers to what we sent.
 *
 * @see MQTT 3.1.1 sections 3.4, 3.5 and 3.7, MQTT 5.0 sections 3.4, 3.5 and 3.7
 */
import type { Session } from "../../core/session.ts";
import { decodeAck } from "../../wire/mqtt/ack.ts";
import { OK, PACKET_IDENTIFIER_NOT_FOUND, PROTOCOL_ERROR, PUBACK, PUBREC, packetName } from "../../wire/mqtt/codes.ts";
import type { Connection } from "./connection.ts";
import { because } from "./reason-words.ts";
import { sendPubrelUnknown } from "./send.ts";

export function onAck(
  connection: Connection,
  bytes: Buffer,
  type: number,
  flags: number,
  at: number,
  end: number,
): number {
  const view = connection.server.ackView;
  const code = decodeAck(bytes, type, flags, at, end, connection.version, view);
  if (code !== OK) return code;
  const { packetId, reasonCode } = view;
  const session = connection.session as Session;
  const { queue } = session;
  const qos = session.qosInFlight(packetId);
  // The answers of one QoS to a message of the other: the peer has mixed them up, and no outcome would be true.
  if (qos !== 0 && (qos === 1) !== (type === PUBACK))
    return because(connection.server, PROTOCOL_ERROR, `${packetName(type)} for a message of QoS ${qos}`);
  if (type === PUBACK) {
    session.onPuback(packetId, reasonCode);
  } else if (type === PUBREC) {
    // Section 3.6.2.1: an id we do not know is released all the same, so that the peer can forget it.
    if (!queue.onPubrec(packetId, reasonCode) && reasonCode < 0x80)
      sendPubrelUnknown(connection, packetId, PACKET_IDENTIFIER_NOT_FOUND);
  } else {
    queue.onPubcomp(packetId);
  }
  session.pumpOthers();
  return OK;
}
