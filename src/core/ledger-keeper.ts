/**
 * Gives the ledger's changes to the store, so that they outlive a power cut, and spares the medium: they go along with
 * what is written anyway, at most every ten seconds, and make a commit of their own at most once a minute. A full disk is
 * not asked for room.
 */
import type { Counter, Counters } from "../base/counters.ts";
import { Timer, type TimerWheel } from "../base/timer-wheel.ts";
import type { DropChanges, DropRecord, Ledger } from "./ledger.ts";
import type { StoreHealth, TimeSource } from "./ports.ts";

/** From the first drop until they are handed over, so that the drops of a moment go together. */
const GATHER_MS = 1000;
const ALONG_MS = 10_000;
const ALONE_MS = 60_000;

/** The part of the store that keeps them. */
export interface DropStore {
  readonly health: StoreHealth;
  loadDrops(): DropRecord;
  /** @param alone a commit may be made for them; else they go with the next one */
  putDrops(changes: DropChanges, alone: boolean): void;
}

export class LedgerKeeper {
  readonly #ledger: Ledger;
  readonly #store: DropStore;
  readonly #wheel: TimerWheel;
  readonly #time: Pick<TimeSource, "nowMs">;
  readonly #timer = new Timer({ onTimer: () => this.#handOver() }, 0);
  #alongMs = Number.NEGATIVE_INFINITY;
  #aloneMs = Number.NEGATIVE_INFINITY;
  /** Something was handed over that has no commit of its own yet. */
  #owed = false;

  readonly #handedOver: Counter;

  constructor(
    ledger: Ledger,
    store: DropStore,
    wheel: TimerWheel,
    time: Pick<TimeSource, "nowMs">,
    counters: Counters,
  ) {
    this.#handedOver = counters.counter("ledger.handed_over");
    this.#ledger = ledger;
    this.#store = store;
    this.#wheel = wheel;
    this.#time = time;
    ledger.restore(store.loadDrops());
    ledger.onDirty = (): void => this.#plan();
  }

  #plan(): void {
    if (this.#timer.armed) return;
    const nowMs = this.#time.nowMs();
    this.#wheel.schedule(this.#timer, Math.max(GATHER_MS, this.#alongMs + ALONG_MS - nowMs));
  }

  #handOver(): void {
    if (this.#store.health !== "ok") {
      this.#wheel.schedule(this.#timer, ALONG_MS);
      return;
    }
    const nowMs = this.#time.nowMs();
    const changes = this.#ledger.takeChanges();
    const alone = nowMs - this.#aloneMs >= ALONE_MS;
    this.#alongMs = nowMs;
    if (alone) this.#aloneMs = nowMs;
    if (changes !== null || (this.#owed && alone)) {
      this.#store.putDrops(changes ?? NONE, alone);
      this.#handedOver.value++;
    }
    this.#owed = !alone;
    // In the end it gets its own commit, if no other has come by.
    if (this.#owed) this.#wheel.schedule(this.#timer, ALONG_MS);
  }

  /** What is left, before the store closes. */
  close(): void {
    this.#wheel.cancel(this.#timer);
    this.#ledger.onDirty = null;
    const changes = this.#ledger.takeChanges();
    if ((changes !== null || this.#owed) && this.#store.health === "ok") this.#store.putDrops(changes ?? NONE, true);
  }
}

const NONE: DropChanges = { entries: [], firstId: 0, counts: [], forgotten: [] };
