/** SUBACK: MQTT 3.1.1 section 3.9, MQTT 5.0 section 3.9. */
import { GRANTED_QOS_2, MALFORMED_PACKET, MQTT_5, OK, PROTOCOL_ERROR, SUBACK, UNSPECIFIED_ERROR } from "./codes.ts";
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

/** Decoded SUBACK. Reused for every packet. */
export class SubackView {
  packetId = 0;
  /** One byte per Topic Filter of the SUBSCRIBE, in its order; 0x80 and above are refusals. */
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
 * Decodes the SUBACK whose body is `frame[from..end)` into `view`. Any code of 0x80 and above passes as a refusal.
 * @returns OK, MALFORMED_PACKET or PROTOCOL_ERROR; on all but OK the content of `view` is undefined
 */
export function decodeSuback(frame: Uint8Array, from: number, end: number, version: number, view: SubackView): number {
  if (from + 2 > end) return MALFORMED_PACKET;
  view.packetId = readU16(frame, from);
  if (view.packetId === 0) return PROTOCOL_ERROR; // [MQTT311-2.3.1-1] [MQTT5-2.2.1-3]
  view.propertiesAt = 0;
  view.propertiesLength = 0;
  view.reasonStringAt = 0;
  view.reasonStringLength = 0;
  let at = from + 2;
  if (version === MQTT_5) {
    const length = readPropertiesLength(frame, at, end);
    if (length < 0) return MALFORMED_PACKET;
    at += varintBytes(length);
    view.propertiesAt = at;
    view.propertiesLength = length;
    const code = decodeProperties(frame, at, at + length, SUBACK, blockView);
    if (code !== OK) return code;
    view.reasonStringAt = blockView.reasonStringAt;
    view.reasonStringLength = blockView.reasonStringLength;
    at += length;
  }
  view.codesAt = at;
  view.codesCount = end - at;
  for (let i = at; i < end; i++) {
    const code = frame[i]!;
    if (code > GRANTED_QOS_2 && code < UNSPECIFIED_ERROR) return PROTOCOL_ERROR; // [MQTT311-3.9.3-2] [MQTT5-3.9.3-2]
  }
  return at === end ? MALFORMED_PACKET : OK;
}

/** Remaining Length of a SUBACK; null = no properties. */
export function subackLength(version: number, count: number, properties: PropertiesWriter | null = null): number {
  return version === MQTT_5 ? 2 + propertiesBlockBytes(properties) + count : 2 + count;
}

/**
 * Writes a SUBACK.
 * @param codes  the first `count` are MQTT 5 reason codes; before 5.0 every refusal becomes 0x80
 * @param properties  null for none; left out before 5.0
 * @param out  has room for `frameBytes(subackLength(version, count, properties))` bytes at `at`
 * @returns the index after it
 */
export function writeSuback(
  out: Buffer,
  at: number,
  version: number,
  packetId: number,
  codes: Uint8Array,
  count: number,
  properties: PropertiesWriter | null = null,
): number {
  let next = writeFrameHeader(out, at, SUBACK << 4, subackLength(version, count, properties));
  next = writeU16(out, next, packetId);
  if (version === MQTT_5) next = writePropertiesBlock(out, next, properties);
  for (let i = 0; i < count; i++) {
    const code = codes[i]!;
    out[next++] = version !== MQTT_5 && code > UNSPECIFIED_ERROR ? UNSPECIFIED_ERROR : code;
  }
  return next;
}
