/**
 * A set of 16-bit ids that is small while it holds few: up to 32 ids it is a list, beyond that a bitmap of 8 KiB,
 * until it is empty again.
 */
import { assert } from "./assert.ts";

const LIST_MAX = 32;
const ID_MAX = 0xffff;
const BITMAP_BYTES = (ID_MAX + 1) / 8;

export class IdSet {
  #list: number[] = [];
  #bits: Uint32Array | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Bytes beyond those of a small set. */
  get bytes(): number {
    return this.#bits === null ? 0 : BITMAP_BYTES;
  }

  /** `bytes` when one more id is in it. */
  get bytesWithOneMore(): number {
    return this.#bits === null && this.#size < LIST_MAX ? 0 : BITMAP_BYTES;
  }

  /** False when it was there. @param id 0 to 65535 */
  add(id: number): boolean {
    assert(id >= 0 && id <= ID_MAX, "an id has 16 bits");
    if (this.has(id)) return false;
    if (this.#bits === null && this.#size === LIST_MAX) this.#spread();
    if (this.#bits === null) this.#list.push(id);
    else setBit(this.#bits, id);
    this.#size++;
    return true;
  }

  has(id: number): boolean {
    const bits = this.#bits;
    return bits === null ? this.#list.includes(id) : ((bits[id >> 5] ?? 0) & (1 << (id & 31))) !== 0;
  }

  /** False when it was not there. */
  delete(id: number): boolean {
    if (!this.has(id)) return false;
    if (this.#size === 1) {
      this.clear();
      return true;
    }
    const bits = this.#bits;
    if (bits === null) this.#list.splice(this.#list.indexOf(id), 1);
    else bits[id >> 5] = (bits[id >> 5] ?? 0) & ~(1 << (id & 31));
    this.#size--;
    return true;
  }

  clear(): void {
    this.#list.length = 0;
    this.#bits = null;
    this.#size = 0;
  }

  /** In no particular order; the set is not to be changed meanwhile. */
  *[Symbol.iterator](): Iterator<number> {
    if (this.#bits === null) {
      yield* this.#list;
      return;
    }
    for (let id = 0; id <= ID_MAX; id++) if (this.has(id)) yield id;
  }

  #spread(): void {
    const bits = new Uint32Array((ID_MAX + 1) / 32);
    for (const id of this.#list) setBit(bits, id);
    this.#bits = bits;
    this.#list.length = 0;
  }
}

function setBit(bits: Uint32Array, id: number): void {
  bits[id >> 5] = (bits[id >> 5] ?? 0) | (1 << (id & 31));
}
