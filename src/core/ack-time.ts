/** How long a peer takes to acknowledge: one message at a time is timed, from sending it to PUBACK or PUBREC. */
import type { TimeSource } from "./ports.ts";

/** Share of the newest time in the smoothed one. */
const NEWEST_SHARE = 1 / 8;

export class AckTime {
  readonly #time: TimeSource;
  /** Smoothed, in ms; 0 = none was timed yet. */
  ms = 0;
  /** Ordinal of the message under way; -1 = none. */
  #timed = -1;
  #sinceMs = 0;

  constructor(time: TimeSource) {
    this.#time = time;
  }

  sent(ordinal: number): void {
    if (this.#timed >= 0) return;
    this.#timed = ordinal;
    this.#sinceMs = this.#time.nowMs();
  }

  answered(ordinal: number): void {
    if (ordinal !== this.#timed) return;
    this.#timed = -1;
    const ms = this.#time.nowMs() - this.#sinceMs;
    this.ms = this.ms === 0 ? ms : this.ms + (ms - this.ms) * NEWEST_SHARE;
  }

  /** No answer is to come for `ordinal`. */
  forget(ordinal: number): void {
    if (ordinal === this.#timed) this.#timed = -1;
  }

  /** No answer is to come for any. */
  forgetAll(): void {
    this.#timed = -1;
  }
}
