/** A Map that refuses to grow beyond `max` entries; the caller owns the policy for what it refuses. */
export class BoundedMap<K, V> {
  readonly max: number;
  readonly #map = new Map<K, V>();

  constructor(max: number) {
    this.max = max;
  }

  get size(): number {
    return this.#map.size;
  }

  /** False when it is full and `key` is new: nothing was set. */
  set(key: K, value: V): boolean {
    if (this.#map.size >= this.max && !this.#map.has(key)) return false;
    this.#map.set(key, value);
    return true;
  }

  get(key: K): V | undefined {
    return this.#map.get(key);
  }

  has(key: K): boolean {
    return this.#map.has(key);
  }

  delete(key: K): boolean {
    return this.#map.delete(key);
  }

  /** In order of first insertion; entries may be deleted while it runs. */
  entries(): IterableIterator<[K, V]> {
    return this.#map.entries();
  }

  clear(): void {
    this.#map.clear();
  }
}
