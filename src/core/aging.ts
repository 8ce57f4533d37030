/**
 * Frees what receivers leave to get too old: without a look from time to time, the backlog of one that never comes back
 * would stay until it is full. Who is away and has something is looked at about 64 times in the time that a message may
 * wait, one slice of the log after the other.
 */
import { Timer, type TimerWheel } from "../base/timer-wheel.ts";

/** Answers of `cutOld`: not to be looked at any more, later again, at once. */
export const AGED = 0;
export const AGES = 1;
export const AGES_NOW = 2;

export interface AgingQueue {
  readonly limits: { readonly maxAgeMs: number };
  /** Drops one slice of what is too old. */
  cutOld(): number;
}

const LOOKS_PER_AGE = 64;
const INTERVAL_MS_MIN = 1000;
const INTERVAL_MS_MAX = 60_000;
/** Time spent on it in one turn. */
const SLICE_MS = 1;

interface Entry {
  readonly queue: AgingQueue;
  dueMs: number;
}

export class Aging {
  readonly #wheel: TimerWheel;
  readonly #nowMs: () => number;
  readonly #later: (run: () => void) => void;
  readonly #timer = new Timer({ onTimer: () => this.#look() }, 0);
  /** One for each queue that is looked after: at most as many as there are receivers. */
  #entries: Entry[] = [];
  /** Next entry to look at in the round under way, and how many entries of it stay. */
  #next = 0;
  #staying = 0;
  #rounds = false;

  /** @param later runs something in a later turn of the event loop */
  constructor(wheel: TimerWheel, nowMs: () => number, later: (run: () => void) => void = setImmediate) {
    this.#wheel = wheel;
    this.#nowMs = nowMs;
    this.#later = later;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Until its `cutOld` answers AGED. */
  add(queue: AgingQueue): void {
    this.#entries.push({ queue, dueMs: this.#nowMs() + intervalMs(queue) });
    if (!this.#timer.armed && !this.#rounds) this.#wheel.schedule(this.#timer, INTERVAL_MS_MIN);
  }

  /** Begins a round. */
  #look(): void {
    this.#rounds = true;
    this.#next = 0;
    this.#staying = 0;
    this.#goOn();
  }

  readonly #goOn = (): void => {
    const untilMs = performance.now() + SLICE_MS;
    const nowMs = this.#nowMs();
    do {
      const entry = this.#entries[this.#next];
      if (entry === undefined) {
        this.#endRound();
        return;
      }
      const answer = entry.dueMs > nowMs ? AGES : entry.queue.cutOld();
      if (answer === AGES_NOW) continue;
      if (answer === AGES) {
        if (entry.dueMs <= nowMs) entry.dueMs = nowMs + intervalMs(entry.queue);
        this.#entries[this.#staying++] = entry;
      }
      this.#next++;
    } while (performance.now() < untilMs);
    this.#later(this.#goOn);
  };

  #endRound(): void {
    this.#rounds = false;
    this.#entries.length = this.#staying;
    if (this.#staying > 0) this.#wheel.schedule(this.#timer, INTERVAL_MS_MIN);
  }
}

function intervalMs({ limits }: AgingQueue): number {
  return Math.min(INTERVAL_MS_MAX, Math.max(INTERVAL_MS_MIN, limits.maxAgeMs / LOOKS_PER_AGE));
}
