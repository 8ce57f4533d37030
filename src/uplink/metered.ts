/**
 * What an uplink has besides when its link is metered, slow or there only at times: pace, data cap, connect schedule.
 * Loading this file loads them; it is loaded with the first uplink that has one of them in its configuration.
 */
import type { Counters } from "../base/counters.ts";
import type { Random } from "../base/random.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import type { UplinkConfig } from "../config/uplinks.ts";
import type { TimeSource } from "../core/ports.ts";
import { Pace } from "./pace.ts";
import { Schedule, type ScheduleStatus } from "./schedule.ts";
import type { Spool } from "./spool.ts";

export interface MeteredParts {
  readonly wheel: TimerWheel;
  readonly counters: Counters;
  readonly random: Random;
  readonly host: { readonly time: TimeSource };
  /** Whether the wall clock is to be believed. */
  readonly isClockSet: () => boolean;
}

/** The uplink that has it. */
export interface MeteredUplink {
  readonly spool: Spool;
  readonly online: boolean;
  hold(reason: string, words: () => string): void;
  release(reason: string): void;
}

/** What of it there is to tell; null = not configured. */
export interface MeteredStatus {
  readonly pace: { readonly waitMs: number } | null;
  readonly connect: ScheduleStatus | null;
}

/** Key of `Reach.hold`. */
const SCHEDULE = "schedule";

export class Metered {
  readonly #pace: Pace | null;
  readonly #schedule: Schedule | null;

  constructor({ name, pace, connect }: UplinkConfig, uplink: MeteredUplink, parts: MeteredParts) {
    const { counters, host } = parts;
    const { spool } = uplink;
    const common = { ...parts, time: host.time };
    this.#pace = null;
    if (pace !== null) {
      const paced = counters.counter(`uplink.${name}.paced`);
      this.#pace = new Pace(pace, { ...common, paced, onTokens: () => spool.pump() });
      spool.gate = this.#pace;
    }
    this.#schedule = null;
    if (connect !== null) {
      const schedule = new Schedule(connect, {
        ...common,
        isOnline: () => uplink.online,
        hold: (words) => uplink.hold(SCHEDULE, words),
        release: () => uplink.release(SCHEDULE),
      });
      this.#schedule = schedule;
      spool.onWaiting = (priority) => schedule.onWaiting(priority);
    }
  }

  /** Before the uplink connects. */
  start(): void {
    this.#schedule?.start();
  }

  /** Nobody holds the uplink any more, or lets it go. */
  stop(): void {
    this.#schedule?.stop();
  }

  status(): MeteredStatus {
    return {
      pace: this.#pace === null ? null : { waitMs: Math.ceil(this.#pace.waitMs) },
      connect: this.#schedule?.status() ?? null,
    };
  }
}
