/**
 * Steps 10 to 13: moves the log's pages into the database without a sync on the main thread.
 *
 *     IDLE --wanted--> DRAINING --all synced, pages copied--> SYNCING_DATABASE --> RESTARTING --> SYNCING_RESTART --> IDLE
 *                       wait for the                            fdatasync of       one-frame       fdatasync of
 *                       sync of the log                         the database       commit          the log
 *
 * Not one write transaction may run outside IDLE: SQLite believes that the pages are safe as soon as they are copied,
 * and the next transaction would overwrite the frames that are their only durable copy. The one-frame commit of
 * RESTARTING is the exception: on the medium it is either whole, and starts a new round of the log over a synced
 * database, or broken, and recovery finds the old round or an empty log, which both equal the database.
 */
import { assert } from "../base/assert.ts";
import type { Counter, Counters } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import type { DatabaseFile } from "./database-file.ts";
import type { Health } from "./health.ts";
import { CHECKPOINT, logBytes, type WriteMeter } from "./meter.ts";
import { PAGE_BYTES } from "./schema.ts";
import type { Syncer } from "./sync.ts";
import type { ThreadWrites } from "./thread-writes.ts";
import type { WalSync } from "./wal-sync.ts";

const IDLE = 0;
const DRAINING = 1;
const SYNCING_DATABASE = 2;
const RESTARTING = 3;
const SYNCING_RESTART = 4;

export interface CheckpointParts {
  readonly file: DatabaseFile;
  readonly wal: WalSync;
  readonly syncer: Syncer;
  readonly health: Health;
  readonly meter: WriteMeter;
  readonly writes: ThreadWrites;
  readonly log: Log;
  readonly counters: Counters;
  /** The gate is open again: write what waited. */
  readonly onOpen: () => void;
}

export class Checkpoint {
  readonly #parts: CheckpointParts;
  readonly #done: Counter;
  #phase = IDLE;
  #restarted = false;
  /** Longest synchronous stretch of copying. */
  copyMsMax = 0;
  /** A backup takes its last pages: checkpoints that can wait do. */
  held = false;
  /** Told before pages are copied: those that the log has change in the database file. */
  onCopy: (() => void) | null = null;

  constructor(parts: CheckpointParts) {
    this.#parts = parts;
    this.#done = parts.counters.counter("store.checkpoints");
  }

  /** Whether write transactions may run (step 7). */
  get open(): boolean {
    return this.#phase === IDLE;
  }

  /** Whether the file may be closed: the log is not the only copy of anything that the database lacks a sync for. */
  get closable(): boolean {
    return this.#phase === IDLE || this.#phase === RESTARTING;
  }

  /** Whether a new round of the log has begun since the last call. */
  takeRestarted(): boolean {
    const restarted = this.#restarted;
    this.#restarted = false;
    return restarted;
  }

  /** Step 10. */
  request(): void {
    if (this.#phase !== IDLE || this.#parts.health.failed) return;
    this.#phase = DRAINING;
    this.advance();
  }

  /** The log was synced, or a pause after a full disk is over. */
  advance(): void {
    const { wal, health } = this.#parts;
    if (health.failed) return;
    if (this.#phase === RESTARTING) this.#restart();
    if (this.#phase !== DRAINING) return;
    if (wal.synced < wal.written) wal.start();
    else this.#copy();
  }

  /** Steps 11 and 12. */
  #copy(): void {
    const { file, syncer, health, log, meter, writes } = this.#parts;
    this.onCopy?.();
    const startedMs = performance.now();
    // Several frames of one page are copied once.
    const pagesMax = Math.min(file.walFrames(), file.statements.pages.get()?.[0] ?? 0);
    const before = writes.total();
    let complete = false;
    try {
      complete = file.copyPages();
    } catch (error) {
      // The log still holds everything, and all of it is on the medium: the copying can be done again.
      const refusal = health.refusalOf(error);
      if (refusal === null) {
        health.fail("checkpoint", error);
        return;
      }
      health.setRefusal(refusal);
    }
    meter.add(CHECKPOINT, writes.since(before, pagesMax * PAGE_BYTES));
    this.copyMsMax = Math.max(this.copyMsMax, performance.now() - startedMs);
    if (!complete) {
      if (health.refusal === null) log.warn("store-checkpoint-incomplete");
      this.#open();
      return;
    }
    this.#phase = SYNCING_DATABASE;
    syncer.start(file.databaseFd, this.#onDatabaseSynced);
  }

  readonly #onDatabaseSynced = (error: Error | null): void => {
    const { health } = this.#parts;
    if (health.failed) return;
    if (error !== null) {
      health.fail("sync of the database", error);
      return;
    }
    this.#phase = RESTARTING;
    this.#restart();
  };

  /** Step 13. */
  #restart(): void {
    const { file, syncer, health, meter } = this.#parts;
    try {
      file.nextGeneration(meter.encode());
    } catch (error) {
      // Refused: whatever of the frame is there is broken, and the database is synced. It is tried again.
      const refusal = health.refusalOf(error);
      if (refusal !== null) health.setRefusal(refusal);
      else health.fail("restart of the write-ahead log", error);
      return;
    }
    assert(file.walFrames() === 1, "a new round of the write-ahead log begins with one frame");
    meter.add(CHECKPOINT, logBytes(0, 1, true));
    this.#phase = SYNCING_RESTART;
    syncer.start(file.walFd, this.#onRestartSynced);
  }

  readonly #onRestartSynced = (error: Error | null): void => {
    const { health } = this.#parts;
    if (health.failed) return;
    if (error !== null) {
      health.fail("sync of the restarted write-ahead log", error);
      return;
    }
    this.#done.value++;
    this.#restarted = true;
    this.#open();
  };

  #open(): void {
    this.#phase = IDLE;
    this.#parts.onOpen();
  }
}
