/**
 * Slipmux (draft-bormann-t2trg-slipmux-04): what a SLIP frame holds is told by its first byte, so that one UART carries
 * text for people, CoAP and IP packets. CoAP has a check behind it, the FCS of RFC 1662 over all that is before it.
 *
 *     C0 | 0A | UTF-8 text              | C0     diagnostics (section 4), from the device only
 *     C0 | A9 | CoAP message | FCS16    | C0     configuration (section 5), low byte first
 *     C0 | 45-4F or 60-6F ...           | C0     an IPv4 or IPv6 packet (section 3)
 *     C0 | ... DB                       | C0     taken back by its sender (section 6)
 *
 * Bare SLIP has CoAP without the byte and the check; its version, 01 in the first two bits, then tells it from text.
 */
import { crc16X25 } from "./crc.ts";
import { SLIP_END, writeSlipContent } from "./slip.ts";

export const DIAGNOSTIC = 0x0a;
export const COAP = 0xa9;

/** Around a CoAP message, before escapes, at most. */
export const COAP_FRAME_OVERHEAD = 3;

const FCS_BYTES = 2;
const FCS_OF_COAP = crc16X25(Buffer.from([COAP]), 0, 1);
/** Of the message that is being written. */
const FCS = Buffer.alloc(FCS_BYTES);

/** Whether a frame that begins with it is an IP packet: version 4 with its header's length, or version 6. */
export function isPacket(first: number): boolean {
  return (first >= 0x45 && first <= 0x4f) || (first >= 0x60 && first <= 0x6f);
}

/** Whether a frame that begins with it is a CoAP message of version 1 (RFC 7252 section 3), without slipmux. */
export function isBareCoap(first: number): boolean {
  return first >> 6 === 1;
}

/** Whether `bytes[from..end)`, the first byte 0xA9 and the FCS included, arrived whole. */
export function isWhole(bytes: Buffer, from: number, end: number): boolean {
  const at = end - FCS_BYTES;
  return at > from && crc16X25(bytes, from, at) === bytes.readUInt16LE(at);
}

/**
 * Writes the frame of the CoAP message `message[from..end)` to `out` at `at`, where there is room for it.
 * @returns the index after it
 */
export function writeCoap(message: Buffer, from: number, end: number, out: Buffer, at: number): number {
  FCS.writeUInt16LE(crc16X25(message, from, end, FCS_OF_COAP));
  out[at] = SLIP_END;
  out[at + 1] = COAP;
  let next = writeSlipContent(message, from, end, out, at + 2);
  next = writeSlipContent(FCS, 0, FCS.length, out, next);
  out[next] = SLIP_END;
  return next + 1;
}
