/**
 * One commit group as one transaction: rows of the log, retained values, the rows around sessions, the receivers'
 * records, and the deletions that they allow. The order matters only where it says so.
 */
import type { Counter, Counters } from "../base/counters.ts";
import type { Message } from "../core/message.ts";
import type { ReceiverRecord } from "../core/ports.ts";
import type { Changes, ReceiverChanges } from "./changes.ts";
import type { Group } from "./group.ts";
import { LogRows } from "./log-rows.ts";
import type { LogState } from "./log-state.ts";
import { MESSAGES, RETAINED, SESSIONS, type WriteMeter } from "./meter.ts";
import type { Place, Places } from "./places.ts";
import { ListEncoder } from "./receiver-list.ts";
import type { Retention } from "./retention.ts";
import { LOG_ROW, ROW_RETAIN } from "./schema.ts";
import type { Segments } from "./segments.ts";
import type { Shrink } from "./shrink.ts";
import type { Statements } from "./statements.ts";
import { willColumns } from "./wills.ts";

/** Rows of grown receivers written in one commit, at most. */
const GROWN_PER_COMMIT_MAX = 512;

export interface WriterParts {
  readonly statements: Statements;
  readonly places: Places;
  readonly changes: Changes;
  readonly retention: Retention;
  readonly segments: Segments;
  readonly shrink: Shrink;
  readonly logState: LogState;
  /** Brings the clock's part of `logState` up to date. */
  readonly noteAges: () => void;
  readonly meter: WriteMeter;
  readonly counters: Counters;
}

export class Writer {
  readonly #statements: Statements;
  readonly #places: Places;
  readonly #changes: Changes;
  readonly #retention: Retention;
  readonly #segments: Segments;
  readonly #shrink: Shrink;
  readonly #logState: LogState;
  readonly #noteAges: () => void;
  readonly #meter: WriteMeter;
  readonly #logRows: LogRows;
  readonly #encoder = new ListEncoder(() => this.#logRows.flush());
  /** Who is in the list encoded last. */
  #listed: Place[] = [];
  /** Records written by the transaction under way. */
  readonly #saved: Place[] = [];
  /** Receivers whose messages are all still open: they are asked again when those are written. */
  #open: Place[] = [];
  #counted: number;
  #countedBefore = 0;
  /** The last transaction left deletions, or free pages, for the next one. */
  #leftOver = false;
  /** The state of the log's row is to be written though nothing else is. */
  stateDue = false;
  readonly #rows: Counter;
  /** Rows of the log, had the transaction under way not deleted any. */
  #rowsKept = 0;

  /** @param counted receivers' counts in the database include every message below it */
  constructor(parts: WriterParts, counted: number) {
    this.#statements = parts.statements;
    this.#logRows = new LogRows(parts.statements);
    this.#places = parts.places;
    this.#changes = parts.changes;
    this.#retention = parts.retention;
    this.#segments = parts.segments;
    this.#shrink = parts.shrink;
    this.#logState = parts.logState;
    this.#noteAges = parts.noteAges;
    this.#meter = parts.meter;
    this.#counted = counted;
    this.#rows = parts.counters.counter("store.rows_written");
  }

  /**
   * BEGIN to COMMIT. Throws what SQLite throws; the caller then calls `rollback`.
   * @param endSeq     one more than the last sequence number given out; `apart`: that of the first open message, which
   *                   stays open with all after it
   * @param saveGrown  brings the rows of grown receivers up to date as well
   * @param apart      only records are written
   */
  write(group: Group, endSeq: number, saveGrown: boolean, apart: boolean): void {
    const st = this.#statements;
    this.#countedBefore = this.#counted;
    this.#saved.length = 0;
    this.#open.length = 0;
    this.#retention.begin();
    this.#logRows.begin();
    const rowsBefore = this.#retention.rows;
    this.#rowsKept = rowsBefore;
    st.begin.run();
    // First, so that the new rows take the pages it frees.
    this.#retention.makeRoom(group.firstSeq);
    this.#changes.strikes.write(st, this.#retention);
    this.#writeChanges();
    group.visit((message) => this.#writeMessage(message, group));
    this.#logRows.flush();
    // After the rows: a record counts what is in this group.
    for (const place of this.#places.touched) this.#saveIfNeeded(place, endSeq, apart);
    if (saveGrown) this.#saveGrown(endSeq);
    // After the records: what they no longer need goes in the same transaction.
    const sweeping = this.#retention.run(endSeq);
    const { deleted } = this.#retention;
    if (deleted || this.stateDue || this.#saved.length > 0 || this.#counted !== this.#countedBefore) {
      this.#noteAges();
      const { rows: count, bytes: size } = this.#retention;
      st.updateReceiver.run(endSeq, 0, this.#logState.encode(), count, size, this.#counted, LOG_ROW);
    }
    // After all deletions: what they free need not be moved.
    this.#leftOver = this.#shrink.run(sweeping);
    this.#meter.rows(MESSAGES, this.#rowsKept - this.#retention.rows, 0);
    st.commit.run();
    this.#rows.value += this.#rowsKept - rowsBefore;
    this.stateDue = false;
    this.#places.untouch(this.#open);
    this.#changes.clear();
  }

  /** BEGIN to COMMIT of receivers' records alone, if they need it: rows that they no longer need go with a later transaction. */
  writeRecords(endSeq: number): void {
    const st = this.#statements;
    this.#countedBefore = this.#counted;
    this.#saved.length = 0;
    this.#open.length = 0;
    this.#retention.begin();
    this.#logRows.begin();
    st.begin.run();
    for (const place of this.#places.touched) this.#saveIfNeeded(place, endSeq, true);
    st.commit.run();
    if (this.#saved.length > 0) this.#leftOver = true;
    this.#places.untouch(this.#open);
  }

  /** Whether there is something to write though the group is empty. */
  get unfinished(): boolean {
    return this.#leftOver || this.stateDue;
  }

  /** Whether receivers' records can be written without the messages from `openSeq` on, and are all there is. */
  isApart(openSeq: number): boolean {
    if (!this.#changes.empty || this.unfinished) return false;
    return this.#places.touched.every(({ receiver }) => {
      if (receiver === null) return true;
      const { count, headSeq, state } = receiver.save();
      return count === 0 || (headSeq >= openSeq && state.length === 0);
    });
  }

  /** Whether a record has to be written, when the messages from `openSeq` on are not. */
  hasRecords(openSeq: number): boolean {
    return this.#places.touched.some(
      (place) => place.receiver !== null && place.mustSave(inLog(place.receiver.save(), openSeq)),
    );
  }

  /** Undoes what `write` noted before it failed. */
  rollback(group: Group): void {
    this.#retention.rollback();
    this.#meter.rolledBack();
    this.#counted = this.#countedBefore;
    this.#places.unsaved(this.#saved);
    this.#places.unsaved(group.places);
    group.places.length = 0;
  }

  #writeMessage(m: Message, group: Group): void {
    const list = this.#encoder.encode(m);
    if (list.length === 0) return; // every receiver has it: only its retained value is waited for
    if (!this.#encoder.repeated) this.#list(m);
    this.#logRows.add(m, list);
    const size = m.size;
    this.#retention.entered(size);
    this.#rowsKept++;
    this.#meter.rows(MESSAGES, 1, list.length + m.bytes.length);
    for (const place of this.#listed) {
      this.#places.entered(place, m.seq, size, group);
      this.#segments.enter(m.seq, place.id);
    }
  }

  #list(m: Message): void {
    this.#listed = [];
    for (const id of m.receiverIds) {
      const place = id === 0 ? undefined : this.#places.get(id);
      if (place !== undefined) this.#listed.push(place);
    }
  }

  #writeChanges(): void {
    const st = this.#statements;
    this.#changes.drops.write(st);
    for (const [id, changes] of this.#changes.receivers) {
      if (!changes.deleted) continue;
      this.#meter.rows(SESSIONS, 1, 0);
      st.deleteReceiver.run(id);
      st.deleteSession.run(id);
      st.deleteSubscriptions.run(id);
      st.deleteAllInbound.run(id);
    }
    for (const [id, changes] of this.#changes.receivers) if (!changes.deleted) this.#writeReceiverChanges(id, changes);
    for (const [clientId, will] of this.#changes.wills) {
      if (will === null) st.deleteWill.run(clientId);
      else st.upsertWill.run(...willColumns(will));
      this.#meter.rows(SESSIONS, 1, will?.bytes.length ?? 0);
    }
    for (const [topic, m] of this.#changes.retained) {
      this.#meter.rows(RETAINED, 1, m.bytes.length);
      if (m.bytes.length === m.propertiesEnd) {
        st.deleteRetained.run(topic);
        continue;
      }
      const flags = m.retain ? m.qos | ROW_RETAIN : m.qos;
      st.upsertRetained.run(topic, Math.trunc(m.acceptedMs), Math.trunc(m.expiresMs), flags, m.propertiesEnd, m.bytes);
    }
  }

  #writeReceiverChanges(id: number, changes: ReceiverChanges): void {
    const st = this.#statements;
    const { created: r, session, subscriptions, released, received } = changes;
    this.#meter.rows(SESSIONS, 1 + subscriptions.size + released.size + received.size, 0);
    if (r !== null) st.insertReceiver.run(id, r.kind, r.name, r.headSeq, r.headOrdinal, r.state, 0, 0, r.headSeq);
    if (session !== null) st.upsertSession.run(id, session.principal, session.expirySeconds, session.disconnectedMs);
    for (const [filter, subscription] of subscriptions) {
      if (subscription === null) st.deleteSubscription.run(id, filter);
      else st.upsertSubscription.run(id, filter, subscription.options, subscription.subscriptionId);
    }
    for (const packetId of released) st.deleteInbound.run(id, packetId);
    for (const packetId of received.keys()) st.insertInbound.run(id, packetId);
  }

  #saveIfNeeded(place: Place, endSeq: number, apart: boolean): void {
    if (place.receiver === null) return;
    const whole = place.receiver.save();
    const record = apart ? inLog(whole, endSeq) : whole;
    if (record !== whole) this.#open.push(place);
    if (place.mustSave(record)) this.#save(place, record, endSeq);
  }

  #saveGrown(endSeq: number): void {
    let rest = GROWN_PER_COMMIT_MAX;
    for (const place of this.#places.grown) {
      if (rest-- === 0) return;
      if (place.receiver === null) this.#places.grown.delete(place);
      else this.#save(place, place.receiver.save(), endSeq);
    }
    this.#counted = endSeq;
  }

  #save(place: Place, record: ReceiverRecord, endSeq: number): void {
    const { headSeq, headOrdinal, state, count, bytes } = record;
    this.#statements.updateReceiver.run(headSeq, headOrdinal, state, count, bytes, endSeq, place.id);
    this.#meter.rows(SESSIONS, 1, state.length);
    this.#saved.push(place);
    this.#places.saved(place, record);
  }
}

/** The record without its messages when they are all from `endSeq` on: the log has none of them. */
function inLog(record: ReceiverRecord, endSeq: number): ReceiverRecord {
  return record.count > 0 && record.headSeq >= endSeq ? { ...record, count: 0, bytes: 0 } : record;
}
