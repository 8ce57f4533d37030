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
export const DIAGNOSTIC = 0x0a;
export const COAP = 0xa9;

/** How CoAP is framed. */
export type CoapFraming = "slipmux" | "slip";

/** Around a CoAP message, before escapes, at most. */
export const COAP_FRAME_OVERHEAD = 3;

const END = 0xc0;
const ESC = 0xdb;
const ESC_END = 0xdc;
const ESC_ESC = 0xdd;

const FCS_INIT = 0xffff;
/** RFC 1662 C.2: what remains over a message and its FCS. */
const FCS_GOOD = 0xf0b8;
const FCS_TABLE = fcsTable();

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
  return end - from >= COAP_FRAME_OVERHEAD && fcs16(bytes, from, end, FCS_INIT) === FCS_GOOD;
}

/** Most bytes that `encodeCoap` writes for a message of so many. */
export function coapFrameBytesMax(messageBytes: number): number {
  return 2 + 2 * (messageBytes + COAP_FRAME_OVERHEAD);
}

/**
 * Writes the frame of the CoAP message `message[from..end)` to `out` at `at`, where `coapFrameBytesMax` bytes are free.
 * It begins with an END of its own, so that noise before it is a frame by itself (RFC 1055).
 * @returns index behind it
 */
export function encodeCoap(
  framing: CoapFraming,
  message: Buffer,
  from: number,
  end: number,
  out: Buffer,
  at: number,
): number {
  out[at++] = END;
  if (framing === "slipmux") out[at++] = COAP;
  for (let i = from; i < end; i++) at = put(message[i] as number, out, at);
  if (framing === "slipmux") {
    const fcs = ~fcs16(message, from, end, FCS_OF_COAP);
    at = put(fcs & 0xff, out, at);
    at = put((fcs >> 8) & 0xff, out, at);
  }
  out[at++] = END;
  return at;
}

const FCS_OF_COAP = fcs16(Buffer.from([COAP]), 0, 1, FCS_INIT);

function put(byte: number, out: Buffer, at: number): number {
  if (byte === END || byte === ESC) {
    out[at++] = ESC;
    out[at++] = byte === END ? ESC_END : ESC_ESC;
  } else {
    out[at++] = byte;
  }
  return at;
}

/** RFC 1662 C.2. */
function fcs16(bytes: Buffer, from: number, end: number, fcs: number): number {
  for (let i = from; i < end; i++) fcs = (fcs >> 8) ^ (FCS_TABLE[(fcs ^ (bytes[i] as number)) & 0xff] as number);
  return fcs;
}

function fcsTable(): Uint16Array {
  const table = new Uint16Array(256);
  for (let i = 0; i < 256; i++) {
    let value = i;
    for (let bit = 0; bit < 8; bit++) value = (value & 1) === 0 ? value >> 1 : (value >> 1) ^ 0x8408;
    table[i] = value;
  }
  return table;
}
