/**
 * Buffers of one size, shared by many who need one now and then. At most `countMax` exist; they are made on first
 * use and kept for the next taker.
 */
import { assert } from "./assert.ts";

export class BufferPool {
  readonly bufferBytes: number;
  readonly countMax: number;
  readonly #free: Buffer[] = [];
  #inUse = 0;

  constructor(bufferBytes: number, countMax: number) {
    this.bufferBytes = bufferBytes;
    this.countMax = countMax;
  }

  /** Buffers taken and not given back. */
  get inUse(): number {
    return this.#inUse;
  }

  /** A buffer with whatever is in it, or null when all are out. */
  take(): Buffer | null {
    if (this.#inUse === this.countMax) return null;
    this.#inUse++;
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.bufferBytes);
  }

  /** Back from the taker, which keeps no reference to it, nor does anybody it passed it to. */
  give(buffer: Buffer): void {
    assert(buffer.length === this.bufferBytes && this.#inUse > 0, "a buffer goes back to the pool it came from, once");
    this.#inUse--;
    this.#free.push(buffer);
  }
}
