/** Who wants to know when the records of receivers are written, see `Store.recordsWritten`. */
export class RecordWaiters {
  readonly #onDue: () => void;
  #waiters = new Set<() => void>();

  /** @param onDue records are to be written now; `tell` follows, now or later */
  constructor(onDue: () => void) {
    this.#onDue = onDue;
  }

  add(told: () => void, atOnce: boolean): void {
    this.#waiters.add(told);
    if (atOnce) setImmediate(this.#onImmediate);
  }

  readonly #onImmediate = (): void => {
    if (this.#waiters.size > 0) this.#onDue();
  };

  tell(): void {
    if (this.#waiters.size === 0) return;
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const told of waiters) told();
  }
}
