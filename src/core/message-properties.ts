/**
 * The properties of a message between objects, as programs have them, and the block on the wire.
 *
 * @see MQTT 5.0 section 3.3.2.3
 */
import { topicProblem } from "../config/topics.ts";
import { readU16, readU32, readVarint } from "../wire/mqtt/primitives.ts";
import { PropertiesWriter } from "../wire/mqtt/properties.ts";
import {
  CONTENT_TYPE,
  CORRELATION_DATA,
  MESSAGE_EXPIRY_INTERVAL,
  PAYLOAD_FORMAT_INDICATOR,
  propertyEnd,
  RESPONSE_TOPIC,
  SUBSCRIPTION_IDENTIFIER,
  USER_PROPERTY,
  WILL_DELAY_INTERVAL,
} from "../wire/mqtt/property-table.ts";

/** What a message says about itself beside its payload; MQTT 5.0 only, left out towards older servers. */
export interface MessageProperties {
  /** "utf8": the payload is text. Default: not said. */
  readonly payloadFormat?: "bytes" | "utf8";
  /** Nobody needs the message after so many seconds; 0 to 4,294,967,295. The time it waits here is taken off. */
  readonly messageExpirySeconds?: number;
  /** A media type, such as `application/json`. */
  readonly contentType?: string;
  /** Topic for an answer; no wildcards. */
  readonly responseTopic?: string;
  /** What an answer repeats, so that it finds its question. */
  readonly correlationData?: Uint8Array;
  /** Names and values in order; a name may come again. All together with the others at most 64 KiB. */
  readonly userProperties?: readonly (readonly [name: string, value: string])[];
}

/** What is wrong with the properties, in words. */
export class PropertiesError extends Error {
  override readonly name = "PropertiesError";
}

/** Of all properties of one message. */
export const PROPERTIES_BYTES_MAX = 64 * 1024;
const SECONDS_MAX = 0xffff_ffff;
const NOTHING: Buffer = Buffer.alloc(0);

let scratch: PropertiesWriter | null = null;

/** The block without its length; the caller's own. @throws PropertiesError */
export function encodeProperties(properties: MessageProperties): Buffer {
  if (isEmpty(properties)) return NOTHING;
  scratch ??= new PropertiesWriter(PROPERTIES_BYTES_MAX);
  scratch.reset();
  writeProperties(scratch, properties);
  return Buffer.from(scratch.buffer.subarray(0, scratch.length));
}

/** @param delaySeconds Will Delay Interval  @throws PropertiesError */
export function willProperties(properties: MessageProperties, delaySeconds: number): PropertiesWriter {
  const writer = new PropertiesWriter(PROPERTIES_BYTES_MAX);
  if (delaySeconds !== 0) writer.four(WILL_DELAY_INTERVAL, wholeSeconds("delaySeconds", delaySeconds));
  writeProperties(writer, properties);
  return writer;
}

function isEmpty(p: MessageProperties): boolean {
  return (
    p.payloadFormat === undefined &&
    p.messageExpirySeconds === undefined &&
    p.contentType === undefined &&
    p.responseTopic === undefined &&
    p.correlationData === undefined &&
    p.userProperties === undefined
  );
}

function writeProperties(writer: PropertiesWriter, properties: MessageProperties): void {
  const { payloadFormat, messageExpirySeconds, contentType, responseTopic, correlationData } = properties;
  if (payloadFormat !== undefined) writer.byte(PAYLOAD_FORMAT_INDICATOR, payloadFormat === "utf8" ? 1 : 0);
  if (messageExpirySeconds !== undefined)
    writer.four(MESSAGE_EXPIRY_INTERVAL, wholeSeconds("messageExpirySeconds", messageExpirySeconds));
  if (contentType !== undefined) writer.string(CONTENT_TYPE, text("contentType", contentType));
  if (responseTopic !== undefined) {
    const problem = topicProblem(responseTopic);
    if (problem !== null) throw new PropertiesError(`responseTopic ${problem}`);
    writer.string(RESPONSE_TOPIC, responseTopic);
  }
  if (correlationData !== undefined) writer.binary(CORRELATION_DATA, correlationData);
  for (const [name, value] of properties.userProperties ?? [])
    writer.pair(text("userProperties", name), text("userProperties", value));
  if (writer.overflow) throw new PropertiesError("the properties take more than 64 KiB");
}

function wholeSeconds(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= SECONDS_MAX) return value;
  throw new PropertiesError(`${name} is no number of seconds from 0 to ${SECONDS_MAX}`);
}

function text(name: string, value: string): string {
  if (value.isWellFormed() && !value.includes("\0")) return value;
  throw new PropertiesError(`${name} has a character that MQTT forbids`);
}

/** What a block that `decodePublish` has checked says. */
export interface DecodedProperties {
  readonly properties: MessageProperties;
  readonly subscriptionIdentifiers: readonly number[];
}

const NONE: DecodedProperties = { properties: {}, subscriptionIdentifiers: [] };

type Mutable = { -readonly [K in keyof MessageProperties]: MessageProperties[K] };

/** Copies what is in `bytes[at..at+length)`. */
export function decodePropertiesBlock(bytes: Buffer, at: number, length: number): DecodedProperties {
  if (length === 0) return NONE;
  const end = at + length;
  const properties: Mutable = {};
  const userProperties: [string, string][] = [];
  const subscriptionIdentifiers: number[] = [];
  for (let from = at; from < end; ) {
    const next = propertyEnd(bytes, from, end);
    if (next < 0) break;
    const valueAt = from + 1;
    switch (bytes[from]) {
      case PAYLOAD_FORMAT_INDICATOR:
        properties.payloadFormat = bytes[valueAt] === 1 ? "utf8" : "bytes";
        break;
      case MESSAGE_EXPIRY_INTERVAL:
        properties.messageExpirySeconds = readU32(bytes, valueAt);
        break;
      case CONTENT_TYPE:
        properties.contentType = bytes.toString("utf8", valueAt + 2, next);
        break;
      case RESPONSE_TOPIC:
        properties.responseTopic = bytes.toString("utf8", valueAt + 2, next);
        break;
      case CORRELATION_DATA:
        properties.correlationData = Buffer.from(bytes.subarray(valueAt + 2, next));
        break;
      case USER_PROPERTY: {
        const nameEnd = valueAt + 2 + readU16(bytes, valueAt);
        userProperties.push([bytes.toString("utf8", valueAt + 2, nameEnd), bytes.toString("utf8", nameEnd + 2, next)]);
        break;
      }
      case SUBSCRIPTION_IDENTIFIER:
        subscriptionIdentifiers.push(readVarint(bytes, valueAt, next));
        break;
    }
    from = next;
  }
  if (userProperties.length > 0) properties.userProperties = userProperties;
  return { properties, subscriptionIdentifiers };
}
