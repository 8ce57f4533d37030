/** UNSUBACK: MQTT 3.1.1 section 3.11, MQTT 5.0 section 3.11. Before 5.0 it has no codes. */
import {
  MALFORMED_PACKET,
  MQTT_5,
  NO_SUBSCRIPTION_EXISTED,
  OK,
  PROTOCOL_ERROR,
  SUCCESS,
  UNSPECIFIED_ERROR,
  UNSUBACK,
} from "./codes.ts";
import { writeFrameHeader } from "./frame.ts";
import { readU16, varintBytes, writeU16 } from "./primitives.ts";
import {
  decodeProperties,
  PropertiesView,
  type PropertiesWriter,
  propertiesBlockBytes,
  readPropertiesLength,
  writePropertiesBlock,
} from "./properties.ts";

/** Decoded UNSUBACK. Reused for every packet. */
export class UnsubackView {
  packetId = 0;
  /** One byte per Topic Filter of the UNSUBSCRIBE, in its order; none before 5.0. */
  codesAt = 0;
  codesCount = 0;
  /** The block without its Property Length; 0 and 0 when there is none. */
  propertiesAt = 0;
  propertiesLength = 0;
  /** 0 when absent. */
  reasonStringAt = 0;
  reasonStringLength = 0;
}

const blockView = new PropertiesView();

/**
 * Decodes the UNSUBACK whose body is `frame[from..end)` into `view`. Any code of 0x80 and above passes as a refusal.
 * @returns OK, MALFORMED_PACKET or PROTOCOL_ERROR; on all but OK the content of `view` is undefined
 */
export function decodeUnsuback(
  frame: Uint8Array,
  from: number,
  end: number,
  version: number,
  view: UnsubackView,
): number {
  if (from + 2 > end) return MALFORMED_PACKET;
  view.packetId = readU16(frame, from);
  if (view.packetId === 0) return PROTOCOL_ERROR; // [MQTT311-2.3.1-1] [MQTT5-2.2.1-3]
  view.codesAt = from + 2;
  view.codesCount = 0;
  view.propertiesAt = 0;
  view.propertiesLength = 0;
  view.reasonStringAt = 0;
  view.reasonStringLength = 0;
  if (version !== MQTT_5) return from + 2 === end ? OK : MALFORMED_PACKET;
  const length = readPropertiesLength(frame, from + 2, end);
  if (length < 0) return MALFORMED_PACKET;
  const blockAt = from + 2 + varintBytes(length);
  view.propertiesAt = blockAt;
  view.propertiesLength = length;
  const code = decodeProperties(frame, blockAt, blockAt + length, UNSUBACK, blockView);
  if (code !== OK) return code;
  view.reasonStringAt = blockView.reasonStringAt;
  view.reasonStringLength = blockView.reasonStringLength;
  view.codesAt = blockAt + length;
  view.codesCount = end - view.codesAt;
  for (let i = view.codesAt; i < end; i++) {
    const reason = frame[i]!;
    if (reason !== SUCCESS && reason !== NO_SUBSCRIPTION_EXISTED && reason < UNSPECIFIED_ERROR) return PROTOCOL_ERROR;
  }
  return view.codesCount === 0 ? MALFORMED_PACKET : OK;
}

/** Remaining Length of an UNSUBACK; null = no properties. */
export function unsubackLength(version: number, count: number, properties: PropertiesWriter | null = null): number {
  return version === MQTT_5 ? 2 + propertiesBlockBytes(properties) + count : 2;
}

/**
 * Writes an UNSUBACK.
 * @param codes  the first `count` are reason codes; left out before 5.0
 * @param properties  null for none; left out before 5.0
 * @param out  has room for `frameBytes(unsubackLength(version, count, properties))` bytes at `at`
 * @returns the index after it
 */
export function writeUnsuback(
  out: Buffer,
  at: number,
  version: number,
  packetId: number,
  codes: Uint8Array,
  count: number,
  properties: PropertiesWriter | null = null,
): number {
  let next = writeFrameHeader(out, at, UNSUBACK << 4, unsubackLength(version, count, properties));
  next = writeU16(out, next, packetId);
  if (version !== MQTT_5) return next;
  next = writePropertiesBlock(out, next, properties);
  for (let i = 0; i < count; i++) out[next++] = codes[i]!;
  return next;
}
