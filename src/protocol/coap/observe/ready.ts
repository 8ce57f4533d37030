/**
 * Clients that may be notified, in order, a few in each slice of a turn; and those that have to wait for the end of their
 * last NON's time first, with one timer for all of them.
 */
import type { Clock } from "../../../base/clock.ts";
import { type Expirable, Timer, type TimerWheel } from "../../../base/timer-wheel.ts";
import type { Sliced } from "../../../core/turns.ts";
import type { Watcher } from "./watcher.ts";

/** Notifications of a slice: about 0.3 ms. */
const SLICE_NOTIFICATIONS = 16;

export interface ReadyParts {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** Gives a slice of a turn. */
  readonly schedule: (sliced: Sliced) => void;
}

export interface ReadyHost {
  /** It is the client's turn. */
  pump(watcher: Watcher): void;
  /** Nobody else is ready. */
  onIdle(): void;
}

export class ReadyWatchers implements Sliced, Expirable {
  readonly #parts: ReadyParts;
  readonly #host: ReadyHost;
  readonly #ready: Watcher[] = [];
  #scheduled = false;
  readonly #quiet: Watcher[] = [];
  readonly #timer = new Timer(this, 0);

  constructor(parts: ReadyParts, host: ReadyHost) {
    this.#parts = parts;
    this.#host = host;
  }

  /** There may be something to notify the client of. */
  add(watcher: Watcher): void {
    if (watcher.queued) return;
    watcher.queued = true;
    this.#ready.push(watcher);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#parts.schedule(this);
  }

  runScheduled(): void {
    for (const watcher of this.#ready.splice(0, SLICE_NOTIFICATIONS)) {
      watcher.queued = false;
      this.#host.pump(watcher);
    }
    this.#scheduled = this.#ready.length > 0;
    if (this.#scheduled) this.#parts.schedule(this);
    else this.#host.onIdle();
  }

  /** Adds the client when its last NON does not count as outstanding any more, if it has more to be told. */
  addLater(watcher: Watcher): void {
    if (watcher.quiet || !watcher.hasMore) return;
    watcher.quiet = true;
    this.#quiet.push(watcher);
    if (!this.#timer.armed) this.#parts.wheel.schedule(this.#timer, 0);
  }

  /** A tick of the wheel while anybody waits. */
  onTimer(): void {
    const nowMs = this.#parts.clock.nowMs();
    let stay = 0;
    for (const watcher of this.#quiet) {
      if (watcher.quietUntilMs > nowMs && watcher.count > 0) {
        this.#quiet[stay++] = watcher;
        continue;
      }
      watcher.quiet = false;
      this.add(watcher);
    }
    this.#quiet.length = stay;
    if (stay > 0) this.#parts.wheel.schedule(this.#timer, 0);
  }
}
