/**
 * What `sluice check --store` finds: sizes per receiver and table, rows without an owner, counts that are wrong. Reads
 * in slices, so that a running gateway can do it between its messages.
 */
import { setImmediate } from "node:timers/promises";
import type { Database } from "better-sqlite3";
import { MESSAGE_OVERHEAD_BYTES } from "../core/message.ts";
import { isReceiverState, placeOf, type StoredPlace } from "../core/receiver-state.ts";
import type { DatabaseFile } from "./database-file.ts";
import type { Health } from "./health.ts";
import { ListReader } from "./receiver-list.ts";
import { LOG_ROW, PAGE_BYTES } from "./schema.ts";
import type { ReceiverRow } from "./statements.ts";

const SLICE_ROWS = 128;
/** Words of SQLite that are kept. */
const INTEGRITY_MAX = 20;

export interface ReceiverReport {
  readonly kind: string;
  readonly name: string;
  readonly messages: number;
  readonly bytes: number;
  /** When its oldest message was accepted, ms of the gateway's clock; 0 = it has none. */
  readonly oldestMs: number;
}

export interface TableReport {
  readonly name: string;
  readonly rows: number;
  /** Of pages; null where they were not counted. */
  readonly bytes: number | null;
}

export interface StoreReport {
  readonly path: string;
  readonly schemaVersion: number;
  /** "ok", what SQLite found, or null where the gateway runs: it would stand still for it. */
  readonly integrity: readonly string[] | null;
  readonly databaseBytes: number;
  readonly freeBytes: number;
  readonly rows: number;
  readonly bytes: number;
  readonly receivers: readonly ReceiverReport[];
  readonly tables: readonly TableReport[];
  /** What is wrong. */
  readonly problems: readonly string[];
  /** What looks odd and is not wrong: rows that the next commits delete. */
  readonly notes: readonly string[];
}

interface Counting {
  readonly kind: string;
  readonly name: string;
  readonly headSeq: number;
  readonly place: StoredPlace | null;
  /** What the row says, and what lies in the log beyond what it counts. */
  expected: number;
  readonly counted: number;
  messages: number;
  bytes: number;
  oldestMs: number;
}

/**
 * Looks at one slice after another; the caller says when the next one is due.
 * @param whole the gateway is stopped: everything is compared, whatever time it takes
 */
export function* inspect(db: Database, path: string, whole: boolean): Generator<void, StoreReport> {
  const problems: string[] = [];
  const notes: string[] = [];
  const integrity = whole ? integrityOf(db) : null;
  if (integrity !== null && integrity[0] !== "ok") problems.push(...integrity.map((line) => `integrity: ${line}`));
  yield;
  const tables = tablesOf(db, whole);
  yield;
  problems.push(...orphansOf(db, tables));
  yield;
  const receivers = receiversOf(db, problems);
  const log = yield* readLog(db, receivers, notes);
  if (whole) problems.push(...wrongCounts(db, receivers, log));
  const one = (pragma: string): number => Number(db.pragma(pragma, { simple: true }));
  return {
    path,
    schemaVersion: one("user_version"),
    integrity,
    databaseBytes: one("page_count") * PAGE_BYTES,
    freeBytes: one("freelist_count") * PAGE_BYTES,
    rows: log.rows,
    bytes: log.bytes,
    receivers: [...receivers.values()].map(({ kind, name, messages, bytes, oldestMs }) => ({
      kind,
      name,
      messages,
      bytes,
      oldestMs,
    })),
    tables,
    problems,
    notes,
  };
}

/** Of a store in use, slice by slice between its messages. @param isOpen asked before each */
export async function inspectInSlices(file: DatabaseFile, health: Health, isOpen: () => boolean): Promise<StoreReport> {
  const steps = inspect(file.db, file.path, false);
  for (;;) {
    if (health.failed || !isOpen()) throw new Error("the store is not open");
    const step = health.reading(() => steps.next(), null);
    if (step?.done === true) return step.value;
    await setImmediate();
  }
}

function integrityOf(db: Database): string[] {
  return (db.pragma(`integrity_check(${INTEGRITY_MAX})`) as { integrity_check: string }[]).map(
    ({ integrity_check }) => integrity_check,
  );
}

function tablesOf(db: Database, whole: boolean): TableReport[] {
  const sizes = new Map<string, number>();
  if (whole) {
    const select = db.prepare<unknown[], [string, number]>("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE");
    for (const [name, bytes] of select.raw().all()) sizes.set(name, bytes);
  }
  const names = db
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
    .pluck()
    .all() as string[];
  return names.map((name) => ({
    name,
    // The log is counted as it is read.
    rows: name === "log" ? 0 : Number(db.prepare(`SELECT count(*) FROM ${name}`).pluck().get()),
    bytes: sizes.get(name) ?? null,
  }));
}

/** Rows that belong to a receiver that is not there, and sessions that are one half. */
function orphansOf(db: Database, tables: readonly TableReport[]): string[] {
  const found: string[] = [];
  const count = (sql: string): number => Number(db.prepare(sql).pluck().get());
  for (const { name } of tables) {
    const columns = db.pragma(`table_info(${name})`) as { name: string }[];
    if (!columns.some((column) => column.name === "receiver_id")) continue;
    const rows = count(`SELECT count(*) FROM ${name} WHERE receiver_id NOT IN (SELECT id FROM receiver)`);
    if (rows > 0) found.push(`${name}: ${rows} rows without a receiver`);
  }
  const halves = count(
    "SELECT count(*) FROM receiver WHERE kind = 'session' AND id NOT IN (SELECT receiver_id FROM session)",
  );
  if (halves > 0) found.push(`receiver: ${halves} sessions without a row of their own`);
  return found;
}

function receiversOf(db: Database, problems: string[]): Map<number, Counting> {
  const receivers = new Map<number, Counting>();
  const rows = db.prepare<unknown[], ReceiverRow>("SELECT * FROM receiver ORDER BY id").raw().all();
  const own = rows.find(([id]) => id === LOG_ROW);
  if (own === undefined) problems.push("receiver: the log's own row is missing");
  for (const [id, kind, name, headSeq, headOrdinal, state, count, bytes, counted] of rows) {
    if (id === LOG_ROW) continue;
    const whole = isReceiverState(state);
    if (!whole) problems.push(`receiver: the state of ${kind} ${name} cannot be read`);
    const record = { id, kind, name, headSeq, headOrdinal, state, count, bytes };
    receivers.set(id, {
      kind,
      name,
      headSeq,
      place: whole && state.length > 0 ? placeOf(record) : null,
      expected: count,
      counted: Math.max(counted, own?.[8] ?? 0),
      messages: 0,
      bytes: 0,
      oldestMs: 0,
    });
  }
  return receivers;
}

interface LogTotals {
  rows: number;
  bytes: number;
  /** Rows that the log's own row does not count yet. */
  newer: number;
}

function* readLog(db: Database, receivers: Map<number, Counting>, notes: string[]): Generator<void, LogTotals> {
  const totals = { rows: 0, bytes: 0, newer: 0 };
  const slice = db
    .prepare<unknown[], [number, number, number, Buffer]>(
      "SELECT seq, accepted, length(bytes), receivers FROM log WHERE seq > ? ORDER BY seq LIMIT ?",
    )
    .raw();
  const next = Number(db.prepare("SELECT head_seq FROM receiver WHERE id = ?").pluck().get(LOG_ROW) ?? 0);
  const reader = new ListReader();
  let [unknown, unneeded, after] = [0, 0, 0];
  for (;;) {
    const rows = slice.all(after, SLICE_ROWS);
    for (const [seq, accepted, length, list] of rows) {
      after = seq;
      const size = length + MESSAGE_OVERHEAD_BYTES;
      totals.rows++;
      totals.bytes += size;
      if (seq >= next) totals.newer++;
      let [known, needed] = [false, false];
      for (reader.start(seq, list); reader.next(); ) {
        const receiver = receivers.get(reader.id);
        if (receiver === undefined) continue;
        known = true;
        if (seq >= receiver.counted) receiver.expected++;
        if (seq < receiver.headSeq || receiver.place?.needs(seq) === false) continue;
        needed = true;
        receiver.messages++;
        receiver.bytes += size;
        receiver.oldestMs ||= accepted;
      }
      if (!known) unknown++;
      else if (!needed) unneeded++;
    }
    if (rows.length < SLICE_ROWS) break;
    yield;
  }
  if (unknown > 0) notes.push(`log: ${unknown} rows are for receivers that are gone; they go as it is swept`);
  if (unneeded > 0) notes.push(`log: ${unneeded} rows are done with by all who had to; they go as it is swept`);
  return totals;
}

function wrongCounts(db: Database, receivers: Map<number, Counting>, log: LogTotals): string[] {
  const found: string[] = [];
  const own = Number(db.prepare("SELECT count FROM receiver WHERE id = ?").pluck().get(LOG_ROW) ?? 0);
  if (own + log.newer !== log.rows) found.push(`log: ${log.rows} rows, ${own + log.newer} by its own count`);
  for (const { kind, name, messages, expected } of receivers.values())
    if (messages !== expected) found.push(`${kind} ${name}: ${messages} messages, ${expected} by its own count`);
  return found;
}
