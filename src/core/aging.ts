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

export class Aging {
  readonly #wheel: TimerWheel;
  readonly #nowMs: () => number;
  readonly #later: (run: () => void) => void;
  readonly #timer = new Timer({ onTimer: () => this.#look() }, 0);
  /** When each queue that is looked after is due: at most as many as there are receivers. */
  readonly #dueMs = new Map<AgingQueue, number>();
  /** Of the round under way: who comes next, and who has more to drop. null = none. */
  #round: MapIterator<AgingQueue> | null = null;
  #current: AgingQueue | null = null;

  /** @param later runs something in a later turn of the event loop */
  constructor(wheel: TimerWheel, nowMs: () => number, later: (run: () => void) => void = setImmediate) {
    this.#wheel = wheel;
    this.#nowMs = nowMs;
    this.#later = later;
  }

  get size(): number {
    return this.#dueMs.size;
  }

  /** Until its `cutOld` answers AGED, or `remove`. */
  add(queue: AgingQueue): void {
    this.#dueMs.set(queue, this.#nowMs() + intervalMs(queue));
    if (!this.#timer.armed && this.#round === null) this.#wheel.schedule(this.#timer, INTERVAL_MS_MIN);
  }

  /** Its receiver is no more. */
  remove(queue: AgingQueue): void {
    this.#dueMs.delete(queue);
    if (this.#current === queue) this.#current = null;
    if (this.#dueMs.size === 0) this.#wheel.cancel(this.#timer);
  }

  /** Begins a round. */
  #look(): void {
    this.#round = this.#dueMs.keys();
    this.#goOn();
  }

  readonly #goOn = (): void => {
    const untilMs = performance.now() + SLICE_MS;
    const nowMs = this.#nowMs();
    do {
      const queue = this.#current ?? this.#round?.next().value;
      if (queue === undefined) {
        this.#round = null;
        if (this.#dueMs.size > 0) this.#wheel.schedule(this.#timer, INTERVAL_MS_MIN);
        return;
      }
      this.#visit(queue, nowMs);
    } while (performance.now() < untilMs);
    this.#later(this.#goOn);
  };

  #visit(queue: AgingQueue, nowMs: number): void {
    this.#current = null;
    if ((this.#dueMs.get(queue) as number) > nowMs) return;
    const answer = queue.cutOld();
    if (answer === AGES_NOW) this.#current = queue;
    else if (answer === AGES) this.#dueMs.set(queue, nowMs + intervalMs(queue));
    else this.#dueMs.delete(queue);
  }
}

function intervalMs({ limits }: AgingQueue): number {
  return Math.min(INTERVAL_MS_MAX, Math.max(INTERVAL_MS_MIN, limits.maxAgeMs / LOOKS_PER_AGE));
}
