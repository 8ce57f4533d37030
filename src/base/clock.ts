/** Time as the rest of the house sees it: monotonic for durations, age time for what is stored, wall time for people. */
import { readFileSync } from "node:fs";
import { AgeScale, type Reading } from "./age-scale.ts";
import { builtMs } from "./version.ts";

export interface Clock {
  /** Monotonic ms since some start; never goes back. */
  nowMs(): number;
  /** Unix time in ms; may jump either way. */
  wallMs(): number;
  /** A stamp for what has an age or an expiry: ms on a scale that survives restarts. See age-scale.ts. */
  ageMs(): number;
  /** Ms that have passed since the stamp; at least 0. */
  elapsedMs(stampMs: number): number;
}

/** A clock whose ages somebody keeps across restarts. */
export interface KeptClock extends Clock {
  readonly scale: AgeScale;
  reading(): Reading;
}

export class SystemClock implements KeptClock {
  readonly scale = new AgeScale(builtMs());
  #bootId: string | null = null;

  nowMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  ageMs(): number {
    return performance.now() + this.scale.offsetMs;
  }

  elapsedMs(stampMs: number): number {
    return this.scale.elapsedMs(performance.now(), stampMs);
  }

  reading(): Reading {
    this.#bootId ??= readBootId();
    const uptimeMs = Number(process.hrtime.bigint()) / 1e6;
    return { nowMs: performance.now(), wallMs: Date.now(), uptimeMs, bootId: this.#bootId };
  }
}

/** Linux names each start of the machine. */
function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  } catch {
    return "";
  }
}

/** Time that stands still until a test moves it. */
export class ManualClock implements KeptClock {
  readonly scale: AgeScale;
  readonly #builtMs: number;
  #nowMs = 0;
  #wallMs: number;
  #uptimeMs = 0;
  #boot = 1;

  /** @param builtMs no wall time up to it is right */
  constructor(wallMs = 1_700_000_000_000, builtMs = 1_600_000_000_000) {
    this.#wallMs = wallMs;
    this.#builtMs = builtMs;
    this.scale = new AgeScale(builtMs);
  }

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#wallMs;
  }

  ageMs(): number {
    return this.#nowMs + this.scale.offsetMs;
  }

  elapsedMs(stampMs: number): number {
    return this.scale.elapsedMs(this.#nowMs, stampMs);
  }

  reading(): Reading {
    return { nowMs: this.#nowMs, wallMs: this.#wallMs, uptimeMs: this.#uptimeMs, bootId: `boot ${this.#boot}` };
  }

  /** All times go on by `ms`, at least 0. */
  advance(ms: number): void {
    this.#nowMs += ms;
    this.#wallMs += ms;
    this.#uptimeMs += ms;
  }

  /** The wall clock is set, as by NTP; monotonic time does not notice. */
  setWall(ms: number): void {
    this.#wallMs = ms;
  }

  /** The clock of a process that starts `offMs` after this one ended, on the same machine. */
  restarted(offMs: number): ManualClock {
    const next = new ManualClock(this.#wallMs + offMs, this.#builtMs);
    next.#uptimeMs = this.#uptimeMs + offMs;
    next.#boot = this.#boot;
    return next;
  }

  /** The clock after the machine was started anew, and shows `wallMs`. */
  rebooted(wallMs: number): ManualClock {
    const next = new ManualClock(wallMs, this.#builtMs);
    next.#boot = this.#boot + 1;
    return next;
  }
}
