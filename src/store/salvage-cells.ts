/**
 * One page of a b-tree, and the rows on it (SQLite's file format, sections 1.6 and 2.1). Every length and offset is
 * taken for a lie until it fits.
 *
 *     page      type, first free block (2), cells (2), content (2), fragments (1), [right child (4)] | cell pointers (2 each)
 *     leaf      0x0d of a table: varint bytes, varint rowid, record          0x0a of an index: varint bytes, record
 *     interior  0x05 of a table: left child (4), varint rowid                0x02 of an index: left child, bytes, record
 *     record    varint header bytes, varint type * | values                  a long one goes on on overflow pages
 */
import { isUtf8 } from "node:buffer";
import type { DamagedFile } from "./salvage-file.ts";
import { PAGE_BYTES } from "./schema.ts";

export const INTERIOR_INDEX = 0x02;
export const INTERIOR_TABLE = 0x05;
export const LEAF_INDEX = 0x0a;
export const LEAF_TABLE = 0x0d;

/** The file's header is in front of the first page. */
const FILE_HEADER_BYTES = 100;
const TABLE_LOCAL_MAX = PAGE_BYTES - 35;
const INDEX_LOCAL_MAX = Math.floor(((PAGE_BYTES - 12) * 64) / 255) - 23;
const LOCAL_MIN = Math.floor(((PAGE_BYTES - 12) * 32) / 255) - 23;
const OVERFLOW_BYTES = PAGE_BYTES - 4;
/** Of one row: a message as large as the largest packet (256 MiB by specification) is not ours; 16 MiB is. */
const RECORD_BYTES_MAX = 16 * 2 ** 20;
const COLUMNS_MAX = 64;

export type Value = number | string | Buffer | null;

export interface Row {
  /** 0 in an index. */
  readonly rowid: number;
  readonly values: readonly Value[];
}

export class Page {
  readonly #file: DamagedFile;
  readonly #bytes = Buffer.allocUnsafeSlow(PAGE_BYTES);
  readonly #overflow = Buffer.allocUnsafeSlow(PAGE_BYTES);
  #at = 0;
  number = 0;
  /** 0 when it is no page of a b-tree. */
  type = 0;
  cells = 0;

  constructor(file: DamagedFile) {
    this.#file = file;
  }

  /** @returns false when it cannot be read, or is no page of a b-tree */
  load(number: number): boolean {
    this.number = number;
    this.type = 0;
    if (!this.#file.read(number, this.#bytes)) return false;
    this.#at = number === 1 ? FILE_HEADER_BYTES : 0;
    const type = this.#bytes[this.#at] as number;
    if (type !== INTERIOR_INDEX && type !== INTERIOR_TABLE && type !== LEAF_INDEX && type !== LEAF_TABLE) return false;
    const cells = this.#bytes.readUInt16BE(this.#at + 3);
    this.type = type;
    this.cells = cells;
    if (this.#pointerAt(cells) <= PAGE_BYTES) return true;
    this.type = 0;
    return false;
  }

  get interior(): boolean {
    return this.type === INTERIOR_TABLE || this.type === INTERIOR_INDEX;
  }

  /** The child left of cell `n`; right of all for n = cells. 0 = there cannot be one. */
  child(n: number): number {
    const at = n === this.cells ? this.#at + 8 : this.#cellAt(n);
    if (at === 0 || at + 4 > PAGE_BYTES) return 0;
    const page = this.#bytes.readUInt32BE(at);
    return page <= this.#file.pages ? page : 0;
  }

  /** The highest rowid left of cell `n` of an interior page of a table; null = unreadable. */
  key(n: number): number | null {
    const at = this.#cellAt(n);
    if (at === 0) return null;
    const cursor = new Cursor(this.#bytes, at + 4, PAGE_BYTES);
    const key = cursor.varint();
    return cursor.broken ? null : key;
  }

  /** Row of cell `n`, on any page but an interior one of a table. @returns null when it is damaged */
  row(n: number): Row | null {
    const at = this.#cellAt(n);
    if (at === 0) return null;
    const cursor = new Cursor(this.#bytes, this.interior ? at + 4 : at, PAGE_BYTES);
    const length = cursor.varint();
    const rowid = this.type === LEAF_TABLE ? cursor.varint() : 0;
    if (cursor.broken || length > RECORD_BYTES_MAX || length < 1) return null;
    const record = this.#record(cursor.at, length);
    const values = record === null ? null : valuesOf(record);
    return values === null ? null : { rowid, values };
  }

  #record(at: number, length: number): Buffer | null {
    const max = this.type === LEAF_TABLE ? TABLE_LOCAL_MAX : INDEX_LOCAL_MAX;
    if (length <= max) return at + length > PAGE_BYTES ? null : Buffer.from(this.#bytes.subarray(at, at + length));
    const fitting = LOCAL_MIN + ((length - LOCAL_MIN) % OVERFLOW_BYTES);
    const local = fitting <= max ? fitting : LOCAL_MIN;
    if (at + local + 4 > PAGE_BYTES) return null;
    const record = Buffer.allocUnsafe(length);
    this.#bytes.copy(record, 0, at, at + local);
    let page = this.#bytes.readUInt32BE(at + local);
    for (let have = local; have < length; ) {
      if (!this.#file.read(page, this.#overflow)) return null;
      const part = Math.min(OVERFLOW_BYTES, length - have);
      this.#overflow.copy(record, have, 4, 4 + part);
      have += part;
      page = this.#overflow.readUInt32BE(0);
    }
    // The chain ends where the row does; one that goes on is another's.
    return page === 0 ? record : null;
  }

  #pointerAt(n: number): number {
    return this.#at + (this.interior ? 12 : 8) + 2 * n;
  }

  /** 0 = it cannot be there. */
  #cellAt(n: number): number {
    const at = this.#bytes.readUInt16BE(this.#pointerAt(n));
    return at >= this.#pointerAt(this.cells) && at + 4 <= PAGE_BYTES ? at : 0;
  }
}

class Cursor {
  readonly #bytes: Buffer;
  readonly #end: number;
  at: number;
  broken = false;

  constructor(bytes: Buffer, at: number, end: number) {
    this.#bytes = bytes;
    this.at = at;
    this.#end = end;
  }

  /** Big-endian base 128, up to 2^53: what is larger is not ours. */
  varint(): number {
    let value = 0;
    for (let n = 0; n < 8; n++) {
      if (this.at >= this.#end) break;
      const byte = this.#bytes[this.at++] as number;
      value = value * 0x80 + (byte & 0x7f);
      if (byte < 0x80) {
        this.broken ||= !Number.isSafeInteger(value);
        return value;
      }
    }
    this.broken = true;
    return 0;
  }
}

/** @returns null when the record is none, or says more or less than it holds */
function valuesOf(record: Buffer): Value[] | null {
  const header = new Cursor(record, 0, record.length);
  const headerBytes = header.varint();
  if (header.broken || headerBytes > record.length) return null;
  const values: Value[] = [];
  let at = headerBytes;
  while (header.at < headerBytes) {
    const type = header.varint();
    const length = lengthOf(type);
    if (header.broken || length < 0 || at + length > record.length || values.length === COLUMNS_MAX) return null;
    const value = decoded(record, at, length, type);
    if (value === undefined) return null;
    values.push(value);
    at += length;
  }
  return at === record.length && header.at === headerBytes ? values : null;
}

/** Bytes of a value by its type; -1 = no type of ours (a real number, or a reserved one). */
function lengthOf(type: number): number {
  if (type >= 12) return (type - 12 - (type & 1)) / 2;
  return [0, 1, 2, 3, 4, 6, 8, -1, 0, 0, -1, -1][type] ?? -1;
}

function decoded(record: Buffer, at: number, length: number, type: number): Value | undefined {
  if (type >= 12) {
    const bytes = record.subarray(at, at + length);
    if ((type & 1) === 0) return bytes;
    return isUtf8(bytes) ? bytes.toString() : undefined;
  }
  if (type === 0) return null;
  if (length === 0) return type - 8;
  if (length < 8) return record.readIntBE(at, length);
  const value = Number(record.readBigInt64BE(at));
  return Number.isSafeInteger(value) ? value : undefined;
}
