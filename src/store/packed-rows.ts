/**
 * Rows of the log that SQLite hands over many at a time, as one value for their contents, one for their receivers and
 * one of numbers. A row that comes by itself costs 1.8 us, most of it for the objects that carry it; as one of 128 it costs
 * 0.5 with its message. What is long comes by itself all the same: so much memory is never needed at once.
 *
 *     bytes     | topic payload | topic payload | topic pay...      those of at most PACKED_BYTES_MAX
 *     lists     | list | list | li...                               those of at most PACKED_LIST_MAX
 *     numbers   | NUMBERS characters | NUMBERS char...              UTF-8, by SQL's `char`: up to 21 bits each
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
export type PackedRow = [number, Buffer | null, Buffer | null, Buffer | null];

/** Bits of a number in one character. */
const CHARACTER_BITS = 20;
const CHARACTER_SPAN = 2 ** CHARACTER_BITS;
const CHARACTER_MASK = CHARACTER_SPAN - 1;

/** Takes the first sequence number of a range, and then its ends: from, and below. */
export const PACKED_QUERY = `SELECT count(*),
  CAST(group_concat(CASE WHEN length(bytes) <= ${PACKED_BYTES_MAX} THEN bytes ELSE x'' END, '') AS BLOB),
  CAST(group_concat(CASE WHEN length(receivers) <= ${PACKED_LIST_MAX} THEN receivers ELSE x'' END, '') AS BLOB),
  CAST(group_concat(char(seq - CAST(? AS INTEGER), length(bytes), length(receivers), flags, topic_end, properties_end,
    ${wide("accepted")}, ${wide("expires")}), '') AS BLOB)
  FROM log WHERE seq >= ? AND seq < ?`;

/** A stamp in three characters, the lowest bits first. */
function wide(column: string): string {
  const part = (shift: number): string => `${column} >> ${shift} & ${CHARACTER_MASK}`;
  return [part(0), part(CHARACTER_BITS), part(2 * CHARACTER_BITS)].join(", ");
}

// Places of a row's numbers.
const SEQ = 0;
const SIZE = 1;
const LIST_SIZE = 2;
const FLAGS = 3;
const TOPIC_END = 4;
const PROPERTIES_END = 5;
const ACCEPTED = 6;
const EXPIRES = 9;
const NUMBERS = 12;

const EMPTY = Buffer.alloc(0);

export class PackedRows {
  count = 0;
  readonly #numbers = new Int32Array(NUMBERS * PACKED_ROWS_MAX);
  /** Where a row's bytes and list begin. */
  readonly #bytesAt = new Int32Array(PACKED_ROWS_MAX);
  readonly #listAt = new Int32Array(PACKED_ROWS_MAX);
  #from = 0;
  #bytes: Buffer = EMPTY;
  #lists: Buffer = EMPTY;

  /**
   * @param from first of the range
   * @returns false when they make no sense
   */
  take(row: PackedRow | undefined, from: number): boolean {
    this.count = 0;
    const [count, bytes, lists, numbers] = row ?? [0, null, null, null];
    if (count === 0) return true;
    if (bytes === null || lists === null || numbers === null || count > PACKED_ROWS_MAX) return false;
    if (this.#read(numbers) !== count * NUMBERS) return false;
    let bytesAt = 0;
    let listAt = 0;
    for (let i = 0; i < count; i++) {
      this.#bytesAt[i] = bytesAt;
      this.#listAt[i] = listAt;
      if (!this.#makesSense(i)) return false;
      if (this.hasBytes(i)) bytesAt += this.#number(i, SIZE);
      if (this.hasList(i)) listAt += this.#number(i, LIST_SIZE);
    }
    if (bytesAt !== bytes.length || listAt !== lists.length) return false;
    this.#from = from;
    this.#bytes = bytes;
    this.#lists = lists;
    this.count = count;
    return true;
  }

  #makesSense(i: number): boolean {
    const place = this.#number(i, SEQ);
    if (place >= PACKED_ROWS_MAX || (i > 0 && place <= this.#number(i - 1, SEQ))) return false;
    const topicEnd = this.#number(i, TOPIC_END);
    const propertiesEnd = this.#number(i, PROPERTIES_END);
    if (this.hasBytes(i) && !(topicEnd <= propertiesEnd && propertiesEnd <= this.#number(i, SIZE))) return false;
    return this.#number(i, FLAGS) <= (ROW_QOS | ROW_RETAIN);
  }

  /** They are not needed any more. */
  clear(): void {
    this.count = 0;
    this.#bytes = EMPTY;
  }

  seqAt(i: number): number {
    return this.#from + this.#number(i, SEQ);
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

  /** @param shares whether it may keep the bytes of all */
  messageAt(i: number, shares: boolean): Message {
    const from = this.#bytesAt[i] as number;
    const size = this.#number(i, SIZE);
    const flags = this.#number(i, FLAGS);
    const message = new Message(
      shares ? this.#bytes.subarray(from, from + size) : copyOf(this.#bytes, from, size),
      this.#number(i, TOPIC_END),
      this.#number(i, PROPERTIES_END),
      flags & ROW_QOS,
      (flags & ROW_RETAIN) !== 0,
      this.#stamp(i, ACCEPTED),
      this.#stamp(i, EXPIRES),
      -1,
    );
    message.seq = this.seqAt(i);
    message.state = DURABLE;
    return message;
  }

  #stamp(i: number, which: number): number {
    // The sign is that of the highest bits.
    const shift = 32 - CHARACTER_BITS;
    const high = (this.#number(i, which + 2) << shift) >> shift;
    const middle = this.#number(i, which + 1);
    return (high * CHARACTER_SPAN + middle) * CHARACTER_SPAN + this.#number(i, which);
  }

  #number(i: number, which: number): number {
    return this.#numbers[i * NUMBERS + which] as number;
  }

  /** @returns how many numbers it holds; -1 when it is more than there may be */
  #read(text: Buffer): number {
    const numbers = this.#numbers;
    let n = 0;
    for (let at = 0; at < text.length; ) {
      const first = text[at] as number;
      let value = first;
      let follow = 0;
      if (first >= 0xf0) {
        value = first & 0x07;
        follow = 3;
      } else if (first >= 0xe0) {
        value = first & 0x0f;
        follow = 2;
      } else if (first >= 0x80) {
        value = first & 0x1f;
        follow = 1;
      }
      at++;
      for (; follow > 0; follow--) value = (value << 6) | ((text[at++] ?? 0) & 0x3f);
      if (n === numbers.length) return -1;
      numbers[n++] = value;
    }
    return n;
  }
}

function copyOf(bytes: Buffer, from: number, length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length);
  bytes.copy(copy, 0, from, from + length);
  return copy;
}
