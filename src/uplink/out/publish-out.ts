/**
 * A PUBLISH on its way out: bytes of a publication or message under another topic, as the server takes it. What we have
 * to say ourselves comes behind the publisher's properties, which are copied as they stand.
 *
 *     | publisher's properties | loop mark | Message Expiry Interval, if only a rule sets one |
 */
import { copyBytes } from "../../base/copy-bytes.ts";
import { MQTT_5, PUBLISH } from "../../wire/mqtt/codes.ts";
import { frameBytes, writeFrameHeader } from "../../wire/mqtt/frame.ts";
import { readU32, writeU16, writeU32, writeVarint } from "../../wire/mqtt/primitives.ts";
import { MESSAGE_EXPIRY_INTERVAL, propertyEnd } from "../../wire/mqtt/property-table.ts";
import { publishLength } from "../../wire/mqtt/publish.ts";
import type { MqttClient } from "../client/client.ts";
import type { ServerLimits } from "../client/client-options.ts";
import type { LoopMark } from "./loop-mark.ts";

const EXPIRY_BYTES = 5;

/**
 * Bytes on the wire; properties count in 5.0 only.
 * @param expires see `sendPublish`: its `expirySeconds` is not -1
 */
export function publishBytes(
  server: ServerLimits,
  topicLength: number,
  bytes: Buffer,
  propertiesFrom: number,
  propertiesEnd: number,
  payloadLength: number,
  qos: number,
  mark: LoopMark | null,
  expires: boolean,
): number {
  let propertiesLength = propertiesEnd - propertiesFrom;
  if (server.version === MQTT_5) {
    if (mark !== null) propertiesLength += mark.property.length;
    if (expires && expiryAt(bytes, propertiesFrom, propertiesEnd) < 0) propertiesLength += EXPIRY_BYTES;
  }
  return frameBytes(publishLength(server.version, topicLength, propertiesLength, payloadLength, qos));
}

/**
 * Writes a PUBLISH; only while CONNECTED, and when it is not larger than the server takes.
 * @param bytes  holds properties `[propertiesFrom..propertiesEnd)` and payload `[payloadFrom..payloadEnd)`
 * @param mark   appended in 5.0; null = none
 * @param expirySeconds  what is left of the Message Expiry Interval, in its place [MQTT5-3.3.2-6] or added; -1 = as it is
 * @returns bytes of the packet
 */
export function sendPublish(
  client: MqttClient,
  topic: Buffer,
  bytes: Buffer,
  propertiesFrom: number,
  propertiesEnd: number,
  payloadFrom: number,
  payloadEnd: number,
  qos: number,
  retain: boolean,
  packetId: number,
  dup: boolean,
  mark: LoopMark | null,
  expirySeconds: number,
): number {
  const server = client.server as ServerLimits;
  const { version } = server;
  const ownLength = version === MQTT_5 ? propertiesEnd - propertiesFrom : 0;
  let propertiesLength = ownLength;
  let expiresAt = -1;
  if (version === MQTT_5) {
    if (mark !== null) propertiesLength += mark.property.length;
    if (expirySeconds >= 0) {
      expiresAt = expiryAt(bytes, propertiesFrom, propertiesEnd);
      if (expiresAt < 0) propertiesLength += EXPIRY_BYTES;
    }
  }
  const payloadLength = payloadEnd - payloadFrom;
  const remaining = publishLength(version, topic.length, propertiesLength, payloadLength, qos);
  const { output } = client;
  const from = output.reserve(frameBytes(remaining));
  const out = output.buffer;
  const retains = retain && server.retain; // [MQTT5-3.2.2-14]
  let at = writeFrameHeader(out, from, (PUBLISH << 4) | (dup ? 8 : 0) | (qos << 1) | (retains ? 1 : 0), remaining);
  at = writeU16(out, at, topic.length);
  at = copyBytes(topic, 0, topic.length, out, at);
  if (qos !== 0) at = writeU16(out, at, packetId);
  if (version === MQTT_5) {
    at = writeVarint(out, at, propertiesLength);
    const blockAt = at;
    at = copyBytes(bytes, propertiesFrom, ownLength, out, at);
    if (mark !== null) at = copyBytes(mark.property, 0, mark.property.length, out, at);
    if (expiresAt >= 0) {
      // Never more than it was: the clock may have been set back.
      const seconds = Math.min(readU32(bytes, expiresAt + 1), expirySeconds);
      writeU32(out, blockAt + expiresAt - propertiesFrom + 1, seconds);
    } else if (expirySeconds >= 0) {
      out[at++] = MESSAGE_EXPIRY_INTERVAL;
      at = writeU32(out, at, expirySeconds);
    }
  }
  const end = copyBytes(bytes, payloadFrom, payloadLength, out, at);
  output.commit(end);
  return end - from;
}

/** Index of the Message Expiry Interval, -1 when there is none. */
function expiryAt(bytes: Buffer, from: number, end: number): number {
  for (let at = from; at >= 0 && at < end; at = propertyEnd(bytes, at, end)) {
    if (bytes[at] === MESSAGE_EXPIRY_INTERVAL) return at;
  }
  return -1;
}
