/** The value of a field in a frame. */
import { knownPattern } from "../../../base/linear-pattern.ts";
import type { FieldSource, NumberForm, NumberType, SerialField } from "../../../config/serial-fields.ts";
import { type FrameView, NOT_JSON } from "./frame-view.ts";

/** What JSON has, and whole numbers of 64 bits. Undefined: the frame does not have it. */
export type Value = string | number | bigint | boolean | null | object | undefined;

const TYPE_BYTES: Readonly<Record<NumberType, number>> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  uint64: 8,
  int64: 8,
  float32: 4,
  float64: 8,
};

export class FieldReader {
  readonly #source: FieldSource;
  readonly #form: NumberForm | null;
  readonly #pattern: RegExp | null;

  constructor({ source, form }: SerialField) {
    this.#source = source;
    this.#form = form;
    this.#pattern = source.kind === "group" ? knownPattern(source.pattern) : null;
  }

  get isJson(): boolean {
    return this.#source.kind === "json";
  }

  read(frame: FrameView): Value {
    const value = plainValue(this.#source, this.#pattern, frame);
    return this.#form === null || value === undefined ? value : formed(value, this.#form);
  }
}

function plainValue(source: FieldSource, pattern: RegExp | null, frame: FrameView): Value {
  switch (source.kind) {
    case "json":
      return atPath(frame.json, source.path);
    case "column":
      return frame.columns(source.separator)[source.column - 1];
    case "group": {
      const found = pattern?.exec(frame.text);
      return typeof source.group === "number" ? found?.[source.group] : found?.groups?.[source.group];
    }
    case "number":
      return numberAt(frame.bytes, source.offset, source.type, source.little);
    default: {
      const from = placeOf(frame.bytes, source.offset, source.length);
      const encoding = source.kind === "hex" ? "hex" : "latin1";
      return from < 0 ? undefined : frame.bytes.toString(encoding, from, from + source.length);
    }
  }
}

/** Own properties only: "length" of an array is none of its values. */
function atPath(json: unknown, path: readonly string[]): Value {
  let value = json;
  if (value === NOT_JSON) return undefined;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    if (Array.isArray(value) && key === "length") return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value as Value;
}

/** @returns where `length` bytes at `offset` begin, -1 when the frame does not have them */
function placeOf(bytes: Buffer, offset: number, length: number): number {
  const from = offset < 0 ? bytes.length + offset : offset;
  return from < 0 || from + length > bytes.length ? -1 : from;
}

function numberAt(bytes: Buffer, offset: number, type: NumberType, little: boolean): Value {
  const length = TYPE_BYTES[type];
  const from = placeOf(bytes, offset, length);
  if (from < 0) return undefined;
  switch (type) {
    case "int64":
      return little ? bytes.readBigInt64LE(from) : bytes.readBigInt64BE(from);
    case "uint64":
      return little ? bytes.readBigUInt64LE(from) : bytes.readBigUInt64BE(from);
    case "float64":
      return little ? bytes.readDoubleLE(from) : bytes.readDoubleBE(from);
    case "float32":
      return shortest(little ? bytes.readFloatLE(from) : bytes.readFloatBE(from));
    case "int8":
    case "int16":
    case "int32":
      return little ? bytes.readIntLE(from, length) : bytes.readIntBE(from, length);
    default:
      return little ? bytes.readUIntLE(from, length) : bytes.readUIntBE(from, length);
  }
}

/** The number of fewest digits that is this float32: 0.1, not 0.10000000149011612. */
function shortest(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

/** @returns undefined when it is no number */
function formed(value: Value, { scale, add, decimals }: NumberForm): Value {
  const text = typeof value === "string" ? value.trim() : value;
  if (text === "" || (typeof text !== "string" && typeof text !== "number" && typeof text !== "bigint"))
    return undefined;
  const number = Number(text) * scale + add;
  if (!Number.isFinite(number)) return undefined;
  // 15 digits: 215 * 0.01 is 2.15, not 2.1500000000000004.
  return decimals === null ? Number(number.toPrecision(15)) : Number(number.toFixed(decimals));
}
