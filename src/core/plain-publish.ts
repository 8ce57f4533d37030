/**
 * Publishing and reading for conversations that carry no MQTT frame (CoAP, HTTP, serial): what a topic, the options
 * of a publish and a media type become on the way to the router, and back.
 */
import { crypto } from "../base/crypto.ts";
import { topicProblem as topicNameProblem } from "../config/topics.ts";
import { PUBLISH } from "../wire/mqtt/codes.ts";
import { decodeProperties, PropertiesView, PropertiesWriter } from "../wire/mqtt/properties.ts";
import { CONTENT_TYPE, MESSAGE_EXPIRY_INTERVAL } from "../wire/mqtt/property-table.ts";
import type { Message } from "./message.ts";
import type { StoreWaiter, TimeSource } from "./ports.ts";
import type { Publication } from "./publication.ts";
import { levelCount } from "./topic.ts";

/** What the router offers a publisher. */
export interface Publisher {
  publish(publication: Publication, waiter: StoreWaiter, token: number): number;
}

export interface RetainedValues {
  get(topic: string): Message | undefined;
  /** Whether there is one; a store that has failed may not be able to give it. */
  has(topic: string): boolean;
}

export interface PlainLimits {
  readonly topicLevels: number;
  readonly topicBytes: number;
  /** Of a payload: a request's body is no larger. */
  readonly maxPacketBytes: number;
}

/** When who was refused (full, busy, a failing disk) may try again: Max-Age, Retry-After. */
export const RETRY_AFTER_SECONDS = 10;

/** Largest Message Expiry Interval: four bytes. */
const EXPIRY_SECONDS_MAX = 0xffff_ffff;
const ENTITY_TAG_BYTES = 8;
/** Room for both properties; a longer media type is not carried. */
const PROPERTIES_BYTES = 300;

/** @returns what is wrong with it in words, null when it may be published to */
export function topicProblem(topic: string, limits: PlainLimits): string | null {
  const problem = topicNameProblem(topic);
  if (problem !== null) return `the topic ${problem}`;
  if (topic.startsWith("$")) return "topics that begin with $ belong to the gateway";
  if (Buffer.byteLength(topic) > limits.topicBytes) return `the topic is longer than ${limits.topicBytes} bytes`;
  if (levelCount(topic) > limits.topicLevels) return `the topic has more than ${limits.topicLevels} levels`;
  return null;
}

/** The options of a publish as a query string carries them. Reused. */
export class PublishOptions {
  qos = 0;
  retain = false;
  /** -1 = never expires. */
  expirySeconds = -1;

  reset(qos: number): void {
    this.qos = qos;
    this.retain = false;
    this.expirySeconds = -1;
  }

  /** Takes `qos`, `retain` or `expiry`; other keys are not its business. @returns what is wrong with the value in words, null when nothing is */
  take(key: string, value: string): string | null {
    if (key === "qos") {
      if (value !== "0" && value !== "1" && value !== "2") return "qos is 0, 1 or 2";
      this.qos = Number(value);
    } else if (key === "retain") {
      if (value !== "true" && value !== "false" && value !== "1" && value !== "0") return "retain is true or false";
      this.retain = value === "true" || value === "1";
    } else if (key === "expiry") {
      const seconds = Number(value);
      if (!/^\d+$/.test(value) || seconds > EXPIRY_SECONDS_MAX) return "expiry is a number of seconds";
      this.expirySeconds = seconds;
    }
    return null;
  }
}

const writer = new PropertiesWriter(PROPERTIES_BYTES);

/**
 * Fills `publication` from its parts, copying them.
 * @param mediaType becomes the Content Type property; null = none
 */
export function fillPublication(
  publication: Publication,
  topic: string,
  payload: Uint8Array,
  options: PublishOptions,
  mediaType: string | null,
): void {
  const at = layOutPublication(publication, topic, payload.length, options, mediaType);
  publication.bytes.set(payload, at);
}

/**
 * As `fillPublication`, for a payload that does not lie in one piece: its `payloadLength` bytes are for the caller to write.
 * @returns where in `publication.bytes` they go
 */
export function layOutPublication(
  publication: Publication,
  topic: string,
  payloadLength: number,
  options: PublishOptions,
  mediaType: string | null,
): number {
  writer.reset();
  if (options.expirySeconds >= 0) writer.four(MESSAGE_EXPIRY_INTERVAL, options.expirySeconds);
  if (mediaType !== null) writer.string(CONTENT_TYPE, mediaType);
  const topicLength = Buffer.byteLength(topic);
  const payloadAt = topicLength + writer.length;
  const bytes = Buffer.allocUnsafe(payloadAt + payloadLength);
  bytes.write(topic, 0, "utf8");
  bytes.set(writer.buffer.subarray(0, writer.length), topicLength);
  publication.setLaidOut(bytes, topicLength, payloadAt, options.qos, options.retain);
  publication.expirySeconds = options.expirySeconds;
  return payloadAt;
}

const view = new PropertiesView();

/** The Content Type its publisher gave it, null when none. */
export function mediaTypeOf(message: Message): string | null {
  const { bytes, topicEnd, propertiesEnd } = message;
  if (topicEnd === propertiesEnd) return null;
  if (decodeProperties(bytes, topicEnd, propertiesEnd, PUBLISH, view) !== 0 || view.contentTypeAt === 0) return null;
  return bytes.toString("utf8", view.contentTypeAt, view.contentTypeAt + view.contentTypeLength);
}

/** Bytes that change when payload or properties do: as many as a CoAP ETag may have. */
export function entityTagOf(message: Message): Buffer {
  return crypto().hash("sha1", message.bytes.subarray(message.topicEnd), "buffer").subarray(0, ENTITY_TAG_BYTES);
}

/** Seconds until the message expires, at least 0; Infinity when it never does. */
export function secondsToExpiry(message: Message, time: TimeSource): number {
  return Math.max(0, Math.ceil(message.leftMs(time) / 1000));
}
