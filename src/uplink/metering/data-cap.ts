/**
 * How much an uplink may use of its link in a month: bytes in both directions as the link sees them, from
 * transport/traffic.ts, kept by the store over restarts, in billing periods.
 *
 *     OK ──warn_at_percent──> WARNED ──100 %──> REACHED: held until the next period, or told about
 *
 * What is used is looked at once a second while there is a connection, more often as the limit comes near. It is given to
 * the store each time and goes with what is written anyway; a transaction of its own it gets once a minute, if there were
 * none, and for a few bytes every ten; when its state changes, at once. So `kill -9` takes back a minute of traffic at
 * most, and never what held it.
 */
import type { Log } from "../../base/log.ts";
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import { decimalBytesText } from "../../config/units.ts";
import type { DataCapConfig } from "../../config/uplink-pace.ts";
import type { UseStore } from "../../core/data-use.ts";
import type { TimeSource } from "../../core/ports.ts";
import { momentWords } from "../words.ts";
import { BillingPeriod, NO_PERIOD } from "./billing-period.ts";

/** How it stands, and what of it was told. */
export const CAP_OK = 0;
export const CAP_WARNED = 1;
export const CAP_REACHED = 2;
const STATES = ["ok", "warned", "reached"] as const;

const LOOK_MS = 1000;
/** Without a connection. */
const LOOK_IDLE_MS = 10_000;
const LOOK_MS_MIN = 50;
/** What makes a transaction of its own: so many bytes after a minute, any after ten. */
const ALONE_BYTES = 4096;
const ALONE_MS = 60_000;
const ALONE_FEW_MS = 600_000;

export interface DataCapParts {
  readonly uplink: string;
  readonly time: TimeSource;
  readonly isClockSet: () => boolean;
  readonly wheel: TimerWheel;
  readonly uses: UseStore;
  /** Bytes since the start of the program. */
  readonly traffic: { readonly sent: number; readonly received: number };
  readonly log: Log;
  readonly isOnline: () => boolean;
  /** The uplink has to stay away. @param words for people, of the moment they are asked for */
  readonly hold: (words: () => string) => void;
  readonly release: () => void;
}

export interface DataCapStatus {
  readonly state: (typeof STATES)[number];
  /** Of this period. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly limitBytes: number;
  readonly usedPercent: number;
  /** What a power cut would take back. */
  readonly unsavedBytes: number;
  /** Unix ms; null = not known, as no clock was set yet. */
  readonly endsMs: number | null;
}

export class DataCap implements Expirable {
  readonly #config: DataCapConfig;
  readonly #parts: DataCapParts;
  readonly #period: BillingPeriod;
  readonly #timer = new Timer(this, 0);
  /** Of this period. */
  #sent: number;
  #received: number;
  #told: number;
  /** What of the traffic is counted. */
  #countedSent: number;
  #countedReceived: number;
  #lookedMs: number;
  /** When what had been put was last seen saved. */
  #savedMs = Number.NEGATIVE_INFINITY;
  /** What was put last was not saved then. */
  #owes = false;
  #held = false;

  constructor(config: DataCapConfig, parts: DataCapParts) {
    this.#config = config;
    this.#parts = parts;
    const use = parts.uses.load(parts.uplink);
    this.#period = new BillingPeriod(config.resetsOnDay, use ?? NO_PERIOD, parts);
    this.#sent = use?.sent ?? 0;
    this.#received = use?.received ?? 0;
    this.#told = use?.told ?? CAP_OK;
    this.#countedSent = parts.traffic.sent;
    this.#countedReceived = parts.traffic.received;
    this.#lookedMs = parts.time.nowMs();
  }

  /** Before the uplink connects: it does not if nothing is left. */
  start(): void {
    this.onTimer();
  }

  /** Nobody holds the uplink any more, or lets it go. */
  stop(): void {
    this.#parts.wheel.cancel(this.#timer);
  }

  /** The last connection is over: what it used is kept. */
  end(): void {
    this.#count();
    this.#keep(true);
  }

  /** The connection stands. */
  onConnected(): void {
    this.#parts.wheel.schedule(this.#timer, LOOK_MS);
  }

  get usedBytes(): number {
    return this.#sent + this.#received;
  }

  status(): DataCapStatus {
    const { bytesPerMonth } = this.#config;
    return {
      state: STATES[this.#state()] as (typeof STATES)[number],
      sentBytes: this.#sent,
      receivedBytes: this.#received,
      limitBytes: bytesPerMonth,
      unsavedBytes: this.#parts.uses.unsaved(this.#parts.uplink),
      usedPercent: Math.floor((1000 * this.usedBytes) / bytesPerMonth) / 10,
      endsMs: this.#period.endMs === 0 ? null : this.#period.endMs,
    };
  }

  // ---- looking -----------------------------------------------------------------------------------------------

  onTimer(): void {
    const { time, wheel } = this.#parts;
    const usedBefore = this.usedBytes;
    const begins = this.#period.look();
    if (begins) {
      // What came since the last look counts for the new one.
      this.#sent = 0;
      this.#received = 0;
    }
    this.#count();
    const state = this.#state();
    const changes = begins || state !== this.#told;
    if (changes) this.#tell(state, begins);
    this.#hold(state);
    this.#keep(changes);
    const nowMs = time.nowMs();
    const perMs = begins ? 0 : (this.usedBytes - usedBefore) / Math.max(1, nowMs - this.#lookedMs);
    this.#lookedMs = nowMs;
    wheel.schedule(this.#timer, this.#nextLookMs(perMs));
  }

  /** @param perMs bytes that went lately */
  #nextLookMs(perMs: number): number {
    if (!this.#parts.isOnline()) return Math.min(LOOK_IDLE_MS, Math.max(LOOK_MS_MIN, this.#period.leftMs));
    const left = this.#config.bytesPerMonth - this.usedBytes;
    if (perMs <= 0 || left <= 0) return LOOK_MS;
    return Math.max(LOOK_MS_MIN, Math.min(LOOK_MS, left / perMs / 2));
  }

  #count(): void {
    const { sent, received } = this.#parts.traffic;
    this.#sent += Math.max(0, sent - this.#countedSent);
    this.#received += Math.max(0, received - this.#countedReceived);
    this.#countedSent = sent;
    this.#countedReceived = received;
  }

  #state(): number {
    const { bytesPerMonth, warnAtPercent } = this.#config;
    if (this.usedBytes >= bytesPerMonth) return CAP_REACHED;
    return this.usedBytes * 100 >= bytesPerMonth * warnAtPercent ? CAP_WARNED : CAP_OK;
  }

  #tell(state: number, begins: boolean): void {
    const { uplink, log } = this.#parts;
    const { bytesPerMonth, whenReached } = this.#config;
    const used = decimalBytesText(this.usedBytes);
    const fields = { uplink, used, limit: decimalBytesText(bytesPerMonth), until: this.#until() };
    if (begins) log.info("uplink-data-period", { uplink, limit: fields.limit, until: fields.until });
    if (state > this.#told || (begins && state > CAP_OK)) {
      if (state === CAP_REACHED) log.warn("uplink-data-cap-reached", { ...fields, whenReached });
      else log.warn("uplink-data-cap-near", fields);
    }
    this.#told = state;
  }

  #until(): string {
    const { endMs } = this.#period;
    return endMs === 0 ? "the clock is set" : momentWords(endMs, this.#parts.time.wallMs());
  }

  // ---- holding, keeping --------------------------------------------------------------------------------------

  #hold(state: number): void {
    const reached = state === CAP_REACHED && this.#config.whenReached === "hold";
    if (reached === this.#held) return;
    this.#held = reached;
    const { hold, release } = this.#parts;
    const limit = decimalBytesText(this.#config.bytesPerMonth);
    if (reached) hold(() => `the data cap of ${limit} is reached, until ${this.#until()}`);
    else release();
  }

  /** @param now in a transaction of its own */
  #keep(now: boolean): void {
    const { uplink, uses, time } = this.#parts;
    const nowMs = time.nowMs();
    if (this.#owes && uses.unsaved(uplink) === 0) this.#savedMs = nowMs;
    const { endMs, wallMs, stampMs } = this.#period.record;
    uses.put(uplink, { sent: this.#sent, received: this.#received, endMs, wallMs, stampMs, told: this.#told });
    const unsaved = uses.unsaved(uplink);
    this.#owes = unsaved > 0;
    const waitMs = unsaved >= ALONE_BYTES ? ALONE_MS : ALONE_FEW_MS;
    if (now || (this.#owes && nowMs - this.#savedMs >= waitMs)) uses.save();
  }
}
