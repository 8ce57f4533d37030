/**
 * Reads one receiver's messages out of the log, upwards or downwards, in slices of bounded time: rows from SQLite up to
 * the newest message that is on the medium, above them the groups that are still in memory. Those hand out the shared objects, so that a
 * receiver sees their state change.
 */
import { DURABLE, Message } from "../core/message.ts";
import type { BacklogSink } from "../core/ports.ts";
import type { Commits } from "./commits.ts";
import { damagedRow } from "./damage.ts";
import { ListReader } from "./receiver-list.ts";
import { ROW_QOS, ROW_RETAIN } from "./schema.ts";
import { FETCH_ROWS, type Segments } from "./segments.ts";
import type { MessageRow, ScanRow, Statements } from "./statements.ts";
import type { Strikes } from "./strikes.ts";

/** Rows looked at in one slice, found or not. */
const SLICE_ROWS = 256;
const SLICE_MS = 1;

export class Backlog {
  readonly #statements: Statements;
  readonly #commits: Commits;
  readonly #segments: Segments;
  readonly #strikes: Strikes;
  readonly #reader = new ListReader();

  constructor(statements: Statements, segments: Segments, commits: Commits, strikes: Strikes) {
    this.#strikes = strikes;
    this.#statements = statements;
    this.#segments = segments;
    this.#commits = commits;
  }

  /** @see Store.read */
  read(id: number, from: number, maxBytes: number, sink: BacklogSink): number {
    const durableSeq = this.#commits.durableSeq;
    const untilMs = performance.now() + SLICE_MS;
    let next = from;
    let bytes = 0;
    let looked = 0;
    while (next <= durableSeq) {
      // At least one look a call, however late the process got its turn.
      if (looked >= SLICE_ROWS || (looked > 0 && performance.now() >= untilMs)) return next;
      next = this.#segments.next(next, durableSeq, id);
      const rows = this.#statements.scan.all(next, durableSeq, FETCH_ROWS);
      const learned = this.#learn(rows, durableSeq);
      if (learned > 0) {
        looked += learned;
        continue;
      }
      for (const [seq, receivers] of rows) {
        if (seq < next) throw damagedRow(seq, "is out of order");
        looked++;
        next = seq + 1;
        const message = this.#messageFor(id, seq, receivers);
        if (message === null) continue;
        bytes += message.size;
        if (!this.#give(message, sink) || bytes >= maxBytes) return next;
      }
      if (rows.length < FETCH_ROWS) next = durableSeq + 1;
    }
    for (const group of this.#commits.groups()) {
      for (let message = group.from(next); message !== null; message = group.from(next)) {
        next = message.seq + 1;
        const index = message.receiverIds.indexOf(id);
        if (index < 0) continue;
        bytes += message.size;
        if (!giveOpen(message, index, sink) || bytes >= maxBytes) return next;
      }
    }
    return this.#commits.lastSeq + 1;
  }

  /** @see Store.readBack */
  readBack(id: number, from: number, downTo: number, maxBytes: number, sink: BacklogSink): number {
    const durableSeq = this.#commits.durableSeq;
    const untilMs = performance.now() + SLICE_MS;
    let next = from;
    let bytes = 0;
    let looked = 0;
    if (next > durableSeq) {
      for (const group of this.#commits.groupsBack()) {
        for (let message = group.upTo(next); message !== null; message = group.upTo(next)) {
          if (message.seq < downTo) return downTo - 1;
          next = message.seq - 1;
          const index = message.receiverIds.indexOf(id);
          if (index < 0) continue;
          bytes += message.size;
          if (!giveOpen(message, index, sink) || bytes >= maxBytes) return next;
        }
      }
      next = Math.min(next, durableSeq);
    }
    while (next >= downTo) {
      if (looked >= SLICE_ROWS || (looked > 0 && performance.now() >= untilMs)) return next;
      next = this.#segments.nextBack(next, downTo, id);
      const rows = this.#statements.scanBack.all(next, downTo, FETCH_ROWS);
      const learned = this.#learn(rows, durableSeq);
      if (learned > 0) {
        looked += learned;
        continue;
      }
      for (const [seq, receivers] of rows) {
        if (seq > next) throw damagedRow(seq, "is out of order");
        looked++;
        next = seq - 1;
        const message = this.#messageFor(id, seq, receivers);
        if (message === null) continue;
        bytes += message.size;
        if (!this.#give(message, sink) || bytes >= maxBytes) return next;
      }
      if (rows.length < FETCH_ROWS) return downTo - 1;
    }
    return downTo - 1;
  }

  /** @returns rows looked at to learn who has rows around the first of these */
  #learn(rows: readonly ScanRow[], durableSeq: number): number {
    const first = rows[0];
    return first === undefined ? 0 : this.#segments.learn(first[0], durableSeq);
  }

  /** The message of a row that lists receiver `id`; null when it does not, or is struck. */
  #messageFor(id: number, seq: number, receivers: Buffer): Message | null {
    if (!this.#reader.find(seq, receivers, id) || this.#strikes.has(seq, id)) return null;
    const row = this.#statements.message.get(seq);
    return row === undefined ? null : messageOfRow(seq, row);
  }

  /** With options and identifiers where `#messageFor` found them. */
  #give(message: Message, sink: BacklogSink): boolean {
    const { options, subscriptionIds } = this.#reader;
    return sink.onBacklog(message, options, subscriptionIds);
  }
}

/** A message that is still in memory. @param index of the receiver in its list */
function giveOpen(message: Message, index: number, sink: BacklogSink): boolean {
  const options = message.receiverOptions[index] ?? 0;
  return sink.onBacklog(message, options, message.subscriptionIds?.get(index) ?? null);
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
