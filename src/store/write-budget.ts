/**
 * The day's write budget: as it runs out, groups wait longer for company, up to a second, because wide groups write
 * fewer bytes for each message. Nothing is refused and nothing stops. What must go at once still does: urgent messages
 * and groups of `commit_bytes`.
 *
 *     widening   1 s |            ,---------     1 s x ((share - 1/2) x 2)^3 of the share of the budget that is spent;
 *                    |          ,'               50 %: 0    60 %: 8 ms    70 %: 64 ms    80 %: 216 ms
 *                  0 |______,--'                 90 %: 512 ms    100 % and beyond: 1 s until the day is over
 *                    0     1/2     1  share
 */
import type { Log } from "../base/log.ts";
import { DAY_MS, WRITE_CLASSES, type WriteClass, type WriteMeter } from "./meter.ts";

/** Share of the budget up to which nothing is widened. */
export const WIDENING_FROM = 0.5;
export const WIDENING_MS_MAX = 1000;
/** "More than": estimates beyond it say nothing. */
export const YEARS_MAX = 100;
const DAYS_PER_YEAR = 365.25;

/** off: there is no budget. widened: more than half is spent. spent: all of it. */
export type BudgetState = "off" | "normal" | "widened" | "spent";
export const BUDGET_STATES = ["off", "normal", "widened", "spent"] as const satisfies readonly BudgetState[];

/** @param share of the budget that is spent. @returns whole ms, 0 to WIDENING_MS_MAX */
export function wideningMs(share: number): number {
  const over = (share - WIDENING_FROM) / (1 - WIDENING_FROM);
  return Math.round(WIDENING_MS_MAX * Math.min(Math.max(over, 0), 1) ** 3);
}

/** What was written, and what that means; all in bytes as `meter.ts` counts them. */
export interface WriteStatus {
  readonly day: Readonly<Record<WriteClass | "total", number>>;
  readonly lifetime: Readonly<Record<WriteClass | "total", number>>;
  /** Of the days before today, the latest first. */
  readonly pastDays: readonly number[];
  readonly budget: {
    readonly state: BudgetState;
    readonly bytesPerDay: number | "off";
    /** Of the present day. */
    readonly usedPercent: number;
    /** How long a message waits for company at present. */
    readonly windowMs: number;
  };
  /** null = `store.endurance` is not given. */
  readonly wear: WearEstimate | null;
}

export interface WearEstimate {
  readonly enduranceBytes: number;
  readonly usedPercent: number;
  /** On average of today and the last days; null in the first hour. */
  readonly bytesPerDay: number | null;
  /** At that pace, at most YEARS_MAX; null in the first hour. */
  readonly yearsLeft: number | null;
}

/** Time that goes on while the wall clock jumps, and over restarts. */
export interface AgeClock {
  ageMs(): number;
  /** Since an age time; at least 0. */
  elapsedMs(stampMs: number): number;
}

export interface WriteBudgetParts {
  readonly meter: WriteMeter;
  readonly bytesPerDay: number | "off";
  /** What the medium can take in its life; null = not known. */
  readonly enduranceBytes: number | null;
  readonly clock: AgeClock;
  /** `commit_delay` of this moment. */
  readonly delayMs: () => number;
  readonly log: Log;
}

export class WriteBudget {
  readonly #parts: WriteBudgetParts;
  #state: BudgetState;
  #wideningMs = 0;

  constructor(parts: WriteBudgetParts) {
    this.#parts = parts;
    this.#state = parts.bytesPerDay === "off" ? "off" : "normal";
    this.check();
  }

  get state(): BudgetState {
    this.check();
    return this.#state;
  }

  /** How long a group may wait: `commit_delay`, or longer. */
  readonly windowMs = (): number => {
    const delayMs = this.#parts.delayMs();
    return this.#wideningMs === 0 ? delayMs : this.widenedMs(delayMs);
  };

  /** `delayMs`, or longer. */
  readonly widenedMs = (delayMs: number): number => {
    // A new day may have begun while nothing was written.
    if (this.#wideningMs > 0 && this.#todayMs() >= DAY_MS) this.check();
    return Math.max(delayMs, this.#wideningMs);
  };

  /** After what was written. */
  check(): void {
    const { meter, bytesPerDay, clock, log } = this.#parts;
    meter.turn(clock.ageMs(), this.#todayMs());
    if (bytesPerDay === "off") return;
    const written = meter.dayBytes;
    const share = written / bytesPerDay;
    this.#wideningMs = wideningMs(share);
    const state = share >= 1 ? "spent" : share > WIDENING_FROM ? "widened" : "normal";
    if (state === this.#state) return;
    this.#state = state;
    const fields = { state, written, budget: bytesPerDay, wideningMs: this.#wideningMs };
    if (state === "normal") log.info("store-write-budget", fields);
    else log.warn("store-write-budget", fields);
  }

  /** How long the present day lasts already. */
  #todayMs(): number {
    const { meter, clock } = this.#parts;
    return meter.dayMs < 0 ? 0 : clock.elapsedMs(meter.dayMs);
  }

  wear(): WearEstimate | null {
    const { meter, enduranceBytes } = this.#parts;
    if (enduranceBytes === null) return null;
    this.check();
    const { lifetimeBytes } = meter;
    const bytesPerDay = meter.bytesPerDay(this.#todayMs());
    const daysLeft = bytesPerDay === null ? null : Math.max(enduranceBytes - lifetimeBytes, 0) / bytesPerDay;
    return {
      enduranceBytes,
      usedPercent: (lifetimeBytes / enduranceBytes) * 100,
      bytesPerDay: bytesPerDay === null ? null : Math.round(bytesPerDay),
      yearsLeft: daysLeft === null || Number.isNaN(daysLeft) ? null : Math.min(daysLeft / DAYS_PER_YEAR, YEARS_MAX),
    };
  }

  status(): WriteStatus {
    this.check();
    const { meter, bytesPerDay } = this.#parts;
    const byClass = (values: Float64Array, total: number) =>
      ({ total, ...Object.fromEntries(WRITE_CLASSES.map((name, i) => [name, values[i]])) }) as WriteStatus["day"];
    return {
      day: byClass(meter.day, meter.dayBytes),
      lifetime: byClass(meter.lifetime, meter.lifetimeBytes),
      pastDays: [...meter.past],
      budget: {
        state: this.#state,
        bytesPerDay,
        usedPercent: bytesPerDay === "off" ? 0 : (meter.dayBytes / bytesPerDay) * 100,
        windowMs: this.windowMs(),
      },
      wear: this.wear(),
    };
  }
}
