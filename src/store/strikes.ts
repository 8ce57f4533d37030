/**
 * Rows that receivers gave up before their turn, to be taken out of the rows' lists with the next transaction; until
 * then readers pass over them. What waits while the disk is full is bounded.
 */
import { damagedRow } from "./damage.ts";
import { withoutReceivers } from "./receiver-list.ts";
import type { Retention } from "./retention.ts";
import type { Statements } from "./statements.ts";

/** Rows that wait to be struck, and receivers of one row, at most. */
export const STRIKES_MAX = 1024;
/** Estimated bytes of memory for one. */
export const STRIKE_BYTES = 96;

export class Strikes {
  /** Receivers by sequence number. */
  readonly #rows = new Map<number, number[]>();
  #count = 0;

  get empty(): boolean {
    return this.#count === 0;
  }

  /** @returns false when too many wait */
  add(seq: number, id: number): boolean {
    if (this.#count >= STRIKES_MAX) return false;
    const ids = this.#rows.get(seq);
    if (ids === undefined) this.#rows.set(seq, [id]);
    else ids.push(id);
    this.#count++;
    return true;
  }

  has(seq: number, id: number): boolean {
    return this.#count > 0 && this.#rows.get(seq)?.includes(id) === true;
  }

  /** Within a transaction. */
  write(statements: Statements, retention: Retention): void {
    for (const [seq, ids] of this.#rows) {
      const row = statements.sweep.get(seq, seq, 1);
      if (row === undefined) continue;
      const [found, length, receivers] = row;
      if (found !== seq) throw damagedRow(seq, "is out of order");
      const rest = withoutReceivers(seq, receivers, ids);
      if (rest.length > 0) {
        statements.updateReceivers.run(rest, seq);
      } else {
        statements.deleteMessage.run(seq);
        retention.left(length);
      }
    }
  }

  clear(): void {
    this.#rows.clear();
    this.#count = 0;
  }
}
