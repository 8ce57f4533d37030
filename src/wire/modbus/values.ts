/**
 * Values out of registers and back. A register is two bytes, big-endian on the wire; which of a value's registers comes
 * first, and whether a device swaps the bytes within each, is its maker's choice.
 */

export const NUMBER_TYPES = ["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"] as const;
export type NumberType = (typeof NUMBER_TYPES)[number];
export type ValueType = NumberType | "bool" | "text";

export type Order = "big" | "little";

/** How a device lays its values out. */
export interface Layout {
  /** Which register of a value comes first: that with its highest bits (big). */
  readonly wordOrder: Order;
  /** Within a register. */
  readonly byteOrder: Order;
}

const REGISTERS: Readonly<Record<NumberType, number>> = {
  int16: 1,
  uint16: 1,
  int32: 2,
  uint32: 2,
  float32: 2,
  int64: 4,
  uint64: 4,
  float64: 4,
};

export function registersOf(type: NumberType): number {
  return REGISTERS[type];
}

const scratch = Buffer.alloc(8);

/** @param at of the value's first byte in `bytes`. A 64-bit integer is a bigint, as a number has 53 bits */
export function decodeNumber(type: NumberType, layout: Layout, bytes: Uint8Array, at: number): number | bigint {
  lay(layout, bytes, at, scratch, 0, 2 * REGISTERS[type]);
  switch (type) {
    case "int16":
      return scratch.readInt16BE(0);
    case "uint16":
      return scratch.readUInt16BE(0);
    case "int32":
      return scratch.readInt32BE(0);
    case "uint32":
      return scratch.readUInt32BE(0);
    case "int64":
      return scratch.readBigInt64BE(0);
    case "uint64":
      return scratch.readBigUInt64BE(0);
    case "float32":
      return scratch.readFloatBE(0);
    case "float64":
      return scratch.readDoubleBE(0);
  }
}

/** @returns the registers, or null when the value is not one of the type's */
export function encodeNumber(type: NumberType, layout: Layout, value: number | bigint): Buffer | null {
  const bytes = Buffer.alloc(2 * REGISTERS[type]);
  if (type === "float32" || type === "float64") {
    const number = Number(value);
    if (!Number.isFinite(number)) return null;
    if (type === "float64") scratch.writeDoubleBE(number, 0);
    else if (Number.isFinite(Math.fround(number))) scratch.writeFloatBE(number, 0);
    else return null;
  } else {
    if (typeof value === "number" && !Number.isSafeInteger(value)) return null;
    const bits = BigInt(8 * bytes.length);
    const signed = type.startsWith("int");
    const integer = BigInt(value);
    const low = signed ? -(1n << (bits - 1n)) : 0n;
    const high = signed ? (1n << (bits - 1n)) - 1n : (1n << bits) - 1n;
    if (integer < low || integer > high) return null;
    scratch.writeBigUInt64BE(BigInt.asUintN(64, integer << (64n - bits)), 0);
  }
  lay(layout, scratch, 0, bytes, 0, bytes.length);
  return bytes;
}

/** Up to the first NUL; spaces at the end are not part of it. Latin-1, as devices write it. */
export function decodeText(layout: Layout, bytes: Uint8Array, at: number, registers: number): string {
  let text = "";
  for (let i = 0; i < 2 * registers; i++) {
    const byte = bytes[at + (layout.byteOrder === "big" ? i : i ^ 1)] as number;
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text.trimEnd();
}

/** @returns null when it does not fit, or has characters beyond Latin-1 */
export function encodeText(layout: Layout, registers: number, text: string): Buffer | null {
  if (text.length > 2 * registers) return null;
  const bytes = Buffer.alloc(2 * registers);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0 || code > 0xff) return null;
    bytes[layout.byteOrder === "big" ? i : i ^ 1] = code;
  }
  return bytes;
}

/** Bit `index` of what a read of bits answered. */
export function bitAt(bytes: Uint8Array, at: number, index: number): boolean {
  return (((bytes[at + (index >> 3)] as number) >> (index & 7)) & 1) === 1;
}

/** Copies registers between the device's order and big-endian; either way it is the same exchange. */
function lay(layout: Layout, from: Uint8Array, fromAt: number, to: Uint8Array, toAt: number, length: number): void {
  const last = length / 2 - 1;
  for (let i = 0; i < length; i++) {
    const word = layout.wordOrder === "big" ? i >> 1 : last - (i >> 1);
    const byte = layout.byteOrder === "big" ? i & 1 : (i & 1) ^ 1;
    to[toAt + 2 * word + byte] = from[fromAt + i] as number;
  }
}
