/**
 * When the open group is to be written. Three clocks, the earliest counts; with none running there is no timer:
 *   - the messages that are still to be written: each at its entry plus commit_delay, or plus its topic's own delay
 *   - somebody waits for something else: commit_delay
 *   - something changed that nobody waits for (receivers' records, sessions, QoS 0 retained values): LAZY_DELAY_MS, or
 *     the longest delay of a message beside it, so that it goes with other work or many changes go together. A crash
 *     costs these changes; a receiver may then see messages again that it had acknowledged at QoS 1. An uplink, which drains
 *     tens of thousands in that time, asks for its records earlier (`Store.recordsWritten`).
 *
 * `commit_delay` is a question, not a number: it follows the receivers, and widens with the write budget. It is asked
 * when a timer is set and again when it fires, so that a group waits as long as the delay of that moment says.
 */
const NEVER = Number.POSITIVE_INFINITY;
export const LAZY_DELAY_MS = 500;

export interface DueParts {
  readonly nowMs: () => number;
  /** `commit_delay` of this moment. */
  readonly delayMs: () => number;
  /** A delay as it is under the write budget of this moment: the same, or longer. */
  readonly widenedMs: (delayMs: number) => number;
  /**
   * When the messages of the open group are due, with this `commit_delay`, and no delay of a topic's own but 0 shorter
   * than `leastMs`; Infinity = there are none.
   */
  readonly messagesDueMs: (delayMs: number, leastMs: number) => number;
  /** The longest delay that one of them may have; 0 = there are none. */
  readonly delayMsMax: (delayMs: number) => number;
  /** The group is due. */
  readonly onDue: () => void;
  /** Only what nobody waits for is. */
  readonly onLazyDue: () => void;
}

export class Due {
  readonly #parts: DueParts;
  #waitedMs = NEVER;
  #untilMs = NEVER;
  #changedMs = NEVER;
  #timer: NodeJS.Timeout | null = null;
  #timerDueMs = NEVER;
  #soon = false;

  constructor(parts: DueParts) {
    this.#parts = parts;
  }

  /** A message entered. @param ownMs delay of its topic; null = commit_delay */
  entered(nowMs: number, ownMs: number | null): void {
    this.#arm(nowMs + (ownMs === null ? this.#parts.delayMs() : this.#parts.widenedMs(ownMs)));
  }

  /** Somebody waits for what changed. */
  waited(): void {
    if (this.#waitedMs !== NEVER) return;
    this.#waitedMs = this.#parts.nowMs();
    this.#arm(this.#waitedMs + this.#parts.delayMs());
  }

  /** Somebody waits for what changed, which has a delay of its own. */
  waitedFor(ownMs: number): void {
    const untilMs = this.#parts.nowMs() + (ownMs === 0 ? 0 : this.#parts.widenedMs(ownMs));
    if (untilMs >= this.#untilMs) return;
    this.#untilMs = untilMs;
    this.#arm(untilMs);
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
    this.#untilMs = NEVER;
    this.#changedMs = NEVER;
    this.#timerDueMs = NEVER;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** What nobody waits for was written, or need not be; all else goes on waiting. */
  rested(): void {
    this.#changedMs = NEVER;
    this.#arm(this.#dueMs(this.#parts.delayMs()));
  }

  /** When what somebody waits for is due. */
  #dueMs(delayMs: number): number {
    const { messagesDueMs, widenedMs } = this.#parts;
    return Math.min(messagesDueMs(delayMs, widenedMs(0)), this.#waitedMs + delayMs, this.#untilMs);
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
    const { nowMs, delayMs, widenedMs, delayMsMax, onDue, onLazyDue } = this.#parts;
    const delay = delayMs();
    const dueMs = this.#dueMs(delay);
    const lazyDueMs = this.#changedMs + Math.max(widenedMs(LAZY_DELAY_MS), delayMsMax(delay));
    // A timer may fire up to 1 ms early.
    const untilMs = nowMs() + 1;
    if (dueMs <= untilMs) onDue();
    else if (lazyDueMs <= untilMs) onLazyDue();
    else this.#arm(Math.min(dueMs, lazyDueMs));
  };

  readonly #onImmediate = (): void => {
    this.#soon = false;
    this.#parts.onDue();
  };
}
