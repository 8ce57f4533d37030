/** Sums over a range of bytes. Tables are computed once, a byte costs one look-up. */

/** Of a sum whose bits enter at the top (`reflected` false) or at the bottom. */
function tableOf(bits: 8 | 16 | 32, polynomial: number, reflected: boolean): Int32Array {
  const table = new Int32Array(256);
  const top = bits - 1;
  for (let byte = 0; byte < 256; byte++) {
    let sum = reflected ? byte : byte << (bits - 8);
    for (let bit = 0; bit < 8; bit++) {
      const out = reflected ? sum & 1 : (sum >>> top) & 1;
      sum = reflected ? sum >>> 1 : sum << 1;
      if (out === 1) sum ^= polynomial;
    }
    table[byte] = bits === 32 ? sum : sum & ((1 << bits) - 1);
  }
  return table;
}

const CRC8 = tableOf(8, 0x07, false);
const CRC16_MODBUS = tableOf(16, 0xa001, true);
const CRC16_X25 = tableOf(16, 0x8408, true);
const CRC16_CCITT = tableOf(16, 0x1021, false);
const CRC32 = tableOf(32, 0xedb88320, true);

/** All bytes added, modulo 256. */
export function sum8(bytes: Uint8Array, from: number, end: number): number {
  return sum16(bytes, from, end) & 0xff;
}

/** All bytes added, modulo 65,536. */
export function sum16(bytes: Uint8Array, from: number, end: number): number {
  let sum = 0;
  for (let i = from; i < end; i++) sum += bytes[i] as number;
  return sum & 0xffff;
}

/** All bytes exclusively or-ed. */
export function xor8(bytes: Uint8Array, from: number, end: number): number {
  let sum = 0;
  for (let i = from; i < end; i++) sum ^= bytes[i] as number;
  return sum;
}

/** x^8 + x^2 + x + 1, from 0: CRC-8/SMBUS. */
export function crc8(bytes: Uint8Array, from: number, end: number): number {
  let sum = 0;
  for (let i = from; i < end; i++) sum = CRC8[sum ^ (bytes[i] as number)] as number;
  return sum;
}

/** What makes the sum of all bytes 0, modulo 256. @see MODBUS over Serial Line 1.02, section 6.2.1 */
export function lrc8(bytes: Uint8Array, from: number, end: number): number {
  return -sum8(bytes, from, end) & 0xff;
}

/** From 0xffff; from 0 it is CRC-16/ARC, of DSMR's P1. @see MODBUS over Serial Line 1.02, section 6.2.2 */
export function crc16Modbus(bytes: Uint8Array, from: number, end: number, init = 0xffff): number {
  let sum = init;
  for (let i = from; i < end; i++) {
    sum = (sum >>> 8) ^ (CRC16_MODBUS[(sum ^ (bytes[i] as number)) & 0xff] as number);
  }
  return sum;
}

/**
 * The FCS of HDLC and PPP: x^16 + x^12 + x^5 + 1, low bit first, inverted. @see RFC 1662, appendix C.2
 * @param before the sum of what comes before
 */
export function crc16X25(bytes: Uint8Array, from: number, end: number, before = 0): number {
  let sum = ~before & 0xffff;
  for (let i = from; i < end; i++) sum = (sum >>> 8) ^ (CRC16_X25[(sum ^ (bytes[i] as number)) & 0xff] as number);
  return ~sum & 0xffff;
}

/** x^16 + x^12 + x^5 + 1, high bit first, from `init`: 0xffff is CRC-16/IBM-3740 ("CCITT-FALSE"), 0 is XMODEM's. */
export function crc16Ccitt(bytes: Uint8Array, from: number, end: number, init = 0xffff): number {
  let sum = init;
  for (let i = from; i < end; i++) {
    sum = ((sum << 8) & 0xffff) ^ (CRC16_CCITT[(sum >>> 8) ^ (bytes[i] as number)] as number);
  }
  return sum;
}

/** Of IEEE 802.3, zlib and PNG. */
export function crc32(bytes: Uint8Array, from: number, end: number): number {
  let sum = -1;
  for (let i = from; i < end; i++) sum = (sum >>> 8) ^ (CRC32[(sum ^ (bytes[i] as number)) & 0xff] as number);
  return ~sum >>> 0;
}
