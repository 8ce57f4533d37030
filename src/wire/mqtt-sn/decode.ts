/**
 * One message of MQTT-SN 1.2 from its bytes.
 *
 *     | Length 1, or 0x01 and 2 | MsgType | fields of fixed size | the rest: text, payload or address |
 *
 * @see MQTT-SN 1.2 section 5
 */
import { isUtf8 } from "node:buffer";
import {
  ADVERTISE,
  CONNACK,
  CONNECT,
  DISCONNECT,
  ENCAPSULATED,
  GWINFO,
  MALFORMED,
  OK,
  PINGREQ,
  PINGRESP,
  PROTOCOL_ID,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  QOS_MINUS_ONE_BITS,
  QOS_SHIFT,
  REGACK,
  REGISTER,
  SEARCHGW,
  SUBACK,
  SUBSCRIBE,
  TOPIC_NORMAL,
  TOPIC_SHORT,
  TOPIC_TYPE_BITS,
  UNKNOWN_TYPE,
  UNSUBACK,
  UNSUBSCRIBE,
  WILLMSG,
  WILLMSGREQ,
  WILLMSGRESP,
  WILLMSGUPD,
  WILLTOPIC,
  WILLTOPICREQ,
  WILLTOPICRESP,
  WILLTOPICUPD,
} from "./codes.ts";

/**
 * A decoded message: numbers and offsets into its bytes, no copies. Reused for every message; which fields mean
 * something depends on `type`, the others are those of messages before.
 */
export class MessageView {
  type = 0;
  flags = 0;
  /** 0 to 2, or -1. */
  qos = 0;
  /** TOPIC_NORMAL, TOPIC_PREDEFINED or TOPIC_SHORT. */
  topicType = 0;
  topicId = 0;
  msgId = 0;
  returnCode = 0;
  /** Seconds: keep alive of CONNECT, sleep of DISCONNECT, interval of ADVERTISE; -1 = DISCONNECT without one. */
  duration = 0;
  gatewayId = 0;
  /** Broadcast radius, of SEARCHGW and of an encapsulated message. */
  radius = 0;
  protocolId = 0;
  /**
   * What stands behind the fixed fields: ClientId, WillTopic, WillMsg, TopicName, Data, GwAdd. Of an encapsulated message
   * the wireless node id; what it wraps begins at `restEnd`.
   */
  restAt = 0;
  restEnd = 0;
}

/** Bytes of the fixed fields and whether there is a rest: -1 = exactly so long, 0 = may follow, 1 = must follow. By type. */
const SHAPES: readonly (readonly [fixed: number, rest: -1 | 0 | 1] | undefined)[] = shapes();

function shapes(): (readonly [number, -1 | 0 | 1] | undefined)[] {
  const all: (readonly [number, -1 | 0 | 1] | undefined)[] = new Array(WILLMSGRESP + 1).fill(undefined);
  all[ADVERTISE] = [3, -1];
  all[SEARCHGW] = [1, -1];
  all[GWINFO] = [1, 0];
  all[CONNECT] = [4, 1];
  all[CONNACK] = [1, -1];
  all[WILLTOPICREQ] = [0, -1];
  all[WILLTOPIC] = [0, 0];
  all[WILLMSGREQ] = [0, -1];
  all[WILLMSG] = [0, 0];
  all[REGISTER] = [4, 1];
  all[REGACK] = [5, -1];
  all[PUBLISH] = [5, 0];
  all[PUBACK] = [5, -1];
  all[PUBCOMP] = [2, -1];
  all[PUBREC] = [2, -1];
  all[PUBREL] = [2, -1];
  all[SUBSCRIBE] = [3, 1];
  all[SUBACK] = [6, -1];
  all[UNSUBSCRIBE] = [3, 1];
  all[UNSUBACK] = [2, -1];
  all[PINGREQ] = [0, 0];
  all[PINGRESP] = [0, -1];
  all[DISCONNECT] = [0, 0];
  all[WILLTOPICUPD] = [0, 0];
  all[WILLTOPICRESP] = [1, -1];
  all[WILLMSGUPD] = [0, 0];
  all[WILLMSGRESP] = [1, -1];
  return all;
}

/** Whether 1.2 has such a message; an envelope is none. */
export function isMessageType(type: number): boolean {
  return SHAPES[type] !== undefined;
}

/**
 * Decodes the message that `bytes[from..end)` is.
 * @returns OK, MALFORMED or UNKNOWN_TYPE; on MALFORMED the content of `view` is undefined, but for its type when it has one
 */
export function decode(bytes: Buffer, from: number, end: number, view: MessageView): number {
  view.type = -1;
  const have = end - from;
  if (have < 2) return MALFORMED;
  const first = bytes[from] as number;
  let at = from + 1;
  let length = first;
  if (first === 1) {
    if (have < 4) return MALFORMED;
    length = bytes.readUInt16BE(at);
    at += 2;
  }
  const type = bytes[at++] as number;
  view.type = type;
  if (type === ENCAPSULATED) return decodeEncapsulated(bytes, at, from + length, end, view);
  if (length !== have) return MALFORMED;
  const shape = SHAPES[type];
  if (shape === undefined) return UNKNOWN_TYPE;
  const fixed = shape[0];
  const rest = shape[1];
  const left = end - at - fixed;
  if (left < 0 || (rest < 0 && left !== 0) || (rest > 0 && left === 0)) return MALFORMED;
  view.restAt = at + fixed;
  view.restEnd = end;
  return readFields(bytes, at, view);
}

/** The table of contents. `at` is the first of the fixed fields, which are there. */
function readFields(bytes: Buffer, at: number, view: MessageView): number {
  switch (view.type) {
    case ADVERTISE:
      view.gatewayId = bytes[at] as number;
      view.duration = bytes.readUInt16BE(at + 1);
      return OK;
    case SEARCHGW:
      view.radius = bytes[at] as number;
      return OK;
    case GWINFO:
      view.gatewayId = bytes[at] as number;
      return OK;
    case CONNECT:
      readFlags(view, bytes[at] as number);
      view.protocolId = bytes[at + 1] as number;
      view.duration = bytes.readUInt16BE(at + 2);
      // Another protocol's message may have another form behind its id.
      return view.protocolId === PROTOCOL_ID ? text(bytes, view) : OK;
    case CONNACK:
    case WILLTOPICRESP:
    case WILLMSGRESP:
      view.returnCode = bytes[at] as number;
      return OK;
    case WILLTOPIC:
    case WILLTOPICUPD:
      return readWillTopic(bytes, at, view);
    case REGISTER:
      view.topicId = bytes.readUInt16BE(at);
      view.msgId = bytes.readUInt16BE(at + 2);
      return text(bytes, view);
    case REGACK:
    case PUBACK:
      view.topicId = bytes.readUInt16BE(at);
      view.msgId = bytes.readUInt16BE(at + 2);
      view.returnCode = bytes[at + 4] as number;
      return OK;
    case PUBLISH:
      return readPublish(bytes, at, view);
    case PUBCOMP:
    case PUBREC:
    case PUBREL:
    case UNSUBACK:
      view.msgId = bytes.readUInt16BE(at);
      return OK;
    case SUBSCRIBE:
    case UNSUBSCRIBE:
      return readFilter(bytes, at, view);
    case SUBACK:
      readFlags(view, bytes[at] as number);
      view.topicId = bytes.readUInt16BE(at + 1);
      view.msgId = bytes.readUInt16BE(at + 3);
      view.returnCode = bytes[at + 5] as number;
      return OK;
    case PINGREQ:
      return view.restAt === view.restEnd ? OK : text(bytes, view);
    case DISCONNECT:
      return readDisconnect(bytes, view);
    default:
      return OK; // WILLTOPICREQ, WILLMSGREQ, WILLMSG, WILLMSGUPD, PINGRESP: no fields, or bytes of any kind
  }
}

/** Section 5.4.7: without flags and topic it takes the will back. */
function readWillTopic(bytes: Buffer, at: number, view: MessageView): number {
  if (view.restAt === view.restEnd) {
    readFlags(view, 0);
    return OK;
  }
  readFlags(view, bytes[at] as number);
  view.restAt = at + 1;
  if (view.restAt === view.restEnd || view.qos < 0) return MALFORMED;
  return text(bytes, view);
}

function readPublish(bytes: Buffer, at: number, view: MessageView): number {
  readFlags(view, bytes[at] as number);
  view.topicId = bytes.readUInt16BE(at + 1);
  view.msgId = bytes.readUInt16BE(at + 3);
  if (view.topicType > TOPIC_SHORT) return MALFORMED;
  // Section 5.4.12: 0x0000 at QoS 0 and -1 and never else.
  if (view.qos > 0 && view.msgId === 0) return MALFORMED;
  return OK;
}

/** Section 5.4.15: a name, or an id of two bytes. */
function readFilter(bytes: Buffer, at: number, view: MessageView): number {
  readFlags(view, bytes[at] as number);
  view.msgId = bytes.readUInt16BE(at + 1);
  if (view.msgId === 0 || view.topicType > TOPIC_SHORT) return MALFORMED;
  if (view.type === SUBSCRIBE && view.qos < 0) return MALFORMED;
  if (view.topicType === TOPIC_NORMAL) return text(bytes, view);
  if (view.restEnd - view.restAt !== 2) return MALFORMED;
  view.topicId = bytes.readUInt16BE(view.restAt);
  return OK;
}

function readDisconnect(bytes: Buffer, view: MessageView): number {
  const length = view.restEnd - view.restAt;
  if (length !== 0 && length !== 2) return MALFORMED;
  view.duration = length === 0 ? -1 : bytes.readUInt16BE(view.restAt);
  return OK;
}

/**
 * Section 5.5: Length counts up to the wireless node id, what is wrapped follows. One level: what is wrapped is judged by
 * a `decode` of its own.
 */
function decodeEncapsulated(bytes: Buffer, at: number, headEnd: number, end: number, view: MessageView): number {
  if (at + 1 > headEnd || headEnd >= end) return MALFORMED;
  view.radius = (bytes[at] as number) & 0x03;
  view.restAt = at + 1;
  view.restEnd = headEnd;
  return OK;
}

function readFlags(view: MessageView, flags: number): void {
  view.flags = flags;
  const qos = (flags >> QOS_SHIFT) & 0x03;
  view.qos = qos === QOS_MINUS_ONE_BITS ? -1 : qos;
  view.topicType = flags & TOPIC_TYPE_BITS;
}

/** Text is UTF-8 as MQTT has it: no U+0000. */
function text(bytes: Buffer, view: MessageView): number {
  const { restAt, restEnd } = view;
  const zero = bytes.indexOf(0, restAt);
  if (zero >= 0 && zero < restEnd) return MALFORMED;
  return isUtf8(bytes.subarray(restAt, restEnd)) ? OK : MALFORMED;
}
