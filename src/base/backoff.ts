/** Exponential backoff with full jitter: a thousand gateways that lost the same broker do not come back together. */
import type { Random } from "./random.ts";

export interface BackoffOptions {
  /** Ceiling of the first delay; no delay is shorter than half of it. */
  baseMs: number;
  /** Ceiling of every delay. */
  capMs: number;
}

export class Backoff {
  readonly #baseMs: number;
  readonly #capMs: number;
  readonly #random: Random;
  #ceilingMs: number;

  constructor(options: BackoffOptions, random: Random) {
    this.#baseMs = options.baseMs;
    this.#capMs = options.capMs;
    this.#random = random;
    this.#ceilingMs = options.baseMs;
  }

  /** Ms to wait before the next try: random below a ceiling that doubles with each call. */
  next(): number {
    const delayMs = Math.max(this.#baseMs / 2, this.#random() * this.#ceilingMs);
    this.#ceilingMs = Math.min(this.#ceilingMs * 2, this.#capMs);
    return delayMs;
  }

  /** The try succeeded. */
  reset(): void {
    this.#ceilingMs = this.#baseMs;
  }
}
