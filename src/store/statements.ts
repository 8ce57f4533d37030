/** Every statement, prepared once. Rows come as arrays; integers fit a double. */
import type { Database, Statement } from "better-sqlite3";
import { PACKED_QUERY, type PackedRow } from "./packed-rows.ts";
import { LOG_COLUMNS, LOG_ROWS_PER_INSERT } from "./schema.ts";

type Run = Statement<unknown[]>;

/** seq, receivers */
export type ScanRow = [number, Buffer];
/** accepted, expires, flags, topic_end, properties_end, bytes */
export type MessageRow = [number, number, number, number, number, Buffer];
/** seq, bytes of the row's content, receivers */
export type SweepRow = [number, number, Buffer];
/** id, kind, name, head_seq, head_ordinal, state, count, bytes, counted */
export type ReceiverRow = [number, string, string, number, number, Buffer, number, number, number];
/** receiver_id, principal, expiry_seconds, disconnected */
export type SessionRowRead = [number, string, number, number];
/** filter, options, subscription_id */
export type SubscriptionRow = [string, number, number];
/** rowid, accepted, expires, flags, topic bytes, properties_end, bytes */
export type RetainedRow = [number, number, number, number, number, number, Buffer];
/** client_id, principal, delay_seconds, expiry_seconds, flags, topic_end, properties_end, bytes */
export type WillRow = [string, string, number, number, number, number, number, Buffer];
/** id, wall, receiver, topic, cause, count */
export type DropRow = [number, number, string, string, string, number];
/** receiver, cause, count */
export type DropCountRow = [string, string, number];
/** rows, bytes, highest seq */
export type RangeRow = [number, number | null, number | null];
/** rows, bytes, bytes of the longest list of receivers, lists that begin otherwise than asked for */
export type LengthsRow = [number, number | null, number | null, number | null];
/** busy, log, checkpointed */
export type CheckpointRow = { busy: number; log: number; checkpointed: number };

export class Statements {
  readonly begin: Run;
  readonly commit: Run;
  readonly rollback: Run;

  readonly insertMessage: Run;
  /** As many rows at once as LOG_ROWS_PER_INSERT says. */
  readonly insertMessages: Run;
  readonly deleteBelow: Run;
  readonly deleteMessage: Run;
  /** Both ends included. */
  readonly deleteRange: Run;
  readonly updateReceivers: Run;
  readonly scan: Statement<unknown[], ScanRow>;
  /** From the highest of a range down. */
  readonly scanBack: Statement<unknown[], ScanRow>;
  readonly packed: Statement<unknown[], PackedRow>;
  readonly message: Statement<unknown[], MessageRow>;
  readonly sweep: Statement<unknown[], SweepRow>;
  readonly range: Statement<unknown[], RangeRow>;
  readonly lengths: Statement<unknown[], LengthsRow>;
  readonly lowest: Statement<unknown[], number | null>;
  readonly highest: Statement<unknown[], number | null>;

  readonly insertReceiver: Run;
  readonly updateReceiver: Run;
  readonly deleteReceiver: Run;
  readonly receivers: Statement<unknown[], ReceiverRow>;
  readonly receiver: Statement<unknown[], ReceiverRow>;

  readonly upsertSession: Run;
  readonly deleteSession: Run;
  readonly sessions: Statement<unknown[], SessionRowRead>;
  readonly upsertSubscription: Run;
  readonly deleteSubscription: Run;
  readonly deleteSubscriptions: Run;
  readonly subscriptions: Statement<unknown[], SubscriptionRow>;
  readonly hasSubscription: Run;
  readonly insertInbound: Run;
  readonly deleteInbound: Run;
  readonly deleteAllInbound: Run;
  readonly inbound: Statement<unknown[], number>;

  readonly upsertWill: Run;
  readonly deleteWill: Run;
  readonly hasWill: Run;
  readonly will: Statement<unknown[], WillRow>;
  readonly wills: Statement<unknown[], WillRow>;

  readonly hasRetained: Run;
  readonly upsertRetained: Run;
  readonly deleteRetained: Run;
  readonly retained: Statement<unknown[], RetainedRow>;
  readonly retainedOf: Statement<unknown[], RetainedRow>;

  readonly upsertDrop: Run;
  readonly deleteDropsBelow: Run;
  readonly drops: Statement<unknown[], DropRow>;
  readonly upsertDropCount: Run;
  readonly deleteDropCounts: Run;
  readonly dropCounts: Statement<unknown[], DropCountRow>;

  readonly generation: Run;
  /** written */
  readonly written: Statement<unknown[], Buffer>;
  readonly walFrames: Statement<unknown[], CheckpointRow>;
  readonly pages: Statement<unknown[], [number, number]>;

  constructor(db: Database) {
    this.begin = db.prepare("BEGIN");
    this.commit = db.prepare("COMMIT");
    this.rollback = db.prepare("ROLLBACK");

    const row = `(${Array(LOG_COLUMNS).fill("?")})`;
    this.insertMessage = db.prepare(`INSERT INTO log VALUES ${row}`);
    this.insertMessages = db.prepare(`INSERT INTO log VALUES ${Array(LOG_ROWS_PER_INSERT).fill(row)}`);
    this.deleteBelow = db.prepare("DELETE FROM log WHERE seq < ?");
    this.deleteMessage = db.prepare("DELETE FROM log WHERE seq = ?");
    this.deleteRange = db.prepare("DELETE FROM log WHERE seq >= ? AND seq <= ?");
    this.updateReceivers = db.prepare("UPDATE log SET receivers = ? WHERE seq = ?");
    this.scan = db.prepare("SELECT seq, receivers FROM log WHERE seq >= ? AND seq <= ? ORDER BY seq LIMIT ?");
    this.scan.raw();
    this.scanBack = db.prepare("SELECT seq, receivers FROM log WHERE seq <= ? AND seq >= ? ORDER BY seq DESC LIMIT ?");
    this.scanBack.raw();
    this.packed = db.prepare(PACKED_QUERY);
    this.packed.raw();
    this.message = db.prepare(
      "SELECT accepted, expires, flags, topic_end, properties_end, bytes FROM log WHERE seq = ?",
    );
    this.message.raw();
    this.sweep = db.prepare(
      "SELECT seq, length(bytes), receivers FROM log WHERE seq >= ? AND seq <= ? ORDER BY seq LIMIT ?",
    );
    this.sweep.raw();
    this.range = db.prepare(
      "SELECT count(*), sum(size), max(seq) FROM (SELECT seq, length(bytes) AS size FROM log WHERE seq < ? ORDER BY seq LIMIT ?)",
    );
    this.range.raw();
    this.lengths = db.prepare(
      `SELECT count(*), sum(length(bytes)), max(length(receivers)), sum(substr(receivers, 1, ?) <> ?)
       FROM log WHERE seq >= ? AND seq <= ?`,
    );
    this.lengths.raw();
    this.lowest = db.prepare("SELECT min(seq) FROM log");
    this.lowest.pluck();
    this.highest = db.prepare("SELECT max(seq) FROM log");
    this.highest.pluck();

    this.insertReceiver = db.prepare("INSERT INTO receiver VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    this.updateReceiver = db.prepare(
      "UPDATE receiver SET head_seq = ?, head_ordinal = ?, state = ?, count = ?, bytes = ?, counted = ? WHERE id = ?",
    );
    this.deleteReceiver = db.prepare("DELETE FROM receiver WHERE id = ?");
    this.receivers = db.prepare("SELECT * FROM receiver ORDER BY id");
    this.receivers.raw();
    this.receiver = db.prepare("SELECT * FROM receiver WHERE id = ?");
    this.receiver.raw();

    this.upsertSession = db.prepare("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?)");
    this.deleteSession = db.prepare("DELETE FROM session WHERE receiver_id = ?");
    this.sessions = db.prepare("SELECT * FROM session ORDER BY receiver_id");
    this.sessions.raw();
    this.upsertSubscription = db.prepare("INSERT OR REPLACE INTO subscription VALUES (?, ?, ?, ?)");
    this.deleteSubscription = db.prepare("DELETE FROM subscription WHERE receiver_id = ? AND filter = ?");
    this.deleteSubscriptions = db.prepare("DELETE FROM subscription WHERE receiver_id = ?");
    this.subscriptions = db.prepare("SELECT filter, options, subscription_id FROM subscription WHERE receiver_id = ?");
    this.subscriptions.raw();
    this.hasSubscription = db.prepare("SELECT 1 FROM subscription WHERE receiver_id = ? AND filter = ?");
    this.insertInbound = db.prepare("INSERT OR IGNORE INTO inbound VALUES (?, ?)");
    this.deleteInbound = db.prepare("DELETE FROM inbound WHERE receiver_id = ? AND packet_id = ?");
    this.deleteAllInbound = db.prepare("DELETE FROM inbound WHERE receiver_id = ?");
    this.inbound = db.prepare("SELECT packet_id FROM inbound WHERE receiver_id = ?");
    this.inbound.pluck();

    this.upsertWill = db.prepare("INSERT OR REPLACE INTO will VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    this.deleteWill = db.prepare("DELETE FROM will WHERE client_id = ?");
    this.hasWill = db.prepare("SELECT 1 FROM will WHERE client_id = ?");
    this.will = db.prepare("SELECT * FROM will WHERE client_id = ?");
    this.will.raw();
    this.wills = db.prepare("SELECT * FROM will WHERE client_id > ? ORDER BY client_id LIMIT ?");
    this.wills.raw();

    this.hasRetained = db.prepare("SELECT 1 FROM retained WHERE topic = ?");
    this.upsertRetained = db.prepare(
      `INSERT INTO retained VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (topic) DO UPDATE SET
       accepted = excluded.accepted, expires = excluded.expires, flags = excluded.flags,
       properties_end = excluded.properties_end, bytes = excluded.bytes`,
    );
    this.deleteRetained = db.prepare("DELETE FROM retained WHERE topic = ?");
    this.retained = db.prepare(
      `SELECT rowid, accepted, expires, flags, octet_length(topic), properties_end, bytes FROM retained
       WHERE rowid > ? ORDER BY rowid LIMIT ?`,
    );
    this.retained.raw();
    this.retainedOf = db.prepare(
      `SELECT rowid, accepted, expires, flags, octet_length(topic), properties_end, bytes FROM retained
       WHERE topic = ?`,
    );
    this.retainedOf.raw();

    this.generation = db.prepare("UPDATE generation SET g = g + 1, written = ? WHERE k = 1");
    this.written = db.prepare("SELECT written FROM generation WHERE k = 1");
    this.written.pluck();
    this.upsertDrop = db.prepare("INSERT OR REPLACE INTO drop_entry VALUES (?, ?, ?, ?, ?, ?)");
    this.deleteDropsBelow = db.prepare("DELETE FROM drop_entry WHERE id < ?");
    this.drops = db.prepare("SELECT * FROM drop_entry ORDER BY id");
    this.drops.raw();
    this.upsertDropCount = db.prepare("INSERT OR REPLACE INTO drop_count VALUES (?, ?, ?)");
    this.deleteDropCounts = db.prepare("DELETE FROM drop_count WHERE receiver = ?");
    this.dropCounts = db.prepare("SELECT * FROM drop_count");
    this.dropCounts.raw();

    this.walFrames = db.prepare("PRAGMA wal_checkpoint(NOOP)");
    this.pages = db.prepare("SELECT page_count, freelist_count FROM pragma_page_count, pragma_freelist_count");
    this.pages.raw();
  }
}
