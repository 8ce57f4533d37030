/**
 * Messages of MQTT-SN 1.2 as bytes. Each function writes one at `at`, where the caller has made room for its length, and
 * returns the index after it.
 *
 * @see MQTT-SN 1.2 section 5.4
 */
import { copyBytes } from "../../base/copy-bytes.ts";
import {
  ADVERTISE,
  CONNECT,
  DISCONNECT,
  ENCAPSULATED,
  GWINFO,
  PROTOCOL_ID,
  PUBLISH,
  QOS_MINUS_ONE_BITS,
  QOS_SHIFT,
  REGISTER,
  SEARCHGW,
  SUBACK,
} from "./codes.ts";

/** Longest message with a length of one byte. */
const SHORT_MAX = 255;
/** Longest message there can be. */
export const MESSAGE_BYTES_MAX = 0xffff;
/** Length, MsgType, Flags, TopicId, MsgId: what a PUBLISH has besides its data, with the long form of Length. */
export const PUBLISH_OVERHEAD_MAX = 9;
/** Length, MsgType, TopicId, MsgId: what a REGISTER has besides its name, with the long form of Length. */
export const REGISTER_OVERHEAD_MAX = 8;

/** @param body bytes behind MsgType  @returns of the whole message */
export function messageBytes(body: number): number {
  return body + 2 <= SHORT_MAX ? body + 2 : body + 4;
}

/** Length and MsgType. @param body bytes that follow */
export function writeHeader(out: Buffer, at: number, type: number, body: number): number {
  const length = messageBytes(body);
  let next = at;
  if (length <= SHORT_MAX) {
    out[next++] = length;
  } else {
    out[next++] = 1;
    next = writeU16(out, next, length);
  }
  out[next++] = type;
  return next;
}

/** @param qos -1 to 2  @param bits FLAG_... and TopicIdType */
export function flagsOf(qos: number, bits: number): number {
  return ((qos < 0 ? QOS_MINUS_ONE_BITS : qos) << QOS_SHIFT) | bits;
}

/** WILLTOPICREQ, WILLMSGREQ, PINGRESP, and PINGREQ, DISCONNECT, WILLTOPIC, WILLTOPICUPD with nothing in them. */
export function writeEmpty(out: Buffer, at: number, type: number): number {
  return writeHeader(out, at, type, 0);
}

/** CONNACK, WILLTOPICRESP, WILLMSGRESP. */
export function writeReturnCode(out: Buffer, at: number, type: number, returnCode: number): number {
  const next = writeHeader(out, at, type, 1);
  out[next] = returnCode;
  return next + 1;
}

/** PUBREC, PUBREL, PUBCOMP, UNSUBACK. */
export function writeMsgId(out: Buffer, at: number, type: number, msgId: number): number {
  return writeU16(out, writeHeader(out, at, type, 2), msgId);
}

/** REGACK, PUBACK. */
export function writeTopicAck(
  out: Buffer,
  at: number,
  type: number,
  topicId: number,
  msgId: number,
  returnCode: number,
): number {
  let next = writeHeader(out, at, type, 5);
  next = writeU16(out, next, topicId);
  next = writeU16(out, next, msgId);
  out[next] = returnCode;
  return next + 1;
}

export function writeSuback(
  out: Buffer,
  at: number,
  flags: number,
  topicId: number,
  msgId: number,
  returnCode: number,
): number {
  let next = writeHeader(out, at, SUBACK, 6);
  out[next] = flags;
  next = writeU16(out, next + 1, topicId);
  next = writeU16(out, next, msgId);
  out[next] = returnCode;
  return next + 1;
}

export function writeRegister(out: Buffer, at: number, topicId: number, msgId: number, name: Buffer): number {
  let next = writeHeader(out, at, REGISTER, 4 + name.length);
  next = writeU16(out, next, topicId);
  next = writeU16(out, next, msgId);
  return copyBytes(name, 0, name.length, out, next);
}

/** @param data its bytes from `dataAt`, `dataLength` of them */
export function writePublish(
  out: Buffer,
  at: number,
  flags: number,
  topicId: number,
  msgId: number,
  data: Buffer,
  dataAt: number,
  dataLength: number,
): number {
  let next = writeHeader(out, at, PUBLISH, 5 + dataLength);
  out[next] = flags;
  next = writeU16(out, next + 1, topicId);
  next = writeU16(out, next, msgId);
  return copyBytes(data, dataAt, dataLength, out, next);
}

export function writeAdvertise(out: Buffer, at: number, gatewayId: number, duration: number): number {
  const next = writeHeader(out, at, ADVERTISE, 3);
  out[next] = gatewayId;
  return writeU16(out, next + 1, duration);
}

export function writeSearchgw(out: Buffer, at: number, radius: number): number {
  const next = writeHeader(out, at, SEARCHGW, 1);
  out[next] = radius;
  return next + 1;
}

/** @param address empty when the gateway itself answers: its address is the datagram's */
export function writeGwinfo(out: Buffer, at: number, gatewayId: number, address: Buffer): number {
  const next = writeHeader(out, at, GWINFO, 1 + address.length);
  out[next] = gatewayId;
  return copyBytes(address, 0, address.length, out, next + 1);
}

export function writeConnect(out: Buffer, at: number, flags: number, duration: number, clientId: Buffer): number {
  let next = writeHeader(out, at, CONNECT, 4 + clientId.length);
  out[next] = flags;
  out[next + 1] = PROTOCOL_ID;
  next = writeU16(out, next + 2, duration);
  return copyBytes(clientId, 0, clientId.length, out, next);
}

/** @param duration seconds of sleep */
export function writeDisconnect(out: Buffer, at: number, duration: number): number {
  return writeU16(out, writeHeader(out, at, DISCONNECT, 2), duration);
}

/** SUBSCRIBE, UNSUBSCRIBE. @param topic a name, or the two bytes of an id */
export function writeFilter(
  out: Buffer,
  at: number,
  type: number,
  flags: number,
  msgId: number,
  topic: Buffer,
): number {
  let next = writeHeader(out, at, type, 3 + topic.length);
  out[next] = flags;
  next = writeU16(out, next + 1, msgId);
  return copyBytes(topic, 0, topic.length, out, next);
}

/** WILLTOPIC, WILLTOPICUPD with a topic. */
export function writeWillTopic(out: Buffer, at: number, type: number, flags: number, topic: Buffer): number {
  const next = writeHeader(out, at, type, 1 + topic.length);
  out[next] = flags;
  return copyBytes(topic, 0, topic.length, out, next + 1);
}

/** WILLMSG, WILLMSGUPD, and PINGREQ with a client id. */
export function writeBytes(out: Buffer, at: number, type: number, bytes: Buffer): number {
  return copyBytes(bytes, 0, bytes.length, out, writeHeader(out, at, type, bytes.length));
}

/** The head of an encapsulated message; what it wraps is to follow. */
export function writeEncapsulation(out: Buffer, at: number, radius: number, nodeId: Buffer): number {
  const next = writeHeader(out, at, ENCAPSULATED, 1 + nodeId.length);
  out[next] = radius;
  return copyBytes(nodeId, 0, nodeId.length, out, next + 1);
}

function writeU16(out: Buffer, at: number, value: number): number {
  out[at] = value >> 8;
  out[at + 1] = value & 0xff;
  return at + 2;
}
