/**
 * Rows of the log that SQLite hands over many at a time, as one value for their contents, one for their receivers and
 * one text of numbers. A row that comes by itself costs 1.8 us, most of it for the objects that carry it; as one of 128
 * it costs 0.6 with its message. What is long comes by itself all the same: so much memory is never needed at once.
 *
 *     bytes   | topic payload | topic payload | topic pay...      those of at most PACKED_BYTES_MAX
 *     lists   | list | list | li...                               those of at most PACKED_LIST_MAX
 *     numbers   seq,bytes,list bytes,accepted,expires,flags,topic end,properties end,seq,...
 *
 * Numbers and bytes have to agree. Where they do not, the file is damaged, and the rows are to be looked at one by one.
 */
import { DURABLE, Message } from "../core/message.ts";
import type { ListReader } from "./receiver-list.ts";
import { ROW_QOS, ROW_RETAIN } from "./schema.ts";

/** Of a row's content and of its list, beyond which they do not come along. */
export const PACKED_BYTES_MAX = 512;
export const PACKED_LIST_MAX = 64;
/** Rows fetched at once. */
export const PACKED_ROWS_MAX = 128;

/** rows, bytes, lists, numbers */
export type PackedRow = [number, Buffer | null, Buffer | null, string | null];

/**
 * Takes what sequence numbers and stamps are told from, then the two ends of a range and how many rows at most:
 * short ones cost less to write and to read.
 * @param range what follows FROM log, but for the limit: one that were a parameter by itself would be compiled in
 */
export function packedQuery(range: string): string {
  return `SELECT count(*), CAST(group_concat(few, '') AS BLOB), CAST(group_concat(list, '') AS BLOB),
    group_concat(concat_ws(',', seq - CAST(? AS INTEGER), size, list_size, accepted - CAST(? AS INTEGER), expires, flags,
    topic_end, properties_end))
    FROM (SELECT seq, accepted, expires, flags, topic_end, properties_end, length(bytes) AS size,
      CASE WHEN length(bytes) <= ${PACKED_BYTES_MAX} THEN bytes ELSE x'' END AS few, length(receivers) AS list_size,
      CASE WHEN length(receivers) <= ${PACKED_LIST_MAX} THEN receivers ELSE x'' END AS list FROM log ${range} LIMIT ? + 0)`;
}

// Places of a row's numbers.
const SEQ = 0;
const SIZE = 1;
const LIST_SIZE = 2;
const ACCEPTED = 3;
const EXPIRES = 4;
const FLAGS = 5;
const TOPIC_END = 6;
const PROPERTIES_END = 7;
const NUMBERS = 8;

const COMMA = 44;
const MINUS = 45;
const ZERO = 48;
const EMPTY = Buffer.alloc(0);

export class PackedRows {
  count = 0;
  /** Stamp of the last row there was: what stamps of the next ones are to be told from. */
  accepted = 0;
  readonly #numbers = new Float64Array(NUMBERS * PACKED_ROWS_MAX);
  /** Where a row's bytes and list begin. */
  readonly #bytesAt = new Int32Array(PACKED_ROWS_MAX);
  readonly #listAt = new Int32Array(PACKED_ROWS_MAX);
  #bytes: Buffer = EMPTY;
  #lists: Buffer = EMPTY;

  /**
   * @param from what sequence numbers are told from
   * @returns false when they make no sense
   */
  take(row: PackedRow | undefined, from: number): boolean {
    this.count = 0;
    const [count, bytes, lists, text] = row ?? [0, null, null, null];
    if (count === 0) return true;
    if (bytes === null || lists === null || text === null || count > PACKED_ROWS_MAX) return false;
    if (this.#read(text) !== count * NUMBERS) return false;
    let bytesAt = 0;
    let listAt = 0;
    for (let i = 0; i < count; i++) {
      this.#bytesAt[i] = bytesAt;
      this.#listAt[i] = listAt;
      this.#numbers[i * NUMBERS] = from + this.#number(i, SEQ);
      this.#numbers[i * NUMBERS + ACCEPTED] = this.accepted + this.#number(i, ACCEPTED);
      const size = this.#number(i, SIZE);
      const topicEnd = this.#number(i, TOPIC_END);
      const propertiesEnd = this.#number(i, PROPERTIES_END);
      if (!(topicEnd <= propertiesEnd && propertiesEnd <= size)) return false;
      if (size <= PACKED_BYTES_MAX) bytesAt += size;
      if (this.hasList(i)) listAt += this.#number(i, LIST_SIZE);
    }
    if (bytesAt !== bytes.length || listAt !== lists.length) return false;
    this.#bytes = bytes;
    this.#lists = lists;
    this.accepted = this.#number(count - 1, ACCEPTED);
    this.count = count;
    return true;
  }

  /** They are not needed any more. */
  clear(): void {
    this.count = 0;
    this.#bytes = EMPTY;
  }

  seqAt(i: number): number {
    return this.#number(i, SEQ);
  }

  hasList(i: number): boolean {
    return this.#number(i, LIST_SIZE) <= PACKED_LIST_MAX;
  }

  hasBytes(i: number): boolean {
    return this.#number(i, SIZE) <= PACKED_BYTES_MAX;
  }

  /** Moves the reader to the entry of receiver `id`. @returns false when the list has none */
  find(i: number, reader: ListReader, id: number): boolean {
    const from = this.#listAt[i] as number;
    reader.startAt(this.#lists, from, from + this.#number(i, LIST_SIZE));
    return reader.moveTo(id);
  }

  /** With bytes of its own: a view of all would keep them for as long as this one waits. */
  messageAt(i: number): Message {
    const from = this.#bytesAt[i] as number;
    const size = this.#number(i, SIZE);
    const flags = this.#number(i, FLAGS);
    const message = new Message(
      copyOf(this.#bytes, from, size),
      this.#number(i, TOPIC_END),
      this.#number(i, PROPERTIES_END),
      flags & ROW_QOS,
      (flags & ROW_RETAIN) !== 0,
      this.#number(i, ACCEPTED),
      this.#number(i, EXPIRES),
      -1,
    );
    message.seq = this.#number(i, SEQ);
    message.state = DURABLE;
    return message;
  }

  #number(i: number, which: number): number {
    return this.#numbers[i * NUMBERS + which] as number;
  }

  /** @returns how many numbers it holds; -1 when it is more than there may be, or something else */
  #read(text: string): number {
    const numbers = this.#numbers;
    let n = 0;
    let value = 0;
    let sign = 1;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code === COMMA) {
        if (n === numbers.length) return -1;
        numbers[n++] = sign * value;
        value = 0;
        sign = 1;
      } else if (code === MINUS) {
        sign = -1;
      } else {
        value = value * 10 + (code - ZERO);
        if (code < ZERO || code > ZERO + 9) return -1;
      }
    }
    if (n === numbers.length) return -1;
    numbers[n++] = sign * value;
    return n;
  }
}

function copyOf(bytes: Buffer, from: number, length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length);
  bytes.copy(copy, 0, from, from + length);
  return copy;
}
