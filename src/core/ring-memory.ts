/** What one ring of messages in flight takes of the memory that all longer rings share. */
import type { Allowance } from "../base/allowance.ts";

export class RingMemory {
  readonly #memory: Allowance | null;
  /** Bytes. */
  taken = 0;

  /** @param memory null = it is not counted */
  constructor(memory: Allowance | null) {
    this.#memory = memory;
  }

  /** Whether the ring may take `bytes` in all. */
  allows(bytes: number): boolean {
    const memory = this.#memory;
    return memory === null || memory.used + bytes - this.taken <= memory.bytesMax;
  }

  /** It takes `bytes` in all now. */
  hold(bytes: number): void {
    if (this.#memory === null) return;
    this.#memory.takeAnyway(bytes - this.taken);
    this.taken = bytes;
  }

  /** Whether who has more than everybody may have, and does not use it, should give it back. */
  get isShort(): boolean {
    return this.#memory !== null && this.#memory.used > this.#memory.bytesMax / 2;
  }

  release(): void {
    this.#memory?.give(this.taken);
    this.taken = 0;
  }
}
