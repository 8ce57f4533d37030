/**
 * Brings what a damaged file still holds into a fresh one, table by table: first who is there (receivers, sessions and
 * the rows around them), then retained values, then the log, whose rows are kept while a receiver needs them. Counts
 * are made anew.
 *
 * A row is believed when its types and its contents fit (salvage-tables.ts). What depends on a row that is lost goes
 * with it: a session without its own row has no owner, so it cannot be given to anybody.
 */

import type { Database, Statement } from "better-sqlite3";
import { crypto } from "../base/crypto.ts";
import { MESSAGE_OVERHEAD_BYTES } from "../core/message.ts";
import type { ReceiverRecord } from "../core/ports.ts";
import { isReceiverState, placeOf, type StoredPlace } from "../core/receiver-state.ts";
import { ListReader } from "./receiver-list.ts";
import type { Value } from "./salvage-cells.ts";
import { RECEIVER_INDEX, type Table, tablesOf } from "./salvage-tables.ts";
import { type Candidate, Loss, type Trees } from "./salvage-trees.ts";
import { LOG_ROW } from "./schema.ts";

/** Of one transaction: what a full disk takes back. */
const BATCH_BYTES = 4 * 2 ** 20;
const BATCH_ROWS = 4096;
const ORDINALS = 65_535;
/** A row so far above all that is known is damage. */
const SEQ_LEAP_MAX = 2 ** 32;

export interface TableCount {
  saved: number;
  /** Rows that were there and could not be used. */
  lost: number;
  /** Pages that were not there, each with rows that nobody can count. */
  lostPages: number;
}

interface Receiver extends ReceiverRecord {
  /** Knows what is done above the head; null = nothing is. */
  place: StoredPlace | null;
  /** Only its name is known: it needs all that lists it. */
  readonly headless: boolean;
}

export class SalvageCopy {
  readonly #db: Database;
  readonly #trees: Trees;
  readonly #tables: Map<string, Table>;
  readonly #generation: Table;
  readonly #inserts = new Map<string, Statement<unknown[]>>();
  readonly #reader = new ListReader();
  readonly #receivers = new Map<number, Receiver>();
  readonly #names = new Map<string, number>();
  /** The log's own row. */
  #logState: Buffer = Buffer.alloc(0);
  #nextSeq = 1;
  #rows = 0;
  #bytes = 0;
  /** All that was counted is in the file. */
  #whole = false;
  #batchRows = 0;
  #batchBytes = 0;
  readonly counts: Record<string, TableCount> = {};

  /** @param db fresh, with all tables */
  constructor(db: Database, trees: Trees) {
    this.#db = db;
    this.#trees = trees;
    this.#tables = tablesOf(db);
    this.#generation = this.#tables.get("generation") as Table;
    this.#tables.delete("generation");
  }

  /** @throws SqliteError when the disk is full; then all but the last batch is in the file, and `finish` may be called */
  run(): void {
    this.#db.exec("BEGIN");
    this.#readReceivers();
    this.#writeReceivers();
    this.#copyWritten();
    this.#copyAround();
    this.#flush();
    this.#copyLog();
    this.#db.exec("COMMIT");
    this.#whole = true;
  }

  /** After `run`, in whatever way it ended: receivers' counts, and the log's own row. */
  finish(): void {
    if (this.#db.inTransaction) this.#db.exec("ROLLBACK");
    if (!this.#whole) this.#recount();
    this.#db.exec("BEGIN");
    const endSeq = this.#nextSeq;
    const update = this.#db.prepare("UPDATE receiver SET head_seq = ?, count = ?, bytes = ?, counted = ? WHERE id = ?");
    for (const { id, count, bytes, headSeq } of this.#receivers.values())
      update.run(Math.min(headSeq, endSeq), count, bytes, endSeq, id);
    this.#db
      .prepare("UPDATE receiver SET head_seq = ?, state = ?, count = ?, bytes = ?, counted = ? WHERE id = ?")
      .run(endSeq, this.#logState, this.#rows, this.#bytes, endSeq, LOG_ROW);
    this.#db.exec("COMMIT");
  }

  // ---- receivers ---------------------------------------------------------------------------------------------

  #readReceivers(): void {
    const table = this.#tables.get("receiver") as Table;
    const take = (values: Value[]): boolean => {
      this.#takeReceiver(values);
      return true;
    };
    const named = new Map<number, [string, string]>();
    const takeName = ([kind, name, id]: Value[]): boolean => {
      if (typeof id === "number" && id > LOG_ROW) named.set(id, [kind as string, name as string]);
      return true;
    };
    const count = this.#read([
      [table, take],
      [RECEIVER_INDEX, takeName],
    ]);
    delete this.counts[RECEIVER_INDEX.name];
    if (count.pages + count.rows === 0) return;
    for (const [id, [kind, name]] of named) if (!this.#receivers.has(id)) this.#takeHeadless(id, kind, name);
  }

  #takeReceiver(values: Value[]): void {
    const [id, kind, name, headSeq, headOrdinal, state] = values as [number, string, string, number, number, Buffer];
    this.#nextSeq = Math.max(this.#nextSeq, headSeq);
    if (id === LOG_ROW) {
      this.#logState = Buffer.from(state);
      return;
    }
    const known = this.#receivers.get(this.#names.get(keyOf(kind, name)) ?? id);
    // Two of one name, or of one id: an older version of its row came up as well.
    if (known !== undefined && known.headSeq >= headSeq) return;
    if (known !== undefined) this.#forget(known.id);
    const record = { id, kind, name, headSeq, headOrdinal, state: EMPTY, count: 0, bytes: 0 };
    const place = isReceiverState(state) && state.length > 0 ? placeOf({ ...record, state }) : null;
    this.#receivers.set(id, { ...record, state: place === null ? EMPTY : Buffer.from(state), place, headless: false });
    this.#names.set(keyOf(kind, name), id);
  }

  /** Packet ids begin anywhere: those that the peer may remember are not known. */
  #takeHeadless(id: number, kind: string, name: string): void {
    if (this.#names.has(keyOf(kind, name))) return;
    const headSeq = Number.POSITIVE_INFINITY;
    const headOrdinal = crypto().randomInt(ORDINALS);
    const receiver = { id, kind, name, headSeq, headOrdinal, state: EMPTY, count: 0, bytes: 0 };
    this.#receivers.set(id, { ...receiver, place: null, headless: true });
    this.#names.set(keyOf(kind, name), id);
  }

  #forget(id: number): void {
    const receiver = this.#receivers.get(id);
    if (receiver === undefined) return;
    this.#receivers.delete(id);
    this.#names.delete(keyOf(receiver.kind, receiver.name));
  }

  #writeReceivers(): void {
    const table = this.#tables.get("receiver") as Table;
    for (const { id, kind, name, headSeq, headOrdinal, state } of this.#receivers.values()) {
      const head = Number.isFinite(headSeq) ? headSeq : this.#nextSeq;
      this.#insert(table, [id, kind, name, head, headOrdinal, state, 0, 0, head]);
    }
    this.#count(table.name).saved = this.#receivers.size;
  }

  // ---- the rows around the log -------------------------------------------------------------------------------

  #copyAround(): void {
    const sessions = new Set<number>();
    const sources: [Table, (values: Value[]) => boolean][] = [];
    for (const table of this.#tables.values()) {
      if (table.name === "log" || table.name === "receiver") continue;
      const owner = table.columns.findIndex(({ name }) => name === "receiver_id");
      sources.push([
        table,
        (values) => {
          if (owner >= 0 && !this.#receivers.has(values[owner] as number)) return false;
          if (table.name === "session") sessions.add(values[owner] as number);
          this.#save(table, values);
          return true;
        },
      ]);
    }
    this.#read(sources);
    this.#dropOwnerless(sessions);
  }

  #dropOwnerless(sessions: ReadonlySet<number>): void {
    const gone = [...this.#receivers.values()].filter(({ id, kind }) => kind === "session" && !sessions.has(id));
    if (gone.length === 0) return;
    const owned = [...this.#tables.values()].filter(({ columns }) =>
      columns.some(({ name }) => name === "receiver_id"),
    );
    for (const { id } of gone) {
      this.#forget(id);
      this.#db.prepare("DELETE FROM receiver WHERE id = ?").run(id);
      for (const { name } of owned) {
        const { changes } = this.#db.prepare(`DELETE FROM ${name} WHERE receiver_id = ?`).run(id);
        this.#count(name).saved -= changes;
        this.#count(name).lost += changes;
      }
    }
    this.#count("receiver").saved -= gone.length;
    this.#count("receiver").lost += gone.length;
  }

  /** The numbers of meter.ts: the medium is as worn as it was. */
  #copyWritten(): void {
    const update = this.#db.prepare("UPDATE generation SET written = ?");
    this.#trees.walk(this.#trees.roots.get(this.#generation.name) ?? 0, false, (row) => {
      const written = this.#generation.valuesOf(row)?.[2];
      if (Buffer.isBuffer(written)) update.run(written);
      return true;
    });
  }

  // ---- the log -----------------------------------------------------------------------------------------------

  #copyLog(): void {
    const table = this.#tables.get("log") as Table;
    const leapMax = this.#nextSeq + SEQ_LEAP_MAX;
    this.#read([
      [
        table,
        (values) => {
          const [seq, , , , , , list, bytes] = values as [
            number,
            number,
            number,
            number,
            number,
            number,
            Buffer,
            Buffer,
          ];
          if (seq > leapMax) return false;
          this.#nextSeq = Math.max(this.#nextSeq, seq + 1);
          const needing = this.#whoNeeds(seq, list);
          // Done with, or of receivers that are gone: nobody would read it.
          if (needing.length > 0 && this.#save(table, values)) this.#enter(needing, seq, bytes.length);
          return true;
        },
      ],
    ]);
  }

  #whoNeeds(seq: number, list: Buffer): Receiver[] {
    const needing: Receiver[] = [];
    const reader = this.#reader;
    reader.start(seq, list);
    while (reader.next()) {
      const receiver = this.#receivers.get(reader.id);
      if (receiver !== undefined && needs(receiver, seq)) needing.push(receiver);
    }
    return needing;
  }

  #enter(needing: readonly Receiver[], seq: number, length: number): void {
    const size = length + MESSAGE_OVERHEAD_BYTES;
    this.#rows++;
    this.#bytes += size;
    for (const receiver of needing) {
      if (receiver.headless) receiver.headSeq = Math.min(receiver.headSeq, seq);
      receiver.count++;
      receiver.bytes += size;
    }
  }

  /** The disk took the last batch back: counts what the file has. */
  #recount(): void {
    this.#rows = 0;
    this.#bytes = 0;
    for (const receiver of this.#receivers.values()) {
      receiver.count = 0;
      receiver.bytes = 0;
    }
    const select = this.#db.prepare<unknown[], [number, number, Buffer]>(
      "SELECT seq, length(bytes), receivers FROM log",
    );
    for (const [seq, length, list] of select.raw().iterate()) this.#enter(this.#whoNeeds(seq, list), seq, length);
    for (const [name, count] of Object.entries(this.counts))
      count.saved = Number(this.#db.prepare(`SELECT count(*) FROM ${name}`).pluck().get());
  }

  // ---- reading and writing -----------------------------------------------------------------------------------

  /** Walks the tables; then, if any misses a page, what nobody owns. @returns the losses together */
  #read(sources: readonly (readonly [Table, (values: Value[]) => boolean])[]): Loss {
    const all = new Loss();
    const incomplete: Candidate[] = [];
    for (const [table, take] of sources) {
      const emit = (row: Parameters<Table["valuesOf"]>[0]): boolean => {
        const values = table.valuesOf(row);
        return values !== null && take(values);
      };
      const loss = this.#trees.walk(this.#trees.roots.get(table.name) ?? 0, table.isIndex, emit);
      const count = this.#count(table.name);
      // A table that the damaged file's version did not have misses nothing.
      if (!this.#trees.roots.has(table.name) && this.#trees.schemaWhole) continue;
      count.lost += loss.rows;
      count.lostPages += loss.pages;
      all.rows += loss.rows;
      all.pages += loss.pages;
      // A packet id that was released and came back would swallow the next message under it: better one twice.
      if (table.name === "inbound" && !this.#trees.freeListWhole) continue;
      const matches = (row: Parameters<Table["valuesOf"]>[0]): boolean => table.valuesOf(row) !== null;
      if (loss.ranges.length > 0) incomplete.push({ isIndex: table.isIndex, loss, matches, emit });
    }
    if (incomplete.length > 0) this.#trees.orphans(incomplete);
    return all;
  }

  #count(name: string): TableCount {
    return (this.counts[name] ??= { saved: 0, lost: 0, lostPages: 0 });
  }

  /** @returns false when the file has the row already */
  #save(table: Table, values: Value[]): boolean {
    if (!this.#insert(table, values)) return false;
    this.#count(table.name).saved++;
    return true;
  }

  #insert(table: Table, values: Value[]): boolean {
    const key = `${table.name} ${values.length}`;
    let insert = this.#inserts.get(key);
    if (insert === undefined) {
      const names = table.columns.slice(0, values.length).map(({ name }) => name);
      const marks = names.map(() => "?").join(", ");
      insert = this.#db.prepare(`INSERT OR IGNORE INTO ${table.name} (${names.join(", ")}) VALUES (${marks})`);
      this.#inserts.set(key, insert);
    }
    const { changes } = insert.run(...values);
    this.#batchBytes += values.reduce<number>((sum, value) => sum + (Buffer.isBuffer(value) ? value.length : 16), 0);
    if (++this.#batchRows >= BATCH_ROWS || this.#batchBytes >= BATCH_BYTES) this.#flush();
    return changes === 1;
  }

  #flush(): void {
    this.#batchRows = 0;
    this.#batchBytes = 0;
    this.#db.exec("COMMIT");
    this.#db.exec("BEGIN");
  }
}

const EMPTY = Buffer.alloc(0);

function needs({ headSeq, headless, place }: Receiver, seq: number): boolean {
  if (headless) return true;
  return seq >= headSeq && (place === null || place.needs(seq));
}

function keyOf(kind: string, name: string): string {
  return `${kind} ${name}`;
}
