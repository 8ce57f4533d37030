/**
 * Steps 8 and 9: brings the write-ahead log to the medium, one sync at a time. What is committed while a sync runs
 * waits for the next one, so that two commits are under way at most however slow the disk is.
 */
import type { DatabaseFile } from "./database-file.ts";
import type { Health } from "./health.ts";
import type { Syncer } from "./sync.ts";

export class WalSync {
  readonly #file: DatabaseFile;
  readonly #syncer: Syncer;
  readonly #health: Health;
  readonly #onSynced: () => void;
  /** Commits that are in the log, and those of them that are on the medium. */
  written = 0;
  synced = 0;
  /** `written` when the sync under way began; -1 = none is. */
  #target = -1;

  constructor(file: DatabaseFile, syncer: Syncer, health: Health, onSynced: () => void) {
    this.#file = file;
    this.#syncer = syncer;
    this.#health = health;
    this.#onSynced = onSynced;
  }

  get running(): boolean {
    return this.#target >= 0;
  }

  start(): void {
    if (this.running || this.synced === this.written || this.#health.failed) return;
    this.#target = this.written;
    this.#syncer.start(this.#file.walFd, this.#done);
  }

  readonly #done = (error: Error | null): void => {
    const target = this.#target;
    this.#target = -1;
    if (this.#health.failed) return;
    if (error !== null) {
      this.#health.fail("sync of the write-ahead log", error);
      return;
    }
    this.synced = target;
    this.#onSynced();
  };
}
