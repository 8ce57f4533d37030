/**
 * The properties of MQTT 5.0 section 2.2.2: identifiers, types, the packets they belong to, and steps through a block.
 */
import {
  AUTH,
  CONNACK,
  CONNECT,
  DISCONNECT,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from "./codes.ts";
import { readU16, readVarint, varintBytes } from "./primitives.ts";

/** Stands for the Will Properties of CONNECT where a packet type is asked for; type 0 is reserved in the protocol. */
export const WILL = 0;

export const PAYLOAD_FORMAT_INDICATOR = 0x01;
export const MESSAGE_EXPIRY_INTERVAL = 0x02;
export const CONTENT_TYPE = 0x03;
export const RESPONSE_TOPIC = 0x08;
export const CORRELATION_DATA = 0x09;
export const SUBSCRIPTION_IDENTIFIER = 0x0b;
export const SESSION_EXPIRY_INTERVAL = 0x11;
export const ASSIGNED_CLIENT_IDENTIFIER = 0x12;
export const SERVER_KEEP_ALIVE = 0x13;
export const AUTHENTICATION_METHOD = 0x15;
export const AUTHENTICATION_DATA = 0x16;
export const REQUEST_PROBLEM_INFORMATION = 0x17;
export const WILL_DELAY_INTERVAL = 0x18;
export const REQUEST_RESPONSE_INFORMATION = 0x19;
export const RESPONSE_INFORMATION = 0x1a;
export const SERVER_REFERENCE = 0x1c;
export const REASON_STRING = 0x1f;
export const RECEIVE_MAXIMUM = 0x21;
export const TOPIC_ALIAS_MAXIMUM = 0x22;
export const TOPIC_ALIAS = 0x23;
export const MAXIMUM_QOS = 0x24;
export const RETAIN_AVAILABLE = 0x25;
export const USER_PROPERTY = 0x26;
export const MAXIMUM_PACKET_SIZE = 0x27;
export const WILDCARD_SUBSCRIPTION_AVAILABLE = 0x28;
export const SUBSCRIPTION_IDENTIFIER_AVAILABLE = 0x29;
export const SHARED_SUBSCRIPTION_AVAILABLE = 0x2a;

export const PROPERTY_ID_MAX = 0x2a;

/** The types of section 2.2.2.2. FLAG is a Byte that may be 0 or 1 only, which all of them are. */
export const FLAG = 1;
export const TWO = 2;
export const FOUR = 3;
export const VARINT = 4;
export const TEXT = 5;
export const BINARY = 6;
export const PAIR = 7;

const ALL = [
  WILL,
  CONNECT,
  CONNACK,
  PUBLISH,
  PUBACK,
  PUBREC,
  PUBREL,
  PUBCOMP,
  SUBSCRIBE,
  SUBACK,
  UNSUBSCRIBE,
  UNSUBACK,
  DISCONNECT,
  AUTH,
];

/** Table 2-4: identifier, type, the packets it may stand in. */
const TABLE: readonly (readonly [id: number, type: number, packets: readonly number[]])[] = [
  [PAYLOAD_FORMAT_INDICATOR, FLAG, [PUBLISH, WILL]],
  [MESSAGE_EXPIRY_INTERVAL, FOUR, [PUBLISH, WILL]],
  [CONTENT_TYPE, TEXT, [PUBLISH, WILL]],
  [RESPONSE_TOPIC, TEXT, [PUBLISH, WILL]],
  [CORRELATION_DATA, BINARY, [PUBLISH, WILL]],
  [SUBSCRIPTION_IDENTIFIER, VARINT, [PUBLISH, SUBSCRIBE]],
  [SESSION_EXPIRY_INTERVAL, FOUR, [CONNECT, CONNACK, DISCONNECT]],
  [ASSIGNED_CLIENT_IDENTIFIER, TEXT, [CONNACK]],
  [SERVER_KEEP_ALIVE, TWO, [CONNACK]],
  [AUTHENTICATION_METHOD, TEXT, [CONNECT, CONNACK, AUTH]],
  [AUTHENTICATION_DATA, BINARY, [CONNECT, CONNACK, AUTH]],
  [REQUEST_PROBLEM_INFORMATION, FLAG, [CONNECT]],
  [WILL_DELAY_INTERVAL, FOUR, [WILL]],
  [REQUEST_RESPONSE_INFORMATION, FLAG, [CONNECT]],
  [RESPONSE_INFORMATION, TEXT, [CONNACK]],
  [SERVER_REFERENCE, TEXT, [CONNACK, DISCONNECT]],
  [REASON_STRING, TEXT, [CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH]],
  [RECEIVE_MAXIMUM, TWO, [CONNECT, CONNACK]],
  [TOPIC_ALIAS_MAXIMUM, TWO, [CONNECT, CONNACK]],
  [TOPIC_ALIAS, TWO, [PUBLISH]],
  [MAXIMUM_QOS, FLAG, [CONNACK]],
  [RETAIN_AVAILABLE, FLAG, [CONNACK]],
  [USER_PROPERTY, PAIR, ALL],
  [MAXIMUM_PACKET_SIZE, FOUR, [CONNECT, CONNACK]],
  [WILDCARD_SUBSCRIPTION_AVAILABLE, FLAG, [CONNACK]],
  [SUBSCRIPTION_IDENTIFIER_AVAILABLE, FLAG, [CONNACK]],
  [SHARED_SUBSCRIPTION_AVAILABLE, FLAG, [CONNACK]],
];

/** By identifier: its type, or 0 when there is no such property. */
export const TYPE_OF = new Uint8Array(PROPERTY_ID_MAX + 1);
/** By identifier: bit n is set when it may stand in packets of type n. */
export const PACKETS_OF = new Uint16Array(PROPERTY_ID_MAX + 1);
/** By identifier: its row in the table as one bit, to see a property come twice. 27 rows fit an integer. */
export const BIT_OF = new Int32Array(PROPERTY_ID_MAX + 1);

for (const [row, [id, type, packets]] of TABLE.entries()) {
  TYPE_OF[id] = type;
  BIT_OF[id] = 1 << row;
  for (const packet of packets) PACKETS_OF[id] = PACKETS_OF[id]! | (1 << packet);
}

/**
 * Index after the property at `at`, by its type alone; text is not looked at.
 * @returns -1 when there is no such property or it does not end before `end`
 */
export function propertyEnd(frame: Uint8Array, at: number, end: number): number {
  const id = frame[at]!;
  if (id > PROPERTY_ID_MAX) return -1;
  let next = at + 1;
  switch (TYPE_OF[id]) {
    case FLAG:
      next += 1;
      break;
    case TWO:
      next += 2;
      break;
    case FOUR:
      next += 4;
      break;
    case VARINT: {
      const value = readVarint(frame, next, end);
      if (value < 0) return -1;
      next += varintBytes(value);
      break;
    }
    case PAIR:
      if (next + 2 > end) return -1;
      next += 2 + readU16(frame, next);
      if (next + 2 > end) return -1;
      next += 2 + readU16(frame, next);
      break;
    case TEXT:
    case BINARY:
      if (next + 2 > end) return -1;
      next += 2 + readU16(frame, next);
      break;
    default:
      return -1;
  }
  return next > end ? -1 : next;
}

/** One User Property: offsets into the frame. Reused. */
export class UserPropertyView {
  keyAt = 0;
  keyLength = 0;
  valueAt = 0;
  valueLength = 0;
}

/**
 * Steps through the User Properties of a block that was decoded before: begin with `at` = the block's first index,
 * go on with what it returned.
 * @returns the index after the User Property in `view`, or -1 when there is none left
 */
export function nextUserProperty(frame: Uint8Array, at: number, end: number, view: UserPropertyView): number {
  let propertyAt = at;
  while (propertyAt < end) {
    const next = propertyEnd(frame, propertyAt, end);
    if (next < 0) return -1;
    if (frame[propertyAt] === USER_PROPERTY) {
      view.keyAt = propertyAt + 3;
      view.keyLength = readU16(frame, propertyAt + 1);
      view.valueAt = view.keyAt + view.keyLength + 2;
      view.valueLength = next - view.valueAt;
      return next;
    }
    propertyAt = next;
  }
  return -1;
}
