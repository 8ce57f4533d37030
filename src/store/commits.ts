/**
 * Group commit (step 7): collects what is to be written, writes it as one transaction when it is due, and tells the
 * waiters when the medium has it.
 *
 *     append, settle ... --> open group --commit--> written groups --sync of the log--> told, forgotten
 *                              |  |
 *            elided: told <----+  +----> refused: the disk is full or has failed
 *
 * The open group is due `commit_delay` after its oldest message entered, at `commit_bytes`, or at the end of the turn
 * for an urgent message (due.ts). Messages that every receiver acknowledged before that leave it and are never written;
 * when nothing is left, no timer runs.
 */
import { SqliteError } from "better-sqlite3";
import type { Counter, Counters } from "../base/counters.ts";
import { type Message, OPEN, WITHDRAWN } from "../core/message.ts";
import { SETTLED, type StoreWaiter } from "../core/ports.ts";
import type { Changes } from "./changes.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { DatabaseFile } from "./database-file.ts";
import { Due } from "./due.ts";
import { Group } from "./group.ts";
import { type Health, isDiskFull } from "./health.ts";
import type { Places } from "./places.ts";
import { FRAME_BYTES, PAGE_BYTES } from "./schema.ts";
import type { Shrink } from "./shrink.ts";
import { Soon } from "./soon.ts";
import type { WalSync } from "./wal-sync.ts";
import type { Writer } from "./writer.ts";

/** Reason codes of MQTT 5. */
export const QUOTA_EXCEEDED = 0x97;
export const IMPLEMENTATION_SPECIFIC_ERROR = 0x83;

/** `sync: normal`: what is written is on the medium after this time. */
const NORMAL_SYNC_MS = 5000;

export interface CommitParts {
  readonly file: DatabaseFile;
  readonly writer: Writer;
  readonly shrink: Shrink;
  readonly wal: WalSync;
  readonly checkpoint: Checkpoint;
  readonly health: Health;
  readonly places: Places;
  readonly changes: Changes;
  readonly counters: Counters;
  readonly sync: "full" | "normal" | "off";
  readonly nowMs: () => number;
  readonly delayMs: () => number;
  readonly commitBytes: number;
  /** Frames of the log after which it is moved into the database. */
  readonly checkpointFrames: number;
  /** A transaction was written, or refused by a full disk. */
  readonly onCommit: () => void;
}

export class Commits {
  readonly #parts: CommitParts;
  #open: Group;
  /** Written and not yet on the medium, oldest first. */
  readonly #written: Group[] = [];
  #writtenBytes = 0;
  lastSeq: number;
  /** Messages up to here are on the medium at the configured durability, or were never written. */
  durableSeq: number;
  readonly #due: Due;
  #syncTimer: NodeJS.Timeout | null = null;
  /** Due when the gate was closed. */
  #late = false;
  readonly #soon = new Soon();
  #frames: number;
  #onQuiet: (() => void) | null = null;
  #closed = false;
  #savingGrown = false;
  /** A full disk was met, and a checkpoint is to make room before anybody is refused. */
  #retried = false;
  readonly #counts: Record<"commits" | "bytes" | "elided" | "withdrawn", Counter>;

  constructor(parts: CommitParts, lastSeq: number) {
    this.#parts = parts;
    this.lastSeq = lastSeq;
    this.durableSeq = lastSeq;
    this.#open = new Group(lastSeq + 1);
    this.#frames = parts.file.walFrames();
    const { counters, nowMs, delayMs } = parts;
    this.#due = new Due({ nowMs, delayMs, oldestMs: () => this.#open.oldestMs, onDue: () => this.#onDue() });
    this.#counts = {
      commits: counters.counter("store.commits"),
      bytes: counters.counter("store.bytes_written"),
      elided: counters.counter("store.elided"),
      withdrawn: counters.counter("store.withdrawn"),
    };
  }

  /** Bytes of messages that are in memory because the medium does not have them yet. */
  get pendingBytes(): number {
    return this.#open.bytes + this.#writtenBytes + this.#parts.changes.retainedBytes;
  }

  get frames(): number {
    return this.#frames;
  }

  /** Groups whose messages are still in memory, in log order; the last is the open one. */
  *groups(): Generator<Group> {
    yield* this.#written;
    yield this.#open;
  }

  // ---- what enters -------------------------------------------------------------------------------------------

  append(message: Message, urgent: boolean): void {
    message.seq = ++this.lastSeq;
    message.state = OPEN;
    const nowMs = this.#parts.nowMs();
    this.#open.add(message, nowMs);
    if (urgent || this.#open.bytes >= this.#parts.commitBytes) this.#due.soon();
    else this.#due.entered(nowMs);
  }

  settle(message: Message, id: number): void {
    if (message.state !== OPEN) return;
    const index = message.receiverIds.indexOf(id);
    if (index < 0) return;
    message.receiverIds[index] = 0;
    if (--message.pending > 0) return;
    message.state = WITHDRAWN;
    this.#open.elide(message);
    this.#counts.elided.value++;
    this.#soon.settled(message);
  }

  /** The message's retained value is in `changes`. */
  retained(message: Message): void {
    if (message.waiter === null) this.#due.changed();
    else this.#due.waited();
    if (message.waiter !== null && message.seq === 0) this.#open.rowless.push(message);
    if (this.#parts.changes.retainedBytes >= this.#parts.commitBytes && !this.#parts.health.diskFull) this.#due.soon();
  }

  barrier(waiter: StoreWaiter, token: number): void {
    if (this.#hasWork()) {
      this.#open.barriers.push({ waiter, token });
      this.#due.waited();
      return;
    }
    const last = this.#written.at(-1);
    if (last !== undefined) last.barriers.push({ waiter, token });
    else this.#soon.tell(waiter, token, this.#parts.health.failed ? IMPLEMENTATION_SPECIFIC_ERROR : SETTLED);
  }

  /** Something is in `changes`, or a receiver was touched. */
  changed(): void {
    this.#due.changed();
  }

  #onDue(): void {
    if (this.#hasWork()) this.commit();
  }

  #hasWork(): boolean {
    const { count, rowless, barriers } = this.#open;
    const { changes, places, writer } = this.#parts;
    return (
      count > 0 ||
      rowless.length > 0 ||
      barriers.length > 0 ||
      !changes.empty ||
      places.touched.length > 0 ||
      writer.unfinished
    );
  }

  // ---- the commit --------------------------------------------------------------------------------------------

  /** Writes the open group now, or as soon as the gate opens. @returns false when nothing was written */
  commit(saveGrown = false): boolean {
    const { health, checkpoint, writer } = this.#parts;
    if (health.failed || this.#closed) {
      this.#refuseAll();
      return false;
    }
    if (!checkpoint.open) {
      this.#late = true;
      return false;
    }
    // What room is left is for acknowledgements of receivers, which make more.
    if (health.diskFull) this.#refuseMessages();
    const group = this.#open;
    try {
      writer.write(group, this.lastSeq + 1, saveGrown);
    } catch (error) {
      this.#onRefused(group, error);
      return false;
    }
    this.#due.reset();
    this.#late = false;
    this.#retried = false;
    this.#open = new Group(this.lastSeq + 1);
    this.#onWritten(group);
    if (writer.unfinished) this.#due.waited();
    this.#parts.onCommit();
    if (this.#frames >= this.#parts.checkpointFrames || this.#parts.shrink.checkpointDue()) this.startCheckpoint();
    return true;
  }

  /** Moves the log into the database, receivers' counts brought up to date first. */
  startCheckpoint(): void {
    const { places, checkpoint, health } = this.#parts;
    if (!checkpoint.open || health.failed) return;
    if (places.grown.size > 0 && !this.#savingGrown) {
      // Comes back here at its end when the log is over its limit.
      this.#savingGrown = true;
      this.commit(true);
      this.#savingGrown = false;
    }
    checkpoint.request();
  }

  #onWritten(group: Group): void {
    const { file, wal, sync } = this.#parts;
    const frames = file.walFrames();
    if (frames !== this.#frames) {
      wal.written++;
      this.#counts.commits.value++;
      this.#counts.bytes.value += (frames - this.#frames) * FRAME_BYTES;
      this.#frames = frames;
    }
    group.number = wal.written;
    group.writtenEndSeq = this.lastSeq + 1;
    if (sync === "full") {
      group.markWritten();
      this.#written.push(group);
      this.#writtenBytes += group.bytes;
      wal.start();
      if (!wal.running) this.#tellDurable();
      return;
    }
    this.#tell(group);
    if (sync === "normal" && this.#syncTimer === null && wal.synced < wal.written) {
      this.#syncTimer = setTimeout(this.#onSyncTimer, NORMAL_SYNC_MS);
    }
  }

  readonly #onSyncTimer = (): void => {
    this.#syncTimer = null;
    this.#parts.wal.start();
  };

  // ---- what the disk answers ---------------------------------------------------------------------------------

  /** Step 9. */
  onWalSynced(): void {
    const { wal, checkpoint, sync } = this.#parts;
    this.#tellDurable();
    checkpoint.advance();
    if (sync === "full") wal.start();
    this.#quietStep();
  }

  /** The checkpoint is over: what waited is written. */
  onGateOpen(): void {
    const copied = this.#parts.checkpoint.takeCopied();
    if (copied > 0) {
      this.#frames = 1;
      this.#counts.bytes.value += FRAME_BYTES + copied * PAGE_BYTES;
    }
    if (this.#late) this.commit();
    this.#quietStep();
  }

  #tellDurable(): void {
    const { wal } = this.#parts;
    while (this.#written.length > 0) {
      const group = this.#written[0] as Group;
      if (group.number > wal.synced) return;
      this.#written.shift();
      this.#writtenBytes -= group.bytes;
      this.#tell(group);
    }
  }

  #tell(group: Group): void {
    this.durableSeq = group.writtenEndSeq - 1;
    group.tellDurable();
  }

  // ---- trouble -----------------------------------------------------------------------------------------------

  #onRefused(group: Group, error: unknown): void {
    const { file, writer, health, checkpoint } = this.#parts;
    if (!isDiskFull(error)) {
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
    this.#due.reset();
    if (!this.#retried && this.#frames > 1) {
      // A new round of the log has the whole file again. If that does not help, or cannot be had, the disk is full.
      this.#retried = true;
      this.#late = true;
      checkpoint.request();
      return;
    }
    this.#retried = false;
    this.#late = false;
    health.setDiskFull(true);
    this.#refuseMessages();
    this.#parts.onCommit();
  }

  /** The disk is full: messages are refused; changes stay and are tried again, and who waits for them goes on waiting. */
  #refuseMessages(): void {
    const group = this.#open;
    this.#open = new Group(this.lastSeq + 1);
    this.#open.barriers = group.barriers;
    group.barriers = [];
    this.#refuse(group, QUOTA_EXCEEDED);
  }

  /** Step 15. Called when `health` has failed. */
  onFailed(): void {
    this.#due.reset();
    this.#late = false;
    if (this.#syncTimer !== null) clearTimeout(this.#syncTimer);
    const written = this.#written.splice(0);
    this.#writtenBytes = 0;
    for (const group of written) group.tellWaiters(IMPLEMENTATION_SPECIFIC_ERROR);
    this.#refuseAll();
    this.#quietStep();
  }

  #refuseAll(): void {
    const group = this.#open;
    this.#open = new Group(this.lastSeq + 1);
    this.#due.reset();
    this.#late = false;
    this.#refuse(group, IMPLEMENTATION_SPECIFIC_ERROR);
  }

  #refuse(group: Group, reason: number): void {
    this.#parts.changes.withdrawReceived();
    this.#counts.withdrawn.value += group.count;
    group.refuse(reason, this.#parts.places);
  }

  // ---- the end -----------------------------------------------------------------------------------------------

  /** Step 14: the last commit, synced, no checkpoint under way. Resolves at once after a failure. */
  quiet(): Promise<void> {
    return new Promise((resolve) => {
      this.#onQuiet = () => {
        this.#closed = true;
        this.#due.reset();
        this.#late = false;
        if (this.#syncTimer !== null) clearTimeout(this.#syncTimer);
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
      while (this.#hasWork() || places.grown.size > 0) if (!this.commit(true)) break;
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
