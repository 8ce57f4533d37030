/**
 * Which message of a topic is the newest, for one receiver: a table of topics as numbers, so that a thousand topics
 * take 32 KiB whatever their names are. A topic is 53 bits of its SHA-256: that two of 16,384 topics share them has a
 * chance of one in sixty million.
 *
 *     slot = key % slots      | key, seq | key, seq |  0, 0  | ...      linear probing, at most half full
 */

import type { Allowance } from "../base/allowance.ts";
import { crypto } from "../base/crypto.ts";

/** Topics of one receiver that are told apart; further ones are not in the index. */
export const LATEST_TOPICS_MAX = 16_384;
const SLOTS_MIN = 16;
const REFUSALS = 1024;
/** A key and a sequence number. */
const SLOT_BYTES = 16;
/** Answer of `note` for a topic that found no room. */
export const NOT_INDEXED = -1;

export class LatestIndex {
  readonly #memory: Allowance;
  #keys = new Float64Array(0);
  #seqs = new Float64Array(0);
  #used = 0;
  /** New topics that find no room without a look whether there is some. */
  #refusals = 0;

  /** @param memory what the indexes of all receivers share */
  constructor(memory: Allowance) {
    this.#memory = memory;
  }

  /** The number that stands for the topic `bytes[0..end)`; never 0. */
  static keyOf(bytes: Buffer, end: number): number {
    const digest = crypto().hash("sha256", bytes.subarray(0, end), "buffer");
    return digest.readUInt32LE(0) * 2 ** 21 + (digest.readUInt32LE(4) >>> 11) || 1;
  }

  /**
   * Row `seq` is the newest of its topic.
   * @param lowest topics whose newest is below it may be forgotten
   * @returns the row that was until now, 0 = none, or NOT_INDEXED
   */
  note(key: number, seq: number, lowest: number): number {
    let slot = this.#find(key);
    if (slot >= 0 && this.#keys[slot] === key) {
      const before = this.#seqs[slot] as number;
      this.#seqs[slot] = Math.max(before, seq);
      return before;
    }
    if (slot < 0 || (this.#used + 1) * 2 > this.#keys.length) {
      if (this.#refusals > 0) this.#refusals--;
      else if (!this.#makeRoom(lowest)) this.#refusals = REFUSALS;
      if ((this.#used + 1) * 2 > this.#keys.length) return NOT_INDEXED;
      slot = this.#find(key);
    }
    this.#keys[slot] = key;
    this.#seqs[slot] = seq;
    this.#used++;
    return 0;
  }

  /** The newest row of a topic; 0 = not known. */
  latest(key: number): number {
    const slot = this.#find(key);
    return slot >= 0 && this.#keys[slot] === key ? (this.#seqs[slot] as number) : 0;
  }

  /** Forgets all and gives the memory back. */
  clear(): void {
    this.#memory.give(this.#keys.length * SLOT_BYTES);
    this.#keys = new Float64Array(0);
    this.#seqs = new Float64Array(0);
    this.#used = 0;
    this.#refusals = 0;
  }

  /** The slot of `key`, or the empty one where it belongs; -1 while there are no slots. */
  #find(key: number): number {
    const slots = this.#keys.length;
    if (slots === 0) return -1;
    let slot = key % slots;
    while (this.#keys[slot] !== 0 && this.#keys[slot] !== key) slot = slot + 1 === slots ? 0 : slot + 1;
    return slot;
  }

  /** Leaves out what nobody needs, and doubles the table if that is not enough. */
  #makeRoom(lowest: number): boolean {
    const keys = this.#keys;
    const seqs = this.#seqs;
    let live = 0;
    for (let i = 0; i < keys.length; i++) if (keys[i] !== 0 && (seqs[i] as number) >= lowest) live++;
    if (live >= LATEST_TOPICS_MAX) return false;
    let slots = keys.length;
    // Three eighths: or it would be gone through again for the next few.
    if (slots === 0 || ((live + 1) * 8 > slots * 3 && slots < 2 * LATEST_TOPICS_MAX)) {
      const wanted = Math.max(SLOTS_MIN, slots * 2);
      if (this.#memory.take((wanted - slots) * SLOT_BYTES)) slots = wanted;
    }
    if ((live + 1) * 2 > slots) return false;
    this.#keys = new Float64Array(slots);
    this.#seqs = new Float64Array(slots);
    this.#used = 0;
    for (let i = 0; i < keys.length; i++) {
      if (keys[i] === 0 || (seqs[i] as number) < lowest) continue;
      const slot = this.#find(keys[i] as number);
      this.#keys[slot] = keys[i] as number;
      this.#seqs[slot] = seqs[i] as number;
      this.#used++;
    }
    return true;
  }
}
