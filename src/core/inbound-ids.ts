/**
 * Packet ids of QoS 2 messages that a client sent and has not released. A few of them are part of the session's bytes;
 * for many there is a bitmap, which comes out of the memory of all sessions.
 */
import type { Allowance } from "../base/allowance.ts";
import { IdSet } from "../base/id-set.ts";

export class InboundIds {
  readonly #ids = new IdSet();
  readonly #memory: Allowance;
  #taken = 0;

  constructor(memory: Allowance) {
    this.#memory = memory;
  }

  get size(): number {
    return this.#ids.size;
  }

  has(id: number): boolean {
    return this.#ids.has(id);
  }

  /** Whether there is memory for one more: to be asked before its message is taken. */
  hasRoom(): boolean {
    const due = this.#ids.bytesWithOneMore - this.#taken;
    if (due <= 0) return true;
    if (!this.#memory.take(due)) return false;
    this.#taken += due;
    return true;
  }

  /** Also without room: what a restart finds is kept. */
  add(id: number): void {
    this.#ids.add(id);
    const due = this.#ids.bytes - this.#taken;
    if (due <= 0) return;
    this.#memory.takeAnyway(due);
    this.#taken += due;
  }

  /** False when it was not there. */
  delete(id: number): boolean {
    const found = this.#ids.delete(id);
    if (this.#taken > 0 && this.#ids.bytes === 0) this.#give();
    return found;
  }

  /** The session ends. */
  end(): void {
    this.#ids.clear();
    this.#give();
  }

  [Symbol.iterator](): Iterator<number> {
    return this.#ids[Symbol.iterator]();
  }

  #give(): void {
    this.#memory.give(this.#taken);
    this.#taken = 0;
  }
}
