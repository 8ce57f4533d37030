/**
 * When the month of a data cap is over, on a board whose clock stands at 1970 after each start until the network sets it.
 *
 * The period follows a time of its own: what a set clock showed last, and what has passed since by age time, which goes on
 * over restarts (base/age-scale.ts). A wall clock that is near it sets it; one that is not, because it jumped, has to stay
 * where it is for a day of running time before it is believed. So neither 1970 nor 50 years ahead and back begin a new
 * month, and a board that never gets the time again begins one all the same.
 */
import type { TimeSource } from "../../core/ports.ts";

/** A clock that is so far off is doubted, and believed when it has stayed so for as long. */
export const DOUBT_MS = 24 * 3_600_000;
/** No period is longer, as a clock says that is not doubted. */
const PERIOD_MS_MAX = 31 * 24 * 3_600_000 + DOUBT_MS;

/** What the next run needs. */
export interface PeriodRecord {
  readonly endMs: number;
  readonly wallMs: number;
  readonly stampMs: number;
}

export const NO_PERIOD: PeriodRecord = { endMs: 0, wallMs: 0, stampMs: 0 };

export interface PeriodParts {
  readonly time: TimeSource;
  /** Whether the wall clock is later than the program and than all that was stored. */
  readonly isClockSet: () => boolean;
}

export class BillingPeriod {
  readonly #resetsOnDay: number;
  readonly #parts: PeriodParts;
  #record: PeriodRecord;
  /** A clock that is not believed: what it is ahead of monotonic time, and since when. */
  #doubted: { readonly offsetMs: number; readonly sinceMs: number } | null = null;

  constructor(resetsOnDay: number, record: PeriodRecord, parts: PeriodParts) {
    this.#resetsOnDay = resetsOnDay;
    this.#record = record;
    this.#parts = parts;
  }

  get record(): PeriodRecord {
    return this.#record;
  }

  /** Unix ms; 0 = not known. */
  get endMs(): number {
    return this.#record.endMs;
  }

  /** Ms until the end, by the time it follows; Infinity = not known. */
  get leftMs(): number {
    return this.endMs === 0 ? Number.POSITIVE_INFINITY : Math.max(0, this.endMs - this.#nowMs());
  }

  /** Looks at the clock. @returns whether a new period has begun */
  look(): boolean {
    this.#lookAtClock();
    const nowMs = this.#nowMs();
    if (nowMs === 0) return false;
    const { endMs } = this.#record;
    const begins = endMs > 0 && nowMs >= endMs;
    // Not known yet, the clock was corrected backwards, or another day was configured.
    const isElsewhere =
      endMs === 0 || endMs - nowMs > PERIOD_MS_MAX || new Date(endMs).getUTCDate() !== this.#resetsOnDay;
    if (begins || isElsewhere) this.#record = { ...this.#record, endMs: nextReset(nowMs, this.#resetsOnDay) };
    return begins;
  }

  /** 0 = not known. */
  #nowMs(): number {
    const { wallMs, stampMs } = this.#record;
    return wallMs === 0 ? 0 : wallMs + this.#parts.time.elapsedMs(stampMs);
  }

  #lookAtClock(): void {
    const { time, isClockSet } = this.#parts;
    if (!isClockSet()) {
      this.#doubted = null;
      return;
    }
    const wallMs = time.wallMs();
    if (this.#record.wallMs > 0 && Math.abs(wallMs - this.#nowMs()) > DOUBT_MS && !this.#isConvincing(wallMs)) return;
    this.#doubted = null;
    this.#record = { ...this.#record, wallMs, stampMs: time.ageMs() };
  }

  /** Whether a clock that is far off has stayed so for long enough. */
  #isConvincing(wallMs: number): boolean {
    const nowMs = this.#parts.time.nowMs();
    const offsetMs = wallMs - nowMs;
    if (this.#doubted === null || Math.abs(offsetMs - this.#doubted.offsetMs) > DOUBT_MS) {
      this.#doubted = { offsetMs, sinceMs: nowMs };
    }
    return nowMs - this.#doubted.sinceMs >= DOUBT_MS;
  }
}

/** The first midnight after `wallMs` that begins this day of a month, in UTC. */
export function nextReset(wallMs: number, day: number): number {
  const date = new Date(wallMs);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  const thisMonth = Date.UTC(year, month, day);
  return thisMonth > wallMs ? thisMonth : Date.UTC(year, month + 1, day);
}
