/** Notices a server that acknowledges everything but one message: it would hold the spool for ever. */
import { type Expirable, Timer, type TimerWheel } from "../base/timer-wheel.ts";
import type { Store } from "../core/ports.ts";

/** The oldest message in flight has this long, twice, to be acknowledged. */
export const STALL_MS = 60_000;

/** What is watched: a queue. */
export interface Stallable {
  readonly headSeq: number;
  readonly inFlight: number;
}

export class Stall implements Expirable {
  readonly #wheel: TimerWheel;
  readonly #store: Store;
  readonly #queue: Stallable;
  readonly #onStalled: () => void;
  readonly #timer = new Timer(this, 0);
  #answers = 0;
  #seenHead = 0;
  #seenAnswers = -1;

  /** @param onStalled the connection is to be made anew */
  constructor(wheel: TimerWheel, store: Store, queue: Stallable, onStalled: () => void) {
    this.#wheel = wheel;
    this.#store = store;
    this.#queue = queue;
    this.#onStalled = onStalled;
  }

  start(): void {
    this.#seenAnswers = -1;
    this.#wheel.schedule(this.#timer, STALL_MS);
  }

  stop(): void {
    this.#wheel.cancel(this.#timer);
  }

  /** The server acknowledged something. */
  onAnswer(): void {
    this.#answers++;
  }

  onTimer(): void {
    const { headSeq, inFlight } = this.#queue;
    const sameHead =
      headSeq === Number.POSITIVE_INFINITY ? this.#answers === this.#seenAnswers : headSeq === this.#seenHead;
    if (inFlight > 0 && sameHead && this.#seenAnswers >= 0 && this.#store.health === "ok") {
      this.#onStalled();
      return;
    }
    this.#seenHead = headSeq;
    this.#seenAnswers = inFlight > 0 ? this.#answers : -1;
    this.#wheel.schedule(this.#timer, STALL_MS);
  }
}
