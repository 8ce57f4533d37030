/** One named value of a slave: what it was published as, and whether a new one is to be published. */
import type { ModbusPoint } from "../../config/serial-modbus.ts";
import { bitAt, decodeNumber, decodeText } from "../../wire/modbus/values.ts";

export type Value = number | bigint | boolean | string;

/** What `Point.take` answers when there is nothing to publish. */
export const UNCHANGED = 0;
export const NOT_FINITE = 1;
export const NEWS = 2;

export class Point {
  readonly config: ModbusPoint;
  /** The one taken last, to be published; 0 before. */
  value: Value = 0;
  /** The one published last; null = none, or the store would not have it. */
  #published: Value | null = null;
  #publishedMs = 0;

  constructor(config: ModbusPoint) {
    this.config = config;
  }

  /**
   * @param at    where the read's bits or registers begin in `bytes`
   * @param place of this point's first bit or register among them
   * @returns UNCHANGED, NOT_FINITE or NEWS
   */
  take(bytes: Uint8Array, at: number, place: number, nowMs: number): number {
    const value = this.#decode(bytes, at, place);
    if (typeof value === "number" && !Number.isFinite(value)) return NOT_FINITE;
    this.value = value;
    return this.#isNews(value, nowMs) ? NEWS : UNCHANGED;
  }

  onPublished(nowMs: number): void {
    this.#published = this.value;
    this.#publishedMs = nowMs;
  }

  /** The next value is news, whatever it is. */
  forget(): void {
    this.#published = null;
  }

  payload(wallMs: number): string {
    const text = valueText(this.value);
    if (this.config.payload === "number") return typeof this.value === "string" ? this.value : text;
    const unit = this.config.unit === null ? "" : `,"unit":${JSON.stringify(this.config.unit)}`;
    return `{"value":${text}${unit},"time":${JSON.stringify(new Date(wallMs).toISOString())}}`;
  }

  #isNews(value: Value, nowMs: number): boolean {
    const { publish, deadband, repeatMs } = this.config;
    const last = this.#published;
    if (publish === "always" || last === null) return true;
    if (repeatMs !== "off" && nowMs - this.#publishedMs >= repeatMs) return true;
    if (typeof value === "number" && typeof last === "number" && deadband > 0) return Math.abs(value - last) > deadband;
    if (typeof value === "bigint" && typeof last === "bigint" && deadband > 0)
      return Math.abs(Number(value - last)) > deadband;
    return value !== last;
  }

  #decode(bytes: Uint8Array, at: number, place: number): Value {
    const { table, type, bit, layout, count, scale, offset } = this.config;
    if (table === "coil" || table === "discrete") return bitAt(bytes, at, place);
    const from = at + 2 * place;
    if (type === "bool") return (((decodeNumber("uint16", layout, bytes, from) as number) >> bit) & 1) === 1;
    if (type === "text") return decodeText(layout, bytes, from, count);
    const raw = decodeNumber(type, layout, bytes, from);
    if (scale === 1 && offset === 0) return type === "float32" ? shortest(raw as number) : raw;
    return rounded(Number(raw) * scale + offset);
  }
}

/** As JSON writes it; a 64-bit integer with all its digits. */
export function valueText(value: Value): string {
  return typeof value === "bigint" ? value.toString() : JSON.stringify(value);
}

/** 0.1 x 3 is 0.3; a double has more digits than its product has sense. */
function rounded(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(12)) : value;
}

/** The shortest number that is this single: 21.3, not 21.299999237060547. */
function shortest(single: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(single.toPrecision(digits));
    if (Math.fround(short) === single) return short;
  }
  return single;
}
