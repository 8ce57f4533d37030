/** One named value of a slave: what it was published as, and whether a new one is to be published. */
import type { ModbusPoint } from "../../config/serial-modbus-point.ts";
import { bitAt, decodeNumber, decodeText } from "../../wire/modbus/values.ts";
import type { Told } from "./publications.ts";

export type Value = number | bigint | boolean | string;

/** What `Point.take` answers when there is nothing to publish. */
const UNCHANGED = 0;
export const NOT_FINITE = 1;
export const NEWS = 2;

export class Point implements Told {
  readonly config: ModbusPoint;
  readonly #names: ReadonlyMap<number, string> | null;
  /** The one taken last, to be published; 0 before. */
  value: Value = 0;
  /** It was read the last time. */
  known = false;
  /** The one published last; null = none, or the store would not have it. */
  #published: Value | null = null;
  #publishedMs = 0;

  constructor(config: ModbusPoint) {
    this.config = config;
    this.#names = config.names === null ? null : new Map(config.names);
  }

  /**
   * @param at    where the read's bits or registers begin in `bytes`
   * @param place of this point's first bit or register among them
   * @returns UNCHANGED, NOT_FINITE or NEWS
   */
  take(bytes: Uint8Array, at: number, place: number, nowMs: number): number {
    const value = this.decode(bytes, at, place);
    this.known = typeof value !== "number" || Number.isFinite(value);
    if (!this.known) return NOT_FINITE;
    this.value = value;
    return this.#isNews(value, nowMs) ? NEWS : UNCHANGED;
  }

  get topic(): string {
    return this.config.topic;
  }

  get qos(): number {
    return this.config.qos;
  }

  get retain(): boolean {
    return this.config.retain;
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
    const { publish, repeatMs } = this.config;
    const last = this.#published;
    if (publish === "always" || last === null) return true;
    if (repeatMs !== "off" && nowMs - this.#publishedMs >= repeatMs) return true;
    return value !== last && !this.#isNear(value, last);
  }

  /** Whether a number lies within the deadband around the one published last. */
  #isNear(value: Value, last: Value): boolean {
    const { deadband, deadbandPercent } = this.config;
    if (deadband === 0 && deadbandPercent === 0) return false;
    const isNumber = typeof value === "number" && typeof last === "number";
    if (!isNumber && !(typeof value === "bigint" && typeof last === "bigint")) return false;
    const change = isNumber ? value - last : Number((value as bigint) - (last as bigint));
    return Math.abs(change) <= Math.max(deadband, (deadbandPercent / 100) * Math.abs(Number(last)));
  }

  /**
   * @param at    where the bits or registers of an answer begin in `bytes`
   * @param place of this point's first bit or register among them
   */
  decode(bytes: Uint8Array, at: number, place: number): Value {
    const { table, type, bit, bits, layout, count, scale, offset } = this.config;
    if (table === "coil" || table === "discrete") return bitAt(bytes, at, place);
    const from = at + 2 * place;
    if (type === "text") return decodeText(layout, bytes, from, count);
    const whole = decodeNumber(type === "bool" ? "uint16" : type, layout, bytes, from);
    const raw = bits > 0 ? ((whole as number) >> bit) & ((1 << bits) - 1) : whole;
    if (type === "bool") return raw === 1;
    if (this.#names !== null) return this.#names.get(Number(raw)) ?? raw;
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
