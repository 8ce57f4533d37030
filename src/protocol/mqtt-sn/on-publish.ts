/**
 * PUBLISH and PUBREL from a client. PUBACK and PUBREC say that the message is stored, as MQTT's do; a store that is full
 * is a rejection for congestion, and the client sends again.
 *
 * @see MQTT-SN 1.2 sections 5.4.12 to 5.4.14, 6.6 and 6.8
 */
import { copyBytes } from "../../base/copy-bytes.ts";
import type { Principal } from "../../core/ports.ts";
import type { Publication } from "../../core/publication.ts";
import { FORBIDDEN, NO_SUBSCRIBERS, NO_WAITER, RETAINED_PAYLOAD, ROUTED, STORED_LATER } from "../../core/router.ts";
import type { Session } from "../../core/session.ts";
import {
  FLAG_RETAIN,
  PUBACK,
  PUBCOMP,
  PUBREC,
  REJECTED_CONGESTION,
  REJECTED_INVALID_TOPIC_ID,
  REJECTED_NOT_SUPPORTED,
} from "../../wire/mqtt-sn/codes.ts";
import type { MessageView } from "../../wire/mqtt-sn/decode.ts";
import { writeTopicAck } from "../../wire/mqtt-sn/encode.ts";
import type { Client } from "./client.ts";
import { answer, NO_FLAGS } from "./on-stored.ts";
import type { MqttSnServer } from "./server.ts";

export function onPublish(client: Client, bytes: Buffer, view: MessageView): void {
  const { server } = client;
  const session = client.session as Session;
  const { msgId, topicId, qos } = view;
  server.publishesReceived.value++;
  const topic = client.topics.find(view.topicType, topicId);
  if (topic === null) {
    reject(client, view, REJECTED_INVALID_TOPIC_ID);
    return;
  }
  // Before rights are asked again: a refusal now would end an exchange whose message was delivered.
  if (qos === 2 && session.inbound.has(msgId)) {
    acknowledgeAgain(client, session, msgId, topicId);
    return;
  }
  if (!mayPublish(server, session.principal, topic)) {
    reject(client, view, REJECTED_NOT_SUPPORTED);
    return;
  }
  const p = fill(server, topic, bytes, view);
  p.publisher = session.slot;
  if (qos <= 0) {
    server.parts.router.publish(p, NO_WAITER, 0);
    return;
  }
  const type = qos === 1 ? PUBACK : PUBREC;
  if (client.owed.has(type, msgId)) return; // it comes again while the store stores it
  if (client.owed.full || (qos === 2 && !session.inbound.hasRoom())) {
    reject(client, view, REJECTED_CONGESTION);
    return;
  }
  publishAcknowledged(client, session, view, type, p);
}

function publishAcknowledged(client: Client, session: Session, view: MessageView, type: number, p: Publication): void {
  const { server } = client;
  const { router, store } = server.parts;
  const { msgId, topicId, qos } = view;
  const owed = { ...NO_FLAGS, type, msgId, topicId };
  const token = client.owe(owed);
  const result = router.publish(p, client, token);
  if (result !== ROUTED && result !== NO_SUBSCRIBERS && result !== STORED_LATER) {
    client.owed.take(token);
    const forEver = result === FORBIDDEN || router.refusedBy === RETAINED_PAYLOAD;
    reject(client, view, forEver ? REJECTED_NOT_SUPPORTED : REJECTED_CONGESTION);
    return;
  }
  if (qos === 2) {
    session.inbound.add(msgId);
    if (session.durable) store.putInbound(session.queue.id, msgId, result === STORED_LATER ? p.kept : null);
  }
  if (result === STORED_LATER) return;
  if (qos === 2 && session.durable) {
    store.barrier(client, token);
    return;
  }
  client.owed.take(token);
  answer(client, owed, true);
}

/** A repeated PUBLISH whose id was not released is acknowledged and goes no further. */
function acknowledgeAgain(client: Client, session: Session, msgId: number, topicId: number): void {
  if (client.owed.has(PUBREC, msgId)) return;
  const owed = { type: PUBREC, msgId, topicId, flags: 0, repeated: true };
  if (!session.durable) answer(client, owed, true);
  else if (!client.owed.full) client.server.parts.store.barrier(client, client.owe(owed));
}

/** The id is free, once that is stored. */
export function onPubrel(client: Client, { msgId }: MessageView): void {
  const session = client.session as Session;
  const { store } = client.server.parts;
  if (client.owed.has(PUBCOMP, msgId) || client.owed.full) return;
  const known = session.inbound.delete(msgId);
  const owed = { ...NO_FLAGS, type: PUBCOMP, msgId, repeated: !known };
  if (!session.durable) {
    answer(client, owed, true);
    return;
  }
  if (known) store.deleteInbound(session.queue.id, msgId);
  store.barrier(client, client.owe(owed));
}

/** QoS -1: nobody is connected, nobody is answered. */
export function publishOfStranger(server: MqttSnServer, principal: Principal, p: Publication): void {
  if (mayPublish(server, principal, p.topic)) server.parts.router.publish(p, NO_WAITER, 0);
}

/** Of a UTF-16 unit. */
const UTF8_BYTES_MAX = 3;

/** The publication that a PUBLISH is, in the server's scratch bytes: valid until the next. */
function fill(server: MqttSnServer, topic: string, bytes: Buffer, view: MessageView): Publication {
  const payloadLength = view.restEnd - view.restAt;
  const scratch = server.publicationRoom(UTF8_BYTES_MAX * topic.length + payloadLength);
  const topicLength = scratch.write(topic);
  const p = server.publication;
  p.bytes = scratch;
  p.topicFrom = 0;
  p.topicEnd = topicLength;
  p.propertiesFrom = topicLength;
  p.propertiesEnd = topicLength;
  p.payloadFrom = topicLength;
  p.payloadEnd = copyBytes(bytes, view.restAt, payloadLength, scratch, topicLength);
  p.qos = view.qos <= 0 ? 0 : view.qos;
  p.retain = (view.flags & FLAG_RETAIN) !== 0;
  p.expirySeconds = -1;
  p.publisher = -1;
  p.frameVersion = 0;
  p.lasting = false;
  return p;
}

function mayPublish(server: MqttSnServer, principal: Principal, topic: string): boolean {
  const { authority } = server.parts;
  // $SYS is the gateway's own.
  if (!topic.startsWith("$SYS") && (authority.open || authority.mayPublish(principal, topic))) return true;
  server.count("not_authorized");
  return false;
}

function reject(client: Client, { msgId, topicId, qos }: MessageView, code: number): void {
  const { server } = client;
  if (code === REJECTED_CONGESTION) server.congestion.value++;
  if (qos < 0) return;
  client.write(writeTopicAck(server.room(16), 0, PUBACK, topicId, msgId, code));
}
