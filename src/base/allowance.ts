/**
 * A shared account of bytes: what may be taken together by all who hold records of one kind. It allocates nothing; it
 * says no in time.
 */
export class Allowance {
  readonly bytesMax: number;
  #used = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get used(): number {
    return this.#used;
  }

  /** Takes `bytes`; false when they are not there any more, and nothing is taken. */
  take(bytes: number): boolean {
    if (this.#used + bytes > this.bytesMax) return false;
    this.#used += bytes;
    return true;
  }

  /** Takes `bytes` that are there already, whatever the limit says: what a restart finds is not thrown away. */
  takeAnyway(bytes: number): void {
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}
