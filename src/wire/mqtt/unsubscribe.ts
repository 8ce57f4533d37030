/** UNSUBSCRIBE: MQTT 3.1.1 section 3.10, MQTT 5.0 section 3.10. Decoded filter by filter. */
import { MALFORMED_PACKET, MQTT_5, NEED_MORE, OK, PROTOCOL_ERROR, UNSUBSCRIBE } from "./codes.ts";
import { frameBytes, writeFrameHeader } from "./frame.ts";
import {
  readU16,
  STRING_BYTES_MAX,
  textBytes,
  topicFilterProblem,
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

/** An UNSUBSCRIBE and the Topic Filter in it that was read last. Reused for every packet. */
export class UnsubscribeView {
  packetId = 0;
  /** The block without its Property Length; 0 and 0 when there is none. */
  propertiesAt = 0;
  propertiesLength = 0;
  filterAt = 0;
  filterLength = 0;
  /** Index of the next filter, and after the last. */
  cursor = 0;
  end = 0;
}

const properties = new PropertiesView();

/**
 * Decodes what stands before the first Topic Filter; then `nextUnsubscription` gives one after the other.
 * @returns OK, MALFORMED_PACKET or PROTOCOL_ERROR; on all but OK the content of `view` is undefined
 */
export function decodeUnsubscribeHead(
  frame: Uint8Array,
  from: number,
  end: number,
  version: number,
  view: UnsubscribeView,
): number {
  if (from + 2 > end) return MALFORMED_PACKET;
  view.packetId = readU16(frame, from);
  if (view.packetId === 0) return PROTOCOL_ERROR; // [MQTT311-2.3.1-1] [MQTT5-2.2.1-3]
  view.propertiesAt = 0;
  view.propertiesLength = 0;
  let at = from + 2;
  if (version === MQTT_5) {
    const length = readPropertiesLength(frame, at, end);
    if (length < 0) return MALFORMED_PACKET;
    at += varintBytes(length);
    view.propertiesAt = at;
    view.propertiesLength = length;
    if (length > 0) {
      const code = decodeProperties(frame, at, at + length, UNSUBSCRIBE, properties);
      if (code !== OK) return code;
    }
    at += length;
  }
  view.cursor = at;
  view.end = end;
  return at === end ? PROTOCOL_ERROR : OK; // [MQTT311-3.10.3-2] [MQTT5-3.10.3-2]
}

/**
 * Reads the next Topic Filter into `view`.
 * @returns OK; NEED_MORE after the last one; TOPIC_FILTER_INVALID when it breaks the rules of section 4.7 or 4.8.2
 *   (the view is filled and the next call goes on); MALFORMED_PACKET
 */
export function nextUnsubscription(frame: Uint8Array, view: UnsubscribeView): number {
  const { cursor, end } = view;
  if (cursor === end) return NEED_MORE;
  if (cursor + 2 > end) return MALFORMED_PACKET;
  const filterAt = cursor + 2;
  const filterEnd = filterAt + readU16(frame, cursor);
  if (filterEnd > end) return MALFORMED_PACKET;
  view.filterAt = filterAt;
  view.filterLength = filterEnd - filterAt;
  view.cursor = filterEnd;
  return topicFilterProblem(frame, filterAt, filterEnd);
}

/**
 * Writes an UNSUBSCRIBE.
 * @param filters  at least one
 * @param block  null for none; left out before 5.0
 * @returns the index after it, or -1 when it does not fit in `out` from `at` or a filter is longer than 65,535 bytes
 */
export function encodeUnsubscribe(
  out: Buffer,
  at: number,
  version: number,
  packetId: number,
  filters: readonly (string | Uint8Array)[],
  block: PropertiesWriter | null,
): number {
  let remaining = version === MQTT_5 ? 2 + propertiesBlockBytes(block) : 2;
  for (const filter of filters) {
    const bytes = textBytes(filter);
    if (bytes > STRING_BYTES_MAX) return -1;
    remaining += 2 + bytes;
  }
  if (remaining > VARINT_MAX || at + frameBytes(remaining) > out.length) return -1;
  let next = writeFrameHeader(out, at, (UNSUBSCRIBE << 4) | 2, remaining);
  next = writeU16(out, next, packetId);
  if (version === MQTT_5) next = writePropertiesBlock(out, next, block);
  for (const filter of filters) next = writeText(out, next, filter);
  return next;
}
