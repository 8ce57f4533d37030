/**
 * Why messages were lost: each drop is counted by cause and the last ones are kept, so that a technician can ask
 * which receiver lost what, and why.
 */
import type { Counter, Counters } from "../base/counters.ts";

/** Stable strings: they appear in status, log and counters. */
const CAUSES = [
  "queue-full",
  "expired",
  "too-old",
  "superseded",
  "too-large",
  "disk-full",
  "output-full",
  "session-ended",
  "offline",
  "refused",
  "invalid",
] as const;
export type DropCause = (typeof CAUSES)[number];

export interface Drop {
  readonly wallMs: number;
  /** "session:meter-7", "uplink:cloud" */
  readonly receiver: string;
  readonly topic: string;
  readonly cause: DropCause;
  /** Drops of one receiver for one cause that follow one another are one entry. */
  count: number;
}

/** Entries kept. */
export const LEDGER_ENTRIES_MAX = 64;

export class Ledger {
  readonly #byCause = new Map<DropCause, Counter>();
  readonly #watched = new Map<string, Map<DropCause, number>>();
  readonly #entries: Drop[] = [];

  constructor(counters: Counters) {
    for (const cause of CAUSES) this.#byCause.set(cause, counters.counter(`drops.${cause}`));
  }

  /** @param topic read only when the drop opens a new entry, so that a flood of drops costs no strings */
  record(receiver: string, topic: () => string, cause: DropCause, wallMs: number, count = 1): void {
    (this.#byCause.get(cause) as Counter).value += count;
    const watched = this.#watched.get(receiver);
    if (watched !== undefined) watched.set(cause, (watched.get(cause) ?? 0) + count);
    const last = this.#entries.at(-1);
    if (last !== undefined && last.receiver === receiver && last.cause === cause) {
      last.count += count;
      return;
    }
    if (this.#entries.length === LEDGER_ENTRIES_MAX) this.#entries.shift();
    this.#entries.push({ wallMs, receiver, topic: topic(), cause, count });
  }

  /** Drops of one receiver by cause, counted from now on; for the few that the configuration names. */
  watch(receiver: string): ReadonlyMap<DropCause, number> {
    const counts = this.#watched.get(receiver) ?? new Map<DropCause, number>();
    this.#watched.set(receiver, counts);
    return counts;
  }

  /** Oldest first. */
  entries(): readonly Drop[] {
    return this.#entries;
  }
}
