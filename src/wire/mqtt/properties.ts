/**
 * Property blocks of MQTT 5.0 section 2.2.2: the decoder that fills a view, and the writer for packets that are sent
 * once per connection or subscription.
 *
 * A block here is what stands behind its Property Length, `frame[from..end)`. PUBLISH has a decoder of its own in
 * publish.ts, as it needs few of these fields and needs them fast.
 */
import { MALFORMED_PACKET, OK, PROTOCOL_ERROR, PUBLISH } from "./codes.ts";
import {
  readVarint,
  STRING_BYTES_MAX,
  textBytes,
  varintBytes,
  writeText,
  writeU16,
  writeU32,
  writeVarint,
} from "./primitives.ts";
import {
  BIT_OF,
  PACKETS_OF,
  PROPERTY_ID_MAX,
  propertyEnd,
  SUBSCRIPTION_IDENTIFIER,
  USER_PROPERTY,
} from "./property-table.ts";
import { decodeValue } from "./property-values.ts";

/**
 * Decoded properties of any packet: numbers, and offsets into the frame for text and binary data. An `At` of 0 means
 * absent (no value can lie at index 0). Reused for every packet.
 */
export class PropertiesView {
  /** -1 when absent; 0xffffffff means that the session does not expire. */
  sessionExpirySeconds = -1;
  /** 0 when absent, which means 65,535. */
  receiveMaximum = 0;
  /** Bytes; 0 when absent, which means that the protocol is the limit. */
  maximumPacketSize = 0;
  topicAliasMaximum = 0;
  requestResponse = 0;
  requestProblem = 1;
  userPropertiesCount = 0;
  authMethodAt = 0;
  authMethodLength = 0;
  authDataAt = 0;
  authDataLength = 0;
  willDelaySeconds = 0;
  /** Index of the interval's four bytes; -1 when absent. */
  willDelayAt = -1;
  payloadFormat = 0;
  /** -1 when absent. */
  messageExpirySeconds = -1;
  /** Index of the interval's four bytes, to patch them in place; -1 when absent. */
  messageExpiryAt = -1;
  contentTypeAt = 0;
  contentTypeLength = 0;
  responseTopicAt = 0;
  responseTopicLength = 0;
  correlationDataAt = 0;
  correlationDataLength = 0;
  /** The last one of the block; 0 when absent. */
  subscriptionIdentifier = 0;
  subscriptionIdentifierCount = 0;
  /** 0 when absent. */
  topicAlias = 0;
  maximumQos = 2;
  retainAvailable = 1;
  assignedClientIdAt = 0;
  assignedClientIdLength = 0;
  /** -1 when absent; 0 switches the keep alive off. */
  serverKeepAlive = -1;
  reasonStringAt = 0;
  reasonStringLength = 0;
  serverReferenceAt = 0;
  serverReferenceLength = 0;
  wildcardAvailable = 1;
  subscriptionIdsAvailable = 1;
  sharedAvailable = 1;
  responseInformationAt = 0;
  responseInformationLength = 0;

  /** Back to the values that absence means. */
  reset(): void {
    this.sessionExpirySeconds = -1;
    this.receiveMaximum = 0;
    this.maximumPacketSize = 0;
    this.topicAliasMaximum = 0;
    this.requestResponse = 0;
    this.requestProblem = 1;
    this.userPropertiesCount = 0;
    this.authMethodAt = 0;
    this.authMethodLength = 0;
    this.authDataAt = 0;
    this.authDataLength = 0;
    this.willDelaySeconds = 0;
    this.willDelayAt = -1;
    this.payloadFormat = 0;
    this.messageExpirySeconds = -1;
    this.messageExpiryAt = -1;
    this.contentTypeAt = 0;
    this.contentTypeLength = 0;
    this.responseTopicAt = 0;
    this.responseTopicLength = 0;
    this.correlationDataAt = 0;
    this.correlationDataLength = 0;
    this.subscriptionIdentifier = 0;
    this.subscriptionIdentifierCount = 0;
    this.topicAlias = 0;
    this.maximumQos = 2;
    this.retainAvailable = 1;
    this.assignedClientIdAt = 0;
    this.assignedClientIdLength = 0;
    this.serverKeepAlive = -1;
    this.reasonStringAt = 0;
    this.reasonStringLength = 0;
    this.serverReferenceAt = 0;
    this.serverReferenceLength = 0;
    this.wildcardAvailable = 1;
    this.subscriptionIdsAvailable = 1;
    this.sharedAvailable = 1;
    this.responseInformationAt = 0;
    this.responseInformationLength = 0;
  }
}

/**
 * Reads a Property Length and checks that the block lies before `end`. The block begins at
 * `at + varintBytes(length)`.
 * @returns the length, or -1
 */
export function readPropertiesLength(frame: Uint8Array, at: number, end: number): number {
  const length = readVarint(frame, at, end);
  return length < 0 || at + varintBytes(length) + length > end ? -1 : length;
}

/**
 * Decodes the block `frame[from..end)` into `view`.
 * @param packetType  1 to 15, or WILL
 * @returns OK; MALFORMED_PACKET for a property that does not exist, does not belong into this packet [section
 *   2.2.2.2], is cut off or is not text; PROTOCOL_ERROR for one that comes twice or has a value the specification
 *   excludes; TOPIC_ALIAS_INVALID for alias 0. On all but OK the content of `view` is undefined.
 */
export function decodeProperties(
  frame: Uint8Array,
  from: number,
  end: number,
  packetType: number,
  view: PropertiesView,
): number {
  view.reset();
  let seen = 0;
  let at = from;
  while (at < end) {
    const id = frame[at]!;
    if (id > PROPERTY_ID_MAX || (PACKETS_OF[id]! & (1 << packetType)) === 0) return MALFORMED_PACKET;
    const next = propertyEnd(frame, at, end);
    if (next < 0) return MALFORMED_PACKET;
    const bit = BIT_OF[id]!;
    if ((seen & bit) !== 0 && mayNotRepeat(id, packetType)) return PROTOCOL_ERROR;
    seen |= bit;
    const code = decodeValue(frame, at, next, id, view);
    if (code !== OK) return code;
    at = next;
  }
  // [MQTT5-3.1.2.11.10]: Authentication Data needs an Authentication Method
  if (view.authDataAt !== 0 && view.authMethodAt === 0) return PROTOCOL_ERROR;
  return OK;
}

/** User Property may always come again, Subscription Identifier in a PUBLISH that several subscriptions match. */
function mayNotRepeat(id: number, packetType: number): boolean {
  return id !== USER_PROPERTY && !(id === SUBSCRIPTION_IDENTIFIER && packetType === PUBLISH);
}

/** Bytes a block may have unless the constructor is told otherwise. A property that does not fit sets `overflow`. */
export const PROPERTIES_BYTES_MAX = 4096;

/**
 * A property block in a fixed buffer: `buffer[0..length)`, without its Property Length. A property that does not fit
 * is left out whole and `overflow` becomes true; `reset()` begins anew. The bytes are valid until then.
 */
export class PropertiesWriter {
  readonly buffer: Buffer;
  length = 0;
  overflow = false;

  constructor(bytesMax: number = PROPERTIES_BYTES_MAX) {
    this.buffer = Buffer.allocUnsafeSlow(bytesMax);
  }

  reset(): void {
    this.length = 0;
    this.overflow = false;
  }

  byte(id: number, value: number): void {
    if (!this.#begin(id, 1)) return;
    this.buffer[this.length++] = value;
  }

  two(id: number, value: number): void {
    if (!this.#begin(id, 2)) return;
    this.length = writeU16(this.buffer, this.length, value);
  }

  four(id: number, value: number): void {
    if (!this.#begin(id, 4)) return;
    this.length = writeU32(this.buffer, this.length, value);
  }

  /** @param value  at most VARINT_MAX */
  varint(id: number, value: number): void {
    if (!this.#begin(id, varintBytes(value))) return;
    this.length = writeVarint(this.buffer, this.length, value);
  }

  /** @param text  at most 65,535 bytes, valid as MQTT text; bytes are taken as they are */
  string(id: number, text: string | Uint8Array): void {
    const bytes = textBytes(text);
    if (bytes > STRING_BYTES_MAX) this.overflow = true;
    else if (this.#begin(id, 2 + bytes)) this.length = writeText(this.buffer, this.length, text);
  }

  binary(id: number, bytes: Uint8Array): void {
    this.string(id, bytes);
  }

  /** A User Property. */
  pair(key: string | Uint8Array, value: string | Uint8Array): void {
    const keyBytes = textBytes(key);
    const valueBytes = textBytes(value);
    if (keyBytes > STRING_BYTES_MAX || valueBytes > STRING_BYTES_MAX) this.overflow = true;
    else if (this.#begin(USER_PROPERTY, 4 + keyBytes + valueBytes)) {
      this.length = writeText(this.buffer, this.length, key);
      this.length = writeText(this.buffer, this.length, value);
    }
  }

  #begin(id: number, valueBytes: number): boolean {
    if (this.length + 1 + valueBytes > this.buffer.length) {
      this.overflow = true;
      return false;
    }
    this.buffer[this.length++] = id;
    return true;
  }
}

/** Bytes of the block on the wire with its Property Length; null is an empty block. */
export function propertiesBlockBytes(properties: PropertiesWriter | null): number {
  return properties === null ? 1 : varintBytes(properties.length) + properties.length;
}

/**
 * Writes the block behind its Property Length; null is an empty block.
 * @returns the index after it
 */
export function writePropertiesBlock(out: Buffer, at: number, properties: PropertiesWriter | null): number {
  if (properties === null) {
    out[at] = 0;
    return at + 1;
  }
  const bodyAt = writeVarint(out, at, properties.length);
  properties.buffer.copy(out, bodyAt, 0, properties.length);
  return bodyAt + properties.length;
}
