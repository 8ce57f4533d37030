/**
 * The durable store: one log of messages in SQLite with many cursors, group commit on the main thread, every sync in
 * libuv's pool. `openStore` is the door of this folder; see README.md for the procedure and the files.
 */

import type { Counter } from "../base/counters.ts";
import type { UseStore } from "../core/data-use.ts";
import type { DropChanges, DropRecord } from "../core/ledger.ts";
import type { DropStore } from "../core/ledger-keeper.ts";
import type { Message } from "../core/message.ts";
import {
  type BacklogSink,
  type ReceiverRecord,
  SETTLED,
  type SessionRecord,
  type Store,
  type StoredReceiver,
  type StoreHealth,
  type StoreWaiter,
  type SubscriptionRecord,
  type WillRecord,
} from "../core/ports.ts";
import type { AgeKeeper } from "./age-keeper.ts";
import { Backups } from "./backup.ts";
import type { Changes } from "./changes.ts";
import { closeFile } from "./close-file.ts";
import { type Commits, IMPLEMENTATION_SPECIFIC_ERROR, QUOTA_EXCEEDED } from "./commits.ts";
import { isDamage, isUnreadable } from "./damage.ts";
import { checkDataDir, makeDataDir } from "./data-dir.ts";
import type { DatabaseFile } from "./database-file.ts";
import { readDrops } from "./drop-rows.ts";
import type { Health } from "./health.ts";
import { inspectInSlices, type StoreReport } from "./inspect.ts";
import { type DataDirLock, lockDataDir } from "./lock.ts";
import { markSuspect, type Opened, openDatabase } from "./open.ts";
import {
  checkpointFramesOf,
  PENDING_BYTES_MAX,
  type StoreOptions,
  type StoreStatus,
  startRoomBytesOf,
} from "./options.ts";
import { buildParts, type StoreParts } from "./parts.ts";
import type { Place, Places } from "./places.ts";
import { registerGauges, statusOf } from "./status.ts";
import { Syncer } from "./sync.ts";
import { readRetained, readRetainedValue, readSessions, readSubscriptions, recordOf } from "./tables.ts";
import { isStored, readWills } from "./wills.ts";
import type { WriteBudget } from "./write-budget.ts";

/** Retained values, or subscriptions of one session, that wait to be written before a deletion looks whether there is anything to delete. */
const PENDING_DELETIONS_MAX = 1024;

/**
 * Opens or makes the store of `dataDir`.
 * @throws DataDirError, DataDirLockedError, NewerDatabaseError, ForeignDatabaseError, or the disk's own error
 */
export async function openStore(options: StoreOptions): Promise<SqliteStore> {
  const syncer = new Syncer(options.counters);
  makeDataDir(options.dataDir, syncer);
  checkDataDir(options.dataDir);
  const lock = lockDataDir(options.dataDir);
  try {
    const { log, counters } = options;
    const startRoomBytes = startRoomBytesOf(options);
    const { clock } = options;
    const wallMs = clock.wallMs();
    const opened = openDatabase(options.dataDir, { syncer, log, counters, wallMs, clock, startRoomBytes });
    return new SqliteStore(options, opened, syncer, lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

export class SqliteStore implements Store, DropStore {
  /** What uplinks have used of their data caps. */
  readonly uses: UseStore;
  /** Copies while all goes on. */
  readonly backups: Backups;
  readonly writeBudget: WriteBudget;
  /** Age time, which counts off-time when the wall clock is set. */
  readonly ages: AgeKeeper;
  readonly #options: StoreOptions;
  readonly #parts: StoreParts;
  readonly #file: DatabaseFile;
  readonly #lock: DataDirLock;
  readonly #health: Health;
  readonly #places: Places;
  readonly #changes: Changes;
  readonly #commits: Commits;
  readonly #pendingBytesMax: number;
  readonly #refusedFull: Counter;
  readonly #refusedFailed: Counter;
  readonly #retainedDropped: Counter;
  #closing: Promise<void> | null = null;
  onRetainedWithdrawn: (topic: string) => void = () => {};

  constructor(options: StoreOptions, opened: Opened, syncer: Syncer, lock: DataDirLock) {
    const { counters, log, config } = options;
    this.#options = options;
    this.#lock = lock;
    this.#pendingBytesMax = options.pendingBytesMax ?? PENDING_BYTES_MAX;
    this.#refusedFull = counters.counter("store.refused_full");
    this.#refusedFailed = counters.counter("store.refused_failed");
    this.#retainedDropped = counters.counter("store.retained_dropped");
    const parts = buildParts(options, opened, syncer, {
      onHealth: this.#onHealth,
      onCommit: this.#onCommit,
      onGateOpen: this.#onGateOpen,
      onRetainedWithdrawn: (topic) => this.onRetainedWithdrawn(topic),
    });
    this.#parts = parts;
    this.uses = parts.uses;
    this.writeBudget = parts.budget;
    this.ages = parts.ages;
    this.#file = parts.file;
    this.#health = parts.health;
    this.#places = parts.places;
    this.#changes = parts.changes;
    this.#commits = parts.commits;
    this.backups = new Backups({ ...parts, checkpointFrames: checkpointFramesOf(options) });
    registerGauges(parts, counters);
    parts.space.check(parts.commits.frames);
    if (!parts.space.reserved) parts.pulse.start();
    const { rows, lastSeq } = opened.contents;
    log.info("store-opened", { path: parts.file.path, rows, lastSeq, sync: config.sync });
  }

  // ---- messages ----------------------------------------------------------------------------------------------

  get health(): StoreHealth {
    return this.#health.state;
  }

  get lastSeq(): number {
    return this.#commits.lastSeq;
  }

  admits(bytes: number): number {
    const state = this.#health.state;
    if (state === "failed" || state === "read-only" || this.#closing !== null) {
      this.#refusedFailed.value++;
      return IMPLEMENTATION_SPECIFIC_ERROR;
    }
    if (state === "ok" && this.#commits.pendingBytes + bytes <= this.#pendingBytesMax) return SETTLED;
    this.#refusedFull.value++;
    return QUOTA_EXCEEDED;
  }

  append(message: Message): void {
    this.#commits.append(message);
  }

  settle(message: Message, id: number): void {
    this.#commits.settle(message, id);
  }

  absorb(receiver: StoredReceiver, messages: readonly Message[]): void {
    this.#commits.absorb(receiver.id, messages);
    this.touch(receiver);
  }

  barrier(waiter: StoreWaiter, token: number): void {
    this.#commits.barrier(waiter, token);
  }

  recordsWritten(told: () => void, atOnce: boolean): void {
    this.#commits.recordsWritten(told, atOnce);
  }

  read(id: number, from: number, maxBytes: number, sink: BacklogSink): number {
    return this.#health.reading(() => this.#parts.backlog.read(id, from, maxBytes, sink), this.#commits.lastSeq + 1);
  }

  readBack(id: number, from: number, downTo: number, maxBytes: number, sink: BacklogSink): number {
    const { backlog } = this.#parts;
    return this.#health.reading(() => backlog.readBack(id, from, downTo, maxBytes, sink), downTo - 1);
  }

  // ---- receivers ---------------------------------------------------------------------------------------------

  createReceiver(kind: string, name: string): ReceiverRecord {
    const existing = this.loadReceiver(kind, name);
    if (existing !== null) return existing;
    const record = this.#places.create(kind, name, this.#commits.lastSeq + 1);
    this.#changes.of(record.id).created = { ...record };
    this.#commits.changed();
    return record;
  }

  register(receiver: StoredReceiver): void {
    const place = this.#places.get(receiver.id);
    if (place !== undefined) place.receiver = receiver;
  }

  touch(receiver: StoredReceiver): void {
    const place = this.#places.get(receiver.id);
    if (place === undefined || place.touched) return;
    this.#places.touch(place);
    this.#commits.changed();
  }

  strike(seq: number, id: number): boolean {
    const { strikes } = this.#changes;
    if (!strikes.add(seq, id)) return false;
    if (seq > this.#commits.durableSeq) this.#commits.struck(seq, id);
    if (strikes.areMany) this.#commits.soon();
    const place = this.#places.get(id);
    if (place !== undefined) this.#places.struck(place);
    this.#commits.changed();
    return true;
  }

  deleteReceiver(receiver: StoredReceiver): void {
    this.#drop(this.#places.get(receiver.id));
  }

  /** Deletes the receivers of `kind` for which `keep` says no: what the configuration no longer has. @returns their names */
  deleteOthers(kind: string, keep: (name: string) => boolean): string[] {
    const gone = [...this.#places.all()].filter((place) => place.kind === kind && !keep(place.name));
    for (const place of gone) this.#drop(place);
    return gone.map((place) => place.name);
  }

  #drop(place: Place | undefined): void {
    if (place === undefined) return;
    this.#places.remove(place);
    this.#changes.delete(place.id);
    this.#commits.changed();
  }

  putDrops(changes: DropChanges, alone: boolean): void {
    this.#changes.drops.put(changes, alone);
    if (alone) this.#commits.changed();
  }

  loadDrops(): DropRecord {
    return readDrops(this.#file.statements);
  }

  // ---- the rows around the log -------------------------------------------------------------------------------

  putRetained(message: Message): boolean {
    const { topic } = message;
    const isDeletion = message.bytes.length === message.propertiesEnd;
    // What nobody is told of must not pile up while the disk is full: neither deletions of what is not there, nor values.
    if (isDeletion && this.#changes.retained.size >= PENDING_DELETIONS_MAX && !this.#hasRow(topic)) {
      this.#changes.dropRetained(topic);
    } else if (isDeletion || message.waiter !== null || this.#commits.pendingBytes < this.#pendingBytesMax) {
      this.#changes.putRetained(topic, message);
    } else {
      this.#retainedDropped.value++;
      return false;
    }
    this.#commits.retained(message);
    return true;
  }

  #hasRow(topic: string): boolean {
    return this.#health.reading(() => this.#file.statements.hasRetained.get(topic) !== undefined, true);
  }

  putSession(record: SessionRecord): void {
    this.#changes.putSession(record);
    this.#commits.changed();
  }

  deleteSession(_clientId: string, receiver: StoredReceiver): void {
    this.deleteReceiver(receiver);
  }

  putSubscription(receiverId: number, subscription: SubscriptionRecord): void {
    this.#changes.of(receiverId).subscriptions.set(subscription.filter, subscription);
    this.#commits.changed();
  }

  deleteSubscription(receiverId: number, filter: string): void {
    const { subscriptions } = this.#changes.of(receiverId);
    const there = (): boolean => this.#file.statements.hasSubscription.get(receiverId, filter) !== undefined;
    if (subscriptions.size < PENDING_DELETIONS_MAX || this.#health.reading(there, true))
      subscriptions.set(filter, null);
    else subscriptions.delete(filter);
    this.#commits.changed();
  }

  putInbound(receiverId: number, packetId: number, message: Message | null): void {
    this.#changes.receive(receiverId, packetId, message);
    this.#commits.changed();
  }

  deleteInbound(receiverId: number, packetId: number): void {
    this.#changes.release(receiverId, packetId);
    this.#commits.changed();
  }

  putWill(record: WillRecord): void {
    const { statements } = this.#file;
    const stored = (): boolean => isStored(record, statements.will.get(record.clientId));
    this.#changes.putWill(record.clientId, record, this.#health.reading(stored, false));
    this.#commits.changed();
  }

  deleteWill(clientId: string): void {
    const stored = (): boolean => this.#file.statements.hasWill.get(clientId) === undefined;
    this.#changes.putWill(clientId, null, this.#health.reading(stored, false));
    this.#commits.changed();
  }

  loadWills(visit: (record: WillRecord) => void): void {
    readWills(this.#file.statements, visit);
  }

  loadSessions(visit: (record: SessionRecord) => void): void {
    readSessions(this.#file.statements, (id) => this.#record(this.#places.get(id)), visit);
  }

  loadReceiver(kind: string, name: string): ReceiverRecord | null {
    return this.#record(this.#places.named(kind, name));
  }

  #record(place: Place | undefined): ReceiverRecord | null {
    if (place === undefined) return null;
    if (place.receiver !== null) return place.receiver.save();
    return this.#changes.receivers.get(place.id)?.created ?? recordOf(this.#file.statements, place);
  }

  loadSubscriptions(receiverId: number): SubscriptionRecord[] {
    return this.#health.reading(() => readSubscriptions(this.#file.statements, receiverId), []);
  }

  loadInbound(receiverId: number): number[] {
    return this.#health.reading(() => this.#file.statements.inbound.all(receiverId), []);
  }

  loadRetained(visit: (message: Message) => void): void {
    readRetained(this.#file.statements, visit);
  }

  getRetained(topic: string): Message | null {
    const waiting = this.#changes.retained.get(topic);
    return waiting ?? this.#health.reading(() => readRetainedValue(this.#file.statements, topic), null);
  }

  /** It is of no use: see stand-in.ts. */
  fail(doing: string, error: unknown): void {
    this.#health.fail(doing, error);
  }

  /** What `sluice check --store` says of a running gateway. */
  inspect(): Promise<StoreReport> {
    return inspectInSlices(this.#file, this.#health, () => this.#closing === null);
  }

  /** Step 14: writes and syncs what there is and closes the file. After a failure it closes nothing. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    await this.backups.end();
    await this.#parts.space.settled();
    this.#parts.ages.finish();
    await this.#commits.quiet();
    this.#parts.pulse.stop();
    // Closing writes and syncs.
    if (this.#health.failed || this.#health.refusal === "read-only") return;
    closeFile(this.#parts, this.#commits.frames);
    this.#lock.release();
  }

  readonly #onHealth = (health: StoreHealth): void => {
    if (health === "failed") {
      if (isDamage(this.#health.error) || isUnreadable(this.#health.error)) markSuspect(this.#file.directory);
      this.#commits.onFailed();
      this.#parts.pulse.stop();
      this.#parts.ages.stop();
    } else if (this.#health.refusal !== null) {
      if (health === "full") this.#parts.space.release();
      this.#parts.pulse.start();
    }
    this.#options.onHealth?.(health, this.#health.reason);
  };

  readonly #onCommit = (): void => {
    this.#parts.space.check(this.#commits.frames);
    this.#parts.budget.check();
    this.#parts.pulse.start();
  };

  readonly #onGateOpen = (): void => {
    this.#commits.onGateOpen();
    this.#parts.space.check(this.#commits.frames);
    this.#parts.budget.check();
  };

  status(): StoreStatus {
    return statusOf(this.#parts, this.#options.config);
  }
}
