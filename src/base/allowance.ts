/**
 * A shared account of bytes: what may be taken together by all who hold records of one kind. It allocates nothing; it
 * says no in time. An account within another takes from both, so that one kind cannot use up what all kinds share.
 */
export class Allowance {
  readonly bytesMax: number;
  readonly #within: Allowance | null;
  #used = 0;

  constructor(bytesMax: number, within: Allowance | null = null) {
    this.bytesMax = bytesMax;
    this.#within = within;
  }

  get used(): number {
    return this.#used;
  }

  /** Takes `bytes`; false when they are not there any more, and nothing is taken. */
  take(bytes: number): boolean {
    if (this.#used + bytes > this.bytesMax) return false;
    if (this.#within !== null && !this.#within.take(bytes)) return false;
    this.#used += bytes;
    return true;
  }

  /** Takes `bytes` that are there already, whatever the limit says: what a restart finds is not thrown away. */
  takeAnyway(bytes: number): void {
    this.#used += bytes;
    this.#within?.takeAnyway(bytes);
  }

  give(bytes: number): void {
    this.#used -= bytes;
    this.#within?.give(bytes);
  }
}
