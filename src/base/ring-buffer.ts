/**
 * First in, first out, bounded. The array grows by doubling up to the first power of two that holds `capacityMax`.
 *
 *     items | e f . . a b c d |     length 6, #head at a; an index is taken modulo the array's length
 */
import { assert } from "./assert.ts";

const START = 8;

export class RingBuffer<T> {
  readonly capacityMax: number;
  #items: (T | undefined)[] = [];
  #head = 0;
  #length = 0;

  constructor(capacityMax: number) {
    assert(capacityMax >= 1, "a ring holds at least one item");
    this.capacityMax = capacityMax;
  }

  get length(): number {
    return this.#length;
  }

  /** False when it is full: the item was not taken. */
  push(item: T): boolean {
    if (this.#length === this.#items.length) {
      if (this.#length >= this.capacityMax) return false;
      this.#grow();
    } else if (this.#length === this.capacityMax) {
      return false;
    }
    this.#items[(this.#head + this.#length) & (this.#items.length - 1)] = item;
    this.#length++;
    return true;
  }

  /** Takes the oldest item; undefined when empty. */
  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#items.length - 1);
    this.#length--;
    return item;
  }

  /** The oldest item, left in place. */
  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#items[this.#head];
  }

  /** The item `i` places behind the oldest; undefined outside 0 to length - 1. */
  at(i: number): T | undefined {
    return i >= 0 && i < this.#length ? this.#items[(this.#head + i) & (this.#items.length - 1)] : undefined;
  }

  /** Empties it and gives the array back. */
  clear(): void {
    this.#items = [];
    this.#head = 0;
    this.#length = 0;
  }

  #grow(): void {
    const grown: (T | undefined)[] = new Array(Math.max(START, this.#items.length * 2)).fill(undefined);
    for (let i = 0; i < this.#length; i++) grown[i] = this.at(i);
    this.#items = grown;
    this.#head = 0;
  }
}
