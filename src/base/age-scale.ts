/**
 * How old things are, on a board whose clock stands at 1970 after each start until the network sets it.
 *
 * What has an age or an expiry carries a *stamp*: a place on a scale that is no clock. Within a run the scale goes on
 * with monotonic time only. A restart takes it up where it was saved; the time between is found
 *   - exactly from the machine's uptime, if the machine was not started anew;
 *   - else from the wall clock, once that is *set*: later than the day this program was built, and than the largest
 *     wall time saved. Until then it counts 0.
 *
 *     stamps   ───── run 1 ─────┬───── run 2 ─────┬── run 3 ────●──────────
 *     wall     2026             │ 1970            │ 1970        │ 2026: set
 *                               └── off-time of both reboots, ──┘
 *                                   counted now, as a gap here: ┴ = end of run 1
 *
 * A clock that is set late tells how much is missing, not which of the reboots took it. So all of it goes into one
 * *gap* at the end of the last run that had a clock: what is older gets it, what was stamped since gets none of it.
 * The scale itself never jumps and no row is written anew; a stamp's age is what the scale moved plus the gaps behind
 * the stamp. A wall clock that jumps while the program runs is a correction of the clock, whichever way it goes:
 * it says nothing of ages, and what the next save notes is the corrected time.
 */

/** All times at one moment. */
export interface Reading {
  /** Monotonic ms of this run. */
  readonly nowMs: number;
  readonly wallMs: number;
  /** Monotonic ms since the machine started, and which start that was; "" = not known. */
  readonly uptimeMs: number;
  readonly bootId: string;
}

/** Off-time that stamps up to `atMs` have behind them. */
export interface Gap {
  readonly atMs: number;
  readonly missingMs: number;
}

/** What a restart has to know. */
export interface AgeRecord {
  /** The scale at the moment of saving, and that moment as the machine's uptime. */
  readonly ageMs: number;
  readonly uptimeMs: number;
  readonly bootId: string;
  /** What a set clock would have shown at least; 0 = no clock was ever set. */
  readonly wallMs: number;
  /** Stamps up to here lack off-time that is not counted yet; 0 = nothing lacks. */
  readonly lacksToMs: number;
  readonly gaps: readonly Gap[];
}

/** `unset`: before the program was built. `behind`: before the largest wall time saved. */
export type ClockState = "set" | "unset" | "behind";

/** What `observe` found. */
export interface Observation {
  /** Off-time that counts from now on; 0 = none. */
  readonly countedMs: number;
  /** Whether the clock was taken as right although it is before the largest time saved. */
  readonly tookBack: boolean;
}

/** Gaps that are remembered; beyond it the two oldest become one, which what lies between them then has not. */
export const GAPS_MAX = 8;
/** A clock that was behind for so long of a run is right: the time saved was from the future. */
export const BEHIND_MS_MAX = 24 * 3_600_000;

const NOTHING: Observation = { countedMs: 0, tookBack: false };

export class AgeScale {
  /** No clock is right that shows an earlier time, or this one. */
  readonly builtMs: number;
  /** The scale is monotonic time plus this. */
  offsetMs: number;
  /** Wall time of a set clock is the scale plus this; null = no clock was ever set. */
  #wallOffsetMs: number | null = null;
  #lacksToMs = 0;
  #gaps: readonly Gap[] = [];
  /** Stamps up to here have gaps behind them. */
  #gapEndMs = 0;
  /** Monotonic ms at which the clock was first seen behind; null = it is not. */
  #behindFromMs: number | null = null;
  state: ClockState = "unset";

  /** @param builtMs Unix ms */
  constructor(builtMs: number) {
    this.builtMs = builtMs;
    this.offsetMs = builtMs; // no stamp is 0
  }

  /** Stamps up to here lack off-time that is not counted yet; 0 = nothing lacks. */
  get lacksToMs(): number {
    return this.#lacksToMs;
  }

  /** Gaps, oldest first. */
  get gaps(): readonly Gap[] {
    return this.#gaps;
  }

  /** What a set clock would show at least, at `ageMs` of the scale; 0 = no clock was ever set. */
  wallAtLeastMs(ageMs: number): number {
    return this.#wallOffsetMs === null ? 0 : ageMs + this.#wallOffsetMs;
  }

  /** Ms that have passed since the stamp, off-time included as far as it is known; at least 0. */
  elapsedMs(nowMs: number, stampMs: number): number {
    const elapsedMs = nowMs + this.offsetMs - stampMs;
    if (stampMs <= this.#gapEndMs) return Math.max(0, elapsedMs + this.#missingMs(stampMs));
    return elapsedMs > 0 ? elapsedMs : 0;
  }

  #missingMs(stampMs: number): number {
    let missingMs = 0;
    for (const gap of this.#gaps) if (stampMs <= gap.atMs) missingMs += gap.missingMs;
    return missingMs;
  }

  /**
   * Begins a run, before anything is stamped in it. Its record has to be saved before the first stamp is: after a
   * crash nobody could tell the stamps of this run from older ones, which lack the off-time before it.
   * @param record      as saved by an earlier run; null = there was none
   * @param newestMs    the newest stamp that is known to exist, which may be later than the record; 0 = none
   */
  resume(record: AgeRecord | null, newestMs: number, r: Reading): Observation {
    this.#setGaps(record?.gaps ?? []);
    this.#wallOffsetMs = null;
    this.#lacksToMs = 0;
    this.#behindFromMs = null;
    if (record === null) {
      // Stamps look like Unix time as long as nothing goes wrong. 0 is none.
      this.offsetMs = Math.max(r.wallMs, this.builtMs, newestMs + 1, 1) - r.nowMs;
      return this.observe(r);
    }
    const sameBoot = r.bootId !== "" && r.bootId === record.bootId && r.uptimeMs >= record.uptimeMs;
    const offMs = sameBoot ? r.uptimeMs - record.uptimeMs : 0;
    // Whole numbers, so that a stamp of this run stays beyond the end of the last when a row cuts its fraction.
    const endMs = Math.ceil(Math.max(record.ageMs + offMs, newestMs));
    this.offsetMs = endMs + 1 - r.nowMs;
    if (record.wallMs > 0) this.#wallOffsetMs = record.wallMs - record.ageMs;
    this.#lacksToMs = record.lacksToMs;
    if (!sameBoot && this.#lacksToMs === 0) this.#lacksToMs = endMs;
    return this.observe(r, endMs);
  }

  /**
   * Looks at the wall clock: counts the off-time that is missing when it is set, and notes where it stands.
   * @param endMs of the last run, while nothing is stamped in this one: then the scale can move instead of a gap
   */
  observe(r: Reading, endMs = 0): Observation {
    if (r.wallMs <= this.builtMs) {
      this.state = "unset";
      this.#behindFromMs = null;
      return NOTHING;
    }
    let countedMs = 0;
    let tookBack = false;
    if (this.#lacksToMs > 0) {
      const missingMs = this.#wallOffsetMs === null ? 0 : r.wallMs - this.wallAtLeastMs(r.nowMs + this.offsetMs);
      if (missingMs < 0) {
        this.state = "behind";
        this.#behindFromMs ??= r.nowMs;
        if (r.nowMs - this.#behindFromMs < BEHIND_MS_MAX) return NOTHING;
        tookBack = true;
      }
      countedMs = Math.max(0, missingMs);
      if (this.#lacksToMs === endMs) this.offsetMs += countedMs;
      else if (countedMs > 0) this.#setGaps([...this.#gaps, { atMs: this.#lacksToMs, missingMs: countedMs }]);
      this.#lacksToMs = 0;
    }
    this.state = "set";
    this.#behindFromMs = null;
    this.#wallOffsetMs = r.wallMs - (r.nowMs + this.offsetMs);
    return { countedMs, tookBack };
  }

  #setGaps(gaps: readonly Gap[]): void {
    let kept = gaps;
    while (kept.length > GAPS_MAX) {
      const [first, second, ...rest] = kept as [Gap, Gap, ...Gap[]];
      kept = [{ atMs: first.atMs, missingMs: first.missingMs + second.missingMs }, ...rest];
    }
    this.#gaps = kept;
    this.#gapEndMs = kept.at(-1)?.atMs ?? 0;
  }

  /** What the next run needs, as of this moment. */
  record({ nowMs, uptimeMs, bootId }: Reading): AgeRecord {
    const ageMs = nowMs + this.offsetMs;
    const { lacksToMs, gaps } = this;
    return { ageMs, uptimeMs, bootId, wallMs: this.wallAtLeastMs(ageMs), lacksToMs, gaps };
  }
}
