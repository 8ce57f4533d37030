/** Messages as a program sees them: the properties of MQTT 5.0 as fields. @see MQTT 5.0 section 3.3.2.3 */
import { PUBLISH } from "../wire/mqtt/codes.ts";
import { readU16 } from "../wire/mqtt/primitives.ts";
import { decodeProperties, PropertiesView, PropertiesWriter } from "../wire/mqtt/properties.ts";
import {
  CONTENT_TYPE,
  CORRELATION_DATA,
  MESSAGE_EXPIRY_INTERVAL,
  PAYLOAD_FORMAT_INDICATOR,
  propertyEnd,
  RESPONSE_TOPIC,
  USER_PROPERTY,
} from "../wire/mqtt/property-table.ts";

export interface MessageProperties {
  /** The payload is UTF-8 text. */
  readonly isText?: boolean;
  /** Seconds after which nobody wants it any more. */
  readonly expirySeconds?: number;
  /** A media type. */
  readonly contentType?: string;
  /** Where an answer is expected. */
  readonly responseTopic?: string;
  readonly correlationData?: Uint8Array;
  /** In order; a name may come again. */
  readonly userProperties?: readonly (readonly [name: string, value: string])[];
}

/** A message for the program. The payload is its own copy. */
export interface Message {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: number;
  /** It is a retained value from before the subscription. */
  readonly retain: boolean;
  readonly properties: MessageProperties;
}

export interface PublishOptions {
  /** 0 = at most once; 1 and 2 = resolved when every durable receiver has it safely. Default 0. */
  readonly qos?: 0 | 1 | 2;
  /** Kept as the topic's value; with an empty payload the value is deleted. */
  readonly retain?: boolean;
  readonly properties?: MessageProperties;
}

export type MessageHandler = (message: Message) => void | Promise<void>;

export interface SubscribeOptions {
  /**
   * A name under which the gateway keeps QoS 1 and 2 messages for the program until its handler has done with them, over
   * restarts too. Only before `start`; whoever does not subscribe again under the name gives up what was kept.
   */
  readonly durable?: string;
  /** Whether the retained values that match come first. Default true; not with `durable`. */
  readonly retained?: boolean;
  /**
   * Messages that may wait for the handler, default 1000; their payloads together have `limits.output_bytes`. Ignored with
   * `durable`, where the log holds them.
   */
  readonly messagesMax?: number;
}

const writer = new PropertiesWriter();
const view = new PropertiesView();
const NONE: MessageProperties = {};

/** @returns the block, valid until the next call; null when the properties do not fit in it (4 KiB) */
export function encodeMessageProperties(properties: MessageProperties): Buffer | null {
  const { isText, expirySeconds, contentType, responseTopic, correlationData, userProperties = [] } = properties;
  writer.reset();
  if (isText === true) writer.byte(PAYLOAD_FORMAT_INDICATOR, 1);
  if (expirySeconds !== undefined) writer.four(MESSAGE_EXPIRY_INTERVAL, expirySeconds);
  if (contentType !== undefined) writer.string(CONTENT_TYPE, contentType);
  if (responseTopic !== undefined) writer.string(RESPONSE_TOPIC, responseTopic);
  if (correlationData !== undefined) writer.binary(CORRELATION_DATA, correlationData);
  for (const [name, value] of userProperties) writer.pair(name, value);
  return writer.overflow ? null : writer.buffer.subarray(0, writer.length);
}

/** The properties in `bytes[from..end)`. */
export function decodeMessageProperties(bytes: Buffer, from: number, end: number): MessageProperties {
  if (from === end || decodeProperties(bytes, from, end, PUBLISH, view) !== 0) return NONE;
  const text = (at: number, length: number): string => bytes.toString("utf8", at, at + length);
  const { correlationDataAt: at, correlationDataLength: length } = view;
  return {
    ...(view.payloadFormat === 1 ? { isText: true } : {}),
    ...(view.messageExpirySeconds < 0 ? {} : { expirySeconds: view.messageExpirySeconds }),
    ...(view.contentTypeAt === 0 ? {} : { contentType: text(view.contentTypeAt, view.contentTypeLength) }),
    ...(view.responseTopicAt === 0 ? {} : { responseTopic: text(view.responseTopicAt, view.responseTopicLength) }),
    ...(at === 0 ? {} : { correlationData: Buffer.from(bytes.subarray(at, at + length)) }),
    ...(view.userPropertiesCount === 0 ? {} : { userProperties: userProperties(bytes, from, end) }),
  };
}

function userProperties(bytes: Buffer, from: number, end: number): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = from; at < end; ) {
    const next = propertyEnd(bytes, at, end);
    if (bytes[at] === USER_PROPERTY) {
      const valueAt = at + 3 + readU16(bytes, at + 1);
      pairs.push([bytes.toString("utf8", at + 3, valueAt), bytes.toString("utf8", valueAt + 2, next)]);
    }
    at = next;
  }
  return pairs;
}
