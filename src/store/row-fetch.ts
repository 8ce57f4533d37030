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
  /** Rows that were asked for: fewer that came are the last. */
  limit = 0;
  /** They came as one value. */
  isPacked = false;
  /** At the entry of the receiver that `messageFor` found. */
  readonly reader = new ListReader();
  readonly #statements: Statements;
  readonly #packed = new PackedRows();
  #rows: readonly ScanRow[] = NO_ROWS;
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

  /** Rows `[from..to]`, the lowest first. @param bytes of messages that are wanted (Message.size) */
  up(id: number, from: number, to: number, bytes: number): void {
    if (this.#begin(id, bytes) && this.#takePacked(this.#statements.packed, from, to)) return;
    this.#takeRows(this.#statements.scan.all(from, to, this.#scanLimit()));
  }

  /** Rows `[downTo..from]`, the highest first. */
  down(id: number, from: number, downTo: number, bytes: number): void {
    if (this.#begin(id, bytes) && this.#takePacked(this.#statements.packedBack, from, downTo)) return;
    this.#takeRows(this.#statements.scanBack.all(from, downTo, this.#scanLimit()));
  }

  /** Nobody needs the rows any more. */
  end(): void {
    this.#packed.clear();
    this.#rows = NO_ROWS;
    this.count = 0;
  }

  seqAt(i: number): number {
    return this.isPacked ? this.#packed.seqAt(i) : (this.#rows[i] as ScanRow)[0];
  }

  /** The message of a row that lists receiver `id`; null when it does not. */
  messageFor(i: number, id: number): Message | null {
    this.#asked++;
    if (!this.#lists(i, id)) return null;
    const message = this.isPacked && this.#packed.hasBytes(i) ? this.#packed.messageAt(i) : this.#read(this.seqAt(i));
    if (message === null) return null;
    this.#found++;
    this.#sizeEach += (message.size - this.#sizeEach) / 8;
    return message;
  }

  #lists(i: number, id: number): boolean {
    if (this.isPacked && this.#packed.hasList(i)) return this.#packed.find(i, this.reader, id);
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

  /** @returns whether most of what comes is its own */
  #begin(id: number, bytes: number): boolean {
    const place = this.#id % REMEMBERED;
    if (this.#asked > 0) this.#isDense[place] = this.#found * 2 > this.#asked ? 1 : 0;
    this.#id = id;
    this.#asked = 0;
    this.#found = 0;
    this.limit = Math.min(PACKED_ROWS_MAX, Math.max(1, Math.ceil(bytes / Math.max(1, this.#sizeEach))));
    return this.#isDense[id % REMEMBERED] === 1;
  }

  #scanLimit(): number {
    this.limit = FETCH_ROWS;
    return FETCH_ROWS;
  }

  #takePacked(statement: Statements["packed"], from: number, to: number): boolean {
    const packed = this.#packed;
    this.isPacked = packed.take(statement.get(from, packed.accepted, from, to, this.limit), from);
    this.count = this.#packed.count;
    this.#rows = NO_ROWS;
    return this.isPacked;
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
