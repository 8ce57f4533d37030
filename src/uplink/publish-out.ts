/** A PUBLISH on its way out: bytes of a publication or message under another topic, as the server takes it. */
import { MQTT_5 } from "../wire/mqtt/codes.ts";
import { frameBytes } from "../wire/mqtt/frame.ts";
import { readU32, writeU32 } from "../wire/mqtt/primitives.ts";
import { MESSAGE_EXPIRY_INTERVAL, propertyEnd } from "../wire/mqtt/property-table.ts";
import { publishLength, writePublish } from "../wire/mqtt/publish.ts";
import type { MqttClient } from "./client.ts";
import type { ServerLimits } from "./client-options.ts";

/** Bytes on the wire; properties count in 5.0 only. */
export function publishBytes(
  server: ServerLimits,
  topicLength: number,
  propertiesLength: number,
  payloadLength: number,
  qos: number,
): number {
  return frameBytes(publishLength(server.version, topicLength, propertiesLength, payloadLength, qos));
}

/**
 * Writes a PUBLISH; only while CONNECTED, and when it is not larger than the server takes.
 * @param bytes  holds properties `[propertiesFrom..propertiesEnd)` and payload `[payloadFrom..payloadEnd)`
 * @param expirySeconds  what is left of the Message Expiry Interval, written in its place [MQTT5-3.3.2-6]; -1 = as it is
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
  expirySeconds: number,
): number {
  const server = client.server as ServerLimits;
  const { version } = server;
  const propertiesLength = version === MQTT_5 ? propertiesEnd - propertiesFrom : 0;
  const payloadLength = payloadEnd - payloadFrom;
  const output = client.output;
  const at = output.reserve(publishBytes(server, topic.length, propertiesLength, payloadLength, qos));
  const end = writePublish(
    output.buffer,
    at,
    version,
    dup,
    qos,
    retain && server.retain, // [MQTT5-3.2.2-14]
    packetId,
    topic,
    0,
    topic.length,
    bytes,
    propertiesFrom,
    propertiesLength,
    bytes,
    payloadFrom,
    payloadLength,
  );
  if (expirySeconds >= 0 && propertiesLength > 0) {
    const blockEnd = end - payloadLength;
    setExpiry(output.buffer, blockEnd - propertiesLength, blockEnd, expirySeconds);
  }
  output.commit(end);
  return end - at;
}

function setExpiry(buffer: Buffer, from: number, end: number, seconds: number): void {
  let at = from;
  while (at >= 0 && at < end) {
    if (buffer[at] === MESSAGE_EXPIRY_INTERVAL) {
      // Never more than it was: the clock may have been set back.
      writeU32(buffer, at + 1, Math.min(readU32(buffer, at + 1), seconds));
      return;
    }
    at = propertyEnd(buffer, at, end);
  }
}
