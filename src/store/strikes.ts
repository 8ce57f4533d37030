/**
 * Rows that receivers gave up, or were done with, before their turn: to be taken out of the rows' lists with the next
 * transaction; until then readers pass over them. What waits while the disk is full is bounded.
 *
 * A receiver that takes its backlog from the newest on strikes row after row. Where each row of a stretch is for it
 * alone, they go with one statement, and nothing of them is read but lengths and how the lists of receivers begin.
 */
import { damagedRow } from "./damage.ts";
import { listStart, withoutReceivers } from "./receiver-list.ts";
import type { Retention } from "./retention.ts";
import type { Statements } from "./statements.ts";

/** Rows that wait to be struck, and receivers of one row, at most. */
export const STRIKES_MAX = 2048;
/** Estimated bytes of memory for one. */
export const STRIKE_BYTES = 48;
/** When so many wait they are better written now. */
const MANY = 512;
/** Rows fetched at once at most, and how far apart two of them may lie. */
const FETCH_ROWS = 64;
const GAP_MAX = 4;

export class Strikes {
  /** Receivers by sequence number; most rows have one. */
  readonly #rows = new Map<number, number | number[]>();
  #count = 0;

  get empty(): boolean {
    return this.#count === 0;
  }

  /** @returns false when too many wait */
  add(seq: number, id: number): boolean {
    if (this.#count >= STRIKES_MAX) return false;
    const ids = this.#rows.get(seq);
    if (ids === undefined) this.#rows.set(seq, id);
    else if (typeof ids === "number") this.#rows.set(seq, [ids, id]);
    else ids.push(id);
    this.#count++;
    return true;
  }

  has(seq: number, id: number): boolean {
    if (this.#count === 0) return false;
    const ids = this.#rows.get(seq);
    return ids === id || (typeof ids === "object" && ids.includes(id));
  }

  /** So many wait that they are better written now; true once for them. */
  get areMany(): boolean {
    return this.#count === MANY;
  }

  /** Within a transaction. */
  write(statements: Statements, retention: Retention): void {
    if (this.#count === 0) return;
    const seqs = [...this.#rows.keys()].sort((a, b) => a - b);
    for (let from = 0; from < seqs.length; ) {
      const first = seqs[from] as number;
      const id = this.#rows.get(first);
      let end = from + 1;
      while (typeof id === "number" && seqs[end] === first + end - from && this.#rows.get(first + end - from) === id)
        end++;
      if (end === from + 1 || !deleteAll(first, seqs[end - 1] as number, id as number, statements, retention)) {
        end = from + 1;
        while (end < seqs.length && end - from < FETCH_ROWS && gapAt(seqs, end) <= GAP_MAX) end++;
        this.#writeRange(first, seqs[end - 1] as number, statements, retention);
      }
      from = end;
    }
  }

  /** Rows `first` to `last`, most of which are struck. */
  #writeRange(first: number, last: number, statements: Statements, retention: Retention): void {
    let [deleteFrom, deleteTo] = [0, 0];
    const deleteRange = (): void => {
      if (deleteFrom > 0) statements.deleteRange.run(deleteFrom, deleteTo);
      deleteFrom = 0;
    };
    let next = first;
    for (const [seq, length, receivers] of statements.sweep.all(first, last, last - first + 1)) {
      if (seq < next) throw damagedRow(seq, "is out of order");
      next = seq + 1;
      const ids = this.#rows.get(seq);
      const rest =
        ids === undefined ? receivers : withoutReceivers(seq, receivers, typeof ids === "number" ? [ids] : ids);
      if (rest.length === 0) {
        if (deleteFrom === 0) deleteFrom = seq;
        deleteTo = seq;
        retention.left(length);
        continue;
      }
      deleteRange();
      if (ids !== undefined) statements.updateReceivers.run(rest, seq);
    }
    deleteRange();
  }

  clear(): void {
    this.#rows.clear();
    this.#count = 0;
  }
}

/** Deletes rows `first` to `last`, if each of them is for receiver `id` alone. @returns whether they are */
function deleteAll(first: number, last: number, id: number, statements: Statements, retention: Retention): boolean {
  const start = listStart(id);
  const lengths = statements.lengths.get(start.length, start, first, last) as [number, number, number, number];
  const [rows, length, longest, others] = lengths;
  if (rows === 0) return true;
  if (longest > start.length + 1 || others > 0) return false;
  statements.deleteRange.run(first, last);
  retention.left(length, rows);
  return true;
}

/** From the number before `seqs[index]` to it. */
function gapAt(seqs: readonly number[], index: number): number {
  return (seqs[index] as number) - (seqs[index - 1] as number);
}
