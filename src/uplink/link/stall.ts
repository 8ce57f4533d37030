/** Notices a server that acknowledges everything but one message: it would hold the spool for ever. */
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import type { Store } from "../../core/ports.ts";

/** The oldest message in flight has this long, twice, to be acknowledged. */
export const STALL_MS = 60_000;

/** What is watched: the spool. */
export interface Stallable {
  /** Whether what is in flight longest, of any class, was in flight when this was asked last. */
  isStuck(): boolean;
}

export class Stall implements Expirable {
  readonly #wheel: TimerWheel;
  readonly #store: Store;
  readonly #spool: Stallable;
  readonly #onStalled: () => void;
  readonly #timer = new Timer(this, 0);

  /** @param onStalled the connection is to be made anew */
  constructor(wheel: TimerWheel, store: Store, spool: Stallable, onStalled: () => void) {
    this.#wheel = wheel;
    this.#store = store;
    this.#spool = spool;
    this.#onStalled = onStalled;
  }

  start(): void {
    this.#wheel.schedule(this.#timer, STALL_MS);
  }

  stop(): void {
    this.#wheel.cancel(this.#timer);
  }

  onTimer(): void {
    // What waits for our own store, as PUBREL does, is not the server's fault.
    if (this.#spool.isStuck() && this.#store.health === "ok") this.#onStalled();
    else this.#wheel.schedule(this.#timer, STALL_MS);
  }
}
