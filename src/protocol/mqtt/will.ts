/**
 * The will of a CONNECT: whether it may be, and a copy of it that can be published later.
 *
 * @see MQTT 3.1.1 section 3.1.2.5, MQTT 5.0 sections 3.1.2.5 and 3.1.3.2
 */
import { Publication } from "../../core/publication.ts";
import type { Will } from "../../core/session.ts";
import { levelCount } from "../../core/topic.ts";
import {
  PAYLOAD_FORMAT_INVALID,
  QUOTA_EXCEEDED,
  RETAIN_NOT_SUPPORTED,
  SUCCESS,
  TOPIC_NAME_INVALID,
} from "../../wire/mqtt/codes.ts";
import type { ConnectView } from "../../wire/mqtt/connect.ts";
import { WILL_DELAY_INTERVAL } from "../../wire/mqtt/property-table.ts";
import type { Connection } from "./connection.ts";
import { checkProperties, overLimit, topicOverLimit } from "./over-limit.ts";
import { because, tooHighQos } from "./reason-words.ts";

/** @returns SUCCESS, or why the CONNECT with this will is refused; it has one */
export function willRefusal({ server, options }: Connection, bytes: Buffer, view: ConnectView): number {
  const { limits } = server;
  if (view.willQos > options.maxQos) return tooHighQos(server, view.willQos, options.maxQos); // [MQTT5-3.2.2-12]
  if (view.willRetain && !options.retainAvailable) return RETAIN_NOT_SUPPORTED; // [MQTT5-3.2.2-13]
  const topic = topicOf(bytes, view);
  const levels = levelCount(topic);
  if (view.willTopicLength > limits.topicBytes || levels > limits.topicLevels)
    return topicOverLimit(server, view.willTopicLength, levels);
  const tooLong = checkProperties(server, bytes, view.willPropertiesAt, view.willPropertiesLength);
  if (tooLong !== SUCCESS) return tooLong;
  if (view.willRetain && view.willPayloadLength > limits.retainedPayloadBytes) {
    const words = `will of ${view.willPayloadLength} bytes: limits.retained_payload_bytes is ${limits.retainedPayloadBytes}`;
    return overLimit(server, QUOTA_EXCEEDED, "retained_payload_bytes", words);
  }
  if (topic.startsWith("$SYS")) return because(server, TOPIC_NAME_INVALID, "$SYS is the gateway's own");
  if (view.willProperties.payloadFormat === 0) return SUCCESS;
  const { willPayloadAt: at, willPayloadLength } = view;
  return server.isTextOrUnchecked(bytes, at, at + willPayloadLength) ? SUCCESS : PAYLOAD_FORMAT_INVALID;
}

/** A copy of the will, ready to be published. */
export function willOf(bytes: Buffer, view: ConnectView): Will | null {
  if (!view.hasWill) return null;
  const publication = new Publication();
  const topic = topicOf(bytes, view);
  const payload = bytes.subarray(view.willPayloadAt, view.willPayloadAt + view.willPayloadLength);
  publication.setParts(topic, payload, view.willQos, view.willRetain, willProperties(bytes, view));
  // Kept for as long as the connection: a slice would hold all 8 KiB of Node's slab.
  const own = Buffer.allocUnsafeSlow(publication.bytes.length);
  publication.bytes.copy(own);
  publication.bytes = own;
  publication.expirySeconds = view.willProperties.messageExpirySeconds;
  return { publication, delaySeconds: Math.max(view.willProperties.willDelaySeconds, 0) };
}

/** The will's properties without the Will Delay Interval: one property of five bytes, at most once. */
function willProperties(bytes: Buffer, view: ConnectView): Buffer {
  const block = bytes.subarray(view.willPropertiesAt, view.willPropertiesAt + view.willPropertiesLength);
  const at = view.willProperties.willDelayAt;
  if (at < 0 || bytes[at - 1] !== WILL_DELAY_INTERVAL) return block;
  const from = at - 1 - view.willPropertiesAt;
  return Buffer.concat([block.subarray(0, from), block.subarray(from + 5)]);
}

function topicOf(bytes: Buffer, view: ConnectView): string {
  return bytes.toString("utf8", view.willTopicAt, view.willTopicAt + view.willTopicLength);
}
