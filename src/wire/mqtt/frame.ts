/**
 * The Fixed Header: MQTT 3.1.1 section 2.2, MQTT 5.0 section 2.1.
 *
 *     from                bodyAt                         end
 *     |type|flags| 1-4 bytes |  Remaining Length bytes   |
 */
import {
  AUTH,
  CONNECT,
  MALFORMED_PACKET,
  MQTT_3_1,
  MQTT_5,
  NEED_MORE,
  OK,
  PUBLISH,
  PUBREL,
  SUBSCRIBE,
  UNSUBSCRIBE,
} from "./codes.ts";
import { varintBytes, writeVarint } from "./primitives.ts";

/** Longest Fixed Header: one byte of type and flags, four of Remaining Length. */
export const FRAME_HEADER_BYTES_MAX = 5;

/** A Fixed Header; `end` may lie beyond the chunk. Reused for every packet. */
export class FrameHeader {
  type = 0;
  flags = 0;
  /** Index of the first byte after the Fixed Header. */
  bodyAt = 0;
  /** Index after the last byte of the packet: bodyAt + Remaining Length. */
  end = 0;
}

/**
 * Reads the Fixed Header at `from`. It knows no version and so no rule but that of the four bytes; a Remaining Length
 * in a longer form than necessary is accepted, as clients send it that reserve the bytes beforehand.
 * @param end  index after the last byte that has arrived
 * @returns OK, NEED_MORE when the header is not complete (content of `header` undefined), or MALFORMED_PACKET when
 *   Remaining Length has more than four bytes
 */
export function readFrameHeader(chunk: Uint8Array, from: number, end: number, header: FrameHeader): number {
  if (end - from < 2) return NEED_MORE;
  const first = chunk[from]!;
  header.type = first >> 4;
  header.flags = first & 0x0f;
  let byte = chunk[from + 1]!;
  let length = byte & 0x7f;
  let at = from + 2;
  let shift = 7;
  while (byte > 0x7f) {
    if (shift > 21) return MALFORMED_PACKET;
    if (at >= end) return NEED_MORE;
    byte = chunk[at++]!;
    length |= (byte & 0x7f) << shift;
    shift += 7;
  }
  header.bodyAt = at;
  header.end = at + length;
  return OK;
}

/**
 * Whether the type exists in this version and its flags are the ones the specification fixes [MQTT311-2.2.2-2],
 * [MQTT5-2.1.3-1]. MQTT 3.1 gives the bits of other packets than PUBLISH no meaning, and its clients set DUP in them.
 * @param version  3, 4 or 5; for CONNECT the one it names: ask after decoding it
 */
export function areFlagsValid(version: number, type: number, flags: number): boolean {
  if (type < CONNECT || (type === AUTH && version !== MQTT_5)) return false;
  if (type === PUBLISH || version === MQTT_3_1) return true;
  return flags === (type === PUBREL || type === SUBSCRIBE || type === UNSUBSCRIBE ? 2 : 0);
}

/** Bytes of the Remaining Length field for a body of `remainingLength` bytes, 1 to 4. */
export function remainingLengthBytes(remainingLength: number): number {
  return varintBytes(remainingLength);
}

/** Bytes of the whole packet on the wire whose body has `remainingLength` bytes. */
export function frameBytes(remainingLength: number): number {
  return 1 + varintBytes(remainingLength) + remainingLength;
}

/**
 * Writes a Fixed Header.
 * @param firstByte  type << 4 | flags
 * @param remainingLength  at most VARINT_MAX
 * @returns the index after it
 */
export function writeFrameHeader(out: Uint8Array, at: number, firstByte: number, remainingLength: number): number {
  out[at] = firstByte;
  if (remainingLength < 128) {
    out[at + 1] = remainingLength;
    return at + 2;
  }
  return writeVarint(out, at + 1, remainingLength);
}
