/**
 * PUBLISH: MQTT 3.1.1 section 3.3, MQTT 5.0 section 3.3. The one packet whose speed decides the gateway's.
 *
 *     Fixed Header | topic length, topic | packet id (QoS 1, 2) | property length, block (5.0) | payload
 *                  from    topicAt                                propertiesAt                   payloadAt   end
 */
import { copyBytes } from "../../base/copy-bytes.ts";
import { MALFORMED_PACKET, MQTT_5, OK, PROTOCOL_ERROR, PUBLISH, TOPIC_ALIAS_INVALID } from "./codes.ts";
import { writeFrameHeader } from "./frame.ts";
import {
  isValidUtf8String,
  readU16,
  readU32,
  topicNameProblem,
  varintBytes,
  writeU16,
  writeVarint,
} from "./primitives.ts";
import { readPropertiesLength } from "./properties.ts";
import {
  BIT_OF,
  CONTENT_TYPE,
  MESSAGE_EXPIRY_INTERVAL,
  PACKETS_OF,
  PAYLOAD_FORMAT_INDICATOR,
  propertyEnd,
  RESPONSE_TOPIC,
  SUBSCRIPTION_IDENTIFIER,
  TOPIC_ALIAS,
  USER_PROPERTY,
} from "./property-table.ts";

/**
 * Decoded PUBLISH: offsets into the frame, no copies. Reused for every packet. Who needs the other properties of a
 * stored message hands its block to `decodeProperties`.
 */
export class PublishView {
  dup = false;
  qos = 0;
  retain = false;
  /** 0 with QoS 0. */
  packetId = 0;
  topicAt = 0;
  /** 0 only in 5.0 with a topic alias: the topic is the one the alias stands for. */
  topicLength = 0;
  /** The block without its Property Length; 0 and 0 before 5.0. */
  propertiesAt = 0;
  propertiesLength = 0;
  /** 0 when absent. */
  topicAlias = 0;
  /** -1 when absent. */
  messageExpirySeconds = -1;
  /** Index of the interval's four bytes, to patch them in place; -1 when absent. */
  messageExpiryAt = -1;
  payloadFormat = 0;
  /** The block has a Subscription Identifier, which a client must not send [MQTT5-3.3.4-6]. */
  subscriptionIdentifiers = false;
  /** 0 when absent. */
  responseTopicAt = 0;
  responseTopicLength = 0;
  payloadAt = 0;
  payloadLength = 0;
}

/**
 * Decodes the PUBLISH whose body is `frame[from..end)` into `view`.
 * @param flags  of the Fixed Header
 * @param end  index after the last byte; end - from is the Remaining Length
 * @param version  3, 4 or 5
 * @returns OK, MALFORMED_PACKET, PROTOCOL_ERROR, TOPIC_NAME_INVALID or TOPIC_ALIAS_INVALID; on all but OK the content
 *   of `view` is undefined
 */
export function decodePublish(
  frame: Uint8Array,
  flags: number,
  from: number,
  end: number,
  version: number,
  view: PublishView,
): number {
  const qos = (flags >> 1) & 3;
  if (qos === 3) return MALFORMED_PACKET; // [MQTT311-3.3.1-4] [MQTT5-3.3.1-4]
  const dup = (flags & 8) !== 0;
  if (dup && qos === 0) return MALFORMED_PACKET; // [MQTT311-3.3.1-2] [MQTT5-3.3.1-2]
  if (from + 2 > end) return MALFORMED_PACKET;
  const topicAt = from + 2;
  let at = topicAt + readU16(frame, from);
  if (at > end) return MALFORMED_PACKET;
  const topicLength = at - topicAt;
  view.dup = dup;
  view.qos = qos;
  view.retain = (flags & 1) !== 0;
  view.topicAt = topicAt;
  view.topicLength = topicLength;
  if (topicLength > 0 || version !== MQTT_5) {
    const problem = topicNameProblem(frame, topicAt, at);
    if (problem !== OK) return problem;
  }
  view.packetId = 0;
  if (qos !== 0) {
    if (at + 2 > end) return MALFORMED_PACKET;
    const packetId = readU16(frame, at);
    if (packetId === 0) return PROTOCOL_ERROR; // [MQTT311-2.3.1-1] [MQTT5-2.2.1-3]
    view.packetId = packetId;
    at += 2;
  }
  view.propertiesAt = 0;
  view.propertiesLength = 0;
  view.topicAlias = 0;
  view.messageExpirySeconds = -1;
  view.messageExpiryAt = -1;
  view.payloadFormat = 0;
  view.subscriptionIdentifiers = false;
  view.responseTopicAt = 0;
  view.responseTopicLength = 0;
  if (version === MQTT_5) {
    if (at < end && frame[at] === 0) {
      at++;
      view.propertiesAt = at;
    } else {
      const length = readPropertiesLength(frame, at, end);
      if (length < 0) return MALFORMED_PACKET;
      at += varintBytes(length);
      view.propertiesAt = at;
      view.propertiesLength = length;
      const code = decodePublishProperties(frame, at, at + length, view);
      if (code !== OK) return code;
      at += length;
    }
    if (topicLength === 0 && view.topicAlias === 0) return PROTOCOL_ERROR; // section 3.3.2.1
  }
  view.payloadAt = at;
  view.payloadLength = end - at;
  return OK;
}

/** The rules of `decodeProperties` for the eight properties a PUBLISH may have, without its forty fields. */
function decodePublishProperties(frame: Uint8Array, from: number, end: number, view: PublishView): number {
  let seen = 0;
  let at = from;
  while (at < end) {
    const id = frame[at]!;
    const next = propertyEnd(frame, at, end);
    if (next < 0 || (PACKETS_OF[id]! & (1 << PUBLISH)) === 0) return MALFORMED_PACKET; // section 2.2.2.2
    const bit = BIT_OF[id]!;
    // section 3.3.2.3: these two may come again
    if ((seen & bit) !== 0 && id !== USER_PROPERTY && id !== SUBSCRIPTION_IDENTIFIER) return PROTOCOL_ERROR;
    seen |= bit;
    const valueAt = at + 1;
    switch (id) {
      case USER_PROPERTY: {
        const keyEnd = valueAt + 2 + readU16(frame, valueAt);
        if (!isValidUtf8String(frame, valueAt + 2, keyEnd)) return MALFORMED_PACKET;
        if (!isValidUtf8String(frame, keyEnd + 2, next)) return MALFORMED_PACKET;
        break;
      }
      case SUBSCRIPTION_IDENTIFIER:
        if (frame[valueAt] === 0) return PROTOCOL_ERROR; // section 3.3.2.3.8
        view.subscriptionIdentifiers = true;
        break;
      case TOPIC_ALIAS:
        view.topicAlias = readU16(frame, valueAt);
        if (view.topicAlias === 0) return TOPIC_ALIAS_INVALID; // [MQTT5-3.3.2-8]
        break;
      case MESSAGE_EXPIRY_INTERVAL:
        view.messageExpirySeconds = readU32(frame, valueAt);
        view.messageExpiryAt = valueAt;
        break;
      case PAYLOAD_FORMAT_INDICATOR:
        view.payloadFormat = frame[valueAt]!;
        if (view.payloadFormat > 1) return PROTOCOL_ERROR; // section 3.3.2.3.2
        break;
      case RESPONSE_TOPIC:
        if (!isValidUtf8String(frame, valueAt + 2, next)) return MALFORMED_PACKET;
        if (topicNameProblem(frame, valueAt + 2, next) !== OK) return PROTOCOL_ERROR; // [MQTT5-3.3.2-14]
        view.responseTopicAt = valueAt + 2;
        view.responseTopicLength = next - valueAt - 2;
        break;
      case CONTENT_TYPE:
        if (!isValidUtf8String(frame, valueAt + 2, next)) return MALFORMED_PACKET;
        break;
      default: // Correlation Data, any bytes
    }
    at = next;
  }
  return OK;
}

/** Whether the block must go through `copyForwardable`: an alias and the identifiers belong to one connection. */
export function needsFiltering(view: PublishView): boolean {
  return view.topicAlias !== 0 || view.subscriptionIdentifiers;
}

/**
 * Copies a decoded property block without Topic Alias and Subscription Identifier.
 * @param out  has room for `length` bytes at `at`
 * @returns bytes written, at most `length`
 */
export function copyForwardable(properties: Buffer, from: number, length: number, out: Buffer, at: number): number {
  const end = from + length;
  let written = 0;
  let runAt = from;
  let propertyAt = from;
  while (propertyAt < end) {
    const next = propertyEnd(properties, propertyAt, end);
    if (next < 0) break;
    const id = properties[propertyAt];
    if (id === TOPIC_ALIAS || id === SUBSCRIPTION_IDENTIFIER) {
      copyBytes(properties, runAt, propertyAt - runAt, out, at + written);
      written += propertyAt - runAt;
      runAt = next;
    }
    propertyAt = next;
  }
  copyBytes(properties, runAt, end - runAt, out, at + written);
  return written + end - runAt;
}

/** Remaining Length of a PUBLISH; the whole frame has `frameBytes` of it. `propertiesLength` counts in 5.0 only. */
export function publishLength(
  version: number,
  topicLength: number,
  propertiesLength: number,
  payloadLength: number,
  qos: number,
): number {
  let length = 2 + topicLength + payloadLength;
  if (qos !== 0) length += 2;
  if (version === MQTT_5) length += varintBytes(propertiesLength) + propertiesLength;
  return length;
}

/**
 * Writes a whole PUBLISH; `out` has room for `frameBytes(publishLength(…))` bytes at `at`. Before 5.0 the properties
 * are left out, with QoS 0 the packet id.
 * @returns the index after it
 */
export function writePublish(
  out: Buffer,
  at: number,
  version: number,
  dup: boolean,
  qos: number,
  retain: boolean,
  packetId: number,
  topic: Buffer,
  topicAt: number,
  topicLength: number,
  properties: Buffer,
  propertiesAt: number,
  propertiesLength: number,
  payload: Buffer,
  payloadAt: number,
  payloadLength: number,
): number {
  const firstByte = (PUBLISH << 4) | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  const remaining = publishLength(version, topicLength, propertiesLength, payloadLength, qos);
  let next = writeFrameHeader(out, at, firstByte, remaining);
  next = writeU16(out, next, topicLength);
  next = copyBytes(topic, topicAt, topicLength, out, next);
  if (qos !== 0) next = writeU16(out, next, packetId);
  if (version === MQTT_5) {
    next = writeVarint(out, next, propertiesLength);
    next = copyBytes(properties, propertiesAt, propertiesLength, out, next);
  }
  return copyBytes(payload, payloadAt, payloadLength, out, next);
}
