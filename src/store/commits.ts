/**
 * Group commit (step 7): writes what has entered as one transaction when it is due, and answers for the disk.
 *
 *     append, settle ... --> open group --commit--> written groups --sync of the log--> told, forgotten
 *     (intake.ts)              |  |                 (written.ts)
 *            elided: told <----+  +----> refused: the disk is full or has failed
 *
 * The open group is due when its most urgent message is, at `commit_bytes`, or at the end of the turn for a topic with
 * `commit_delay: 0ms` (due.ts). What nobody waits for goes with it; alone it does not take messages along that are not
 * due (`#commitRecords`).
 */
import { SqliteError } from "better-sqlite3";
import type { Counter } from "../base/counters.ts";
import type { Message } from "../core/message.ts";
import { SETTLED, type StoreWaiter } from "../core/ports.ts";
import type { CommitParts } from "./commit-parts.ts";
import { Group } from "./group.ts";
import { Intake } from "./intake.ts";
import { levelOfMode } from "./level.ts";
import { logBytes } from "./meter.ts";
import { RecordWaiters } from "./record-waiters.ts";
import { Written } from "./written.ts";

/** Reason codes of MQTT 5. */
export const QUOTA_EXCEEDED = 0x97;
export const IMPLEMENTATION_SPECIFIC_ERROR = 0x83;

export class Commits {
  readonly #parts: CommitParts;
  readonly #intake: Intake;
  readonly #written: Written;
  /** Due when the gate was closed. */
  #late = false;
  #frames: number;
  #onQuiet: (() => void) | null = null;
  #closed = false;
  #savingGrown = false;
  /** A full disk was met, and a checkpoint is to make room before anybody is refused. */
  #retried = false;
  readonly #commits: Counter;
  readonly #recordWaiters = new RecordWaiters(() => this.#onRecordsDue());

  constructor(parts: CommitParts, lastSeq: number) {
    this.#parts = parts;
    const { counters, wal, health } = parts;
    const onDue = (): void => this.#onDue();
    const onLazyDue = (): void => this.#onLazyDue();
    this.#intake = new Intake({ ...parts, onDue, onLazyDue }, lastSeq);
    this.#written = new Written(
      wal,
      health,
      { plain: levelOfMode(parts.sync), highest: levelOfMode(parts.syncHighest) },
      lastSeq,
    );
    this.#frames = parts.file.walFrames();
    counters.gauge("store.commit_delay_ms", parts.delayMs);
    this.#commits = counters.counter("store.commits");
  }

  get lastSeq(): number {
    return this.#intake.lastSeq;
  }

  get durableSeq(): number {
    return this.#written.durableSeq;
  }

  /** Bytes of messages that are in memory because the medium does not have them yet. */
  get pendingBytes(): number {
    return this.#intake.open.bytes + this.#written.bytes + this.#parts.changes.retainedBytes;
  }

  get frames(): number {
    return this.#frames;
  }

  /** Whether the log has something that no sync has brought to the medium, and that nobody waits for. */
  get unsynced(): boolean {
    const { wal } = this.#parts;
    return wal.synced < wal.written;
  }

  /** Groups whose messages are still in memory, in log order; the last is the open one. */
  *groups(): Generator<Group> {
    yield* this.#written.groups;
    yield this.#intake.open;
  }

  /** The same, from the open one back. */
  *groupsBack(): Generator<Group> {
    yield this.#intake.open;
    const { groups } = this.#written;
    for (let i = groups.length - 1; i >= 0; i--) yield groups[i] as Group;
  }

  /** @see Written.struck */
  struck(seq: number, id: number): void {
    this.#written.struck(seq, id);
  }

  // ---- what enters -------------------------------------------------------------------------------------------

  append(message: Message): void {
    this.#intake.append(message);
  }

  settle(message: Message, id: number): void {
    this.#intake.settle(message, id);
  }

  absorb(id: number, messages: readonly Message[]): void {
    this.#intake.absorb(id, messages);
  }

  /** The message's retained value is in `changes`. */
  retained(message: Message): void {
    this.#intake.retained(message, this.#parts.health.refusal !== null);
  }

  barrier(waiter: StoreWaiter, token: number): void {
    if (this.#hasWork()) {
      this.#intake.barrier(waiter, token);
    } else if (!this.#written.barrier(waiter, token)) {
      this.#intake.soon.tell(waiter, token, this.#parts.health.failed ? IMPLEMENTATION_SPECIFIC_ERROR : SETTLED);
    }
  }

  /** Something is in `changes`, or a receiver was touched. */
  changed(): void {
    this.#intake.due.changed();
  }

  /** As `changed`, and it is to be written at the end of the turn. */
  soon(): void {
    this.#intake.due.soon();
  }

  /** @see Store.recordsWritten */
  recordsWritten(told: () => void, atOnce: boolean): void {
    this.#recordWaiters.add(told, atOnce);
  }

  #hasWork(): boolean {
    return this.#intake.hasWork(this.#parts.writer.unfinished);
  }

  // ---- the commit --------------------------------------------------------------------------------------------

  #onDue(): void {
    if (this.#hasWork()) this.commit();
    this.#tellOfRecords();
  }

  /** Whether a transaction beside the open group can be had now. */
  get #writes(): boolean {
    const { health, checkpoint } = this.#parts;
    return !health.failed && health.refusal === null && !this.#closed && checkpoint.open;
  }

  #onLazyDue(): void {
    const { writer } = this.#parts;
    const { open } = this.#intake;
    if (!this.#writes || open.count === 0 || open.isWhole || !writer.isApart(open.firstSeq)) this.#onDue();
    else this.#commitRecords();
    this.#tellOfRecords();
  }

  /**
   * Writes receivers' records without the messages that are open, if they are not as good as they stand: with all
   * receivers there, what they have in flight is to be acknowledged, not written.
   */
  #commitRecords(): void {
    const { writer } = this.#parts;
    const openSeq = this.#intake.open.firstSeq;
    if (writer.hasRecords(openSeq)) {
      const records = new Group(openSeq);
      if (!this.#write(records, openSeq, false, true)) return;
      this.#onWritten(records, openSeq, false);
    }
    this.#intake.due.rested();
    this.#afterCommit();
  }

  /**
   * Writes receivers' records and nothing else. Rows that they are done with go with a later commit: what is drained is a
   * few dozen rows each time, and to delete so few at once costs three times as much.
   */
  #onRecordsDue(): void {
    const { writer, changes, checkpointFrames } = this.#parts;
    const { open, due } = this.#intake;
    if (!this.#writes || !changes.empty || (open.count > 0 && !writer.isApart(open.firstSeq))) {
      this.#onLazyDue();
      return;
    }
    const records = new Group(open.firstSeq);
    if (this.#tried(records, () => writer.writeRecords(open.firstSeq))) {
      this.#onWritten(records, open.firstSeq, false);
      due.changed();
      if (this.#frames >= checkpointFrames) this.startCheckpoint();
    }
    this.#tellOfRecords();
  }

  #tellOfRecords(): void {
    if (!this.#late) this.#recordWaiters.tell();
  }

  /** Writes the open group now, or as soon as the gate opens. @returns false when nothing was written */
  commit(saveGrown = false): boolean {
    const { health, checkpoint, changes } = this.#parts;
    if (health.failed || this.#closed) {
      this.#refuseAll();
      return false;
    }
    if (!checkpoint.open) {
      this.#late = true;
      return false;
    }
    // What room is left is for acknowledgements of receivers, which make more.
    this.#refuseMessages();
    const group = this.#intake.open;
    const endSeq = this.lastSeq + 1;
    const changed = !changes.empty;
    if (!this.#write(group, endSeq, saveGrown, false)) return false;
    this.#late = false;
    this.#retried = false;
    this.#intake.next();
    this.#onWritten(group, endSeq, changed);
    this.#afterCommit();
    return true;
  }

  #write(group: Group, endSeq: number, saveGrown: boolean, apart: boolean): boolean {
    return this.#tried(group, () => this.#parts.writer.write(group, endSeq, saveGrown, apart));
  }

  #tried(group: Group, write: () => void): boolean {
    try {
      write();
      return true;
    } catch (error) {
      this.#onRefused(group, error);
      return false;
    }
  }

  #onWritten(group: Group, endSeq: number, changed: boolean): void {
    const { file, wal, meter, sync } = this.#parts;
    const frames = file.walFrames();
    if (frames !== this.#frames) {
      wal.written++;
      this.#commits.value++;
      meter.committed(logBytes(this.#frames, frames, sync === "full"));
      this.#frames = frames;
    }
    this.#written.add(group, endSeq, changed);
  }

  /** Last of all those who wait are told: what they call finds everything in its place. */
  #afterCommit(): void {
    if (this.#parts.writer.unfinished) this.#intake.due.waited();
    this.#parts.onCommit();
    if (this.#parts.shrink.checkpointDue() || this.#frames >= this.#parts.checkpointFrames) this.startCheckpoint();
    this.#written.tell();
    this.#tellOfRecords();
  }

  /** Moves the log into the database, receivers' counts brought up to date first. */
  startCheckpoint(): void {
    const { places, checkpoint, health } = this.#parts;
    if (!checkpoint.open || checkpoint.held || health.failed) return;
    if (places.grown.size > 0 && !this.#savingGrown) {
      // Comes back here at its end when the log is over its limit.
      this.#savingGrown = true;
      this.commit(true);
      this.#savingGrown = false;
    }
    checkpoint.request();
  }

  // ---- what the disk answers ---------------------------------------------------------------------------------

  /** Step 9. */
  onWalSynced(): void {
    this.#written.tell();
    this.#parts.checkpoint.advance();
    this.#written.sync();
    this.#quietStep();
  }

  /** The checkpoint is over: what waited is written. */
  onGateOpen(): void {
    if (this.#parts.checkpoint.takeRestarted()) this.#frames = 1;
    if (this.#late) this.commit();
    this.#tellOfRecords();
    this.#quietStep();
  }

  // ---- trouble -----------------------------------------------------------------------------------------------

  #onRefused(group: Group, error: unknown): void {
    const { file, writer, health, checkpoint } = this.#parts;
    const refusal = health.refusalOf(error);
    if (refusal === null) {
      health.fail("commit", error);
      if (!(error instanceof SqliteError)) throw error; // our own mistake
      return;
    }
    try {
      if (file.db.inTransaction) file.statements.rollback.run();
    } catch (rollbackError) {
      health.fail("rollback", rollbackError);
      return;
    }
    writer.rollback(group);
    this.#intake.due.reset();
    if (refusal === "full" && !this.#retried && this.#frames > 1) {
      // A new round of the log has the whole file again. If that does not help, or cannot be had, the disk is full.
      this.#retried = true;
      this.#late = true;
      checkpoint.request();
      return;
    }
    this.#retried = false;
    this.#late = false;
    health.setRefusal(refusal);
    this.#refuseMessages();
    this.#parts.onCommit();
  }

  /** While the disk refuses: so are messages; changes stay and are tried again, and who waits for them goes on waiting. */
  #refuseMessages(): void {
    const { refusal } = this.#parts.health;
    if (refusal === null) return;
    this.#intake.refuse(refusal === "full" ? QUOTA_EXCEEDED : IMPLEMENTATION_SPECIFIC_ERROR, true);
  }

  /** Step 15. Called when `health` has failed. */
  onFailed(): void {
    this.#written.fail(IMPLEMENTATION_SPECIFIC_ERROR);
    this.#refuseAll();
    this.#quietStep();
  }

  #refuseAll(): void {
    this.#intake.due.reset();
    this.#late = false;
    this.#intake.refuse(IMPLEMENTATION_SPECIFIC_ERROR, false);
  }

  // ---- the end -----------------------------------------------------------------------------------------------

  /** Step 14: the last commit, synced, no checkpoint under way. Resolves at once after a failure. */
  quiet(): Promise<void> {
    return new Promise((resolve) => {
      this.#onQuiet = () => {
        this.#closed = true;
        this.#intake.due.reset();
        this.#late = false;
        this.#written.stop();
        resolve();
      };
      this.#quietStep();
    });
  }

  #quietStep(): void {
    const onQuiet = this.#onQuiet;
    if (onQuiet === null) return;
    const { health, checkpoint, wal, places } = this.#parts;
    if (!health.failed) {
      if (!checkpoint.closable) return;
      // What is left to delete or to give back is the next start's: it may be much, and nobody waits for it.
      const { writer } = this.#parts;
      while (this.#intake.hasWork(writer.stateDue) || places.grown.size > 0) if (!this.commit(true)) break;
      if (!health.failed && !checkpoint.closable) return;
      if (!health.failed && wal.synced < wal.written) {
        wal.start();
        return;
      }
    }
    this.#onQuiet = null;
    this.#refuseAll();
    onQuiet();
  }
}
