/**
 * When the next try is due, by what the last one cost. Whoever was reached and refused us, or broke off, is asked less and
 * less often: a TLS handshake is 5 kB, and a server in trouble is not helped by a thousand gateways that come every second.
 * Where nobody was reached, a try is a packet or two, or none; the wait is an 800th of the outage then, 0.75 s at least:
 * after ten minutes without a link its return is noticed within a second, after a day within a minute, and all tries of
 * that day are 0.6 MB.
 */
import { Backoff } from "../../base/backoff.ts";
import type { Random } from "../../base/random.ts";

/** First wait after a failure, and the longest. */
export const RETRY_BASE_MS = 1000;
export const RETRY_CAP_MS = 60_000;
/** Wait after the end of a connection that lasted, at most: not all gateways at once. */
export const AGAIN_MS = 500;
/** First wait where nobody was reached: what is left of a second is for the connection. */
export const UNREACHED_MS = 750;
const OUTAGE_PARTS = 800;
/** Longest time between two SYNs of one try. */
const SYN_CAP_MS = 15_000;

export class Retry {
  readonly #backoff: Backoff;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
    this.#backoff = new Backoff({ baseMs: RETRY_BASE_MS, capMs: RETRY_CAP_MS }, random);
  }

  /** A connection that had lasted has ended. */
  again(): number {
    return this.#random() * AGAIN_MS;
  }

  /** @param unreached nobody answered  @param outageMs how long it has been */
  next(unreached: boolean, outageMs: number): number {
    if (!unreached) return this.#backoff.next();
    return (0.5 + this.#random() / 2) * Math.min(shareOf(outageMs), RETRY_CAP_MS);
  }

  /** A connection has lasted. */
  reset(): void {
    this.#backoff.reset();
  }
}

/** How often a try asks anew while nobody answers. */
export function synEveryMs(outageMs: number): number {
  return Math.round(Math.min(shareOf(outageMs), SYN_CAP_MS));
}

function shareOf(outageMs: number): number {
  return Math.max(UNREACHED_MS, outageMs / OUTAGE_PARTS);
}
