/**
 * Which receivers have rows in which stretch of the log, so that a session with ten messages in a log of a million
 * does not look at a million lists. A filter per segment of 256 sequence numbers; a bit may be set for a receiver that
 * has nothing there, never the other way round.
 *
 *     sequence numbers   0 .. 255 | 256 .. 511 | 512 .. 767 | ...
 *     filter             unknown    {3, 7}       {3}              bit = id mod 512
 *
 * Filters are made as rows are written. Those of rows from before the start are made by the first who reads there.
 */
import { ListReader } from "./receiver-list.ts";
import type { Statements } from "./statements.ts";

export const SEGMENT_SEQS = 256;
const FILTER_BITS = 512;
/** Filters kept, oldest dropped first: a million rows. */
export const SEGMENTS_MAX = 3908;
/** Estimated bytes of memory for one filter. */
export const SEGMENT_BYTES = FILTER_BITS / 8 + 120;
/** Receiver lists fetched at once: a row's list may be 12 KiB. */
export const FETCH_ROWS = 64;

type Filter = Uint32Array;

export class Segments {
  readonly #statements: Statements;
  readonly #reader = new ListReader();
  readonly #filters = new Map<number, Filter>();
  /** Segments up to this one hold rows that were not seen being written. */
  readonly #unseen: number;
  /** The segment written to last. */
  #current = -1;
  #currentFilter: Filter = new Uint32Array(0);

  /** @param lastSeq the last sequence number before this start */
  constructor(statements: Statements, lastSeq: number) {
    this.#statements = statements;
    this.#unseen = segmentOf(lastSeq);
  }

  get size(): number {
    return this.#filters.size;
  }

  /** Row `seq` is written for receiver `id`. */
  enter(seq: number, id: number): void {
    const segment = segmentOf(seq);
    if (segment <= this.#unseen) return;
    if (segment !== this.#current) {
      this.#current = segment;
      this.#currentFilter = this.#filters.get(segment) ?? this.#keep(segment);
    }
    set(this.#currentFilter, id);
  }

  /** @returns the first sequence number from `from` on that may be a row for receiver `id`, or one beyond `last` */
  next(from: number, last: number, id: number): number {
    let at = from;
    while (at <= last) {
      const filter = this.#filters.get(segmentOf(at));
      if (filter === undefined || has(filter, id)) return at;
      at = (segmentOf(at) + 1) * SEGMENT_SEQS;
    }
    return at;
  }

  /** @returns the first sequence number from `from` down that may be a row for receiver `id`, or one below `first` */
  nextBack(from: number, first: number, id: number): number {
    let at = from;
    while (at >= first) {
      const filter = this.#filters.get(segmentOf(at));
      if (filter === undefined || has(filter, id)) return at;
      at = segmentOf(at) * SEGMENT_SEQS - 1;
    }
    return at;
  }

  /** Makes the filter of the segment around row `seq` if there is none. @param last all rows up to it are written  @returns rows looked at */
  learn(seq: number, last: number): number {
    const segment = segmentOf(seq);
    const end = (segment + 1) * SEGMENT_SEQS - 1;
    if (end > last || this.#filters.has(segment)) return 0;
    const filter = this.#keep(segment);
    let looked = 0;
    for (let at = segment * SEGMENT_SEQS; ; ) {
      const rows = this.#statements.scan.all(at, end, FETCH_ROWS);
      for (const [row, receivers] of rows) {
        at = row + 1;
        this.#reader.start(row, receivers);
        while (this.#reader.next()) set(filter, this.#reader.id);
      }
      looked += rows.length;
      if (rows.length < FETCH_ROWS || looked >= SEGMENT_SEQS) return looked;
    }
  }

  /** No row is below `floor` any more. */
  trim(floor: number): void {
    const segment = segmentOf(floor);
    for (const old of this.#filters.keys()) if (old < segment) this.#filters.delete(old);
  }

  #keep(segment: number): Filter {
    if (this.#filters.size >= SEGMENTS_MAX) {
      const oldest = this.#filters.keys().next();
      if (oldest.done !== true) this.#filters.delete(oldest.value);
    }
    const filter = new Uint32Array(FILTER_BITS / 32);
    this.#filters.set(segment, filter);
    return filter;
  }
}

function segmentOf(seq: number): number {
  return Math.floor(seq / SEGMENT_SEQS);
}

function set(filter: Filter, id: number): void {
  const bit = id % FILTER_BITS;
  filter[bit >>> 5] = (filter[bit >>> 5] as number) | (1 << (bit & 31));
}

function has(filter: Filter, id: number): boolean {
  const bit = id % FILTER_BITS;
  return ((filter[bit >>> 5] as number) & (1 << (bit & 31))) !== 0;
}
