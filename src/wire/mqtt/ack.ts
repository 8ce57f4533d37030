/** PUBACK, PUBREC, PUBREL and PUBCOMP: MQTT 3.1.1 and MQTT 5.0 sections 3.4 to 3.7. One form for the four. */
import {
  IMPLEMENTATION_SPECIFIC_ERROR,
  MALFORMED_PACKET,
  MQTT_5,
  NO_MATCHING_SUBSCRIBERS,
  NOT_AUTHORIZED,
  OK,
  PACKET_IDENTIFIER_IN_USE,
  PACKET_IDENTIFIER_NOT_FOUND,
  PAYLOAD_FORMAT_INVALID,
  PROTOCOL_ERROR,
  PUBACK,
  PUBREC,
  PUBREL,
  QUOTA_EXCEEDED,
  SUCCESS,
  TOPIC_NAME_INVALID,
  UNSPECIFIED_ERROR,
} from "./codes.ts";
import { areFlagsValid, frameBytes, writeFrameHeader } from "./frame.ts";
import { readU16, varintBytes, writeU16 } from "./primitives.ts";
import {
  decodeProperties,
  PropertiesView,
  type PropertiesWriter,
  propertiesBlockBytes,
  readPropertiesLength,
  writePropertiesBlock,
} from "./properties.ts";

/** The most that `writeAck` writes. */
export const ACK_BYTES_MAX = 5;

/** Decoded acknowledgement. Reused for every packet. */
export class AckView {
  packetId = 0;
  reasonCode = 0;
  /** The block without its Property Length; 0 and 0 when there is none. */
  propertiesAt = 0;
  propertiesLength = 0;
  /** 0 when absent. */
  reasonStringAt = 0;
  reasonStringLength = 0;
}

const blockView = new PropertiesView();

/**
 * Decodes the acknowledgement whose body is `frame[from..end)` into `view`.
 * @param type  PUBACK, PUBREC, PUBREL or PUBCOMP
 * @param flags  of the Fixed Header
 * @returns OK, MALFORMED_PACKET or PROTOCOL_ERROR; on all but OK the content of `view` is undefined
 */
export function decodeAck(
  frame: Uint8Array,
  type: number,
  flags: number,
  from: number,
  end: number,
  version: number,
  view: AckView,
): number {
  if (!areFlagsValid(version, type, flags)) return MALFORMED_PACKET; // [MQTT311-3.6.1-1] [MQTT5-3.6.1-1]
  const length = end - from;
  if (length < 2 || (version !== MQTT_5 && length > 2)) return MALFORMED_PACKET;
  view.packetId = readU16(frame, from);
  view.reasonCode = SUCCESS;
  view.propertiesAt = 0;
  view.propertiesLength = 0;
  view.reasonStringAt = 0;
  view.reasonStringLength = 0;
  if (view.packetId === 0) return PROTOCOL_ERROR; // [MQTT311-2.3.1-1] [MQTT5-2.2.1-3]
  if (length === 2) return OK;
  view.reasonCode = frame[from + 2]!;
  if (!isReasonAllowed(type, view.reasonCode)) return PROTOCOL_ERROR; // [MQTT5-3.4.2-1] and its three sisters
  return length === 3 ? OK : decodeAckProperties(frame, type, from + 3, end, view);
}

function decodeAckProperties(frame: Uint8Array, type: number, at: number, end: number, view: AckView): number {
  const length = readPropertiesLength(frame, at, end);
  if (length < 0) return MALFORMED_PACKET;
  const blockAt = at + varintBytes(length);
  if (blockAt + length !== end) return MALFORMED_PACKET;
  view.propertiesAt = blockAt;
  view.propertiesLength = length;
  if (length === 0) return OK;
  const code = decodeProperties(frame, blockAt, end, type, blockView);
  view.reasonStringAt = blockView.reasonStringAt;
  view.reasonStringLength = blockView.reasonStringLength;
  return code;
}

function isReasonAllowed(type: number, code: number): boolean {
  if (code === SUCCESS) return true;
  if (type !== PUBACK && type !== PUBREC) return code === PACKET_IDENTIFIER_NOT_FOUND;
  return (
    code === NO_MATCHING_SUBSCRIBERS ||
    code === UNSPECIFIED_ERROR ||
    code === IMPLEMENTATION_SPECIFIC_ERROR ||
    code === NOT_AUTHORIZED ||
    code === TOPIC_NAME_INVALID ||
    code === PACKET_IDENTIFIER_IN_USE ||
    code === QUOTA_EXCEEDED ||
    code === PAYLOAD_FORMAT_INVALID
  );
}

/**
 * Writes an acknowledgement: 4 bytes, or 5 when it has a reason other than success, which needs 5.0.
 * @param out  has room for ACK_BYTES_MAX bytes at `at`
 * @returns the index after it
 */
export function writeAck(
  out: Uint8Array,
  at: number,
  version: number,
  type: number,
  packetId: number,
  reasonCode: number,
): number {
  const withReason = version === MQTT_5 && reasonCode !== SUCCESS;
  out[at] = (type << 4) | (type === PUBREL ? 2 : 0);
  out[at + 1] = withReason ? 3 : 2;
  const next = writeU16(out, at + 2, packetId);
  if (!withReason) return next;
  out[next] = reasonCode;
  return next + 1;
}

/** Bytes of an acknowledgement of 5.0 with these properties. */
export function ackBytes(properties: PropertiesWriter): number {
  return frameBytes(3 + propertiesBlockBytes(properties));
}

/**
 * Writes an acknowledgement of 5.0 with properties.
 * @param out  has room for ackBytes(properties) bytes at `at`
 * @returns the index after it
 */
export function writeAckWithProperties(
  out: Buffer,
  at: number,
  type: number,
  packetId: number,
  reasonCode: number,
  properties: PropertiesWriter,
): number {
  const firstByte = (type << 4) | (type === PUBREL ? 2 : 0);
  let next = writeFrameHeader(out, at, firstByte, 3 + propertiesBlockBytes(properties));
  next = writeU16(out, next, packetId);
  out[next] = reasonCode;
  return writePropertiesBlock(out, next + 1, properties);
}
