/**
 * Lets a few tasks run at a time and keeps the others waiting in order. Made for libuv's four threads, which one slow
 * resolver or eight password hashes would otherwise fill.
 */
import { RingBuffer } from "./ring-buffer.ts";

export class Semaphore {
  readonly #waiting: RingBuffer<() => void>;
  #free: number;

  /** @param waitingMax tasks that may wait; beyond it `run` rejects with SemaphoreFull */
  constructor(permits: number, waitingMax = 1024) {
    this.#free = permits;
    this.#waiting = new RingBuffer(waitingMax);
  }

  /** Tasks that wait for a permit. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Runs `task` when a permit is free; settles as it does. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    await this.#acquire();
    try {
      return await task();
    } finally {
      this.#release();
    }
  }

  #acquire(): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      if (!this.#waiting.push(resolve)) reject(new SemaphoreFull(this.#waiting.length));
    });
  }

  /** The permit goes straight to the one who waits longest. */
  #release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}

export class SemaphoreFull extends Error {
  override readonly name = "SemaphoreFull";

  constructor(waiting: number) {
    super(`${waiting} tasks are waiting already`);
  }
}
