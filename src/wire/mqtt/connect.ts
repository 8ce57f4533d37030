/**
 * CONNECT: MQTT 3.1 section 3.1, MQTT 3.1.1 section 3.1, MQTT 5.0 section 3.1.
 *
 *     protocol name | level | connect flags | keep alive | properties (5.0)
 *     client id | will properties (5.0), will topic, will payload | user name | password
 */
import {
  CLIENT_IDENTIFIER_NOT_VALID,
  CONNECT,
  MALFORMED_PACKET,
  MQTT_3_1,
  MQTT_3_1_1,
  MQTT_5,
  OK,
  PROTOCOL_ERROR,
  UNSUPPORTED_PROTOCOL_VERSION,
} from "./codes.ts";
import { frameBytes, writeFrameHeader } from "./frame.ts";
import {
  isValidUtf8String,
  readU16,
  STRING_BYTES_MAX,
  textBytes,
  topicNameProblem,
  VARINT_MAX,
  varintBytes,
  writeText,
  writeU16,
} from "./primitives.ts";
import {
  decodeProperties,
  PropertiesView,
  type PropertiesWriter,
  propertiesBlockBytes,
  readPropertiesLength,
  writePropertiesBlock,
} from "./properties.ts";
import { WILL } from "./property-table.ts";

const FLAG_RESERVED = 0x01;
const FLAG_CLEAN_START = 0x02;
const FLAG_WILL = 0x04;
const FLAG_WILL_RETAIN = 0x20;
const FLAG_PASSWORD = 0x40;
const FLAG_USER_NAME = 0x80;

/** Mosquitto and its kin set this bit of the level byte when a bridge connects. */
const LEVEL_BRIDGE = 0x80;

const NAME_MQTT = Buffer.from("MQTT");
const NAME_MQISDP = Buffer.from("MQIsdp");

/** Decoded CONNECT: offsets into the frame, no copies. Reused for every packet. */
export class ConnectView {
  /**
   * 3, 4 or 5; 0 when the protocol name is unknown: then there is no CONNACK the peer would understand. Set on errors
   * too, so that the answer has the right form.
   */
  version = 0;
  bridge = false;
  /** Clean Session before 5.0. */
  cleanStart = false;
  keepAliveSeconds = 0;
  clientIdAt = 0;
  clientIdLength = 0;
  hasWill = false;
  willQos = 0;
  willRetain = false;
  willTopicAt = 0;
  willTopicLength = 0;
  /** The Will Properties without their length; 0 and 0 before 5.0. */
  willPropertiesAt = 0;
  willPropertiesLength = 0;
  willPayloadAt = 0;
  willPayloadLength = 0;
  hasUserName = false;
  userNameAt = 0;
  userNameLength = 0;
  hasPassword = false;
  passwordAt = 0;
  passwordLength = 0;
  /** The block without its length; 0 and 0 before 5.0. */
  propertiesAt = 0;
  propertiesLength = 0;
  readonly properties = new PropertiesView();
  readonly willProperties = new PropertiesView();

  reset(): void {
    this.version = 0;
    this.bridge = false;
    this.cleanStart = false;
    this.keepAliveSeconds = 0;
    this.clientIdAt = 0;
    this.clientIdLength = 0;
    this.hasWill = false;
    this.willQos = 0;
    this.willRetain = false;
    this.willTopicAt = 0;
    this.willTopicLength = 0;
    this.willPropertiesAt = 0;
    this.willPropertiesLength = 0;
    this.willPayloadAt = 0;
    this.willPayloadLength = 0;
    this.hasUserName = false;
    this.userNameAt = 0;
    this.userNameLength = 0;
    this.hasPassword = false;
    this.passwordAt = 0;
    this.passwordLength = 0;
    this.propertiesAt = 0;
    this.propertiesLength = 0;
    this.properties.reset();
    this.willProperties.reset();
  }
}

/**
 * Decodes the CONNECT whose body is `frame[from..end)` into `view`.
 * @returns OK; UNSUPPORTED_PROTOCOL_VERSION (answer in `view.version`); CLIENT_IDENTIFIER_NOT_VALID for an empty one
 *   where it needs to be there (the rest of the view is filled); TOPIC_NAME_INVALID for the will's topic;
 *   MALFORMED_PACKET, PROTOCOL_ERROR. `view.version` is set on all of them as far as it was known, the rest on OK.
 */
export function decodeConnect(frame: Uint8Array, from: number, end: number, view: ConnectView): number {
  view.reset();
  const nameEnd = textEnd(frame, from, end);
  if (nameEnd < 0 || nameEnd >= end) return MALFORMED_PACKET;
  let code = decodeLevel(frame, from + 2, nameEnd, view);
  if (code !== OK) return code;
  if (nameEnd + 4 > end) return MALFORMED_PACKET;
  const flags = frame[nameEnd + 1]!;
  if (!areConnectFlagsValid(view.version, flags)) return MALFORMED_PACKET;
  view.cleanStart = (flags & FLAG_CLEAN_START) !== 0;
  view.hasWill = (flags & FLAG_WILL) !== 0;
  view.keepAliveSeconds = readU16(frame, nameEnd + 2);
  let at = nameEnd + 4;
  if (view.version === MQTT_5) {
    const length = readPropertiesLength(frame, at, end);
    if (length < 0) return MALFORMED_PACKET;
    at += varintBytes(length);
    view.propertiesAt = at;
    view.propertiesLength = length;
    code = decodeProperties(frame, at, at + length, CONNECT, view.properties);
    if (code !== OK) return code;
    at += length;
  }
  const clientIdEnd = textEnd(frame, at, end);
  if (clientIdEnd < 0 || !isValidUtf8String(frame, at + 2, clientIdEnd)) return MALFORMED_PACKET; // [MQTT5-3.1.3-4]
  view.clientIdAt = at + 2;
  view.clientIdLength = clientIdEnd - at - 2;
  at = clientIdEnd;
  if (view.hasWill) {
    view.willQos = (flags >> 3) & 3;
    view.willRetain = (flags & FLAG_WILL_RETAIN) !== 0;
    code = decodeWill(frame, at, end, view);
    if (code !== OK) return code;
    at = view.willPayloadAt + view.willPayloadLength;
  }
  code = decodeCredentials(frame, at, end, flags, view);
  if (code !== OK) return code;
  return isClientIdRequired(view) && view.clientIdLength === 0 ? CLIENT_IDENTIFIER_NOT_VALID : OK;
}

/** Reads protocol name and level. An unknown level of a known name is answered in the nearest version. */
function decodeLevel(frame: Uint8Array, from: number, end: number, view: ConnectView): number {
  const level = frame[end]! & ~LEVEL_BRIDGE;
  view.bridge = (frame[end]! & LEVEL_BRIDGE) !== 0;
  if (areBytes(frame, from, end, NAME_MQTT)) {
    view.version = level >= MQTT_5 ? MQTT_5 : MQTT_3_1_1;
    return level === view.version ? OK : UNSUPPORTED_PROTOCOL_VERSION; // [MQTT311-3.1.2-2] [MQTT5-3.1.2-2]
  }
  if (areBytes(frame, from, end, NAME_MQISDP)) {
    view.version = MQTT_3_1;
    return level === MQTT_3_1 ? OK : UNSUPPORTED_PROTOCOL_VERSION;
  }
  return PROTOCOL_ERROR; // [MQTT311-3.1.2-1] [MQTT5-3.1.2-1]
}

/** MQTT 3.1 leaves the bits of a missing will and the lowest bit unused. */
function areConnectFlagsValid(version: number, flags: number): boolean {
  if (((flags >> 3) & 3) === 3) return false; // [MQTT311-3.1.2-14] [MQTT5-3.1.2-12]
  // [MQTT311-3.1.2-22]: no password without a user name; 5.0 allows it
  if (version !== MQTT_5 && (flags & (FLAG_USER_NAME | FLAG_PASSWORD)) === FLAG_PASSWORD) return false;
  if (version === MQTT_3_1) return true;
  if ((flags & FLAG_RESERVED) !== 0) return false; // [MQTT311-3.1.2-3] [MQTT5-3.1.2-3]
  // [MQTT311-3.1.2-11] [MQTT311-3.1.2-15] [MQTT5-3.1.2-11] [MQTT5-3.1.2-13]
  return (flags & FLAG_WILL) !== 0 || (flags & 0x38) === 0;
}

function decodeWill(frame: Uint8Array, from: number, end: number, view: ConnectView): number {
  let at = from;
  if (view.version === MQTT_5) {
    const length = readPropertiesLength(frame, at, end);
    if (length < 0) return MALFORMED_PACKET;
    at += varintBytes(length);
    view.willPropertiesAt = at;
    view.willPropertiesLength = length;
    const code = decodeProperties(frame, at, at + length, WILL, view.willProperties);
    if (code !== OK) return code;
    at += length;
  }
  const topicEnd = textEnd(frame, at, end);
  if (topicEnd < 0) return MALFORMED_PACKET;
  const problem = topicNameProblem(frame, at + 2, topicEnd);
  if (problem !== OK) return problem;
  view.willTopicAt = at + 2;
  view.willTopicLength = topicEnd - at - 2;
  const payloadEnd = textEnd(frame, topicEnd, end);
  if (payloadEnd < 0) return MALFORMED_PACKET;
  view.willPayloadAt = topicEnd + 2;
  view.willPayloadLength = payloadEnd - topicEnd - 2;
  return OK;
}

function decodeCredentials(frame: Uint8Array, from: number, end: number, flags: number, view: ConnectView): number {
  let at = from;
  view.hasUserName = (flags & FLAG_USER_NAME) !== 0;
  view.hasPassword = (flags & FLAG_PASSWORD) !== 0;
  // MQTT 3.1 section 3.1: the Remaining Length takes precedence, either string may be missing despite its flag
  if (view.version === MQTT_3_1 && at === end) view.hasUserName = false;
  if (view.hasUserName) {
    const next = textEnd(frame, at, end);
    if (next < 0 || !isValidUtf8String(frame, at + 2, next)) return MALFORMED_PACKET; // [MQTT5-3.1.3-12]
    view.userNameAt = at + 2;
    view.userNameLength = next - at - 2;
    at = next;
  }
  if (view.version === MQTT_3_1 && at === end) view.hasPassword = false;
  if (view.hasPassword) {
    const next = textEnd(frame, at, end);
    if (next < 0) return MALFORMED_PACKET;
    view.passwordAt = at + 2;
    view.passwordLength = next - at - 2;
    at = next;
  }
  return at === end ? OK : MALFORMED_PACKET;
}

/** 3.1 always, 3.1.1 unless the session is clean [MQTT311-3.1.3-7], 5.0 never [MQTT5-3.1.3-6]. */
function isClientIdRequired(view: ConnectView): boolean {
  return view.version === MQTT_3_1 || (view.version === MQTT_3_1_1 && !view.cleanStart);
}

/** Index after the length-prefixed bytes at `at`, or -1 when they do not end before `end`. */
function textEnd(frame: Uint8Array, at: number, end: number): number {
  if (at + 2 > end) return -1;
  const next = at + 2 + readU16(frame, at);
  return next > end ? -1 : next;
}

function areBytes(frame: Uint8Array, from: number, end: number, expected: Uint8Array): boolean {
  if (end - from !== expected.length) return false;
  for (let i = 0; i < expected.length; i++) if (frame[from + i] !== expected[i]) return false;
  return true;
}

export type WillOptions = {
  topic: string | Uint8Array;
  payload: Uint8Array;
  qos: number;
  retain: boolean;
  properties: PropertiesWriter | null;
};

export type ConnectOptions = {
  version: number;
  /** Sets the bridge bit of Mosquitto in the level byte, before 5.0. */
  bridge: boolean;
  clientId: string | Uint8Array;
  cleanStart: boolean;
  keepAliveSeconds: number;
  userName: string | Uint8Array | null;
  password: string | Uint8Array | null;
  properties: PropertiesWriter | null;
  will: WillOptions | null;
};

/**
 * Writes a CONNECT.
 * @returns the index after it, or -1 when it does not fit in `out` from `at` or one of its texts is longer than 65,535
 *   bytes
 */
export function encodeConnect(out: Buffer, at: number, options: ConnectOptions): number {
  const { version, will } = options;
  const name = version === MQTT_3_1 ? NAME_MQISDP : NAME_MQTT;
  const remaining = connectLength(options, name);
  if (remaining < 0 || remaining > VARINT_MAX || at + frameBytes(remaining) > out.length) return -1;
  let next = writeFrameHeader(out, at, CONNECT << 4, remaining);
  next = writeText(out, next, name);
  out[next++] = options.bridge && version !== MQTT_5 ? version | LEVEL_BRIDGE : version;
  out[next++] = connectFlags(options);
  next = writeU16(out, next, options.keepAliveSeconds);
  if (version === MQTT_5) next = writePropertiesBlock(out, next, options.properties);
  next = writeText(out, next, options.clientId);
  if (will !== null) {
    if (version === MQTT_5) next = writePropertiesBlock(out, next, will.properties);
    next = writeText(out, next, will.topic);
    next = writeText(out, next, will.payload);
  }
  if (options.userName !== null) next = writeText(out, next, options.userName);
  if (options.password !== null) next = writeText(out, next, options.password);
  return next;
}

function connectFlags(options: ConnectOptions): number {
  const { will } = options;
  let flags = options.cleanStart ? FLAG_CLEAN_START : 0;
  if (will !== null) flags |= FLAG_WILL | (will.qos << 3) | (will.retain ? FLAG_WILL_RETAIN : 0);
  if (options.userName !== null) flags |= FLAG_USER_NAME;
  if (options.password !== null) flags |= FLAG_PASSWORD;
  return flags;
}

/** Remaining Length, or -1 when a text is too long for its two-byte length. */
function connectLength(options: ConnectOptions, name: Uint8Array): number {
  const { version, will } = options;
  const texts = [options.clientId, options.userName, options.password, will?.topic, will?.payload];
  let length = 2 + name.length + 4;
  for (const text of texts) {
    if (text === null || text === undefined) continue;
    const bytes = textBytes(text);
    if (bytes > STRING_BYTES_MAX) return -1;
    length += 2 + bytes;
  }
  if (version !== MQTT_5) return length;
  length += propertiesBlockBytes(options.properties);
  return will === null ? length : length + propertiesBlockBytes(will.properties);
}
