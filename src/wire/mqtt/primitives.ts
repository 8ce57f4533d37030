/**
 * The data types of MQTT 5.0 section 1.5 and the rules of topics (section 4.7), over bytes in place.
 *
 * Text is checked where it lies: one loop per string, ASCII in its first branch, and a lead byte looks at its
 * continuation bytes itself. `buffer.isUtf8` would need a `subarray` per string, which costs more than the loop for
 * every length a topic has. Whoever reads at an offset has compared it with `end` before.
 */
import { MALFORMED_PACKET, OK, TOPIC_FILTER_INVALID, TOPIC_NAME_INVALID } from "./codes.ts";

/** Largest Variable Byte Integer, four bytes of seven bits: MQTT 5.0 section 1.5.5. */
export const VARINT_MAX = 268_435_455;
/** Longest UTF-8 string or Binary Data: its length has two bytes. */
export const STRING_BYTES_MAX = 65_535;

const SLASH = 0x2f;
const PLUS = 0x2b;
const HASH = 0x23;

export function readU16(buffer: Uint8Array, at: number): number {
  return (buffer[at]! << 8) | buffer[at + 1]!;
}

export function readU32(buffer: Uint8Array, at: number): number {
  return ((buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!) >>> 0;
}

/** @returns the index after it */
export function writeU16(out: Uint8Array, at: number, value: number): number {
  out[at] = value >>> 8;
  out[at + 1] = value;
  return at + 2;
}

/** @returns the index after it */
export function writeU32(out: Uint8Array, at: number, value: number): number {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
  return at + 4;
}

/** Bytes of `value` as a Variable Byte Integer, 1 to 4. */
export function varintBytes(value: number): number {
  return value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4;
}

/**
 * Reads a Variable Byte Integer. As only the shortest form is valid [MQTT5-1.5.5-1], its size is `varintBytes(value)`.
 * @returns the value, or -1 when it is cut off, longer than four bytes or not in its shortest form
 */
export function readVarint(buffer: Uint8Array, from: number, end: number): number {
  let value = 0;
  for (let i = 0; i < 4; i++) {
    if (from + i >= end) return -1;
    const byte = buffer[from + i]!;
    value |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) return byte === 0 && i > 0 ? -1 : value;
  }
  return -1;
}

/** @returns the index after it */
export function writeVarint(out: Uint8Array, at: number, value: number): number {
  let rest = value;
  while (rest > 0x7f) {
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}

/** Bytes of a string or of bytes on the wire, without the two of its length. */
export function textBytes(text: string | Uint8Array): number {
  return typeof text === "string" ? Buffer.byteLength(text) : text.length;
}

/**
 * Writes text or binary data behind its two-byte length; `out` has room (see `textBytes`). For packets that are
 * written once per connection, not once per message.
 * @returns the index after it
 */
export function writeText(out: Buffer, at: number, text: string | Uint8Array): number {
  if (typeof text === "string") {
    const length = out.write(text, at + 2);
    writeU16(out, at, length);
    return at + 2 + length;
  }
  writeU16(out, at, text.length);
  out.set(text, at + 2);
  return at + 2 + text.length;
}

/**
 * Size of the multi-byte UTF-8 sequence whose lead byte (0x80 or above) is at `at`. Overlong forms, surrogates and
 * what lies above U+10FFFF have none: Unicode 15 table 3-7, [MQTT311-1.5.3-1], [MQTT5-1.5.4-1].
 * @returns 2 to 4, or 0 when it is not well-formed
 */
function utf8SequenceBytes(buffer: Uint8Array, at: number, end: number): number {
  const lead = buffer[at]!;
  if (lead < 0xc2 || lead > 0xf4 || at + 1 >= end) return 0;
  const second = buffer[at + 1]!;
  if ((second & 0xc0) !== 0x80) return 0;
  if (lead < 0xe0) return 2;
  if (at + 2 >= end || (buffer[at + 2]! & 0xc0) !== 0x80) return 0;
  if (lead < 0xf0) {
    if (lead === 0xe0 && second < 0xa0) return 0;
    if (lead === 0xed && second > 0x9f) return 0;
    return 3;
  }
  if (at + 3 >= end || (buffer[at + 3]! & 0xc0) !== 0x80) return 0;
  if (lead === 0xf0 && second < 0x90) return 0;
  if (lead === 0xf4 && second > 0x8f) return 0;
  return 4;
}

/**
 * Whether `buffer[from..end)` is text that MQTT carries: well-formed UTF-8 without U+0000.
 * @see MQTT 3.1.1 section 1.5.3, MQTT 5.0 section 1.5.4: [MQTT5-1.5.4-1], [MQTT5-1.5.4-2]
 */
export function isValidUtf8String(buffer: Uint8Array, from: number, end: number): boolean {
  let at = from;
  while (at < end) {
    const byte = buffer[at]!;
    if (byte < 0x80) {
      if (byte === 0) return false;
      at++;
      continue;
    }
    const size = utf8SequenceBytes(buffer, at, end);
    if (size === 0) return false;
    at += size;
  }
  return true;
}

/**
 * Size of the UTF-8 sequence at `at` if a topic may have it. Sections 1.5.3 (3.1.1) and 1.5.4 (5.0) let a receiver
 * call a packet malformed whose text has control characters or non-characters. In topics we do: brokers that we
 * forward to do, and would disconnect on the same stored message again and again.
 * @returns 1 to 4, or 0
 */
function topicSequenceBytes(buffer: Uint8Array, at: number, end: number): number {
  const lead = buffer[at]!;
  if (lead < 0x80) return lead < 0x20 || lead === 0x7f ? 0 : 1;
  const size = utf8SequenceBytes(buffer, at, end);
  if (size === 2) return lead === 0xc2 && buffer[at + 1]! < 0xa0 ? 0 : 2; // U+0080 to U+009F
  if (size === 3 && lead === 0xef) {
    const low = ((buffer[at + 1]! & 0x3f) << 6) | (buffer[at + 2]! & 0x3f);
    return (low >= 0xdd0 && low <= 0xdef) || low >= 0xffe ? 0 : 3; // U+FDD0 to U+FDEF, U+FFFE, U+FFFF
  }
  if (size === 4 && (buffer[at + 1]! & 0x0f) === 0x0f && buffer[at + 2] === 0xbf) {
    return buffer[at + 3]! >= 0xbe ? 0 : 4; // U+1FFFE, U+1FFFF, U+2FFFE, …
  }
  return size;
}

/**
 * Checks a Topic Name in one pass.
 * @returns OK; TOPIC_NAME_INVALID when it is empty [MQTT5-4.7.3-1] or has a wildcard [MQTT5-3.3.2-2];
 *   MALFORMED_PACKET when it is not text [MQTT5-4.7.3-2] or has control characters or non-characters
 */
export function topicNameProblem(buffer: Uint8Array, from: number, end: number): number {
  let wildcard = from === end;
  let at = from;
  for (;;) {
    while (at < end && buffer[at]! > PLUS && buffer[at]! < 0x7f) at++;
    if (at === end) break;
    if (buffer[at] === PLUS || buffer[at] === HASH) wildcard = true;
    const size = topicSequenceBytes(buffer, at, end);
    if (size === 0) return MALFORMED_PACKET;
    at += size;
  }
  return wildcard ? TOPIC_NAME_INVALID : OK;
}

/** Whether the Topic Filter begins with `$share/`: MQTT 5.0 section 4.8.2. */
export function isSharedFilter(buffer: Uint8Array, from: number, end: number): boolean {
  return (
    end - from >= 7 &&
    buffer[from] === 0x24 &&
    buffer[from + 1] === 0x73 &&
    buffer[from + 2] === 0x68 &&
    buffer[from + 3] === 0x61 &&
    buffer[from + 4] === 0x72 &&
    buffer[from + 5] === 0x65 &&
    buffer[from + 6] === SLASH
  );
}

/**
 * Where the filter proper begins in `$share/{ShareName}/{filter}`.
 * @returns its index, or -1 when the ShareName is empty or has a wildcard [MQTT5-4.8.2-1], or no filter follows
 *   [MQTT5-4.8.2-2]
 */
export function sharedFilterAt(buffer: Uint8Array, from: number, end: number): number {
  const nameAt = from + 7;
  for (let at = nameAt; at < end; at++) {
    const byte = buffer[at]!;
    if (byte === PLUS || byte === HASH) return -1;
    if (byte === SLASH) return at > nameAt && at + 1 < end ? at + 1 : -1;
  }
  return -1;
}

/**
 * Checks a Topic Filter: text as in a Topic Name, at least one character, `#` only as the whole last level
 * [MQTT5-4.7.1-1], `+` only as a whole level [MQTT5-4.7.1-2], and the form of a shared subscription (which all versions
 * may use here).
 * @returns OK, TOPIC_FILTER_INVALID, or MALFORMED_PACKET when it is not text
 */
export function topicFilterProblem(buffer: Uint8Array, from: number, end: number): number {
  if (topicNameProblem(buffer, from, end) === MALFORMED_PACKET) return MALFORMED_PACKET;
  let levelAt = from;
  if (isSharedFilter(buffer, from, end)) {
    levelAt = sharedFilterAt(buffer, from, end);
    if (levelAt < 0) return TOPIC_FILTER_INVALID;
  }
  if (levelAt === end) return TOPIC_FILTER_INVALID;
  for (let at = levelAt; at < end; at++) {
    const byte = buffer[at]!;
    if (byte === SLASH) levelAt = at + 1;
    else if (byte === HASH) {
      if (at !== levelAt || at + 1 !== end) return TOPIC_FILTER_INVALID;
    } else if (byte === PLUS) {
      if (at !== levelAt || (at + 1 !== end && buffer[at + 1] !== SLASH)) return TOPIC_FILTER_INVALID;
    }
  }
  return OK;
}
