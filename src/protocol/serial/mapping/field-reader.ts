/** The value of a field in a frame. */
import { atJsonPath } from "../../../base/json-path.ts";
import { knownPattern } from "../../../base/linear-pattern.ts";
import type {
  FieldDefault,
  FieldSource,
  NumberForm,
  NumberSource,
  NumberType,
  SerialField,
} from "../../../config/serial-fields.ts";
import { numberSource } from "./exact-json.ts";
import { type FrameView, NOT_JSON } from "./frame-view.ts";

/** What JSON has, and whole numbers of 64 bits. Undefined: the frame does not have it. */
export type Value = string | number | bigint | boolean | null | object | undefined;

const TYPE_BYTES: Readonly<Record<NumberType, number>> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint24: 3,
  int24: 3,
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
  readonly #fallback: FieldDefault;
  readonly #pattern: RegExp | null;

  constructor({ source, form, fallback }: SerialField) {
    this.#source = source;
    this.#form = form;
    this.#fallback = fallback;
    this.#pattern = source.kind === "group" && source.pattern !== null ? knownPattern(source.pattern) : null;
  }

  get isJson(): boolean {
    return this.#source.kind === "json";
  }

  /** @param matched what the entry's `match` found */
  read(frame: FrameView, matched: RegExpExecArray | null): Value {
    if (this.isJson && frame.json === NOT_JSON) return undefined;
    const found = this.#pattern === null ? matched : this.#pattern.exec(frame.text);
    const plain = plainValue(this.#source, found, frame);
    const value = this.#form === null || plain === undefined ? plain : formed(plain, this.#form);
    return value === undefined ? this.#fallback : value;
  }
}

function plainValue(source: FieldSource, found: RegExpExecArray | null, frame: FrameView): Value {
  switch (source.kind) {
    case "json":
      return atJsonPath(frame.json, source.path) as Value;
    case "column": {
      const { column, separator } = source;
      const at = typeof column === "number" ? column - 1 : frame.columnNamed(column, separator);
      return frame.columns(separator)[at];
    }
    case "group":
      return typeof source.group === "number" ? found?.[source.group] : found?.groups?.[source.group];
    case "number":
      return numberAt(frame.bytes, source);
    case "bit": {
      const at = placeOf(frame.bytes, source.offset, 1);
      return at < 0 ? undefined : ((frame.bytes[at] as number) & (1 << source.bit)) !== 0;
    }
    default: {
      const from = placeOf(frame.bytes, source.offset, source.length);
      return from < 0 ? undefined : bytesText(frame.bytes.subarray(from, from + source.length), source);
    }
  }
}

function bytesText(bytes: Buffer, { kind, little }: { readonly kind: string; readonly little: boolean }): Value {
  if (kind === "text") return bytes.toString("latin1");
  const digits = (little ? Buffer.from(bytes).reverse() : bytes).toString("hex");
  return kind === "hex" || !/[a-f]/.test(digits) ? digits : undefined;
}

/** @returns where `length` bytes at `offset` begin, -1 when the frame does not have them */
function placeOf(bytes: Buffer, offset: number, length: number): number {
  const from = offset < 0 ? bytes.length + offset : offset;
  return from < 0 || from + length > bytes.length ? -1 : from;
}

function numberAt(bytes: Buffer, { offset, type, little, mask }: NumberSource): Value {
  const length = TYPE_BYTES[type];
  const from = placeOf(bytes, offset, length);
  if (from < 0) return undefined;
  if (mask !== null) return masked(little ? bytes.readUIntLE(from, length) : bytes.readUIntBE(from, length), mask);
  switch (type) {
    case "int64":
      return little ? bytes.readBigInt64LE(from) : bytes.readBigInt64BE(from);
    case "uint64":
      return little ? bytes.readBigUInt64LE(from) : bytes.readBigUInt64BE(from);
    case "float64":
      return finite(little ? bytes.readDoubleLE(from) : bytes.readDoubleBE(from));
    case "float32":
      return finite(shortest(little ? bytes.readFloatLE(from) : bytes.readFloatBE(from)));
    case "int8":
    case "int16":
    case "int24":
    case "int32":
      return little ? bytes.readIntLE(from, length) : bytes.readIntBE(from, length);
    default:
      return little ? bytes.readUIntLE(from, length) : bytes.readUIntBE(from, length);
  }
}

/** Not a number is what devices say when they have none. */
function finite(value: number): Value {
  return Number.isFinite(value) ? value : undefined;
}

function masked(value: number, mask: number): number {
  const lowest = 31 - Math.clz32(mask & -mask);
  return (value & mask) >>> lowest;
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
function formed(value: Value, { scale, add, decimals, comma }: NumberForm): Value {
  const plain = typeof value === "string" ? numberText(value, comma) : (numberSource(value) ?? value);
  if (plain === "" || plain === null || typeof plain === "object") return undefined;
  const number = Number(plain) * scale + add;
  if (!Number.isFinite(number)) return undefined;
  if (decimals !== null) return Number(number.toFixed(decimals));
  // 15 digits: 215 * 0.01 is 2.15, not 2.1500000000000004. Whole numbers have up to 16: microseconds since 1970.
  return Number.isSafeInteger(number) ? number : Number(number.toPrecision(15));
}

/** Scales write a sign and then spaces: "+  12.34". */
function numberText(text: string, comma: boolean): string {
  const number = text.trim().replace(/^([+-]) +/, "$1");
  return comma ? number.replace(",", ".") : number;
}
