/** The payload of a command: a value, judged by what its point is. */
import type { ModbusPoint } from "../../config/serial-modbus-point.ts";
import { encodeNumber, encodeText } from "../../wire/modbus/values.ts";
import type { Value } from "./point.ts";

/** Bits of a register: those that `and` has stay, of the others those that `or` has are set. */
export interface Mask {
  readonly and: number;
  readonly or: number;
}

export interface Write {
  /** As it was asked for, in the point's unit. */
  readonly value: Value;
  /** true and false are for a coil, bytes for registers, a mask for bits of one. */
  readonly bits: Buffer | boolean | Mask;
}

/** A text of 123 registers in JSON. */
const PAYLOAD_BYTES_MAX = 2048;
const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true,
  on: true,
  "1": true,
  false: false,
  off: false,
  "0": false,
};

/** @returns what is wrong with it, in words, when it is no value of the point */
export function parseCommand(point: ModbusPoint, payload: Buffer): Write | string {
  if (payload.length > PAYLOAD_BYTES_MAX) return "the payload is too long";
  const given = valueIn(payload.toString("utf8"), point.type === "text");
  if (given === null) return "the payload holds no value";
  if (point.type === "bool") {
    const on = BOOLEANS[given.toLowerCase()];
    if (on === undefined) return "the payload is neither true nor false";
    return { value: on, bits: point.table === "coil" ? on : maskOf(point, on ? 1 : 0) };
  }
  if (point.type === "text") {
    const bits = encodeText(point.layout, point.count, given);
    return bits === null ? `the text does not fit ${2 * point.count} bytes of Latin-1` : { value: given, bits };
  }
  const named = rawOfName(point, given);
  return numberOf(point, point.type, named === null ? given : `${named}`, named === null ? null : given);
}

function maskOf({ bit, bits, layout }: ModbusPoint, value: number): Mask {
  const swap = (register: number): number =>
    layout.byteOrder === "big" ? register : ((register & 0xff) << 8) | (register >> 8);
  const field = ((1 << bits) - 1) << bit;
  return { and: swap(0xffff & ~field), or: swap(value << bit) };
}

function rawOfName({ names }: ModbusPoint, given: string): number | null {
  for (const [raw, name] of names ?? []) if (name === given) return raw;
  return null;
}

/** @param name of the value, to be told instead of the number */
function numberOf(
  point: ModbusPoint,
  type: Exclude<ModbusPoint["type"], "text" | "bool">,
  given: string,
  name: string | null,
): Write | string {
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(given)) return "the payload is no number";
  const { scale, offset, min, max, bits } = point;
  const value = Number(given);
  if ((min !== null && value < min) || (max !== null && value > max))
    return `out of range: from ${min ?? "any"} to ${max ?? "any"}`;
  const isFloat = type.startsWith("float");
  const isWide = type.endsWith("64") && !isFloat && scale === 1 && offset === 0 && /^[+-]?\d+$/.test(given);
  const raw = isWide ? BigInt(given.replace(/^\+/, "")) : (value - offset) / scale;
  const whole = typeof raw === "number" && !isFloat ? Math.round(raw) : raw;
  if (typeof raw === "number" && !isFloat && Math.abs(raw - Number(whole)) > 1e-6 * Math.max(1, Math.abs(raw)))
    return `${given} is no multiple of ${scale}`;
  const told = name ?? (isWide ? (raw as bigint) : value);
  if (bits > 0) {
    const fits = whole >= 0 && whole < 2 ** bits;
    return fits ? { value: told, bits: maskOf(point, Number(whole)) } : `out of range for ${bits} bits`;
  }
  const bytes = encodeNumber(type, point.layout, whole);
  return bytes === null ? `out of range for ${type}` : { value: told, bits: bytes };
}

/** The text of the value: as it stands, or of `{"value": ...}`; null = there is none. */
function valueIn(text: string, isText: boolean): string | null {
  const trimmed = text.trim();
  if (trimmed.startsWith("{")) {
    try {
      const { value } = JSON.parse(trimmed) as { value?: unknown };
      // A number with more digits than a double has is taken from the text.
      if (typeof value === "number") return /"value"\s*:\s*([^,}\s]+)/.exec(trimmed)?.[1] ?? String(value);
      if (typeof value === "string" || typeof value === "boolean") return String(value);
    } catch {
      // Not JSON: for a text it may be what is meant.
    }
    return isText ? text : null;
  }
  if (isText) return text;
  return trimmed === "" ? null : trimmed;
}
