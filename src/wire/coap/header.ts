/**
 * The four bytes that every CoAP message begins with, and whether what follows them has the form of a message. The
 * message layer needs no more to tell duplicates, acknowledgements and garbage apart, so none of them is decoded.
 *
 *      0                   1                   2                   3
 *     |Ver| T |  TKL  |      Code     |          Message ID           |   4 bytes
 *     |   Token (TKL bytes) | Options ... |1 1 1 1 1 1 1 1| Payload ... |
 *
 * @see RFC 7252 section 3
 */
import { COAP_VERSION, EMPTY } from "./codes.ts";

export const HEADER_BYTES = 4;
export const TOKEN_BYTES_MAX = 8;
const PAYLOAD_MARKER = 0xff;

/** What `readHeader` answers. */
export const OK = 0;
/** Less than four bytes, or another version: nobody to answer, silently ignored. */
export const NOT_COAP = 1;
/** The header can be read and the rest can not: a message format error (RFC 7252 section 4.2 says who gets an RST). */
export const FORMAT_ERROR = 2;

/** The fixed header. Reused for every datagram. */
export class CoapHeader {
  /** CON, NON, ACK or RST. */
  type = 0;
  code = 0;
  messageId = 0;
  /** Bytes of the token, which begins at HEADER_BYTES. */
  tokenLength = 0;
}

/**
 * Reads the header of `datagram` into `header` and walks the rest: token length, each option's delta and length, the
 * payload marker. It keeps the codec behind it from what it would throw on or take for something else: tokens longer
 * than 8 bytes, options that end after the datagram, a payload marker without payload.
 * @returns OK, NOT_COAP (content of `header` undefined) or FORMAT_ERROR (type, code and messageId are valid)
 */
export function readHeader(datagram: Uint8Array, header: CoapHeader): number {
  if (datagram.length < HEADER_BYTES) return NOT_COAP;
  const first = datagram[0]!;
  if (first >> 6 !== COAP_VERSION) return NOT_COAP;
  header.type = (first >> 4) & 0b11;
  header.code = datagram[1]!;
  header.messageId = (datagram[2]! << 8) | datagram[3]!;
  header.tokenLength = first & 0x0f;
  if (header.code === EMPTY) return datagram.length === HEADER_BYTES && header.tokenLength === 0 ? OK : FORMAT_ERROR;
  if (header.tokenLength > TOKEN_BYTES_MAX) return FORMAT_ERROR;
  const optionsAt = HEADER_BYTES + header.tokenLength;
  return optionsAt <= datagram.length && areOptionsWellFormed(datagram, optionsAt) ? OK : FORMAT_ERROR;
}

/** RFC 7252 section 3.1. */
function areOptionsWellFormed(datagram: Uint8Array, from: number): boolean {
  const end = datagram.length;
  let at = from;
  let number = 0;
  while (at < end) {
    const byte = datagram[at++]!;
    if (byte === PAYLOAD_MARKER) return at < end;
    let delta = byte >> 4;
    let length = byte & 0x0f;
    if (delta === 15 || length === 15) return false;
    if (delta === 13) {
      if (at >= end) return false;
      delta = 13 + datagram[at++]!;
    } else if (delta === 14) {
      if (at + 1 >= end) return false;
      delta = 269 + ((datagram[at]! << 8) | datagram[at + 1]!);
      at += 2;
    }
    if (length === 13) {
      if (at >= end) return false;
      length = 13 + datagram[at++]!;
    } else if (length === 14) {
      if (at + 1 >= end) return false;
      length = 269 + ((datagram[at]! << 8) | datagram[at + 1]!);
      at += 2;
    }
    number += delta;
    at += length;
    if (number > 65_535 || at > end) return false;
  }
  return true;
}

/** Writes an Empty message of `type`: the acknowledgement or reset of `messageId`. `out` has at least HEADER_BYTES. */
export function writeEmpty(out: Uint8Array, type: number, messageId: number): void {
  out[0] = (COAP_VERSION << 6) | (type << 4);
  out[1] = EMPTY;
  out[2] = messageId >> 8;
  out[3] = messageId;
}
