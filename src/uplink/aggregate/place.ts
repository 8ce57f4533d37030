/**
 * Where an aggregating rule stands in the log. Of the rows from the head on, those are done with that went into what was
 * sent; the others are *held*: a window or a batch in memory stands for them, and is built from them again after a restart.
 *
 *     seq      10   11   12   13   14   15   16   17
 *     topic     a    b    a    c    b    a    b    a
 *              ───────────hold of a────────────
 *                    done      done           hold of b
 *              ^ head                          marks: b up to 14, c up to 13
 *
 * Rows of one topic are done with in their order, so one number for each topic says which: its *mark*. Only marks above
 * the head count, and they are all that the record needs: no row is taken out of the log one by one, the log is cut
 * below the head. A topic is 53 bits of its SHA-256 here.
 */
import { type Message, OPEN } from "../../core/message.ts";
import type { ReceiverRecord } from "../../core/ports.ts";
import { MARKS_MAX } from "./limits.ts";

/** Rows of one topic that something in memory stands for. @typeParam Owner  what that is */
export class Hold<Owner = unknown> {
  /** null = it is closed, and on its way. */
  owner: Owner | null = null;
  /** Of its topic. */
  readonly key: number;
  readonly firstSeq: number;
  lastSeq: number;
  rows = 0;
  /** Of the rows (Message.size). */
  bytes = 0;
  /** Of the rows, those that were open when they were taken; not all may be any more. */
  open: Message[] = [];
  /** Bytes that had been taken before its first row. */
  readonly startBytes: number;

  constructor(key: number, seq: number, startBytes: number) {
    this.key = key;
    this.firstSeq = seq;
    this.lastSeq = seq;
    this.startBytes = startBytes;
  }
}

/** A mark as it was: undefined = there was none. */
export interface MarkBefore {
  readonly key: number;
  readonly seq: number | undefined;
}

const VERSION = 1;
/** A key of seven bytes, and how far beyond the head. */
const MARK_RECORD_BYTES = 12;
const NONE: Buffer = Buffer.alloc(0);

export class Place {
  readonly #holds = new Set<Hold>();
  /** Those with rows that were open when they were taken. */
  readonly #withOpen = new Set<Hold>();
  readonly #marks = new Map<number, number>();
  /** Rows held, and their bytes. */
  rows = 0;
  bytes = 0;
  #takenBytes = 0;

  constructor(record: ReceiverRecord) {
    decode(record, this.#marks);
  }

  /** Lowest row held; Infinity = none is. */
  get firstSeq(): number {
    return this.oldest?.firstSeq ?? Number.POSITIVE_INFINITY;
  }

  get oldest(): Hold | undefined {
    for (const hold of this.#holds) return hold;
    return undefined;
  }

  /** In order of their first rows. */
  holds(): Iterable<Hold> {
    return this.#holds;
  }

  /** Bytes of rows from the oldest that is held to the newest that was taken. */
  get spanBytes(): number {
    const { oldest } = this;
    return oldest === undefined ? 0 : this.#takenBytes - oldest.startBytes;
  }

  get marks(): number {
    return this.#marks.size;
  }

  isDone(key: number, seq: number): boolean {
    return seq <= (this.#marks.get(key) ?? 0);
  }

  /** `message` is the first row that something new stands for; rows come in ascending order. */
  hold(key: number, message: Message): Hold {
    const hold = new Hold(key, message.seq, this.#takenBytes);
    this.#holds.add(hold);
    this.add(hold, message);
    return hold;
  }

  add(hold: Hold, message: Message): void {
    const { seq, size, state } = message;
    hold.lastSeq = seq;
    hold.rows++;
    hold.bytes += size;
    this.rows++;
    this.bytes += size;
    this.#takenBytes += size;
    if (state !== OPEN) return;
    hold.open.push(message);
    this.#withOpen.add(hold);
  }

  /** Messages were written: their rows are in the log, and they need not be kept for that. */
  forgetWritten(): void {
    for (const hold of this.#withOpen) {
      hold.open = hold.open.filter(({ state }) => state === OPEN);
      if (hold.open.length === 0) this.#withOpen.delete(hold);
    }
  }

  /**
   * The rows of `hold` are done with.
   * @param openSeq rows from here on were not written, and will not be for this receiver
   */
  release(hold: Hold, openSeq: number): MarkBefore {
    const before = { key: hold.key, seq: this.#marks.get(hold.key) };
    if (hold.firstSeq < openSeq) this.#marks.set(hold.key, hold.lastSeq);
    this.#withOpen.delete(hold);
    if (this.#holds.delete(hold)) {
      this.rows -= hold.rows;
      this.bytes -= hold.bytes;
    }
    return before;
  }

  /** Undoes what `release` did to a mark; of several for one topic, in any order. */
  restore({ key, seq }: MarkBefore): void {
    const now = this.#marks.get(key);
    if (now === undefined) return;
    if (seq === undefined) this.#marks.delete(key);
    else this.#marks.set(key, Math.min(now, seq));
  }

  /** Nothing is held any more: the log is read again. */
  forget(): void {
    this.#holds.clear();
    this.#withOpen.clear();
    this.rows = 0;
    this.bytes = 0;
  }

  /** Whether there are more marks than a record may have. @param seq  all rows below it were taken */
  isCrowded(seq: number): boolean {
    if (this.#marks.size > MARKS_MAX) this.trim(Math.min(this.firstSeq, seq));
    return this.#marks.size > MARKS_MAX;
  }

  /** Marks below the head say nothing; to be called when no `release` may have to be undone. */
  trim(headSeq: number): void {
    for (const [key, seq] of this.#marks) if (seq < headSeq) this.#marks.delete(key);
  }

  /** What the record has to say beside the head. */
  encode(headSeq: number): Buffer {
    if (this.#marks.size === 0) return NONE;
    const out = Buffer.allocUnsafe(1 + this.#marks.size * MARK_RECORD_BYTES);
    let at = out.writeUInt8(VERSION, 0);
    for (const [key, seq] of this.#marks) {
      if (seq < headSeq) continue;
      at = out.writeUIntLE(key % 2 ** 48, at, 6);
      at = out.writeUInt8(Math.floor(key / 2 ** 48), at);
      at = out.writeUIntLE(seq - headSeq, at, 5);
    }
    return at === 1 ? NONE : out.subarray(0, at);
  }
}

function decode({ state, headSeq }: ReceiverRecord, marks: Map<number, number>): void {
  if (state.length === 0 || state[0] !== VERSION) return;
  for (let at = 1; at + MARK_RECORD_BYTES <= state.length; at += MARK_RECORD_BYTES) {
    const key = state.readUIntLE(at, 6) + (state[at + 6] as number) * 2 ** 48;
    marks.set(key, headSeq + state.readUIntLE(at + 7, 5));
  }
}
