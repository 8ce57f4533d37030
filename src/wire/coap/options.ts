/**
 * Values of options: unsigned integers without leading zeros (RFC 7252 section 3.2) and the Block options' triple
 * (RFC 7959 section 2.2).
 */

/** An option to be encoded; the value is the option's, not copied. */
export interface CoapOption {
  readonly name: number;
  readonly value: Buffer;
}

/** The integer in `value`; leading zeros are tolerated, as RFC 7252 section 3.2 asks. */
export function readUint(value: Uint8Array): number {
  let number = 0;
  for (let i = 0; i < value.length; i++) number = number * 256 + value[i]!;
  return number;
}

/** The shortest form: 0 has no bytes. @param number  0 to 2^32 - 1 */
export function uintOption(name: number, number: number): CoapOption {
  const length = number === 0 ? 0 : number < 0x100 ? 1 : number < 0x1_0000 ? 2 : number < 0x100_0000 ? 3 : 4;
  const value = Buffer.allocUnsafe(length);
  if (length > 0) value.writeUIntBE(number, 0, length);
  return { name, value };
}

/** Largest NUM: 20 bits. */
export const BLOCK_NUM_MAX = 0xf_ffff;
/** SZX of 1024 bytes, the largest; 7 is reserved. */
export const BLOCK_SZX_MAX = 6;

export function blockBytes(szx: number): number {
  return 16 << szx;
}

export function blockOption(name: number, num: number, more: boolean, szx: number): CoapOption {
  return uintOption(name, num * 16 + (more ? 8 : 0) + szx);
}
