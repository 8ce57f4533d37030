/**
 * Keeps age time (base/age-scale.ts) across restarts: takes up the scale when the database is opened, looks at the wall
 * clock while the gateway runs, and has the scale's record in the log's own row.
 *
 * The record goes with every commit that writes that row, and besides
 *   - when the database is opened, if off-time begins to lack or is counted: before anything of this run is stamped;
 *   - when the clock is set, or corrected by more than a second;
 *   - every ten minutes without a set clock, every hour with one, while the log holds anything: a set clock finds all
 *     off-time from any record, without one each minute that ran after the last record is lost in a power cut;
 *   - at the end.
 */
import type { Database } from "better-sqlite3";
import type { ClockState, Observation } from "../base/age-scale.ts";
import type { KeptClock } from "../base/clock.ts";
import type { Counter, Counters } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import type { LogState } from "./log-state.ts";
import { LOG_ROW } from "./schema.ts";

const WATCH_UNSET_MS = 1000;
const WATCH_SET_MS = 10_000;
export const SAVE_UNSET_MS = 600_000;
export const SAVE_SET_MS = 3_600_000;
/** Jumps of the wall clock up to this are not worth a write. */
const CORRECTION_MS = 1000;
/** Wall times before it are no moment at which the first version can have run. */
const FIRST_VERSION_MS = Date.UTC(2026, 0, 1);

export interface ClockStatus {
  readonly state: ClockState;
  readonly wallMs: number;
  /** Off-time since this wall time is not counted yet; 0 = none lacks. */
  readonly offTimeSinceMs: number;
  /** Off-time counted in this run, by the wall clock. */
  readonly offTimeCountedMs: number;
}

const NO_BOOT = { uptimeMs: 0, bootId: "", lacksToMs: 0, gaps: [] };

/** Begins this run's age time from what the database holds, and saves its record when it says anything new. */
export function resumeAges(db: Database, logState: LogState, clock: KeptClock): Observation {
  const { scale } = clock;
  const saved = logState.age;
  return db.transaction(() => {
    const found = saved === null ? adoptWallTimes(db, clock) : scale.resume(saved, newestOf(db), clock.reading());
    if (saved === null || scale.lacksToMs !== saved.lacksToMs || found.countedMs > 0) {
      logState.age = scale.record(clock.reading());
      db.prepare("UPDATE receiver SET state = ? WHERE id = ?").run(logState.encode(), LOG_ROW);
    }
    return found;
  })();
}

/** The newest stamp in the database; 0 = none. The log's last row has the log's newest. */
function newestOf(db: Database): number {
  const sql = `SELECT max(coalesce((SELECT accepted FROM log ORDER BY seq DESC LIMIT 1), 0),
    coalesce((SELECT max(accepted) FROM retained), 0), coalesce((SELECT max(disconnected) FROM session), 0))`;
  return db.prepare(sql).pluck().get() as number;
}

/**
 * A database without a record, of version 1, has wall times. They are stamps, as the scale begins with wall time. But
 * what was stamped while the clock stood at 1970, or in a future that has not come, counts from now: it would expire
 * at once, or never.
 */
function adoptWallTimes(db: Database, clock: KeptClock): Observation {
  const { scale } = clock;
  const wallMs = clock.wallMs();
  const wallSet = wallMs > scale.builtMs;
  const to = wallSet ? Math.trunc(wallMs) : Number.MAX_SAFE_INTEGER;
  const right = (column: string): string => `${column} BETWEEN ${FIRST_VERSION_MS} AND ${to}`;
  const newest = (column: string, table: string): number =>
    (db
      .prepare(`SELECT max(${column}) FROM ${table} WHERE ${right(column)}`)
      .pluck()
      .get() as number | null) ?? 0;
  const newestMs = Math.max(
    newest("accepted", "log"),
    newest("accepted", "retained"),
    newest("disconnected", "session"),
  );
  // What a clock that was right showed last; nobody knows in which run of the machine.
  const last = wallSet || newestMs === 0 ? null : { ageMs: newestMs, wallMs: newestMs, ...NO_BOOT };
  const found = scale.resume(last, newestMs, clock.reading());
  const now = Math.trunc(clock.ageMs());
  for (const table of ["log", "retained"]) {
    db.prepare(
      `UPDATE ${table} SET expires = iif(expires = 0, 0, expires - accepted + ?), accepted = ?
       WHERE NOT (${right("accepted")})`,
    ).run(now, now);
  }
  db.prepare(`UPDATE session SET disconnected = ? WHERE disconnected <> 0 AND NOT (${right("disconnected")})`).run(now);
  return found;
}

export interface AgeParts {
  readonly clock: KeptClock;
  readonly logState: LogState;
  readonly log: Log;
  readonly counters: Counters;
  /** Whether the log or a receiver has anything whose age matters. */
  readonly inUse: () => boolean;
  /** Has the log's row written soon. */
  readonly save: () => void;
}

export class AgeKeeper {
  readonly #parts: AgeParts;
  #timer: NodeJS.Timeout | null = null;
  #countedMs: number;
  /** Of what is saved, or on its way: wall time less age time, and monotonic ms. */
  #savedOffsetMs: number;
  #savedMs: number;
  readonly #corrections: Counter;
  /** Off-time was counted: ages are larger than they were. */
  onAged: () => void = () => {};

  /** @param found at the start, by `resumeAges` */
  constructor(parts: AgeParts, found: Observation) {
    this.#parts = parts;
    this.#corrections = parts.counters.counter("clock.corrections");
    this.#countedMs = found.countedMs;
    this.#savedOffsetMs = parts.clock.scale.wallAtLeastMs(0);
    this.#savedMs = parts.clock.nowMs();
    parts.counters.gauge("clock.off_time_seconds", () => Math.round(this.#countedMs / 1000));
    const { state } = parts.clock.scale;
    if (state !== "set") parts.log.warn("clock-not-set", { state, time: this.#time(), offTimeSince: this.#lacksSince });
    else if (found.countedMs > 0) this.#tellSet(found);
    this.#arm();
  }

  /** Puts the present record into the state that is about to be encoded. */
  note(): void {
    const { clock, logState } = this.#parts;
    logState.age = clock.scale.record(clock.reading());
    this.#savedOffsetMs = clock.scale.wallAtLeastMs(0);
    this.#savedMs = clock.nowMs();
  }

  /** Looks at the wall clock now; a timer does so by itself. */
  look(): void {
    const { clock, log, inUse } = this.#parts;
    const { scale } = clock;
    const before = scale.state;
    const lacked = scale.lacksToMs > 0;
    const found = scale.observe(clock.reading());
    this.#countedMs += found.countedMs;
    const jumpMs = scale.wallAtLeastMs(0) - this.#savedOffsetMs;
    if (scale.state === "set" && (before !== "set" || lacked)) {
      this.#tellSet(found);
      this.#save();
    } else if (scale.state === "set" && Math.abs(jumpMs) > CORRECTION_MS) {
      this.#corrections.value++;
      log.info("clock-corrected", { bySeconds: Math.round(jumpMs / 1000), time: this.#time() });
      this.#save();
    } else if (scale.state !== before) {
      log.warn("clock-not-set", { state: scale.state, time: this.#time(), offTimeSince: this.#lacksSince });
    } else if (clock.nowMs() - this.#savedMs >= (before === "set" ? SAVE_SET_MS : SAVE_UNSET_MS) && inUse()) {
      this.#save();
    }
    if (found.countedMs > 0) this.onAged();
  }

  /** The watch ends. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** The watch ends, and what is saved now is the end of this run. */
  finish(): void {
    this.stop();
    this.#save();
  }

  status(): ClockStatus {
    const { scale } = this.#parts.clock;
    return {
      state: scale.state,
      wallMs: this.#parts.clock.wallMs(),
      offTimeSinceMs: scale.lacksToMs === 0 ? 0 : scale.wallAtLeastMs(scale.lacksToMs),
      offTimeCountedMs: this.#countedMs,
    };
  }

  #save(): void {
    // Not written again before it was: the disk may be full for long.
    this.#savedOffsetMs = this.#parts.clock.scale.wallAtLeastMs(0);
    this.#savedMs = this.#parts.clock.nowMs();
    this.#parts.save();
  }

  #tellSet({ countedMs, tookBack }: Observation): void {
    const offTimeSeconds = Math.round(countedMs / 1000);
    this.#parts.log.info("clock-set", { time: this.#time(), offTimeSeconds, ...(tookBack ? { tookBack } : {}) });
  }

  get #lacksSince(): string {
    const { offTimeSinceMs } = this.status();
    return offTimeSinceMs === 0 ? "" : new Date(offTimeSinceMs).toISOString();
  }

  #time(): string {
    return new Date(this.#parts.clock.wallMs()).toISOString();
  }

  #arm(): void {
    const delayMs = this.#parts.clock.scale.state === "set" ? WATCH_SET_MS : WATCH_UNSET_MS;
    this.#timer = setTimeout(() => {
      this.look();
      this.#arm();
    }, delayMs);
    this.#timer.unref();
  }
}
