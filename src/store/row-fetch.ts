/**
 * Fetches rows of the log for one receiver. Who has most of them gets them packed (packed-rows.ts); who has few, the
 * lists alone, and then the rows that are its own.
 */
import { DURABLE, Message } from "../core/message.ts";
import { damagedRow } from "./damage.ts";
import { PACKED_ROWS_MAX, PackedRows } from "./packed-rows.ts";
import { ListReader } from "./receiver-list.ts";
import { ROW_QOS, ROW_RETAIN } from "./schema.ts";
import { FETCH_ROWS } from "./segments.ts";
import type { MessageRow, ScanRow, Statements } from "./statements.ts";

/** Receivers whose last fetch is remembered: those of the same remainder share a place. */
const REMEMBERED = 256;
const NO_ROWS: readonly ScanRow[] = [];

export class RowFetch {
  count = 0;
  /** Where to go on when all of them were looked at. */
  next = 0;
  /** They came as one value. */
  isPacked = false;
  /** At the entry of the receiver that `messageFor` found. */
  readonly reader = new ListReader();
  readonly #statements: Statements;
  readonly #packed = new PackedRows();
  #rows: readonly ScanRow[] = NO_ROWS;
  #isDown = false;
  /** Whether the last rows were mostly the receiver's. */
  readonly #isDense = new Uint8Array(REMEMBERED);
  #id = 0;
  #asked = 0;
  #found = 0;
  /** Message.size of the last ones found, smoothed. */
  #sizeEach = 0;

  constructor(statements: Statements) {
    this.#statements = statements;
  }

  /** Rows from `from` on, none above `to`, the lowest first. @param bytes of messages that are wanted (Message.size) */
  up(id: number, from: number, to: number, bytes: number): void {
    const end = Math.min(to + 1, from + this.#begin(id, bytes));
    this.#isDown = false;
    this.next = end;
    if (this.#takePacked(from, end)) return;
    this.#takeRows(this.#statements.scan.all(from, to, FETCH_ROWS));
    this.next = this.count < FETCH_ROWS ? to + 1 : this.seqAt(this.count - 1) + 1;
  }

  /** Rows from `from` on, none below `downTo`, the highest first. */
  down(id: number, from: number, downTo: number, bytes: number): void {
    const lowest = Math.max(downTo, from + 1 - this.#begin(id, bytes));
    this.#isDown = true;
    this.next = lowest - 1;
    if (this.#takePacked(lowest, from + 1)) return;
    this.#takeRows(this.#statements.scanBack.all(from, downTo, FETCH_ROWS));
    this.next = this.count < FETCH_ROWS ? downTo - 1 : this.seqAt(this.count - 1) - 1;
  }

  /** Nobody needs the rows any more. */
  end(): void {
    this.#packed.clear();
    this.#rows = NO_ROWS;
    this.count = 0;
  }

  seqAt(i: number): number {
    return this.isPacked ? this.#packed.seqAt(this.#placeOf(i)) : (this.#rows[i] as ScanRow)[0];
  }

  /** Of the packed rows, which are in ascending order. */
  #placeOf(i: number): number {
    return this.#isDown ? this.count - 1 - i : i;
  }

  /**
   * The message of a row that lists receiver `id`; null when it does not.
   * @param shares whether it may keep the memory of all rows that were fetched
   */
  messageFor(i: number, id: number, shares: boolean): Message | null {
    this.#asked++;
    if (!this.#lists(i, id)) return null;
    const place = this.#placeOf(i);
    const isHere = this.isPacked && this.#packed.hasBytes(place);
    const message = isHere ? this.#packed.messageAt(place, shares) : this.#read(this.seqAt(i));
    if (message === null) return null;
    this.#found++;
    this.#sizeEach += (message.size - this.#sizeEach) / 8;
    return message;
  }

  #lists(i: number, id: number): boolean {
    const place = this.#placeOf(i);
    if (this.isPacked && this.#packed.hasList(place)) return this.#packed.find(place, this.reader, id);
    const [seq, receivers] = (this.isPacked ? this.#rowOf(this.seqAt(i)) : this.#rows[i]) ?? [0, null];
    return this.reader.find(seq, receivers, id);
  }

  #rowOf(seq: number): ScanRow | undefined {
    return this.#statements.scan.get(seq, seq, 1);
  }

  #read(seq: number): Message | null {
    const row = this.#statements.message.get(seq);
    return row === undefined ? null : messageOfRow(seq, row);
  }

  /** @returns how many rows to fetch packed; 0 = few of them would be its own */
  #begin(id: number, bytes: number): number {
    if (this.#asked > 0) this.#isDense[this.#id % REMEMBERED] = this.#found * 2 > this.#asked ? 1 : 0;
    this.#id = id;
    this.#asked = 0;
    this.#found = 0;
    if (this.#isDense[id % REMEMBERED] === 0) return 0;
    return Math.min(PACKED_ROWS_MAX, Math.max(1, Math.ceil(bytes / Math.max(1, this.#sizeEach))));
  }

  /** @returns false when there is none, or they are to be looked at one by one */
  #takePacked(from: number, end: number): boolean {
    this.#rows = NO_ROWS;
    this.isPacked = from < end && this.#packed.take(this.#statements.packed.get(from, from, end), from);
    this.count = this.isPacked ? this.#packed.count : 0;
    return this.count > 0;
  }

  #takeRows(rows: readonly ScanRow[]): void {
    this.isPacked = false;
    this.#rows = rows;
    this.count = rows.length;
  }
}

function messageOfRow(seq: number, row: MessageRow): Message {
  const [accepted, expires, flags, topicEnd, propertiesEnd, bytes] = row;
  if (!Buffer.isBuffer(bytes) || !(topicEnd <= propertiesEnd && propertiesEnd <= bytes.length))
    throw damagedRow(seq, "holds no message");
  const retain = (flags & ROW_RETAIN) !== 0;
  const message = new Message(bytes, topicEnd, propertiesEnd, flags & ROW_QOS, retain, accepted, expires, -1);
  message.seq = seq;
  message.state = DURABLE;
  return message;
}
