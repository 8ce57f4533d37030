/**
 * A rate with a burst: starts full, refills steadily with monotonic time.
 *
 *     0 ────────────── takes at once ────────────── burst - slack ── slack ── burst
 *
 * Over any time T no more is taken than rate * T + burst. Who waits for tokens comes late: timers have a resolution, the
 * event loop lags. What flows in meanwhile would be lost in a full bucket, so the uppermost part of it, the slack, is
 * kept for that, and who is not later than the slack gets the rate exactly. What is larger than the rest of the bucket
 * goes when that is full, and the bucket owes it: then the bound is rate * T + n + slack.
 */
import type { Clock } from "./clock.ts";

/** Of a token: who waited until there are enough is not turned away by a rounding error. */
const ROUNDING = 1e-6;

export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  /** No taking waits for more. */
  readonly #enough: number;
  readonly #clock: Pick<Clock, "nowMs">;
  #tokens: number;
  #atMs: number;

  /** @param slackMs the refill of that time is the slack, which is less than the burst */
  constructor(ratePerSecond: number, burst: number, clock: Pick<Clock, "nowMs">, slackMs = 0) {
    this.#perMs = ratePerSecond / 1000;
    this.#burst = burst;
    this.#enough = burst - slackMs * this.#perMs;
    this.#clock = clock;
    this.#tokens = burst;
    this.#atMs = clock.nowMs();
  }

  /** Takes `n` tokens; false when there are not enough, and then takes none. */
  take(n = 1): boolean {
    if (this.waitMs(n) > 0) return false;
    this.spend(n);
    return true;
  }

  /** Ms until `take(n)` can succeed; 0 when it would now. */
  waitMs(n = 1): number {
    this.#refill();
    const missing = Math.min(n, this.#enough) - this.#tokens;
    return missing < ROUNDING ? 0 : missing / this.#perMs;
  }

  /** Takes `n` tokens, whether they are there or not: after `waitMs` has said 0. */
  spend(n: number): void {
    this.#tokens -= n;
  }

  #refill(): void {
    const nowMs = this.#clock.nowMs();
    this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#atMs) * this.#perMs);
    this.#atMs = nowMs;
  }
}
