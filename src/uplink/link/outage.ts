/**
 * The time that an uplink is without its server, and what is logged of it: one line when it begins with why, one for each
 * other reason, one when it is over. However often it is tried, and whether reasons take turns (two servers, each with a
 * trouble of its own), nothing is said twice.
 */
import type { Log } from "../../base/log.ts";
import type { TimeSource } from "../../core/ports.ts";

/** Reasons of one outage that are told; of a server that gives a new one each time the status has the last. */
export const REASONS_TOLD_MAX = 16;

/** The last outage that is over. */
export interface PastOutage {
  /** What it began with. */
  readonly reason: string;
  /** Unix ms. */
  readonly endedAtMs: number;
  readonly lastedMs: number;
}

export class Outage {
  /** Why the last try failed, in words; null = none has failed since the last connection. */
  lastError: string | null = null;
  /** Unix ms; 0 without one. */
  lastErrorAtMs = 0;
  /** Tries that failed since the last connection. */
  tries = 0;
  /** null = there was none with a reason. */
  past: PastOutage | null = null;
  readonly #uplink: string;
  readonly #log: Log;
  readonly #time: TimeSource;
  #firstError: string | null = null;
  readonly #told = new Set<string>();
  /** When the connection came or ended, or the start. */
  #sinceMs: number;

  constructor(uplink: string, log: Log, time: TimeSource) {
    this.#uplink = uplink;
    this.#log = log;
    this.#time = time;
    this.#sinceMs = time.nowMs();
  }

  /** Ms since the connection came, or ended, or since the start if there was none yet. */
  get forMs(): number {
    return Math.round(this.#time.nowMs() - this.#sinceMs);
  }

  /** The connection has ended, for whatever reason. */
  begin(): void {
    this.#sinceMs = this.#time.nowMs();
  }

  /** A try failed, or the connection did. @param retryMs until the next try */
  failed(words: string, retryMs: number): void {
    this.tries++;
    this.lastError = words;
    this.lastErrorAtMs = this.#time.wallMs();
    this.#firstError ??= words;
    if (this.#told.has(words) || this.#told.size >= REASONS_TOLD_MAX) return;
    this.#told.add(words);
    this.#log.warn("uplink-down", { uplink: this.#uplink, reason: words, retryMs: Math.round(retryMs) });
  }

  /** The connection is there. @returns for the log: how long it was away, after how many tries that failed */
  end(): { awayMs: number; failedTries: number } {
    const { tries, forMs } = this;
    if (this.#firstError !== null)
      this.past = { reason: this.#firstError, endedAtMs: this.#time.wallMs(), lastedMs: forMs };
    this.tries = 0;
    this.lastError = null;
    this.lastErrorAtMs = 0;
    this.#firstError = null;
    this.#told.clear();
    this.#sinceMs = this.#time.nowMs();
    return { awayMs: forMs, failedTries: tries };
  }
}
