/**
 * What the log's own row carries in its `state`: the moment that ages are measured from after a restart. It lies there
 * because the page of that row is written by most commits anyway.
 *
 *     format 1 | age                 numbers are little-endian doubles
 *     age:  ageMs | uptimeMs | wallMs | lacksToMs | gaps 1 | gap x 2 each | bootId (the rest)
 */
import { type AgeRecord, GAPS_MAX, type Gap } from "../base/age-scale.ts";

const FORMAT = 1;
const AGE_AT = 1;
const BOOT_ID_BYTES_MAX = 64;
const STATE_BYTES_MAX = AGE_AT + 4 * 8 + 1 + GAPS_MAX * 16 + BOOT_ID_BYTES_MAX;

export class LogState {
  /** Where age time is taken up after a restart; null = not known. */
  age: AgeRecord | null = null;
  readonly #bytes = Buffer.alloc(STATE_BYTES_MAX);

  /** @param bytes of the row; what an older version left empty, or a newer one wrote, stays at its defaults */
  constructor(bytes: Buffer) {
    if (bytes.length < AGE_AT || bytes[0] !== FORMAT) return;
    this.age = decodeAge(bytes);
  }

  /** @returns bytes that the next call overwrites */
  encode(): Buffer {
    const bytes = this.#bytes;
    bytes[0] = FORMAT;
    return bytes.subarray(0, this.age === null ? AGE_AT : encodeAge(this.age, bytes, AGE_AT));
  }
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
  const gapsAt = AGE_AT + 4 * 8;
  const count = bytes[gapsAt] ?? GAPS_MAX + 1;
  const bootAt = gapsAt + 1 + count * 16;
  if (count > GAPS_MAX || bootAt > bytes.length) return null;
  const number = (at: number): number => bytes.readDoubleLE(at);
  const [ageMs, uptimeMs, wallMs, lacksToMs] = [0, 8, 16, 24].map((at) => number(AGE_AT + at)) as Four;
  const gaps: Gap[] = [];
  for (let at = gapsAt + 1; at < bootAt; at += 16) gaps.push({ atMs: number(at), missingMs: number(at + 8) });
  const numbers = [ageMs, uptimeMs, wallMs, lacksToMs, ...gaps.flatMap(({ atMs, missingMs }) => [atMs, missingMs])];
  if (!numbers.every((value) => Number.isFinite(value) && value >= 0)) return null;
  return { ageMs, uptimeMs, wallMs, lacksToMs, gaps, bootId: bytes.toString("latin1", bootAt) };
}

type Four = [number, number, number, number];
