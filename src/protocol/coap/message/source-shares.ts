/**
 * How many of something each source address holds, kept as `transport/source-rates.ts` keeps rates: a count in each of two
 * rows, by halves of a seeded hash, of which the lower one counts. So who shares one with somebody greedy has his own share.
 */
import { assert } from "../../../base/assert.ts";

const SHARE_BUCKETS = 256;

export class SourceShares {
  readonly #mask: number;
  readonly #counts: Uint16Array;

  /** @param buckets per row, a power of two up to 65,536 */
  constructor(buckets: number = SHARE_BUCKETS) {
    assert((buckets & (buckets - 1)) === 0 && buckets <= 0x1_0000, "half a hash names a bucket");
    this.#mask = buckets - 1;
    this.#counts = new Uint16Array(2 * buckets);
  }

  /** @param hash  of the address, seeded */
  of(hash: number): number {
    return Math.min(this.#counts[this.#first(hash)]!, this.#counts[this.#second(hash)]!);
  }

  take(hash: number): void {
    this.#counts[this.#first(hash)]!++;
    this.#counts[this.#second(hash)]!++;
  }

  give(hash: number): void {
    this.#counts[this.#first(hash)]!--;
    this.#counts[this.#second(hash)]!--;
  }

  #first(hash: number): number {
    return hash & this.#mask;
  }

  #second(hash: number): number {
    return this.#mask + 1 + ((hash >>> 16) & this.#mask);
  }
}
