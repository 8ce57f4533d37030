/**
 * Packets to the peer, written straight into the link's output buffer.
 */
import { copyBytes } from "../../base/copy-bytes.ts";
import type { Message } from "../../core/message.ts";
import type { Publication } from "../../core/publication.ts";
import { DELIVERY_QOS, DELIVERY_RETAIN } from "../../core/receiver.ts";
import { ACK_BYTES_MAX, ackBytes, writeAck, writeAckWithProperties } from "../../wire/mqtt/ack.ts";
import { MQTT_5, PUBLISH, PUBREL, SUBACK, SUCCESS, UNSPECIFIED_ERROR, UNSUBACK } from "../../wire/mqtt/codes.ts";
import { frameBytes, writeFrameHeader } from "../../wire/mqtt/frame.ts";
import { varintBytes, writeU16, writeU32, writeVarint } from "../../wire/mqtt/primitives.ts";
import type { PropertiesWriter } from "../../wire/mqtt/properties.ts";
import {
  MESSAGE_EXPIRY_INTERVAL,
  propertyEnd,
  SUBSCRIPTION_IDENTIFIER,
  TOPIC_ALIAS,
} from "../../wire/mqtt/property-table.ts";
import { publishLength } from "../../wire/mqtt/publish.ts";
import { subackLength, writeSuback } from "../../wire/mqtt/suback.ts";
import { unsubackLength, writeUnsuback } from "../../wire/mqtt/unsuback.ts";
import type { Connection } from "./connection.ts";
import { takeCodes } from "./filter-codes.ts";
import { ackWords, reasonString, subackWords } from "./reason-words.ts";

const NO_IDS: readonly number[] = [];
/** The property on the wire: identifier and two bytes. */
const ALIAS_BYTES = 3;

/**
 * Writes a PUBLISH from the bytes of a publication. A frame of the same form is copied as it stands: only flags and
 * packet id differ between receivers.
 */
export function sendLive(
  connection: Connection,
  p: Publication,
  options: number,
  subscriptionIds: readonly number[] | null,
  packetId: number,
): void {
  const qos = options & DELIVERY_QOS;
  if (
    p.frameVersion !== connection.frameVersion ||
    p.qos !== qos ||
    subscriptionIds !== null ||
    connection.aliasesOut !== null
  ) {
    const topicLength = p.topicEnd - p.topicFrom;
    const propertiesLength = p.propertiesEnd - p.propertiesFrom;
    const payloadLength = p.payloadEnd - p.payloadFrom;
    const retain = (options & DELIVERY_RETAIN) !== 0;
    writeWhole(
      connection,
      false,
      qos,
      retain,
      packetId,
      p.bytes,
      p.topicFrom,
      topicLength,
      p.propertiesFrom,
      propertiesLength,
      p.payloadFrom,
      payloadLength,
      subscriptionIds ?? NO_IDS,
      -1,
    );
    return;
  }
  const bytes = p.frameEnd - p.frameFrom;
  if (bytes > connection.peerPacketBytesMax) {
    dropTooLarge(connection, packetId, false, p.bytes, p.topicFrom, p.topicEnd - p.topicFrom);
    return;
  }
  const output = connection.link.output;
  const first = (PUBLISH << 4) | (qos << 1) | ((options & DELIVERY_RETAIN) >> 2);
  if (p.shared) p.sharedTicket = output.appendShared(p.bytes, p.frameFrom, p.frameEnd, p.sharedTicket);
  else if (p.lasting && qos === 0 && p.bytes[p.frameFrom] === first)
    output.appendLate(p.bytes, p.frameFrom, p.frameEnd);
  else {
    const at = output.reserve(bytes);
    const buffer = output.buffer;
    copyBytes(p.bytes, p.frameFrom, bytes, buffer, at);
    buffer[at] = first;
    if (qos !== 0) {
      const idAt = at + p.topicEnd - p.frameFrom;
      buffer[idAt] = packetId >> 8;
      buffer[idAt + 1] = packetId & 0xff;
    }
    output.commit(at + bytes);
  }
  const { traffic } = connection.server;
  traffic.publishesSent.value++;
  traffic.payloadBytesSent.value += p.payloadEnd - p.payloadFrom;
}

/** Writes a PUBLISH from a message that was kept. */
export function sendMessage(
  connection: Connection,
  m: Message,
  options: number,
  subscriptionIds: readonly number[] | null,
  packetId: number,
  dup: boolean,
): void {
  writeWhole(
    connection,
    dup,
    options & DELIVERY_QOS,
    (options & DELIVERY_RETAIN) !== 0,
    packetId,
    m.bytes,
    0,
    m.topicEnd,
    m.topicEnd,
    m.propertiesEnd - m.topicEnd,
    m.propertiesEnd,
    m.bytes.length - m.propertiesEnd,
    subscriptionIds ?? NO_IDS,
    m.expiresMs === 0 ? -1 : Math.max(0, Math.ceil(m.leftMs(connection.server.parts.time) / 1000)),
  );
}

/**
 * Writes a PUBLISH from its parts. What belongs to this peer alone stands in front of the publisher's properties: the
 * alias, and the Subscription Identifiers ([MQTT5-3.3.4-4]).
 * @param expirySeconds  until it expires; the publisher's Message Expiry Interval goes out as it is when -1
 */
function writeWhole(
  connection: Connection,
  dup: boolean,
  qos: number,
  retain: boolean,
  packetId: number,
  bytes: Buffer,
  topicAt: number,
  topicLength: number,
  propertiesAt: number,
  propertiesLength: number,
  payloadAt: number,
  payloadLength: number,
  subscriptionIds: readonly number[],
  expirySeconds: number,
): void {
  const { version, aliasesOut, peerPacketBytesMax } = connection;
  const inFive = version === MQTT_5;
  let blockLength = inFive ? propertiesLength + identifierBytes(subscriptionIds) : 0;
  // None at QoS 2: MQTT.js keeps such a message until PUBREL, and then hands it out without the topic.
  let alias = aliasesOut === null || qos === 2 ? 0 : aliasesOut.find(bytes, topicAt, topicLength);
  let sentLength = alias > 0 ? 0 : topicLength;
  if (alias !== 0) blockLength += ALIAS_BYTES;
  let remaining = publishLength(version, sentLength, blockLength, payloadLength, qos);
  if (alias < 0 && frameBytes(remaining) > peerPacketBytesMax) {
    // As large as the peer takes it: without the alias it may fit.
    alias = 0;
    sentLength = topicLength;
    blockLength -= ALIAS_BYTES;
    remaining = publishLength(version, sentLength, blockLength, payloadLength, qos);
  }
  const size = frameBytes(remaining);
  if (size > peerPacketBytesMax) {
    dropTooLarge(connection, packetId, dup && qos === 2, bytes, topicAt, topicLength);
    return;
  }
  const output = connection.link.output;
  const at = output.reserve(size);
  const { buffer } = output;
  const firstByte = (PUBLISH << 4) | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  let next = writeFrameHeader(buffer, at, firstByte, remaining);
  next = writeU16(buffer, next, sentLength);
  next = copyBytes(bytes, topicAt, sentLength, buffer, next);
  if (qos !== 0) next = writeU16(buffer, next, packetId);
  if (inFive) {
    next = writeVarint(buffer, next, blockLength);
    if (alias !== 0) {
      buffer[next] = TOPIC_ALIAS;
      next = writeU16(buffer, next + 1, alias < 0 ? -alias : alias);
    }
    for (let i = 0; i < subscriptionIds.length; i++) {
      buffer[next] = SUBSCRIPTION_IDENTIFIER;
      next = writeVarint(buffer, next + 1, subscriptionIds[i] as number);
    }
    const blockAt = next;
    next = copyBytes(bytes, propertiesAt, propertiesLength, buffer, next);
    if (expirySeconds >= 0) setExpiry(buffer, blockAt, next, expirySeconds);
  }
  output.commit(copyBytes(bytes, payloadAt, payloadLength, buffer, next));
  if (alias < 0) aliasesOut?.assign(-alias, bytes, topicAt, topicLength);
  const { traffic } = connection.server;
  traffic.publishesSent.value++;
  traffic.payloadBytesSent.value += payloadLength;
}

/** [MQTT5-3.3.2-6]: what is left of the Message Expiry Interval takes its place in `block[from..end)`. */
function setExpiry(block: Buffer, from: number, end: number, seconds: number): void {
  for (let at = from; at >= 0 && at < end; at = propertyEnd(block, at, end)) {
    if (block[at] === MESSAGE_EXPIRY_INTERVAL) {
      writeU32(block, at + 1, seconds);
      return;
    }
  }
}

function identifierBytes(ids: readonly number[]): number {
  let bytes = 0;
  for (let i = 0; i < ids.length; i++) bytes += 1 + varintBytes(ids[i] as number);
  return bytes;
}

/**
 * [MQTT5-3.1.2-24], [MQTT5-3.1.2-25]: what the peer does not take counts as delivered.
 * @param mayBeKnown  QoS 2, and sent on an earlier connection: PUBREL has to free the id at the peer's
 */
function dropTooLarge(
  connection: Connection,
  packetId: number,
  mayBeKnown: boolean,
  bytes: Buffer,
  topicAt: number,
  topicLength: number,
): void {
  const { server, session } = connection;
  server.tooLarge.value++;
  if (session === null) return;
  const topic = (): string => bytes.toString("utf8", topicAt, topicAt + topicLength);
  server.parts.registry.ledger.record(session.queue.label, topic, "too-large", server.parts.time.wallMs());
  if (mayBeKnown) session.queue.onPubrec(packetId, 0);
  else if (packetId !== 0) session.onPuback(packetId);
}

export function sendPubrel(connection: Connection, packetId: number): void {
  sendAck(connection, PUBREL, packetId, SUCCESS);
}

/** PUBREL for a PUBREC whose packet id is not in flight (0x92 in 5.0). */
export function sendPubrelUnknown(connection: Connection, packetId: number, reasonCode: number): void {
  writeRefusal(connection, PUBREL, packetId, reasonCode, "");
}

/**
 * Sends the acknowledgements at the head of the ring that are ready.
 * @param refusedBy  who refused the newest one (`Router.refusedBy`), for its Reason String
 */
export function flushAcks(connection: Connection, refusedBy = ""): void {
  const { acks } = connection;
  while (acks.ready) {
    const token = acks.first;
    const type = acks.typeOf(token);
    if (type === SUBACK) writeSubackOf(connection, token);
    else if (type === UNSUBACK) writeUnsubackOf(connection, token);
    else writeAckOf(connection, type, token, refusedBy);
    acks.shift();
  }
  connection.onAcksFlushed();
}

function writeAckOf(connection: Connection, type: number, token: number, refusedBy: string): void {
  const { acks } = connection;
  const packetId = acks.packetIdOf(token);
  const reason = acks.reasonOf(token);
  if (reason < UNSPECIFIED_ERROR) sendAck(connection, type, packetId, reason);
  else writeRefusal(connection, type, packetId, reason, token === acks.next - 1 ? refusedBy : "");
}

/** A negative acknowledgement, in 5.0 with words where the peer wants and takes them [MQTT5-3.4.2-2]. */
function writeRefusal(
  connection: Connection,
  type: number,
  packetId: number,
  reasonCode: number,
  refusedBy: string,
): void {
  const { server, version, link } = connection;
  if (version === MQTT_5 && connection.wantsReasons) {
    const properties = reasonString(server, ackWords(reasonCode, server.limits, refusedBy));
    const bytes = ackBytes(properties);
    if (bytes <= connection.peerPacketBytesMax) {
      const at = link.output.reserve(bytes);
      link.output.commit(writeAckWithProperties(link.output.buffer, at, type, packetId, reasonCode, properties));
      server.traffic.onSent(type);
      return;
    }
  }
  sendAck(connection, type, packetId, reasonCode);
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP without words. */
export function sendAck(connection: Connection, type: number, packetId: number, reasonCode: number): void {
  const output = connection.link.output;
  const at = output.reserve(ACK_BYTES_MAX);
  output.commit(writeAck(output.buffer, at, connection.version, type, packetId, reasonCode));
  connection.server.traffic.onSent(type);
}

function writeSubackOf(connection: Connection, token: number): void {
  const codes = takeCodes(connection, token);
  // The store failed: nothing was granted for good.
  const failure = connection.acks.reasonOf(token);
  if (failure !== SUCCESS) codes.fill(failure);
  const { version } = connection;
  const { output } = connection.link;
  const packetId = connection.acks.packetIdOf(token);
  const properties = subackProperties(connection, codes);
  const at = output.reserve(frameBytes(subackLength(version, codes.length, properties)));
  output.commit(writeSuback(output.buffer, at, version, packetId, codes, codes.length, properties));
  connection.server.traffic.onSent(SUBACK);
}

function writeUnsubackOf(connection: Connection, token: number): void {
  const codes = takeCodes(connection, token);
  const failure = connection.acks.reasonOf(token);
  const { version, acks } = connection;
  if (failure !== SUCCESS) {
    // The store failed. Before 5.0 there is no word for it: silence, as nothing was ended for good.
    if (version !== MQTT_5) return;
    codes.fill(failure);
  }
  const { output } = connection.link;
  const at = output.reserve(frameBytes(unsubackLength(version, codes.length)));
  output.commit(writeUnsuback(output.buffer, at, version, acks.packetIdOf(token), codes, codes.length));
  connection.server.traffic.onSent(UNSUBACK);
}

/** [MQTT5-3.9.2-1]: null when nothing was refused, or the peer does not want or take words. */
function subackProperties(connection: Connection, codes: Uint8Array): PropertiesWriter | null {
  const { server, version } = connection;
  if (version !== MQTT_5 || !connection.wantsReasons || !codes.some(isRefusal)) return null;
  const properties = reasonString(server, subackWords(server.limits, codes));
  const bytes = frameBytes(subackLength(version, codes.length, properties));
  return bytes > connection.peerPacketBytesMax ? null : properties;
}

function isRefusal(code: number): boolean {
  return code >= UNSPECIFIED_ERROR;
}
