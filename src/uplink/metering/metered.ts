/**
 * What an uplink has besides when its link is metered, slow or there only at times: pace, data cap, connect schedule.
 * Loading this file loads them; it is loaded with the first uplink that has one of them in its configuration.
 */
import type { Counters } from "../../base/counters.ts";
import type { Log } from "../../base/log.ts";
import type { Random } from "../../base/random.ts";
import type { TimerWheel } from "../../base/timer-wheel.ts";
import type { ConnectConfig, DataCapConfig, PaceConfig } from "../../config/uplink-pace.ts";
import type { UplinkConfig } from "../../config/uplinks.ts";
import type { UseStore } from "../../core/data-use.ts";
import type { TimeSource } from "../../core/ports.ts";
import { Traffic } from "../../transport/traffic.ts";
import type { Spool } from "../out/spool.ts";
import { DataCap, type DataCapStatus } from "./data-cap.ts";
import { Pace } from "./pace.ts";
import { Schedule, type ScheduleStatus } from "./schedule.ts";

export interface MeteredParts {
  readonly wheel: TimerWheel;
  readonly counters: Counters;
  readonly random: Random;
  readonly host: { readonly time: TimeSource };
  readonly log: Log;
  readonly uses: UseStore;
  /** Whether the wall clock is to be believed. */
  readonly isClockSet: () => boolean;
}

/** The uplink that has it. */
export interface MeteredUplink {
  readonly spool: Spool;
  readonly online: boolean;
  hold(reason: string, words: () => string): void;
  release(reason: string): void;
  watch(listener: () => void): void;
}

/** What of it there is to tell; null = not configured. */
export interface MeteredStatus {
  readonly pace: { readonly waitMs: number } | null;
  readonly dataCap: DataCapStatus | null;
  readonly connect: ScheduleStatus | null;
}

/** Keys of `Reach.hold`. */
const SCHEDULE = "schedule";
const DATA_CAP = "data-cap";

export class Metered {
  /** To be given to each dial; null = nobody wants to know. */
  readonly traffic: Traffic | null;
  /** To be given to each look at the primary, beside the connection (return-to-primary.ts). */
  readonly looks: Traffic | null;
  readonly #pace: Pace | null;
  readonly #dataCap: DataCap | null;
  readonly #schedule: Schedule | null;

  constructor(config: UplinkConfig, uplink: MeteredUplink, parts: MeteredParts) {
    const { pace, dataCap, connect } = config;
    this.#pace = pace === null ? null : makePace(config.name, pace, uplink, parts);
    this.traffic = dataCap === null ? null : new Traffic();
    this.looks = dataCap === null ? null : new Traffic();
    this.#dataCap = dataCap === null ? null : makeDataCap(config.name, dataCap, this.#sum(), uplink, parts);
    this.#schedule = connect === null ? null : makeSchedule(connect, uplink, parts);
  }

  #sum(): { readonly sent: number; readonly received: number } {
    const { traffic, looks } = this;
    return {
      get sent() {
        return (traffic?.sent ?? 0) + (looks?.sent ?? 0);
      },
      get received() {
        return (traffic?.received ?? 0) + (looks?.received ?? 0);
      },
    };
  }

  /** Before the uplink connects. */
  start(): void {
    this.#dataCap?.start();
    this.#schedule?.start();
  }

  /** Nobody holds the uplink any more, or lets it go. */
  stop(): void {
    this.#dataCap?.stop();
    this.#schedule?.stop();
  }

  /** The connection is over. */
  end(): void {
    this.#dataCap?.end();
  }

  status(): MeteredStatus {
    return {
      pace: this.#pace === null ? null : { waitMs: Math.ceil(this.#pace.waitMs) },
      dataCap: this.#dataCap?.status() ?? null,
      connect: this.#schedule?.status() ?? null,
    };
  }
}

function makePace(name: string, config: PaceConfig, { spool }: MeteredUplink, parts: MeteredParts): Pace {
  const { counters, host, wheel } = parts;
  const paced = counters.counter(`uplink.${name}.paced`);
  const pace = new Pace(config, { time: host.time, wheel, paced, onTokens: () => spool.pump() });
  spool.gate = pace;
  return pace;
}

function makeDataCap(
  name: string,
  config: DataCapConfig,
  traffic: { readonly sent: number; readonly received: number },
  uplink: MeteredUplink,
  parts: MeteredParts,
): DataCap {
  const cap = new DataCap(config, {
    ...parts,
    uplink: name,
    time: parts.host.time,
    traffic,
    isOnline: () => uplink.online,
    hold: (words) => uplink.hold(DATA_CAP, words),
    release: () => uplink.release(DATA_CAP),
  });
  uplink.watch(() => {
    if (uplink.online) cap.onConnected();
  });
  const { counters } = parts;
  counters.gauge(`uplink.${name}.data_sent_bytes`, () => cap.status().sentBytes);
  counters.gauge(`uplink.${name}.data_received_bytes`, () => cap.status().receivedBytes);
  counters.gauge(`uplink.${name}.data_used_percent`, () => cap.status().usedPercent);
  return cap;
}

function makeSchedule(config: ConnectConfig, uplink: MeteredUplink, parts: MeteredParts): Schedule {
  const schedule = new Schedule(config, {
    ...parts,
    time: parts.host.time,
    isOnline: () => uplink.online,
    hold: (words) => uplink.hold(SCHEDULE, words),
    release: () => uplink.release(SCHEDULE),
  });
  uplink.spool.onWaiting = (priority) => schedule.onWaiting(priority);
  return schedule;
}
