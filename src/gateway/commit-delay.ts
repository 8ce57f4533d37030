/** `commit_delay: auto`: how long a group may wait in the hope that nothing of it has to be written. */
import type { TimeSource } from "../core/ports.ts";

/** Bounds, and the value while a durable receiver is away. */
export const COMMIT_DELAY_MS_MIN = 20;
export const COMMIT_DELAY_MS_MAX = 250;
/** The receivers, which may be thousands, are looked at so often at most; the delay is asked for each message. */
export const LOOK_MS = 1000;

/** The queue of a durable receiver, as far as this concerns it. */
export interface Awaited {
  readonly online: boolean;
  /** `ackTimeMs`: smoothed time from sending a message to its acknowledgement; 0 = not known. */
  readonly inflight: { readonly ackTimeMs: number };
}

export class AutoCommitDelay {
  readonly #time: TimeSource;
  readonly #receivers: () => Iterable<Awaited>;
  #ms = COMMIT_DELAY_MS_MIN;
  #lookMs = Number.NEGATIVE_INFINITY;

  /** @param receivers every durable receiver: sessions, shared groups, uplinks, serial lines */
  constructor(time: TimeSource, receivers: () => Iterable<Awaited>) {
    this.#time = time;
    this.#receivers = receivers;
  }

  /** Of this moment, from at most `LOOK_MS` ago. */
  ms(): number {
    const nowMs = this.#time.nowMs();
    if (nowMs >= this.#lookMs) {
      this.#lookMs = nowMs + LOOK_MS;
      this.#ms = autoCommitDelayMs(this.#receivers());
    }
    return this.#ms;
  }
}

/**
 * Twice the slowest receiver's time to acknowledge, within the bounds, while every durable receiver is there to do so;
 * with one of them away the group has to be written anyway, so it is not kept waiting.
 */
export function autoCommitDelayMs(receivers: Iterable<Awaited>): number {
  let ackTimeMs = 0;
  for (const { online, inflight } of receivers) {
    if (!online) return COMMIT_DELAY_MS_MIN;
    ackTimeMs = Math.max(ackTimeMs, inflight.ackTimeMs);
  }
  return Math.min(Math.max(2 * ackTimeMs, COMMIT_DELAY_MS_MIN), COMMIT_DELAY_MS_MAX);
}
