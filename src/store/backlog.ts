/**
 * Reads one receiver's messages out of the log, upwards or downwards, in slices of bounded time: rows from SQLite up to
 * the newest message that is on the medium, above them the groups that are still in memory. Those hand out the shared objects, so that a
 * receiver sees their state change.
 */
import { assert } from "../base/assert.ts";
import type { Message } from "../core/message.ts";
import type { BacklogSink } from "../core/ports.ts";
import type { Commits } from "./commits.ts";
import { damagedRow } from "./damage.ts";
import { RowFetch } from "./row-fetch.ts";
import type { Segments } from "./segments.ts";
import type { Statements } from "./statements.ts";
import type { Strikes } from "./strikes.ts";

/** Rows looked at in one slice, found or not. */
const SLICE_ROWS = 256;
const SLICE_MS = 1;

export class Backlog {
  readonly #commits: Commits;
  readonly #segments: Segments;
  readonly #strikes: Strikes;
  readonly #rows: RowFetch;
  #reading = false;

  constructor(statements: Statements, segments: Segments, commits: Commits, strikes: Strikes) {
    this.#strikes = strikes;
    this.#rows = new RowFetch(statements);
    this.#segments = segments;
    this.#commits = commits;
  }

  /** @see Store.read */
  read(id: number, from: number, maxBytes: number, sink: BacklogSink): number {
    this.#begin();
    try {
      return this.#readUp(id, from, maxBytes, sink);
    } finally {
      this.#end();
    }
  }

  /** @see Store.readBack */
  readBack(id: number, from: number, downTo: number, maxBytes: number, sink: BacklogSink): number {
    this.#begin();
    try {
      return this.#readDown(id, from, downTo, maxBytes, sink);
    } finally {
      this.#end();
    }
  }

  #begin(): void {
    assert(!this.#reading, "a sink does not read the log");
    this.#reading = true;
  }

  #end(): void {
    this.#reading = false;
    this.#rows.end();
  }

  #readUp(id: number, from: number, maxBytes: number, sink: BacklogSink): number {
    const durableSeq = this.#commits.durableSeq;
    const rows = this.#rows;
    const untilMs = performance.now() + SLICE_MS;
    let next = from;
    let bytes = 0;
    let looked = 0;
    while (next <= durableSeq) {
      // At least one look a call, however late the process got its turn.
      if (looked >= SLICE_ROWS || (looked > 0 && performance.now() >= untilMs)) return next;
      next = this.#segments.next(next, durableSeq, id);
      rows.up(id, next, durableSeq, maxBytes - bytes);
      const learned = this.#learn(durableSeq);
      if (learned > 0) {
        looked += learned;
        continue;
      }
      for (let i = 0; i < rows.count; i++) {
        const seq = rows.seqAt(i);
        if (seq < next) throw damagedRow(seq, "is out of order");
        looked++;
        next = seq + 1;
        if (this.#strikes.has(seq, id)) continue;
        const message = rows.messageFor(i, id, sink.sharesMemory === true);
        if (message === null) continue;
        bytes += message.size;
        if (!this.#give(message, sink) || bytes >= maxBytes) return next;
      }
      next = rows.next;
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

  #readDown(id: number, from: number, downTo: number, maxBytes: number, sink: BacklogSink): number {
    const durableSeq = this.#commits.durableSeq;
    const rows = this.#rows;
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
      rows.down(id, next, downTo, maxBytes - bytes);
      const learned = this.#learn(durableSeq);
      if (learned > 0) {
        looked += learned;
        continue;
      }
      for (let i = 0; i < rows.count; i++) {
        const seq = rows.seqAt(i);
        if (seq > next) throw damagedRow(seq, "is out of order");
        looked++;
        next = seq - 1;
        if (this.#strikes.has(seq, id)) continue;
        const message = rows.messageFor(i, id, sink.sharesMemory === true);
        if (message === null) continue;
        bytes += message.size;
        if (!this.#give(message, sink) || bytes >= maxBytes) return next;
      }
      next = rows.next;
    }
    return downTo - 1;
  }

  /** @returns rows looked at to learn who has rows around the first of those fetched */
  #learn(durableSeq: number): number {
    return this.#rows.count === 0 ? 0 : this.#segments.learn(this.#rows.seqAt(0), durableSeq);
  }

  /** With options and identifiers where `messageFor` found them. */
  #give(message: Message, sink: BacklogSink): boolean {
    const { options, subscriptionIds } = this.#rows.reader;
    return sink.onBacklog(message, options, subscriptionIds);
  }
}

/** A message that is still in memory. @param index of the receiver in its list */
function giveOpen(message: Message, index: number, sink: BacklogSink): boolean {
  const options = message.receiverOptions[index] ?? 0;
  return sink.onBacklog(message, options, message.subscriptionIds?.get(index) ?? null);
}
