/**
 * Bounds what goes out again after `kill -9`: what is in flight, and what was answered since the database heard of it,
 * are a window together. The store writes receivers' records every half second; a backlog drains tens of thousands of
 * messages meanwhile. So when half a window is answered the records are written at once, and where both make a window,
 * no more is sent until they are.
 */
import type { Store } from "../../core/ports.ts";
import type { Spool } from "./spool.ts";

/** What was asked of the store. */
const NOTHING = 0;
const IN_TIME = 1;
const AT_ONCE = 2;
/** With a window this small, every answer is written at once: there is nothing to wait for. */
const SMALL = 16;

export class Repeats {
  readonly #max: number;
  readonly #store: Store;
  readonly #spool: Pick<Spool, "inFlight" | "pump">;
  /** Answered, and in the log as far as the database knows. */
  #unsaved = 0;
  #asked = NOTHING;
  #held = false;

  /** @param window messages that may go out again at most */
  constructor(window: number, store: Store, spool: Pick<Spool, "inFlight" | "pump">) {
    // One is sent in the place of one that was answered before the answer is counted here.
    this.#max = window - 1;
    this.#store = store;
    this.#spool = spool;
  }

  /** Whether one more may be sent now. If not, it is remembered: `Spool.pump` follows. */
  takes(): boolean {
    if (this.#unsaved === 0 || this.#spool.inFlight + this.#unsaved < this.#max) return true;
    this.#held = true;
    return false;
  }

  /** A message that the log has was answered. */
  answered(): void {
    this.#unsaved++;
    const wanted = this.#max < SMALL || this.#unsaved * 2 >= this.#max ? AT_ONCE : IN_TIME;
    if (this.#asked >= wanted) return;
    this.#asked = wanted;
    this.#store.recordsWritten(this.#onWritten, wanted === AT_ONCE);
  }

  /** Or the disk refuses: then a drained backlog is worth more than what comes twice. */
  readonly #onWritten = (): void => {
    this.#asked = NOTHING;
    this.#unsaved = 0;
    if (!this.#held) return;
    this.#held = false;
    this.#spool.pump();
  };
}
