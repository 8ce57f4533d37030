/** How fast an uplink's packets come and go: averages of about a minute, sampled while it lives. */
import { type Expirable, Timer, type TimerWheel } from "../base/timer-wheel.ts";
import { LoadAverage } from "../core/load-average.ts";
import type { TimeSource } from "../core/ports.ts";

export const SAMPLE_MS = 10_000;
const SECONDS_PER_MINUTE = 60;

export class Rates implements Expirable {
  readonly #wheel: TimerWheel;
  readonly #time: TimeSource;
  readonly #loads: readonly LoadAverage[];
  readonly #timer = new Timer(this, 0);
  #sampledMs: number;

  /** @param counters what is counted, in the order of `perSecond` */
  constructor(wheel: TimerWheel, time: TimeSource, counters: readonly (() => number)[]) {
    this.#wheel = wheel;
    this.#time = time;
    this.#loads = counters.map((read) => new LoadAverage(read));
    this.#sampledMs = time.nowMs();
  }

  start(): void {
    this.#sampledMs = this.#time.nowMs();
    this.#wheel.schedule(this.#timer, SAMPLE_MS);
  }

  stop(): void {
    this.#wheel.cancel(this.#timer);
  }

  /** With two decimals. @param nth counter */
  perSecond(nth: number): number {
    const perMinute = this.#loads[nth]?.perMinute[0] ?? 0;
    return Math.round((perMinute / SECONDS_PER_MINUTE) * 100) / 100;
  }

  onTimer(): void {
    const nowMs = this.#time.nowMs();
    if (nowMs > this.#sampledMs) for (const load of this.#loads) load.sample(nowMs - this.#sampledMs);
    this.start();
  }
}
