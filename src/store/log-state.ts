/**
 * What the log's own row carries in its `state`: the moment that ages are measured from after a restart, and what uplinks
 * have used of their data caps. It lies there because the page of that row is written by most commits anyway.
 *
 *     format 2 | ageBytes | age | use, each             numbers are little-endian doubles, ageBytes is 16 bits
 *     age:  ageMs | uptimeMs | wallMs | lacksToMs | gaps 1 | gap x 2 each | bootId (the rest)
 *     use:  nameBytes 1 | uplink's name | sent | received | endMs | wallMs | stampMs | told
 *
 * Format 1 had the age behind it alone.
 */
import { type AgeRecord, GAPS_MAX, type Gap } from "../base/age-scale.ts";
import { DATA_CAPS_MAX } from "../config/uplink-pace.ts";
import type { DataUse } from "../core/data-use.ts";

const FORMAT_1 = 1;
const FORMAT = 2;
const AGE_AT = 3;
const BOOT_ID_BYTES_MAX = 64;
const AGE_BYTES_MAX = 4 * 8 + 1 + GAPS_MAX * 16 + BOOT_ID_BYTES_MAX;
/** Uplinks whose use is kept; who was put longest ago makes way. */
export const USES_MAX = DATA_CAPS_MAX;
const NAME_BYTES_MAX = 64;
const USE_NUMBERS = 6;
const STATE_BYTES_MAX = AGE_AT + AGE_BYTES_MAX + USES_MAX * (1 + NAME_BYTES_MAX + USE_NUMBERS * 8);

export class LogState {
  /** Where age time is taken up after a restart; null = not known. */
  age: AgeRecord | null = null;
  /** By uplink; who was put last at the end. */
  readonly #uses = new Map<string, DataUse>();
  /** Bytes as they were encoded last, by uplink. */
  readonly #encoded = new Map<string, number>();
  readonly #bytes = Buffer.alloc(STATE_BYTES_MAX);

  /** @param bytes of the row; what an older version left empty, or a newer one wrote, stays at its defaults */
  constructor(bytes: Buffer) {
    if (bytes[0] === FORMAT_1) {
      this.age = decodeAge(bytes.subarray(1));
    } else if (bytes[0] === FORMAT && bytes.length >= AGE_AT) {
      const usesAt = AGE_AT + bytes.readUInt16LE(1);
      this.age = decodeAge(bytes.subarray(AGE_AT, usesAt));
      this.#decodeUses(bytes, usesAt);
    }
  }

  /** @returns bytes that the next call overwrites */
  encode(): Buffer {
    const bytes = this.#bytes;
    bytes[0] = FORMAT;
    let at = this.age === null ? AGE_AT : encodeAge(this.age, bytes, AGE_AT);
    bytes.writeUInt16LE(at - AGE_AT, 1);
    for (const [uplink, use] of this.#uses) {
      at = encodeUse(uplink, use, bytes, at);
      this.#encoded.set(uplink, use.sent + use.received);
    }
    return bytes.subarray(0, at);
  }

  // ---- what uplinks have used --------------------------------------------------------------------------------

  use(uplink: string): DataUse | null {
    return this.#uses.get(uplink) ?? null;
  }

  putUse(uplink: string, use: DataUse): void {
    this.#uses.delete(uplink);
    this.#uses.set(uplink, use);
    if (this.#uses.size <= USES_MAX) return;
    const oldest = this.#uses.keys().next().value as string;
    this.#uses.delete(oldest);
    this.#encoded.delete(oldest);
  }

  /** Bytes that were put and not encoded since. */
  unencodedUse(uplink: string): number {
    const use = this.#uses.get(uplink);
    return use === undefined ? 0 : Math.abs(use.sent + use.received - (this.#encoded.get(uplink) ?? 0));
  }

  #decodeUses(bytes: Buffer, from: number): void {
    for (let at = from; at < bytes.length && this.#uses.size < USES_MAX; ) {
      const numbersAt = at + 1 + (bytes[at] as number);
      const end = numbersAt + USE_NUMBERS * 8;
      if (end > bytes.length) return;
      const uplink = bytes.toString("latin1", at + 1, numbersAt);
      const numbers: number[] = [];
      for (let number = numbersAt; number < end; number += 8) numbers.push(bytes.readDoubleLE(number));
      at = end;
      if (!numbers.every(isNumber)) continue;
      const [sent, received, endMs, wallMs, stampMs, told] = numbers as Six;
      this.#uses.set(uplink, { sent, received, endMs, wallMs, stampMs, told });
      this.#encoded.set(uplink, sent + received);
    }
  }
}

function encodeUse(uplink: string, use: DataUse, bytes: Buffer, from: number): number {
  let at = bytes.writeUInt8(bytes.write(uplink, from + 1, NAME_BYTES_MAX, "latin1"), from) + uplink.length;
  for (const number of [use.sent, use.received, use.endMs, use.wallMs, use.stampMs, use.told]) {
    at = bytes.writeDoubleLE(number, at);
  }
  return at;
}

/** @returns the index after it */
function encodeAge(age: AgeRecord, bytes: Buffer, from: number): number {
  let at = bytes.writeDoubleLE(age.ageMs, from);
  at = bytes.writeDoubleLE(age.uptimeMs, at);
  at = bytes.writeDoubleLE(age.wallMs, at);
  at = bytes.writeDoubleLE(age.lacksToMs, at);
  at = bytes.writeUInt8(age.gaps.length, at);
  for (const { atMs, missingMs } of age.gaps) {
    at = bytes.writeDoubleLE(atMs, at);
    at = bytes.writeDoubleLE(missingMs, at);
  }
  return at + bytes.write(age.bootId, at, BOOT_ID_BYTES_MAX, "latin1");
}

/** @returns null when there is none, or its numbers are none */
function decodeAge(bytes: Buffer): AgeRecord | null {
  const gapsAt = 4 * 8;
  const count = bytes[gapsAt] ?? GAPS_MAX + 1;
  const bootAt = gapsAt + 1 + count * 16;
  if (count > GAPS_MAX || bootAt > bytes.length) return null;
  const number = (at: number): number => bytes.readDoubleLE(at);
  const [ageMs, uptimeMs, wallMs, lacksToMs] = [0, 8, 16, 24].map((at) => number(at)) as Four;
  const gaps: Gap[] = [];
  for (let at = gapsAt + 1; at < bootAt; at += 16) gaps.push({ atMs: number(at), missingMs: number(at + 8) });
  const numbers = [ageMs, uptimeMs, wallMs, lacksToMs, ...gaps.flatMap(({ atMs, missingMs }) => [atMs, missingMs])];
  if (!numbers.every(isNumber)) return null;
  return { ageMs, uptimeMs, wallMs, lacksToMs, gaps, bootId: bytes.toString("latin1", bootAt) };
}

function isNumber(value: number): boolean {
  return Number.isFinite(value) && value >= 0;
}

type Four = [number, number, number, number];
type Six = [number, number, number, number, number, number];
