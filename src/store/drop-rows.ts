/** The ledger of drops on the medium: what of it waits to be written with the next transaction, and how it is read. */
import type { DropCount } from "../core/drop-counts.ts";
import type { Drop, DropChanges, DropRecord } from "../core/ledger.ts";
import type { Statements } from "./statements.ts";

/** Bounded by what the ledger keeps, a few hundred entries and receivers, and hands over between two commits. */
export class DropRows {
  readonly #entries = new Map<number, Drop>();
  readonly #counts = new Map<string, DropCount>();
  readonly #forgotten = new Set<string>();
  #firstId = 0;
  /** They are worth a transaction of their own. */
  due = false;

  put({ entries, firstId, counts, forgotten }: DropChanges, alone: boolean): void {
    this.#firstId = Math.max(this.#firstId, firstId);
    for (const entry of entries) this.#entries.set(entry.id, entry);
    for (const id of this.#entries.keys()) if (id < this.#firstId) this.#entries.delete(id);
    for (const count of counts) this.#counts.set(`${count.cause} ${count.receiver}`, count);
    for (const receiver of forgotten) {
      this.#forgotten.add(receiver);
      for (const [key, count] of this.#counts) if (count.receiver === receiver) this.#counts.delete(key);
    }
    if (alone && (this.#entries.size > 0 || this.#counts.size > 0)) this.due = true;
  }

  /** Within a transaction. */
  write(st: Statements): void {
    if (this.#entries.size === 0 && this.#counts.size === 0) return;
    for (const receiver of this.#forgotten) st.deleteDropCounts.run(receiver);
    for (const { receiver, cause, count } of this.#counts.values()) st.upsertDropCount.run(receiver, cause, count);
    for (const { id, wallMs, receiver, topic, cause, count } of this.#entries.values())
      st.upsertDrop.run(id, Math.trunc(wallMs), receiver, topic, cause, count);
    st.deleteDropsBelow.run(this.#firstId);
  }

  clear(): void {
    this.#entries.clear();
    this.#counts.clear();
    this.#forgotten.clear();
    this.due = false;
  }
}

export function readDrops(st: Statements): DropRecord {
  return {
    entries: st.drops.all().map(([id, wallMs, receiver, topic, cause, count]) => ({
      id,
      wallMs,
      receiver,
      topic,
      cause,
      count,
    })),
    counts: st.dropCounts.all().map(([receiver, cause, count]) => ({ receiver, cause, count })),
  };
}
