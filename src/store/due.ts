/**
 * When the open group is to be written. Three clocks, the earliest counts; with none running there is no timer:
 *   - the oldest message that is still to be written: commit_delay
 *   - somebody waits for something else: commit_delay
 *   - something changed that nobody waits for (receivers' records, sessions, QoS 0 retained values): LAZY_DELAY_MS, so
 *     that it goes with other work or many changes go together. A crash costs these changes; a receiver may then see
 *     messages again that it had acknowledged at QoS 1.
 */
const NEVER = Number.POSITIVE_INFINITY;
export const LAZY_DELAY_MS = 500;

export interface DueParts {
  readonly nowMs: () => number;
  /** `commit_delay` of this moment. */
  readonly delayMs: () => number;
  /** When the oldest message of the open group entered; Infinity = none. */
  readonly oldestMs: () => number;
  readonly onDue: () => void;
}

export class Due {
  readonly #parts: DueParts;
  #waitedMs = NEVER;
  #changedMs = NEVER;
  #timer: NodeJS.Timeout | null = null;
  #timerDueMs = NEVER;
  #soon = false;

  constructor(parts: DueParts) {
    this.#parts = parts;
  }

  /** A message entered. */
  entered(nowMs: number): void {
    this.#arm(nowMs + this.#parts.delayMs());
  }

  /** Somebody waits for what changed. */
  waited(): void {
    if (this.#waitedMs !== NEVER) return;
    this.#waitedMs = this.#parts.nowMs();
    this.#arm(this.#waitedMs + this.#parts.delayMs());
  }

  /** Something changed; nobody waits. */
  changed(): void {
    if (this.#changedMs !== NEVER) return;
    this.#changedMs = this.#parts.nowMs();
    this.#arm(this.#changedMs + LAZY_DELAY_MS);
  }

  /** At the end of this turn of the event loop. */
  soon(): void {
    if (this.#soon) return;
    this.#soon = true;
    setImmediate(this.#onImmediate);
  }

  /** The group was written. */
  reset(): void {
    this.#waitedMs = NEVER;
    this.#changedMs = NEVER;
    this.#timerDueMs = NEVER;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #arm(dueMs: number): void {
    if (dueMs >= this.#timerDueMs) return;
    this.#timerDueMs = dueMs;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onTimer, Math.max(0, dueMs - this.#parts.nowMs()));
  }

  readonly #onTimer = (): void => {
    this.#timer = null;
    this.#timerDueMs = NEVER;
    const { nowMs, delayMs, oldestMs, onDue } = this.#parts;
    const dueMs = Math.min(Math.min(oldestMs(), this.#waitedMs) + delayMs(), this.#changedMs + LAZY_DELAY_MS);
    if (dueMs === NEVER) return;
    // A timer may fire up to 1 ms early.
    if (dueMs > nowMs() + 1) this.#arm(dueMs);
    else onDue();
  };

  readonly #onImmediate = (): void => {
    this.#soon = false;
    this.#parts.onDue();
  };
}
