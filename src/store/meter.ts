/**
 * How much was written to the medium, and what for: today, on each of the last days, and since the first use.
 *
 * What is counted is what the kernel has to write: whole pages of 4 KiB. A frame of the log is 24 bytes longer than a
 * page, and the page that holds the end of one commit is written again by the next (`sync: full`):
 *
 *     log   | page | page | page | page |      commit n writes 3 pages, commit n + 1 writes 2 of which one again
 *           |---- commit n --|- n + 1 -|
 *
 * The bytes of a commit are divided among the classes by the content of the rows that it wrote.
 *
 * The numbers lie in the row of `generation`, which begins each round of the log with a frame of its own, so that
 * keeping them writes nothing. What a round adds is found again after `kill -9`: it is the length of the inherited log.
 */
import { FRAME_BYTES, PAGE_BYTES, WAL_HEADER_BYTES } from "./schema.ts";

/** messages: the log's rows; sessions: all rows around sessions and receivers; checkpoint: what is moved into the database. */
export const WRITE_CLASSES = ["messages", "retained", "sessions", "checkpoint", "upkeep"] as const;
export type WriteClass = (typeof WRITE_CLASSES)[number];
export const MESSAGES = 0;
export const RETAINED = 1;
export const SESSIONS = 2;
export const CHECKPOINT = 3;
/** The log written anew at start, reserve files, migrations. */
export const UPKEEP = 4;

/** A row touched counts so many bytes beside its content: key, record header, cell pointer. */
const ROW_BYTES = 16;

export const DAY_MS = 86_400_000;
/** Days before today that are remembered. */
export const PAST_DAYS = 7;

const CLASSES = WRITE_CLASSES.length;
const FORMAT = 1;
const STATE_BYTES = 8 * (3 + 2 * CLASSES + PAST_DAYS);

/** Bytes that the medium has to take for the frames `from` to `end` of a round of the log. @param again the page that `from` begins in was written before, and is written again */
export function logBytes(from: number, end: number, again: boolean): number {
  if (end <= from) return 0;
  const first = (from === 0 ? 0 : WAL_HEADER_BYTES + from * FRAME_BYTES) / PAGE_BYTES;
  const last = (WAL_HEADER_BYTES + end * FRAME_BYTES) / PAGE_BYTES;
  return (Math.ceil(last) - (again ? Math.floor(first) : Math.ceil(first))) * PAGE_BYTES;
}

export class WriteMeter {
  /** By class. */
  readonly lifetime = new Float64Array(CLASSES);
  readonly day = new Float64Array(CLASSES);
  /** Bytes of the days before today, the latest first. */
  readonly past = new Float64Array(PAST_DAYS);
  /** Days before today, as far as they are remembered. */
  #pastDays = 0;
  /** Age time at which today began; -1 = not known yet. The first day begins with the first use. */
  dayMs = -1;
  /** By this process. */
  written = 0;
  /** What the transaction under way has written, for the classes that share its bytes. */
  readonly #content = new Float64Array(CLASSES);
  readonly #state = Buffer.alloc(STATE_BYTES);

  /** @param state of `encode`; anything else begins at zero */
  constructor(state: Uint8Array) {
    if (state.length !== STATE_BYTES) return;
    const from = Buffer.from(state.buffer, state.byteOffset, state.length);
    if (from.readDoubleLE(0) !== FORMAT) return;
    this.dayMs = counted(from.readDoubleLE(8), -1);
    this.#pastDays = Math.min(counted(from.readDoubleLE(16), 0), PAST_DAYS);
    let at = 24;
    for (const values of [this.lifetime, this.day, this.past]) {
      for (let i = 0; i < values.length; i++, at += 8) values[i] = counted(from.readDoubleLE(at), 0);
    }
  }

  /** @returns bytes that the next call overwrites */
  encode(): Buffer {
    const to = this.#state;
    to.writeDoubleLE(FORMAT, 0);
    to.writeDoubleLE(this.dayMs, 8);
    to.writeDoubleLE(this.#pastDays, 16);
    let at = 24;
    for (const values of [this.lifetime, this.day, this.past]) {
      for (let i = 0; i < values.length; i++) at = to.writeDoubleLE(values[i] as number, at);
    }
    return to;
  }

  // ---- what is written ---------------------------------------------------------------------------------------

  /** Rows of class `of` with so many bytes of content together are written or deleted by the transaction under way. */
  rows(of: number, count: number, contentBytes: number): void {
    this.#content[of] = (this.#content[of] as number) + count * ROW_BYTES + contentBytes;
  }

  /** The transaction is in the log and took `bytes` of it. */
  committed(bytes: number): void {
    this.#divide(bytes, this.#content);
    this.#content.fill(0);
  }

  /** The transaction was taken back. */
  rolledBack(): void {
    this.#content.fill(0);
  }

  /** The log of a gateway that was killed: what it had written since its numbers were kept, as it divided them till then. */
  inherited(bytes: number): void {
    this.#divide(bytes, this.lifetime.slice(0, CHECKPOINT));
    this.written -= bytes;
  }

  /** Divides `bytes` as `content` is; what is without content is of the messages. */
  #divide(bytes: number, content: Float64Array): void {
    let rest = content.reduce((sum, n) => sum + n, 0);
    let left = bytes;
    for (let of = content.length - 1; of > MESSAGES; of--) {
      const own = content[of] as number;
      if (own === 0) continue;
      const share = Math.round((left * own) / rest);
      this.add(of, share);
      left -= share;
      rest -= own;
    }
    this.add(MESSAGES, left);
  }

  add(of: number, bytes: number): void {
    this.lifetime[of] = (this.lifetime[of] as number) + bytes;
    this.day[of] = (this.day[of] as number) + bytes;
    this.written += bytes;
  }

  // ---- what it comes to --------------------------------------------------------------------------------------

  get dayBytes(): number {
    return sum(this.day);
  }

  get lifetimeBytes(): number {
    return sum(this.lifetime);
  }

  /** Begins a new day if it is time. @param ageMs now @param passedMs since `dayMs` */
  turn(ageMs: number, passedMs: number): void {
    // A kill may take back a little of the age, and today lasts so much longer. More than a day is another clock.
    if (this.dayMs < 0 || this.dayMs > ageMs + DAY_MS) this.dayMs = ageMs;
    if (passedMs < DAY_MS) return;
    const days = Math.floor(passedMs / DAY_MS);
    const shift = Math.min(days, PAST_DAYS);
    this.past.copyWithin(shift, 0);
    this.past.fill(0, 0, shift);
    if (days <= PAST_DAYS) this.past[days - 1] = this.dayBytes;
    this.#pastDays = Math.min(this.#pastDays + days, PAST_DAYS);
    this.day.fill(0);
    this.dayMs = ageMs - (passedMs % DAY_MS);
  }

  /** Bytes a day on average of today and the days before; null in the first hour. @param passedMs since `dayMs` */
  bytesPerDay(passedMs: number): number | null {
    const days = this.#pastDays + passedMs / DAY_MS;
    return days < 1 / 24 ? null : (sum(this.past) + this.dayBytes) / days;
  }
}

function sum(values: Float64Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i] as number;
  return total;
}

function counted(value: number, otherwise: number): number {
  return value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value : otherwise;
}
