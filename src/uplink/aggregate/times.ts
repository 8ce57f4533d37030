/**
 * Wall time of what was accepted at a stamp. While the clock of the board is not set, times are seconds before now, as
 * RFC 8428 section 4.5.3 has them: below 2^28, so that nobody takes them for times since 1970.
 */
import type { TimeSource } from "../../core/ports.ts";

export class Times {
  readonly #time: TimeSource;
  readonly #isSet: () => boolean;

  /** @param isSet whether the wall clock is right, as far as can be known */
  constructor(time: TimeSource, isSet: () => boolean) {
    this.#time = time;
    this.#isSet = isSet;
  }

  get isSet(): boolean {
    return this.#isSet();
  }

  nowStampMs(): number {
    return this.#time.ageMs();
  }

  /** Ms since the stamp. */
  elapsedMs(stampMs: number): number {
    return this.#time.elapsedMs(stampMs);
  }

  /** Unix ms; only while the clock is set. */
  wallMs(stampMs: number): number {
    return this.#time.wallMs() - this.#time.elapsedMs(stampMs);
  }

  /** Seconds since 1970, or, at most 0, relative to now. */
  readonly secondsOf = (stampMs: number): number => {
    const ms = Math.round(this.#isSet() ? this.wallMs(stampMs) : -this.#time.elapsedMs(stampMs));
    return ms === 0 ? 0 : ms / 1000;
  };
}
