/** A rate with a burst: starts full, refills steadily with monotonic time. */
import type { Clock } from "./clock.ts";

export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #clock: Clock;
  #tokens: number;
  #atMs: number;

  constructor(ratePerSecond: number, burst: number, clock: Clock) {
    this.#perMs = ratePerSecond / 1000;
    this.#burst = burst;
    this.#clock = clock;
    this.#tokens = burst;
    this.#atMs = clock.nowMs();
  }

  /** Takes `n` tokens, at most the burst; false when there are fewer, and then takes none. */
  take(n = 1): boolean {
    this.#refill();
    if (this.#tokens < n) return false;
    this.#tokens -= n;
    return true;
  }

  /** Ms until `take(n)` can succeed; 0 when it would now. */
  waitMs(n = 1): number {
    this.#refill();
    return Math.max(0, (n - this.#tokens) / this.#perMs);
  }

  #refill(): void {
    const nowMs = this.#clock.nowMs();
    this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#atMs) * this.#perMs);
    this.#atMs = nowMs;
  }
}
