/**
 * Packets to the peer, written straight into the link's output buffer.
 */
import type { Message } from "../../core/message.ts";
import type { Publication } from "../../core/publication.ts";
import { DELIVERY_QOS, DELIVERY_RETAIN } from "../../core/receiver.ts";
import { ACK_BYTES_MAX, writeAck } from "../../wire/mqtt/ack.ts";
import { MQTT_5, PUBLISH, PUBREL, SUBACK, SUCCESS } from "../../wire/mqtt/codes.ts";
import { frameBytes } from "../../wire/mqtt/frame.ts";
import { copyBytes, readU32, varintBytes, writeU32, writeVarint } from "../../wire/mqtt/primitives.ts";
import { MESSAGE_EXPIRY_INTERVAL, propertyEnd, SUBSCRIPTION_IDENTIFIER } from "../../wire/mqtt/property-table.ts";
import { publishLength, writePublish } from "../../wire/mqtt/publish.ts";
import { subackLength, writeSuback } from "../../wire/mqtt/suback.ts";
import type { Connection } from "./connection.ts";

const NO_IDS: readonly number[] = [];
/** Properties with Subscription Identifiers put in front, for one packet. Grows to the largest seen, at most a packet. */
let scratch = Buffer.allocUnsafeSlow(1024);

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
  if (p.frameVersion !== connection.frameVersion || p.qos !== qos || subscriptionIds !== null) {
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
      0,
    );
    return;
  }
  const bytes = p.frameEnd - p.frameFrom;
  if (bytes > connection.peerPacketBytesMax) {
    dropTooLarge(connection, packetId);
    return;
  }
  const output = connection.link.output;
  const at = output.reserve(bytes);
  const buffer = output.buffer;
  copyBytes(p.bytes, p.frameFrom, bytes, buffer, at);
  buffer[at] = (PUBLISH << 4) | (qos << 1) | ((options & DELIVERY_RETAIN) >> 2);
  if (qos !== 0) {
    const idAt = at + p.topicEnd - p.frameFrom;
    buffer[idAt] = packetId >> 8;
    buffer[idAt + 1] = packetId & 0xff;
  }
  output.commit(at + bytes);
  connection.server.publishesOut.value++;
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
    m.expiresMs,
  );
}

/** @param expiresMs  unix time; the publisher's Message Expiry Interval goes out as it is when 0 */
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
  expiresMs: number,
): void {
  const version = connection.version;
  let properties = bytes;
  let blockAt = propertiesAt;
  let blockLength = version === MQTT_5 ? propertiesLength : 0;
  if (version === MQTT_5 && subscriptionIds.length > 0) {
    blockLength = withSubscriptionIds(subscriptionIds, bytes, propertiesAt, propertiesLength);
    properties = scratch;
    blockAt = 0;
  }
  const size = frameBytes(publishLength(version, topicLength, blockLength, payloadLength, qos));
  if (size > connection.peerPacketBytesMax) {
    dropTooLarge(connection, packetId);
    return;
  }
  const output = connection.link.output;
  const at = output.reserve(size);
  const end = writePublish(
    output.buffer,
    at,
    version,
    dup,
    qos,
    retain,
    packetId,
    bytes,
    topicAt,
    topicLength,
    properties,
    blockAt,
    blockLength,
    bytes,
    payloadAt,
    payloadLength,
  );
  if (expiresMs !== 0 && version === MQTT_5) {
    const leftMs = expiresMs - connection.server.parts.time.wallMs();
    const blockEnd = end - payloadLength;
    setExpiry(output.buffer, blockEnd - blockLength, blockEnd, Math.max(0, Math.ceil(leftMs / 1000)));
  }
  output.commit(end);
  connection.server.publishesOut.value++;
}

/** [MQTT5-3.3.2-6]: what is left of the Message Expiry Interval takes its place in `block[from..end)`. */
function setExpiry(block: Buffer, from: number, end: number, seconds: number): void {
  for (let at = from; at >= 0 && at < end; at = propertyEnd(block, at, end)) {
    if (block[at] === MESSAGE_EXPIRY_INTERVAL) {
      // Never more than it was: the clock may have been set back.
      writeU32(block, at + 1, Math.min(readU32(block, at + 1), seconds));
      return;
    }
  }
}

/** Puts the identifiers in front of the block, into `scratch` ([MQTT5-3.3.4-4]). @returns the length of the whole */
function withSubscriptionIds(ids: readonly number[], block: Buffer, at: number, length: number): number {
  let idBytes = 0;
  for (const id of ids) idBytes += 1 + varintBytes(id);
  if (scratch.length < idBytes + length) scratch = Buffer.allocUnsafeSlow(idBytes + length);
  let next = 0;
  for (const id of ids) {
    scratch[next] = SUBSCRIPTION_IDENTIFIER;
    next = writeVarint(scratch, next + 1, id);
  }
  return copyBytes(block, at, length, scratch, next);
}

/** [MQTT5-3.1.2-24], [MQTT5-3.1.2-25]: what the peer does not take counts as delivered. */
function dropTooLarge(connection: Connection, packetId: number): void {
  connection.server.tooLarge.value++;
  if (packetId !== 0) connection.session?.queue.onPuback(packetId);
}

export function sendPubrel(connection: Connection, packetId: number): void {
  writeOne(connection, PUBREL, packetId, SUCCESS);
}

/** PUBREL for a PUBREC whose packet id is not in flight (0x92 in 5.0). */
export function sendPubrelUnknown(connection: Connection, packetId: number, reasonCode: number): void {
  writeOne(connection, PUBREL, packetId, reasonCode);
}

/** Sends the acknowledgements at the head of the ring that are ready. */
export function flushAcks(connection: Connection): void {
  const acks = connection.acks;
  while (acks.ready) {
    const token = acks.first;
    const type = acks.typeOf(token);
    if (type === SUBACK) writeSubackOf(connection, token);
    else writeOne(connection, type, acks.packetIdOf(token), acks.reasonOf(token));
    acks.shift();
  }
  connection.onAcksFlushed();
}

function writeOne(connection: Connection, type: number, packetId: number, reasonCode: number): void {
  const output = connection.link.output;
  const at = output.reserve(ACK_BYTES_MAX);
  output.commit(writeAck(output.buffer, at, connection.version, type, packetId, reasonCode));
}

function writeSubackOf(connection: Connection, token: number): void {
  const codes = connection.subackCodes?.get(token) ?? new Uint8Array();
  // The store failed: nothing was granted for good.
  const failure = connection.acks.reasonOf(token);
  if (failure !== SUCCESS) codes.fill(failure);
  connection.subackCodes?.delete(token);
  connection.subackBytes -= codes.length;
  const output = connection.link.output;
  const at = output.reserve(frameBytes(subackLength(connection.version, codes.length)));
  const packetId = connection.acks.packetIdOf(token);
  output.commit(writeSuback(output.buffer, at, connection.version, packetId, codes, codes.length));
}
