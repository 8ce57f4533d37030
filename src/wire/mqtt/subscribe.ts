/** SUBSCRIBE: MQTT 3.1.1 section 3.8, MQTT 5.0 section 3.8. Decoded filter by filter. */
import { MALFORMED_PACKET, MQTT_3_1, MQTT_5, NEED_MORE, OK, PROTOCOL_ERROR, SUBSCRIBE } from "./codes.ts";
import { frameBytes, writeFrameHeader } from "./frame.ts";
import {
  isSharedFilter,
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

/** A SUBSCRIBE and the subscription in it that was read last. Reused for every packet. */
export class SubscribeView {
  packetId = 0;
  version = 0;
  /** 0 when absent; of every subscription of the packet. */
  subscriptionIdentifier = 0;
  /** The block without its Property Length; 0 and 0 when there is none. */
  propertiesAt = 0;
  propertiesLength = 0;
  filterAt = 0;
  filterLength = 0;
  /** The filter begins with `$share/`. */
  shared = false;
  qos = 0;
  noLocal = false;
  retainAsPublished = false;
  /** 0 send retained messages, 1 only for a new subscription, 2 do not. */
  retainHandling = 0;
  /** Index of the next subscription, and after the last. */
  cursor = 0;
  end = 0;
}

const properties = new PropertiesView();

/**
 * Decodes what stands before the first Topic Filter; then `nextSubscription` gives one after the other.
 * @returns OK, MALFORMED_PACKET or PROTOCOL_ERROR; on all but OK the content of `view` is undefined
 */
export function decodeSubscribeHead(
  frame: Uint8Array,
  from: number,
  end: number,
  version: number,
  view: SubscribeView,
): number {
  if (from + 2 > end) return MALFORMED_PACKET;
  view.packetId = readU16(frame, from);
  if (view.packetId === 0) return PROTOCOL_ERROR; // [MQTT311-2.3.1-1] [MQTT5-2.2.1-3]
  view.version = version;
  view.subscriptionIdentifier = 0;
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
      const code = decodeProperties(frame, at, at + length, SUBSCRIBE, properties);
      if (code !== OK) return code;
      view.subscriptionIdentifier = properties.subscriptionIdentifier;
    }
    at += length;
  }
  view.cursor = at;
  view.end = end;
  return at === end ? PROTOCOL_ERROR : OK; // [MQTT311-3.8.3-3] [MQTT5-3.8.3-2]
}

/**
 * Reads the next subscription into `view`.
 * @returns OK; NEED_MORE after the last one; TOPIC_FILTER_INVALID when the filter breaks the rules of section 4.7 or
 *   4.8.2 (the view is filled and the next call goes on: refuse this one, or close); MALFORMED_PACKET, PROTOCOL_ERROR
 */
export function nextSubscription(frame: Uint8Array, view: SubscribeView): number {
  const { cursor, end } = view;
  if (cursor === end) return NEED_MORE;
  if (cursor + 2 > end) return MALFORMED_PACKET;
  const filterAt = cursor + 2;
  const filterEnd = filterAt + readU16(frame, cursor);
  if (filterEnd + 1 > end) return MALFORMED_PACKET;
  view.filterAt = filterAt;
  view.filterLength = filterEnd - filterAt;
  view.shared = isSharedFilter(frame, filterAt, filterEnd);
  view.cursor = filterEnd + 1;
  const code = decodeOptions(frame[filterEnd]!, view);
  return code === OK ? topicFilterProblem(frame, filterAt, filterEnd) : code;
}

/** The byte behind the filter: Requested QoS, in 5.0 the Subscription Options of section 3.8.3.1. */
function decodeOptions(options: number, view: SubscribeView): number {
  view.qos = options & 3;
  view.noLocal = false;
  view.retainAsPublished = false;
  view.retainHandling = 0;
  if (view.version === MQTT_5) {
    view.noLocal = (options & 4) !== 0;
    view.retainAsPublished = (options & 8) !== 0;
    view.retainHandling = (options >> 4) & 3;
    if (options > 0x3f) return MALFORMED_PACKET; // [MQTT5-3.8.3-5]
    if (view.qos === 3 || view.retainHandling === 3) return PROTOCOL_ERROR; // section 3.8.3.1
    return view.noLocal && view.shared ? PROTOCOL_ERROR : OK; // [MQTT5-3.8.3-4]
  }
  if (view.qos === 3) return MALFORMED_PACKET; // [MQTT311-3.8.3-4]
  return options > 3 && view.version !== MQTT_3_1 ? MALFORMED_PACKET : OK; // [MQTT311-3.8.3-4]; 3.1 leaves them unused
}

export type SubscriptionRequest = {
  filter: string | Uint8Array;
  qos: number;
  /** The last three are of 5.0 and left out before it. */
  noLocal: boolean;
  retainAsPublished: boolean;
  retainHandling: number;
};

/**
 * Writes a SUBSCRIBE.
 * @param subscriptions  at least one
 * @param block  null for none; left out before 5.0
 * @returns the index after it, or -1 when it does not fit in `out` from `at` or a filter is longer than 65,535 bytes
 */
export function encodeSubscribe(
  out: Buffer,
  at: number,
  version: number,
  packetId: number,
  subscriptions: readonly SubscriptionRequest[],
  block: PropertiesWriter | null,
): number {
  let remaining = version === MQTT_5 ? 2 + propertiesBlockBytes(block) : 2;
  for (const { filter } of subscriptions) {
    const bytes = textBytes(filter);
    if (bytes > STRING_BYTES_MAX) return -1;
    remaining += 3 + bytes;
  }
  if (remaining > VARINT_MAX || at + frameBytes(remaining) > out.length) return -1;
  let next = writeFrameHeader(out, at, (SUBSCRIBE << 4) | 2, remaining);
  next = writeU16(out, next, packetId);
  if (version === MQTT_5) next = writePropertiesBlock(out, next, block);
  for (const subscription of subscriptions) {
    next = writeText(out, next, subscription.filter);
    out[next++] = version === MQTT_5 ? subscriptionOptions(subscription) : subscription.qos;
  }
  return next;
}

function subscriptionOptions(subscription: SubscriptionRequest): number {
  return (
    subscription.qos |
    (subscription.noLocal ? 4 : 0) |
    (subscription.retainAsPublished ? 8 : 0) |
    (subscription.retainHandling << 4)
  );
}
