/**
 * The memory for bytes that cannot be handled yet, of all connections together: incomplete packets, and those that are
 * held. When it is used up, who has kept it longest without completing a packet or a login is closed, not who comes
 * next: otherwise a few hundred peers that trickle would shut out everybody whose packets straddle two reads.
 *
 *     #unfinished (a Set, oldest first)   | trickles for 40 s | for 3 s | began just now | <- newest
 *                                           closed first               stays: STALLED_MS
 */
import type { Counter, Counters } from "../../base/counters.ts";
import { INPUT_BYTES_MAX, STALLED_MS } from "./states.ts";

export interface RoomHolder {
  /** When it began to wait for the rest of its packet or for its login. */
  readonly waitsSinceMs: number;
  /** Its conversation ends now; it gives its bytes back before this returns. */
  evict(): void;
}

export class InputRoom {
  #used = 0;
  readonly #unfinished = new Set<RoomHolder>();
  readonly #full: Counter;
  readonly #evicted: Counter;

  constructor(counters: Counters) {
    this.#full = counters.counter("mqtt.input_full");
    this.#evicted = counters.counter("mqtt.input_evicted");
    counters.gauge("mqtt.input_bytes", () => this.#used);
  }

  get used(): number {
    return this.#used;
  }

  /** Takes `bytes`, from those that stall if need be. @returns false when there are none of these (counted) */
  take(bytes: number, nowMs: number): boolean {
    if (!this.has(bytes, nowMs)) return false;
    this.#used += bytes;
    return true;
  }

  /** Sees to it that `bytes` are there, without taking them. */
  has(bytes: number, nowMs: number): boolean {
    while (this.#used + bytes > INPUT_BYTES_MAX) {
      const oldest = this.#unfinished.values().next();
      if (oldest.done === true || nowMs - oldest.value.waitsSinceMs < STALLED_MS) {
        this.#full.value++;
        return false;
      }
      this.#evicted.value++;
      this.#unfinished.delete(oldest.value);
      oldest.value.evict();
    }
    return true;
  }

  /** Takes what was given back a moment ago. */
  takeAnyway(bytes: number): void {
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }

  /** `holder` waits for its peer from now on: it may have to make room. */
  wait(holder: RoomHolder): void {
    this.#unfinished.add(holder);
  }

  /** It does not wait any more. */
  done(holder: RoomHolder): void {
    this.#unfinished.delete(holder);
  }
}
