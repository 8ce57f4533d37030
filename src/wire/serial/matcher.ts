/**
 * Finds a sequence of a few bytes in a stream, a byte at a time (Knuth, Morris and Pratt): a byte that does not match
 * may still be inside of a later beginning, and nothing of the stream has to be kept for that.
 */
export class Matcher {
  readonly pattern: Buffer;
  /** How many of the pattern's bytes are matched when the one after `i` matched ones is wrong. */
  readonly #fallback: Uint8Array;
  #matched = 0;

  constructor(pattern: Buffer) {
    this.pattern = pattern;
    this.#fallback = new Uint8Array(pattern.length + 1);
    for (let i = 1, k = 0; i < pattern.length; i++) {
      while (k > 0 && pattern[i] !== pattern[k]) k = this.#fallback[k] as number;
      if (pattern[i] === pattern[k]) k++;
      this.#fallback[i + 1] = k;
    }
  }

  /** Bytes at the end of the stream that may begin the pattern. */
  get matched(): number {
    return this.#matched;
  }

  /** Of what was found. */
  get foundBytes(): number {
    return this.pattern.length;
  }

  /** Whether the pattern ends with this byte; the next one begins behind it. */
  step(byte: number): boolean {
    const { pattern } = this;
    let matched = this.#matched;
    while (matched > 0 && pattern[matched] !== byte) matched = this.#fallback[matched] as number;
    if (pattern[matched] === byte) matched++;
    const complete = matched === pattern.length;
    this.#matched = complete ? 0 : matched;
    return complete;
  }

  /** @returns the index behind the pattern's end in `bytes[from..)`, or -1 */
  search(bytes: Buffer, from: number): number {
    for (let i = from; i < bytes.length; i++) if (this.step(bytes[i] as number)) return i + 1;
    return -1;
  }

  reset(): void {
    this.#matched = 0;
  }
}

/** The first of several; of those that end with the same byte the longest. */
export class FirstOf {
  readonly #matchers: readonly Matcher[];
  foundBytes = 0;

  constructor(patterns: readonly Buffer[]) {
    this.#matchers = patterns.map((pattern) => new Matcher(pattern));
  }

  /** @returns the index behind its end in `bytes[from..)`, or -1 */
  search(bytes: Buffer, from: number): number {
    for (let i = from; i < bytes.length; i++) if (this.#step(bytes[i] as number)) return i + 1;
    return -1;
  }

  reset(): void {
    for (const matcher of this.#matchers) matcher.reset();
  }

  #step(byte: number): boolean {
    let longest = 0;
    for (let i = 0; i < this.#matchers.length; i++) {
      const matcher = this.#matchers[i] as Matcher;
      if (matcher.step(byte) && matcher.foundBytes > longest) longest = matcher.foundBytes;
    }
    if (longest === 0) return false;
    this.foundBytes = longest;
    this.reset();
    return true;
  }
}
