/**
 * What an uplink has besides when its link is metered, slow or there only at times: pace, data cap, connect schedule.
 * Loading this file loads them; it is loaded with the first uplink that has one of them in its configuration.
 */
import type { Counters } from "../base/counters.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import type { UplinkConfig } from "../config/uplinks.ts";
import type { TimeSource } from "../core/ports.ts";
import { Pace } from "./pace.ts";
import type { Spool } from "./spool.ts";

export interface MeteredParts {
  readonly wheel: TimerWheel;
  readonly counters: Counters;
  readonly host: { readonly time: TimeSource };
}

/** The uplink that has it. */
export interface MeteredUplink {
  readonly spool: Spool;
}

/** What of it there is to tell; null = not configured. */
export interface MeteredStatus {
  readonly pace: { readonly waitMs: number } | null;
}

export class Metered {
  readonly #pace: Pace | null;

  constructor(config: UplinkConfig, uplink: MeteredUplink, { wheel, counters, host }: MeteredParts) {
    const { name, pace } = config;
    const { spool } = uplink;
    if (pace === null) {
      this.#pace = null;
    } else {
      const paced = counters.counter(`uplink.${name}.paced`);
      this.#pace = new Pace(pace, { time: host.time, wheel, paced, onTokens: () => spool.pump() });
    }
    spool.gate = this.#pace;
  }

  status(): MeteredStatus {
    return { pace: this.#pace === null ? null : { waitMs: Math.ceil(this.#pace.waitMs) } };
  }
}
