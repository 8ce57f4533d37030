/**
 * Why messages were lost: each drop is counted by cause and by receiver, and the last ones are kept, so that a
 * technician can ask which receiver lost what, and why, also after a restart (ledger-keeper.ts).
 */
import type { Counter, Counters } from "../base/counters.ts";
import type { Line } from "../config/budget.ts";
import { causeIndex, DROP_CAUSES, type DropCause } from "./drop-causes.ts";
import { DROP_RECEIVERS_MAX, type DropCount, DropCounts, type ReceiverDrops } from "./drop-counts.ts";

export type { DropCause } from "./drop-causes.ts";

export interface Drop {
  /** Ascending. */
  readonly id: number;
  readonly wallMs: number;
  /** "session:meter-7", "uplink:cloud" */
  readonly receiver: string;
  readonly topic: string;
  readonly cause: DropCause;
  /** Drops of one receiver for one cause that follow one another are one entry. */
  count: number;
}

/** What the store is to keep. */
export interface DropChanges {
  /** New, or with another count. */
  readonly entries: readonly Drop[];
  /** Entries below it are forgotten. */
  readonly firstId: number;
  readonly counts: readonly DropCount[];
  /** Receivers that are not counted one by one any more. */
  readonly forgotten: readonly string[];
}

export interface DropRecord {
  /** Oldest first; `cause` may be one that another version knows. */
  readonly entries: readonly (Omit<Drop, "cause"> & { readonly cause: string })[];
  readonly counts: readonly DropCount[];
}

/** Entries kept. */
export const LEDGER_ENTRIES_MAX = 256;
/** Characters of a topic or a receiver's name that are kept. */
const TEXT_MAX = 96;
/** Estimated bytes of memory of an entry, and of a receiver's counts, with their texts. */
const ENTRY_BYTES = 256;
const RECEIVER_BYTES = 256;

export class Ledger {
  readonly #byCause: Counter[];
  readonly #watched = new Map<string, Map<DropCause, number>>();
  readonly #counts = new DropCounts();
  #entries: Drop[] = [];
  #nextId = 1;
  /** Entries below it have not changed since they were taken. */
  #changedFrom = 1;
  #dirty = false;
  /** Told at the first drop after `takeChanges`. */
  onDirty: (() => void) | null = null;

  constructor(counters: Counters) {
    this.#byCause = DROP_CAUSES.map((cause) => counters.counter(`drops.${cause}`));
    counters.gauge("ledger.receivers", () => this.#counts.receivers);
  }

  /** @param topic read only when the drop opens a new entry, so that a flood of drops costs no strings */
  record(receiver: string, topic: () => string, cause: DropCause, wallMs: number, count = 1): void {
    const index = causeIndex(cause);
    (this.#byCause[index] as Counter).value += count;
    const watched = this.#watched.get(receiver);
    if (watched !== undefined) watched.set(cause, (watched.get(cause) ?? 0) + count);
    const name = shortened(receiver);
    this.#counts.count(name, index, count);
    const last = this.#entries.at(-1);
    if (last !== undefined && last.receiver === name && last.cause === cause) {
      last.count += count;
      this.#changedFrom = Math.min(this.#changedFrom, last.id);
    } else {
      if (this.#entries.length === LEDGER_ENTRIES_MAX) this.#entries.shift();
      const id = this.#nextId++;
      this.#entries.push({ id, wallMs, receiver: name, topic: shortened(topic()), cause, count });
    }
    if (this.#dirty) return;
    this.#dirty = true;
    this.onDirty?.();
  }

  /** Drops of one receiver by cause, counted from now on; for the few that the configuration names. */
  watch(receiver: string): ReadonlyMap<DropCause, number> {
    const counts = this.#watched.get(receiver) ?? new Map<DropCause, number>();
    this.#watched.set(receiver, counts);
    return counts;
  }

  /** Ends `watch`. */
  unwatch(receiver: string): void {
    this.#watched.delete(receiver);
  }

  /** Oldest first. */
  entries(): readonly Drop[] {
    return this.#entries;
  }

  /** Since the first use of the data directory. */
  byReceiver(): ReceiverDrops[] {
    return this.#counts.all();
  }

  /** What an earlier process left; before the first drop. */
  restore({ entries, counts }: DropRecord): void {
    this.#counts.restore(counts);
    for (const entry of entries) {
      const cause = DROP_CAUSES[causeIndex(entry.cause)];
      if (cause !== undefined) this.#entries.push({ ...entry, cause });
      this.#nextId = Math.max(this.#nextId, entry.id + 1);
    }
    this.#entries = this.#entries.slice(-LEDGER_ENTRIES_MAX);
    this.#changedFrom = this.#nextId;
  }

  /** What has changed since the last call; null = nothing. */
  takeChanges(): DropChanges | null {
    if (!this.#dirty) return null;
    this.#dirty = false;
    const entries = this.#entries.filter(({ id }) => id >= this.#changedFrom).map((entry) => ({ ...entry }));
    this.#changedFrom = this.#nextId;
    return { entries, firstId: this.#entries[0]?.id ?? 0, ...this.#counts.takeChanges() };
  }
}

/** Two receivers whose names begin alike for so long are one here. */
function shortened(text: string): string {
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX - 1)}…`;
}

export function budget(): Line[] {
  return [
    {
      owner: "ledger of drops",
      bytes: LEDGER_ENTRIES_MAX * ENTRY_BYTES + DROP_RECEIVERS_MAX * RECEIVER_BYTES,
      how: `${LEDGER_ENTRIES_MAX} entries, counts of ${DROP_RECEIVERS_MAX} receivers`,
    },
  ];
}
