/**
 * The names of levels in filters, each kept once under a small number: a topic is compared with them by its bytes, and
 * the tree goes by numbers. A name goes with the last edge of the tree that has it, and its number is given out again.
 *
 *     #buckets[hash & mask] ──> number ──NEXT──> number ──> NONE        records: HASH NEXT AT LENGTH USES, by number
 *     #text    | name | a name that went | name | ...      moved together when it is full
 *
 * Bounded by the filters that are admitted (session-memory.ts).
 */

/** There is no such name. */
export const NONE = -1;

const SLASH = 0x2f;
const PRIME = 0x01000193;
/** Nobody outside knows which names have the same hash. */
const SEED = Math.floor(Math.random() * 2 ** 32) | 0;

const HASH = 0;
const NEXT = 1;
const AT = 2;
const LENGTH = 3;
const USES = 4;
const RECORD = 5;
/** The tables begin with room for so many names, and grow by doubling. */
const NAMES = 16;
const NAME_BYTES = 8;

export class LevelNames {
  #buckets = new Int32Array(NAMES).fill(NONE);
  #records = new Int32Array(NAMES * RECORD);
  #text = Buffer.alloc(NAMES * NAME_BYTES);
  #textEnd = 0;
  /** Bytes of all names that are held. */
  #textHeld = 0;
  /** Numbers below were given out; those that are free again are a list from `#free` on. */
  #next = 0;
  #free = NONE;
  /** Names held. */
  count = 0;

  /**
   * The numbers of the levels of `bytes[from..end)`, NONE where no filter has the name.
   * @param into  takes as many as it has room for
   * @returns how many levels there are, at most one more than `into` has room for
   */
  read(bytes: Uint8Array, from: number, end: number, into: Int32Array): number {
    let levels = 0;
    let start = from;
    let hash = SEED;
    for (let at = from; ; at++) {
      if (at < end && bytes[at] !== SLASH) {
        hash = Math.imul(hash ^ (bytes[at] as number), PRIME);
        continue;
      }
      if (levels === into.length) return levels + 1;
      into[levels++] = this.#find(bytes, start, at, mixed(hash));
      if (at === end) return levels;
      start = at + 1;
      hash = SEED;
    }
  }

  find(name: Uint8Array): number {
    return this.#find(name, 0, name.length, hashOf(name));
  }

  /** One more use of `name`. @returns its number */
  take(name: Uint8Array): number {
    const hash = hashOf(name);
    let number = this.#find(name, 0, name.length, hash);
    if (number === NONE) number = this.#enter(name, hash);
    (this.#records[number * RECORD + USES] as number)++;
    return number;
  }

  /** One use less. */
  release(number: number): void {
    const records = this.#records;
    const at = number * RECORD;
    if (--(records[at + USES] as number) > 0) return;
    const bucket = (records[at + HASH] as number) & (this.#buckets.length - 1);
    let before = this.#buckets[bucket] as number;
    if (before === number) this.#buckets[bucket] = records[at + NEXT] as number;
    else {
      while (records[before * RECORD + NEXT] !== number) before = records[before * RECORD + NEXT] as number;
      records[before * RECORD + NEXT] = records[at + NEXT] as number;
    }
    this.#textHeld -= records[at + LENGTH] as number;
    records[at + NEXT] = this.#free;
    this.#free = number;
    this.count--;
  }

  #find(bytes: Uint8Array, from: number, end: number, hash: number): number {
    const records = this.#records;
    let number = this.#buckets[hash & (this.#buckets.length - 1)] as number;
    while (number !== NONE) {
      const at = number * RECORD;
      if (records[at + HASH] === hash && this.#isAt(at, bytes, from, end)) return number;
      number = records[at + NEXT] as number;
    }
    return NONE;
  }

  #isAt(at: number, bytes: Uint8Array, from: number, end: number): boolean {
    if (this.#records[at + LENGTH] !== end - from) return false;
    const text = this.#text;
    for (let i = from, k = this.#records[at + AT] as number; i < end; i++, k++) if (text[k] !== bytes[i]) return false;
    return true;
  }

  #enter(name: Uint8Array, hash: number): number {
    if (this.#textEnd + name.length > this.#text.length) this.#gather(name.length);
    let number = this.#free;
    if (number !== NONE) this.#free = this.#records[number * RECORD + NEXT] as number;
    else {
      if (this.#next === this.#buckets.length) this.#grow();
      number = this.#next++;
    }
    const at = number * RECORD;
    this.#records[at + HASH] = hash;
    this.#records[at + AT] = this.#textEnd;
    this.#records[at + LENGTH] = name.length;
    this.#records[at + USES] = 0;
    this.#link(number);
    this.#text.set(name, this.#textEnd);
    this.#textEnd += name.length;
    this.#textHeld += name.length;
    this.count++;
    return number;
  }

  #link(number: number): void {
    const at = number * RECORD;
    const bucket = (this.#records[at + HASH] as number) & (this.#buckets.length - 1);
    this.#records[at + NEXT] = this.#buckets[bucket] as number;
    this.#buckets[bucket] = number;
  }

  /** Twice as many names have room. All numbers are in use. */
  #grow(): void {
    const records = this.#records;
    this.#records = new Int32Array(2 * records.length);
    this.#records.set(records);
    this.#buckets = new Int32Array(2 * this.#buckets.length).fill(NONE);
    for (let number = 0; number < this.#next; number++) this.#link(number);
  }

  /** Moves the names together, with room for `bytes` more and as much again. */
  #gather(bytes: number): void {
    const text = Buffer.alloc(2 * (this.#textHeld + bytes));
    let end = 0;
    for (const first of this.#buckets) {
      for (let number = first; number !== NONE; number = this.#records[number * RECORD + NEXT] as number) {
        const from = this.#records[number * RECORD + AT] as number;
        const length = this.#records[number * RECORD + LENGTH] as number;
        this.#text.copy(text, end, from, from + length);
        this.#records[number * RECORD + AT] = end;
        end += length;
      }
    }
    this.#text = text;
    this.#textEnd = end;
  }
}

function hashOf(name: Uint8Array): number {
  let hash = SEED;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ (name[i] as number), PRIME);
  return mixed(hash);
}

/** FNV-1a leaves its last bytes in the low bits alone. */
function mixed(hash: number): number {
  return hash ^ (hash >>> 15);
}
