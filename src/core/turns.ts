/**
 * Who has more to do for a receiver than one turn of the event loop should take: a queue with a long backlog, a session
 * that is sent thousands of retained values. Each gets a slice when it is due, in the order in which they asked, and a
 * turn has so few slices that a thousand of them that come at once do not hold up the others.
 */
import type { Counter, Counters } from "../base/counters.ts";

/** Of at most about 0.3 ms: 64 KiB of backlog, or the retained values of a slice. */
export const SLICES_PER_TURN = 4;

export interface Sliced {
  /** Its turn has come: does one slice, and asks again when there is more. */
  runScheduled(): void;
}

export class Turns {
  /** From `#first` on they wait; before it are those that had their turn. */
  #asked: Sliced[] = [];
  #first = 0;
  #armed = false;
  readonly #slices: Counter;

  constructor(counters: Counters) {
    this.#slices = counters.counter("queue.slices");
    counters.gauge("queue.slices_waiting", () => this.#asked.length - this.#first);
  }

  readonly schedule = (sliced: Sliced): void => {
    this.#asked.push(sliced);
    this.#arm();
  };

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#armed = false;
    const end = Math.min(this.#asked.length, this.#first + SLICES_PER_TURN);
    while (this.#first < end) {
      this.#slices.value++;
      this.#asked[this.#first++]?.runScheduled();
    }
    // Behind the end are those that asked meanwhile. What is done goes when it is half of the list, so that each is moved once.
    if (this.#first * 2 >= this.#asked.length) {
      this.#asked.splice(0, this.#first);
      this.#first = 0;
    }
    if (this.#asked.length > 0) this.#arm();
  };
}
