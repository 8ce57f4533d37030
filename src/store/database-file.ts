/**
 * The database file, its write-ahead log, and the descriptors through which both are synced. Holds what store.md calls
 * the delicate part: `synchronous` is NORMAL at rest and OFF only inside `copyPages` and `nextGeneration`.
 *
 * Nobody else may open the database file in this process: closing any descriptor of it drops SQLite's locks (POSIX).
 */
import fs from "node:fs";
import type { Database } from "better-sqlite3";
import { isDiskFull } from "./health.ts";
import { Statements } from "./statements.ts";
import type { Syncer } from "./sync.ts";

/** `PRAGMA auto_vacuum`: pages go back to the file system when we say so. */
export const INCREMENTAL = 2;

export class DatabaseFile {
  readonly path: string;
  readonly directory: string;
  readonly db: Database;
  readonly statements: Statements;
  readonly walFd: number;
  readonly databaseFd: number;
  /** Whether `giveBack` can: not in a file that an early version made, see `prepare` in open.ts. */
  readonly shrinkable: boolean;
  readonly #walInode: number;
  readonly #syncer: Syncer;

  constructor(path: string, directory: string, db: Database, walFd: number, databaseFd: number, syncer: Syncer) {
    this.path = path;
    this.directory = directory;
    this.db = db;
    this.statements = new Statements(db);
    this.shrinkable = db.pragma("auto_vacuum", { simple: true }) === INCREMENTAL;
    this.walFd = walFd;
    this.databaseFd = databaseFd;
    this.#walInode = fs.fstatSync(walFd).ino;
    this.#syncer = syncer;
  }

  /** Frames in the current round of the log. */
  walFrames(): number {
    return this.statements.walFrames.get()?.log ?? 0;
  }

  walBytes(): number {
    return fs.fstatSync(this.walFd).size;
  }

  /** Step 11: copies the log's pages into the database, no sync. The caller has synced the log. @returns true when all were copied */
  copyPages(): boolean {
    this.db.pragma("synchronous = OFF");
    try {
      const [row] = this.db.pragma("wal_checkpoint(PASSIVE)") as { busy: number; log: number; checkpointed: number }[];
      return row !== undefined && row.busy === 0 && row.log === row.checkpointed;
    } finally {
      this.db.pragma("synchronous = NORMAL");
    }
  }

  /** Takes up to `count` pages off the end of the file, within the transaction under way; those in use move to the front. */
  giveBack(count: number): void {
    // Not a prepared statement: SQLite frees one page a step, and better-sqlite3 makes one step.
    this.db.exec(`PRAGMA incremental_vacuum(${count})`);
  }

  /**
   * Step 13: a commit of one frame that starts the next round of the log. The caller has synced the database.
   * @param written the numbers of meter.ts, which go with it
   */
  nextGeneration(written: Buffer): void {
    this.db.pragma("synchronous = OFF");
    try {
      this.statements.generation.run(written);
    } finally {
      this.db.pragma("synchronous = NORMAL");
    }
  }

  /** Step 16. @returns false when somebody deleted or replaced the log under us */
  walInPlace(): boolean {
    if (fs.fstatSync(this.walFd).nlink !== 1) return false;
    try {
      return fs.statSync(`${this.path}-wal`).ino === this.#walInode;
    } catch {
      return false;
    }
  }

  /**
   * Step 14. The caller made sure that all is synced and no checkpoint is under way.
   * @param written as of `nextGeneration`, asked when only they are left to be written
   */
  close(written: () => Buffer): void {
    this.db.pragma("synchronous = FULL");
    try {
      this.db.pragma("wal_checkpoint(PASSIVE)");
      this.statements.generation.run(written());
    } catch (error) {
      if (!isDiskFull(error)) throw error; // SQLite has rolled back; the numbers are a little old, no more
    }
    this.db.close();
    this.#syncer.directory(this.directory);
    fs.closeSync(this.walFd);
    fs.closeSync(this.databaseFd);
  }
}
