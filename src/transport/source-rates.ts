/**
 * How fast each source address sends, in a fixed amount of memory, however many sources there are.
 *
 * A bucket is one number, the time at which it would be empty again: what it sends puts it `1 / rate` later, and there is
 * room while it lies less than BURST_MS ahead. Each address has a bucket in both rows, by halves of a seeded hash, and is
 * let through while either has room: who shares one with a flood is not slowed down, unless two floods hit both of his.
 *
 *     row 0 | . . # . . . . x . |    x: a quiet address and a loud one
 *     row 1 | . x . . . # . . . |    the quiet one's other bucket has room
 *
 * All ports of an address count together. Many addresses share a few requests a second at worst; nothing is to be
 * remembered per source, so nothing can be evicted by sending from many.
 */
import { assert } from "../base/assert.ts";

/** A source that was quiet may send so much of its rate at once. */
export const BURST_MS = 1_000;
export const RATE_BUCKETS = 512;

export class SourceRates {
  readonly #mask: number;
  readonly #untilMs: Float64Array;

  /** @param buckets per row, a power of two up to 65,536 */
  constructor(buckets: number = RATE_BUCKETS) {
    assert((buckets & (buckets - 1)) === 0 && buckets <= 0x1_0000, "half a hash names a bucket");
    this.#mask = buckets - 1;
    this.#untilMs = new Float64Array(2 * buckets);
  }

  /**
   * Counts a request, if its source may send it.
   * @param hash  of the address, seeded
   * @param perRequestMs  1000 / rate
   */
  take(hash: number, nowMs: number, perRequestMs: number): boolean {
    const a = hash & this.#mask;
    const b = this.#mask + 1 + ((hash >>> 16) & this.#mask);
    const untilA = this.#untilMs[a]!;
    const untilB = this.#untilMs[b]!;
    const full = nowMs + BURST_MS;
    const roomA = untilA + perRequestMs <= full;
    const roomB = untilB + perRequestMs <= full;
    if (roomA) this.#untilMs[a] = (untilA > nowMs ? untilA : nowMs) + perRequestMs;
    if (roomB) this.#untilMs[b] = (untilB > nowMs ? untilB : nowMs) + perRequestMs;
    return roomA || roomB;
  }

  /** Takes back some of what a request was counted for. @param ms  at most its `perRequestMs` */
  give(hash: number, ms: number): void {
    const a = hash & this.#mask;
    const b = this.#mask + 1 + ((hash >>> 16) & this.#mask);
    this.#untilMs[a] = Math.max(0, this.#untilMs[a]! - ms);
    this.#untilMs[b] = Math.max(0, this.#untilMs[b]! - ms);
  }
}

/** Spreads addresses over buckets. @param seed random, so that nobody can choose whose bucket is his */
export function addressHash(address: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < address.length; i++) hash = Math.imul(hash ^ address.charCodeAt(i), 0x0100_0193);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b_3c6d);
  return hash ^ (hash >>> 13);
}
