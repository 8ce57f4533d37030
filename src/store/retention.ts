/**
 * Takes out of the log what nobody needs any more, in the transactions that are written anyway.
 *
 *   trim    deletes by range below the lowest head of all receivers: whole pages, nothing read but lengths. It comes
 *           before the rows that the transaction adds, which then take the pages it freed: each is written once
 *   sweep   one stale receiver pins the floor; when the log holds much more than its receivers wait for, rows between
 *           live ones are looked at one by one and the dead ones deleted, a slice per commit
 *
 * Both are bounded per commit, so that a session that ends with a large backlog stops nobody.
 */

import { MESSAGE_OVERHEAD_BYTES } from "../core/message.ts";
import type { Places } from "./places.ts";
import { ListReader } from "./receiver-list.ts";
import { SEGMENT_SEQS, type Segments } from "./segments.ts";
import type { Statements } from "./statements.ts";

const SLICE_ROWS = 256;
/** Rows and bytes deleted by range in one commit, at most. */
const TRIM_ROWS_MAX = 8192;
const TRIM_BYTES_MAX = 4 * 1024 * 1024;
/** Time one commit spends on sweeping, and on deleting by range after the first slice. */
const SLICE_MS = 1;
/** The log may hold this much more than twice what receivers wait for before it is swept. */
const SWEEP_SLACK_BYTES = 1024 * 1024;

interface Totals {
  rows: number;
  bytes: number;
  lowest: number;
  sweepAt: number;
}

export class Retention {
  readonly #statements: Statements;
  readonly #places: Places;
  readonly #segments: Segments;
  readonly #reader = new ListReader();
  /** Rows in the log and their bytes (Message.size). */
  rows: number;
  bytes: number;
  /** Whether the transaction under way deleted rows. */
  deleted = false;
  /** Whether it has deleted as much as one transaction may. */
  #spent = false;
  /** No row is below it. */
  #lowest: number;
  /** Segments below it are forgotten. */
  #trimmedTo = 0;
  /** Next row the sweep looks at; 0 = no sweep under way. */
  #sweepAt = 0;
  #sweepEnd = 0;
  /** A new sweep starts beyond this size. */
  #sweepBeyond = 0;
  readonly #before: Totals = { rows: 0, bytes: 0, lowest: 0, sweepAt: 0 };

  constructor(statements: Statements, places: Places, segments: Segments, rows: number, bytes: number, lowest: number) {
    this.#statements = statements;
    this.#places = places;
    this.#segments = segments;
    this.rows = rows;
    this.bytes = bytes;
    this.#lowest = lowest;
  }

  /** A transaction begins; `rollback` returns to here. */
  begin(): void {
    this.deleted = false;
    const before = this.#before;
    before.rows = this.rows;
    before.bytes = this.bytes;
    before.lowest = this.#lowest;
    before.sweepAt = this.#sweepAt;
  }

  rollback(): void {
    const before = this.#before;
    this.rows = before.rows;
    this.bytes = before.bytes;
    this.#lowest = before.lowest;
    this.#sweepAt = before.sweepAt;
  }

  /** Rows were deleted whose contents had `length` bytes together. */
  left(length: number, rows = 1): void {
    this.deleted = true;
    this.rows -= rows;
    this.bytes -= length + rows * MESSAGE_OVERHEAD_BYTES;
  }

  entered(size: number): void {
    this.rows++;
    this.bytes += size;
  }

  /**
   * Deletes what will be below the floor once the records of touched receivers are written. At the begin of the
   * transaction that writes them.
   * @param firstSeq the transaction adds no row below it
   */
  makeRoom(firstSeq: number): void {
    this.#spent = this.#trim(Math.min(this.#places.comingFloor(), firstSeq));
  }

  /**
   * Deletes what is below the floor, then sweeps. Within a transaction, after the receivers' records are in it.
   * @param endSeq one more than the highest number in the log
   * @returns true when there is more to do than fits this commit
   */
  run(endSeq: number): boolean {
    if (this.#spent) return true;
    const floor = Math.min(this.#places.floor(), endSeq);
    if (this.#trim(floor)) return true;
    return this.#sweep(floor, endSeq);
  }

  #trim(floor: number): boolean {
    const untilMs = performance.now() + SLICE_MS;
    let rows = 0;
    let bytes = 0;
    while (floor > this.#lowest) {
      const [count, size, highest] = this.#statements.range.get(floor, SLICE_ROWS) as [number, number, number];
      if (count > 0) {
        this.#statements.deleteBelow.run(highest + 1);
        this.deleted = true;
        this.rows -= count;
        this.bytes -= size + count * MESSAGE_OVERHEAD_BYTES;
        rows += count;
        bytes += size;
      }
      this.#lowest = count < SLICE_ROWS ? floor : highest + 1;
      if (rows >= TRIM_ROWS_MAX || bytes >= TRIM_BYTES_MAX || performance.now() >= untilMs) break;
    }
    if (this.#lowest - this.#trimmedTo >= SEGMENT_SEQS) {
      this.#trimmedTo = this.#lowest;
      this.#segments.trim(this.#lowest);
    }
    return floor > this.#lowest;
  }

  #sweep(floor: number, endSeq: number): boolean {
    if (this.#sweepAt === 0) {
      const excess = this.bytes > 2 * this.#places.bytes + SWEEP_SLACK_BYTES;
      if (!excess || this.bytes < this.#sweepBeyond) return false;
      this.#sweepAt = floor;
      this.#sweepEnd = endSeq - 1;
    }
    const untilMs = performance.now() + SLICE_MS;
    for (let looked = 0; looked < SLICE_ROWS; looked += SLICE_ROWS / 4) {
      const rows = this.#statements.sweep.all(this.#sweepAt, this.#sweepEnd, SLICE_ROWS / 4);
      for (const [seq, length, receivers] of rows) {
        this.#sweepAt = seq + 1;
        if (this.#isNeeded(seq, receivers)) continue;
        this.#statements.deleteMessage.run(seq);
        this.deleted = true;
        this.rows--;
        this.bytes -= length + MESSAGE_OVERHEAD_BYTES;
      }
      if (rows.length < SLICE_ROWS / 4) {
        this.#sweepAt = 0;
        this.#sweepBeyond = this.bytes + Math.max(SWEEP_SLACK_BYTES, this.bytes / 4);
        return false;
      }
      if (performance.now() >= untilMs) break;
    }
    return true;
  }

  #isNeeded(seq: number, receivers: Buffer): boolean {
    const reader = this.#reader;
    reader.start(seq, receivers);
    while (reader.next()) {
      const place = this.#places.get(reader.id);
      if (place === undefined) continue;
      if (place.receiver === null ? seq >= place.head : place.receiver.needs(seq)) return true;
    }
    return false;
  }
}
