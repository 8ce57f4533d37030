/**
 * A damaged database as pages: the file with the write-ahead log's committed frames laid over it. Reads only; SQLite is
 * not asked, because it would stop at the first page it does not like, and write to a file that is evidence.
 *
 *     log     32 bytes: magic, format, page size, sequence, salts, checksum     then frames
 *     frame   page number, pages of the database after a commit (else 0), salts, checksum | page
 *
 * The checksums form a chain from the header through all frames. What breaks the chain ends the log, as it does for
 * SQLite: a damaged frame cannot be told from one that a power cut tore. A header that is broken alone is passed over:
 * the chain can be taken up at the first frame.
 */
import fs from "node:fs";
import { FRAME_BYTES, PAGE_BYTES, WAL_HEADER_BYTES } from "./schema.ts";

const MAGIC = 0x377f0682;
const FRAME_HEADER_BYTES = FRAME_BYTES - PAGE_BYTES;
/** Of the log's header, and of each frame's: salts, and the checksum behind them. */
const HEADER_SALTS_AT = 16;
const FRAME_SALTS_AT = 8;
const SALTS_BYTES = 8;

export class DamagedFile {
  readonly #fd: number;
  readonly #walFd: number;
  /** Where in the log the newest committed version of a page lies. */
  readonly #inWal = new Map<number, number>();
  /** Pages that there may be, the file's and the log's. */
  readonly pages: number;
  /** Pages of the database as of the last commit. */
  readonly length: number;

  /** @param path of the database; the log is beside it, if there is one */
  constructor(path: string) {
    this.#fd = fs.openSync(path, "r");
    this.#walFd = fs.existsSync(`${path}-wal`) ? fs.openSync(`${path}-wal`, "r") : -1;
    const committed = this.#walFd < 0 ? 0 : this.#readLog();
    const pages = Math.ceil(fs.fstatSync(this.#fd).size / PAGE_BYTES);
    this.length = committed === 0 ? pages : committed;
    let last = pages;
    for (const page of this.#inWal.keys()) last = Math.max(last, page);
    this.pages = last;
  }

  /** @returns false when there is no such page, or the medium cannot read it */
  read(page: number, into: Buffer): boolean {
    const inWal = this.#inWal.get(page);
    if (inWal !== undefined) return readWhole(this.#walFd, into, inWal);
    return page >= 1 && page <= this.pages && readWhole(this.#fd, into, (page - 1) * PAGE_BYTES);
  }

  close(): void {
    fs.closeSync(this.#fd);
    if (this.#walFd >= 0) fs.closeSync(this.#walFd);
  }

  /** @returns pages of the database after the last commit; 0 = there is none */
  #readLog(): number {
    const header = Buffer.alloc(WAL_HEADER_BYTES);
    if (!readWhole(this.#walFd, header, 0)) return 0;
    const sum = new Checksum(header.readUInt32BE(0) === MAGIC + 1);
    let salts = header.subarray(HEADER_SALTS_AT, HEADER_SALTS_AT + SALTS_BYTES);
    sum.add(header, 0, 24);
    let trusted = sum.equals(header, 24);
    const frame = Buffer.alloc(FRAME_BYTES);
    const open = new Map<number, number>();
    let committed = 0;
    for (let at = WAL_HEADER_BYTES; readWhole(this.#walFd, frame, at); at += FRAME_BYTES) {
      if (!trusted) {
        // The first frame is a generation commit (steps 6 and 13), of which nothing is missed.
        salts = Buffer.from(frame.subarray(FRAME_SALTS_AT, FRAME_SALTS_AT + SALTS_BYTES));
        sum.take(frame, FRAME_SALTS_AT + SALTS_BYTES);
        trusted = true;
        continue;
      }
      if (salts.compare(frame, FRAME_SALTS_AT, FRAME_SALTS_AT + SALTS_BYTES) !== 0) break;
      sum.add(frame, 0, FRAME_SALTS_AT);
      sum.add(frame, FRAME_HEADER_BYTES, FRAME_BYTES);
      const page = frame.readUInt32BE(0);
      if (page === 0 || !sum.equals(frame, FRAME_SALTS_AT + SALTS_BYTES)) break;
      open.set(page, at + FRAME_HEADER_BYTES);
      const pages = frame.readUInt32BE(4);
      if (pages === 0) continue;
      for (const [number, place] of open) this.#inWal.set(number, place);
      open.clear();
      committed = pages;
    }
    return committed;
  }
}

/** Whether a log that is not empty has a header that cannot be one: SQLite would take it for empty, and say nothing. */
export function walHeaderDamaged(wal: string): boolean {
  const size = fs.statSync(wal, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= WAL_HEADER_BYTES) return false;
  const header = Buffer.alloc(WAL_HEADER_BYTES);
  const fd = fs.openSync(wal, "r");
  try {
    if (!readWhole(fd, header, 0)) return true;
  } finally {
    fs.closeSync(fd);
  }
  // Zeros: a file system that had made room for a first frame when the power went. Nothing was acknowledged from it.
  if (header.every((byte) => byte === 0)) return false;
  const sum = new Checksum(header.readUInt32BE(0) === MAGIC + 1);
  sum.add(header, 0, 24);
  return (header.readUInt32BE(0) & ~1) !== MAGIC || !sum.equals(header, 24);
}

/** The log's checksum: two sums over 32-bit words, in pairs. */
class Checksum {
  readonly #bigEndian: boolean;
  #a = 0;
  #b = 0;

  constructor(bigEndian: boolean) {
    this.#bigEndian = bigEndian;
  }

  add(bytes: Buffer, from: number, end: number): void {
    for (let at = from; at < end; at += 8) {
      const one = this.#bigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at);
      const two = this.#bigEndian ? bytes.readUInt32BE(at + 4) : bytes.readUInt32LE(at + 4);
      this.#a = (this.#a + one + this.#b) >>> 0;
      this.#b = (this.#b + two + this.#a) >>> 0;
    }
  }

  equals(bytes: Buffer, at: number): boolean {
    return bytes.readUInt32BE(at) === this.#a && bytes.readUInt32BE(at + 4) === this.#b;
  }

  take(bytes: Buffer, at: number): void {
    this.#a = bytes.readUInt32BE(at);
    this.#b = bytes.readUInt32BE(at + 4);
  }
}

/** Fills `into`. @returns false at the end of the file, and where the medium gives an error */
function readWhole(fd: number, into: Buffer, at: number): boolean {
  try {
    return fs.readSync(fd, into, 0, into.length, at) === into.length;
  } catch {
    return false;
  }
}
