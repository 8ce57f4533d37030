/**
 * PUBLISH from the peer: checks, routes, and enters the acknowledgement it owes.
 *
 * @see MQTT 3.1.1 section 3.3, MQTT 5.0 section 3.3
 */
import { FORBIDDEN, NO_SUBSCRIBERS, NO_WAITER, RETAINED_PAYLOAD, ROUTED, STORED_LATER } from "../../core/router.ts";
import type { Session } from "../../core/session.ts";
import {
  MQTT_5,
  NOT_AUTHORIZED,
  OK,
  PAYLOAD_FORMAT_INVALID,
  PROTOCOL_ERROR,
  PUBACK,
  PUBREC,
  QUOTA_EXCEEDED,
  RECEIVE_MAXIMUM_EXCEEDED,
  RETAIN_NOT_SUPPORTED,
  SUCCESS,
} from "../../wire/mqtt/codes.ts";
import { decodePublish, type PublishView } from "../../wire/mqtt/publish.ts";
import { resolveAlias } from "./aliases-in.ts";
import type { Connection } from "./connection.ts";
import { checkProperties, topicOverLimit } from "./over-limit.ts";
import { tooHighQos } from "./reason-words.ts";
import { flushAcks, sendAck } from "./send.ts";

const SLASH = 0x2f;
const DOLLAR = 0x24;
/** Neither OK nor HOLD nor a reason: go on. */
const ADMITTED = -200;

/** @returns OK, HOLD, or the reason to close with */
export function onPublish(
  connection: Connection,
  input: Buffer,
  inputFrameAt: number,
  flags: number,
  at: number,
  inputEnd: number,
): number {
  const { server, version } = connection;
  const view = server.publishView;
  const code = decodePublish(input, flags, at, inputEnd, version, view);
  if (code !== OK) return code;
  if (view.qos > connection.options.maxQos) return tooHighQos(server, view.qos, connection.options.maxQos); // [MQTT5-3.2.2-11]
  if (view.retain && !connection.options.retainAvailable) return RETAIN_NOT_SUPPORTED; // [MQTT5-3.2.2-14]
  if (view.subscriptionIdentifiers) return PROTOCOL_ERROR; // [MQTT5-3.3.4-6]
  if (view.topicLength > server.limits.topicBytes || tooDeep(input, view, server.limits.topicLevels))
    return topicOverLimit(server, view.topicLength, levelsOf(input, view));
  if (
    view.propertiesLength !== 0 &&
    checkProperties(server, input, view.propertiesAt, view.propertiesLength) !== SUCCESS
  )
    return QUOTA_EXCEEDED;
  let bytes = input;
  let frameAt = inputFrameAt;
  let end = inputEnd;
  if (view.topicAlias !== 0) {
    const answer = resolveAlias(connection, input, view);
    if (answer !== OK) return answer;
    bytes = server.aliasFrame.take();
    frameAt = 0;
    end = server.aliasFrame.length;
  }
  if (view.qos !== 0) {
    const answer = admitAcknowledged(connection, view);
    if (answer !== ADMITTED) return answer;
  }
  server.traffic.payloadBytesReceived.value += view.payloadLength;

  const p = server.publication;
  // As a store of a young object in an old one, it is 4 % of a firehose.
  if (p.bytes !== bytes) p.bytes = bytes;
  p.topicFrom = view.topicAt;
  p.topicEnd = view.topicAt + view.topicLength;
  p.propertiesFrom = view.propertiesAt;
  p.propertiesEnd = view.propertiesAt + view.propertiesLength;
  p.payloadFrom = view.payloadAt;
  p.payloadEnd = view.payloadAt + view.payloadLength;
  p.qos = view.qos;
  p.retain = view.retain;
  p.expirySeconds = view.messageExpirySeconds;
  p.publisher = (connection.session as Session).slot;
  p.frameVersion = connection.frameVersion;
  p.frameFrom = frameAt;
  p.frameEnd = end;
  p.lasting = bytes === input;

  const allowed = isAllowed(connection, view, bytes);
  const readable = view.payloadFormat === 0 || server.isTextOrUnchecked(bytes, p.payloadFrom, p.payloadEnd);
  if (view.qos === 0) {
    // Nobody answers a QoS 0 PUBLISH: section 3.3.2.3.2 leaves DISCONNECT.
    if (!readable) return PAYLOAD_FORMAT_INVALID;
    if (allowed) server.router.publish(p, NO_WAITER, 0);
    return OK;
  }
  if (!allowed) return answer(connection, view, NOT_AUTHORIZED);
  return readable ? publishAcknowledged(connection, view) : answer(connection, view, PAYLOAD_FORMAT_INVALID);
}

/** What a QoS 1 or 2 PUBLISH needs before anybody looks at its message. @returns ADMITTED, or the answer of `onPublish` */
function admitAcknowledged(connection: Connection, view: PublishView): number {
  const { acks, server } = connection;
  if (acks.unanswered >= server.limits.receiveMaximum) {
    const answer = overReceiveMaximum(connection, view);
    if (answer !== OK) return answer;
  }
  if (!acks.hasRoom()) return connection.waitForAcks();
  if (view.qos !== 2) return ADMITTED;
  const session = connection.session as Session;
  // Before rights are asked again: a refusal now would end an exchange whose message was delivered.
  if (session.inbound.has(view.packetId)) return acknowledgeAgain(connection, session, view);
  return session.inbound.hasRoom() ? ADMITTED : tooManyInbound(connection, view);
}

/**
 * As many PUBLISHes as we announced are not answered, and here is another ([MQTT5-3.3.4-7]). One that was counted
 * already is none; before 5.0, where nothing is announced, there is only the ring's own limit.
 * @returns OK, HOLD, or the reason to close with
 */
function overReceiveMaximum(connection: Connection, view: PublishView): number {
  const { acks, session } = connection;
  if (connection.version !== MQTT_5) return OK;
  if (view.qos === 2 && session?.inbound.has(view.packetId) && !acks.isOlder(view.packetId)) return OK;
  return acks.hasDuplicates(view.packetId) ? connection.waitForAcks() : RECEIVE_MAXIMUM_EXCEEDED;
}

function publishAcknowledged(connection: Connection, view: PublishView): number {
  const { server, acks } = connection;
  const session = connection.session as Session;
  const token = acks.pushPublish(view.qos === 1 ? PUBACK : PUBREC, view.packetId);
  const result = server.router.publish(server.publication, connection, token);
  if (result === FORBIDDEN) {
    acks.pop();
    return answer(connection, view, NOT_AUTHORIZED);
  }
  const taken = result === ROUTED || result === NO_SUBSCRIBERS || result === STORED_LATER;
  if (!taken && connection.version !== MQTT_5) {
    acks.pop();
    server.traffic.payloadBytesReceived.value -= view.payloadLength; // it comes again
    // Trying again would not help.
    return server.router.refusedBy === RETAINED_PAYLOAD ? QUOTA_EXCEEDED : connection.hold();
  }
  connection.release();
  if (server.router.slowReceiver !== null) {
    server.paused.add(connection, server.router.slowReceiver, server.limits.pauseMaxMs);
    connection.pauseReading();
  }
  if (view.qos === 1 && taken && result !== STORED_LATER && token === acks.first) {
    // Nothing is before it and nothing to wait for: past the ring.
    acks.pop();
    sendAck(connection, PUBACK, view.packetId, result);
    connection.onAcksFlushed();
    return OK;
  }
  if (view.qos === 2 && taken) rememberInbound(connection, session, view.packetId, token, result);
  else if (result !== STORED_LATER) acks.resolve(token, result);
  flushAcks(connection, taken ? "" : server.router.refusedBy);
  return OK;
}

/** PUBREC says that payload and packet id are stored; the id goes into the same group as the message. */
function rememberInbound(
  connection: Connection,
  session: Session,
  packetId: number,
  token: number,
  result: number,
): void {
  const { store } = connection.server.parts;
  session.inbound.add(packetId);
  if (session.durable)
    store.putInbound(session.queue.id, packetId, result === STORED_LATER ? connection.server.publication.kept : null);
  if (result === STORED_LATER) return;
  if (session.durable) store.barrier(connection, token);
  else connection.acks.resolve(token, result);
}

/** [MQTT311-4.3.3-2]: a repeated PUBLISH whose id was not released is acknowledged and goes no further. */
function acknowledgeAgain(connection: Connection, session: Session, view: PublishView): number {
  connection.server.traffic.payloadBytesReceived.value += view.payloadLength;
  connection.release();
  const token = connection.acks.pushRepeated(view.packetId);
  if (session.durable) connection.server.parts.store.barrier(connection, token);
  else connection.acks.resolve(token, SUCCESS);
  flushAcks(connection);
  return OK;
}

/** So many QoS 2 ids were not released, by all clients together, that there is no memory for another. */
function tooManyInbound(connection: Connection, view: PublishView): number {
  connection.server.inboundFull.value++;
  return connection.version === MQTT_5 ? answer(connection, view, QUOTA_EXCEEDED) : connection.hold();
}

/** A refusal that the peer is told in 5.0; before it there is no word for it and the message counts as taken. */
function answer(connection: Connection, view: PublishView, reason: number): number {
  connection.release();
  const token = connection.acks.pushPublish(view.qos === 1 ? PUBACK : PUBREC, view.packetId);
  connection.acks.resolve(token, connection.version === MQTT_5 ? reason : SUCCESS);
  flushAcks(connection);
  return OK;
}

function isAllowed(connection: Connection, view: PublishView, bytes: Buffer): boolean {
  const { server } = connection;
  // $SYS is the gateway's own.
  if (bytes[view.topicAt] === DOLLAR && bytes.toString("latin1", view.topicAt, view.topicAt + 4) === "$SYS")
    return refused(connection);
  if (server.authority.open) return true;
  const topic = bytes.toString("utf8", view.topicAt, view.topicAt + view.topicLength);
  return server.authority.mayPublish((connection.session as Session).principal, topic) || refused(connection);
}

function refused(connection: Connection): false {
  connection.server.parts.counters.counter("mqtt.publish.not_authorized").value++;
  return false;
}

function tooDeep(bytes: Buffer, view: PublishView, levelsMax: number): boolean {
  return view.topicLength > levelsMax && levelsOf(bytes, view) > levelsMax;
}

function levelsOf(bytes: Buffer, view: PublishView): number {
  let levels = 1;
  for (let i = view.topicAt; i < view.topicAt + view.topicLength; i++) if (bytes[i] === SLASH) levels++;
  return levels;
}
