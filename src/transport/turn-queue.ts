/**
 * Links that had more work for a turn of the event loop than one link may have. What is left of what they read comes
 * again in a later turn, and until then nothing is read from them; the others go on as if they were not there.
 *
 *     a read ── worked off within the share ──────────────────────────────────────────> next read
 *        └── share used up: `#rests`, each a slice per round ── done ──> `#waiting` ──> next read
 *
 * At the end of a turn LINKS_PER_TURN of them go on: those with a rest first, then those that wait for room to read
 * again. A rest is the chunk as it was read; all rests together are bounded, and who is cut short when there is no room
 * for its rest works it off at once, and waits afterwards.
 */
import type { Counter, Counters } from "../base/counters.ts";

/** Bytes of all rests: two full reads. */
export const REST_BYTES_MAX = 128 * 1024;
/** What node reads at most at a time. */
const READ_BYTES = 64 * 1024;
/** Of the links that wait for a turn, so many go on at the end of one: 2 ms of work when each uses its share up. */
export const LINKS_PER_TURN = 4;

export interface TurnTaker {
  /** Its turn has come: works on its rest, or reads again. */
  takeTurn(): void;
}

export class TurnQueue {
  #rests: TurnTaker[] = [];
  readonly #waiting = new Set<TurnTaker>();
  #restBytes = 0;
  readonly #cut: Counter;
  readonly #overrun: Counter;

  constructor(counters: Counters) {
    this.#cut = counters.counter("transport.turns_cut");
    this.#overrun = counters.counter("transport.turns_overrun");
    counters.gauge("transport.links_waiting_turn", () => this.#rests.length + this.#waiting.size);
    counters.gauge("transport.rest_bytes", () => this.#restBytes);
  }

  get empty(): boolean {
    return this.#rests.length === 0 && this.#waiting.size === 0;
  }

  /** A link's share is used up. @returns whether there is room for its rest of `bytes`, which is taken then */
  hold(bytes: number): boolean {
    if (this.#restBytes + bytes > REST_BYTES_MAX) {
      this.overrun();
      return false;
    }
    this.#cut.value++;
    this.#restBytes += bytes;
    return true;
  }

  /** A link's share is used up, and its rest has to be worked off at once. */
  overrun(): void {
    this.#cut.value++;
    this.#overrun.value++;
  }

  give(bytes: number): void {
    this.#restBytes -= bytes;
  }

  /** `taker` has a rest; `takeTurn` is called once. */
  enter(taker: TurnTaker): void {
    this.#rests.push(taker);
  }

  /** `taker` wants to read again; `takeTurn` is called once. */
  wait(taker: TurnTaker): void {
    this.#waiting.add(taker);
  }

  leave(taker: TurnTaker): void {
    this.#waiting.delete(taker);
    const at = this.#rests.indexOf(taker);
    if (at >= 0) this.#rests.splice(at, 1);
  }

  /** The end of a turn. */
  run(): void {
    let links = LINKS_PER_TURN;
    for (let rests = this.#rests.length; rests > 0 && links > 0; rests--, links--) {
      this.#rests.shift()?.takeTurn();
    }
    // Paused links may hold all the room: then one goes on at a time, without any.
    let room = Math.max(REST_BYTES_MAX - this.#restBytes, this.#rests.length === 0 ? READ_BYTES : 0);
    for (const taker of this.#waiting) {
      if (links === 0 || room < READ_BYTES) return;
      links--;
      room -= READ_BYTES;
      this.#waiting.delete(taker);
      taker.takeTurn();
    }
  }
}
