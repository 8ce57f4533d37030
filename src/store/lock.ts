/**
 * One gateway per data directory. The lock is the kernel's: an exclusive fcntl lock on `sluice.lock`, taken by SQLite
 * in a transaction that stays open. It ends with the process whatever ends it, so there is no stale lock to judge, and
 * it holds across containers that share the directory. `sluice.pid` only says who; it decides nothing.
 *
 * The database's own lock would not do: closing any descriptor of the database file drops it (POSIX). For the same
 * reason nobody in this process may open `sluice.lock`.
 */
import fs from "node:fs";
import path from "node:path";
import Database, { SqliteError } from "better-sqlite3";

export class DataDirLockedError extends Error {
  override readonly name = "DataDirLockedError";
  /** Of the gateway that holds the directory; 0 when it could not be read. */
  readonly pid: number;

  constructor(dataDir: string, pid: number) {
    const who = pid === 0 ? "another gateway" : `another gateway, pid ${pid}`;
    super(`${dataDir} is in use by ${who}`);
    this.pid = pid;
  }
}

export interface DataDirLock {
  release(): void;
}

/** @throws DataDirLockedError when another gateway holds the directory */
export function lockDataDir(dataDir: string): DataDirLock {
  const pidFile = path.join(dataDir, "sluice.pid");
  const db = new Database(path.join(dataDir, "sluice.lock"), { timeout: 0 });
  try {
    db.pragma("journal_mode = MEMORY");
    db.pragma("cache_size = -16");
    db.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    db.close();
    if (error instanceof SqliteError && error.code.startsWith("SQLITE_BUSY"))
      throw new DataDirLockedError(dataDir, readPid(pidFile));
    throw error;
  }
  writePid(pidFile);
  return {
    release(): void {
      try {
        fs.rmSync(pidFile, { force: true });
      } catch {
        // On a read-only file system: it decides nothing.
      }
      db.close();
    },
  };
}

function writePid(pidFile: string): void {
  try {
    fs.writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 });
  } catch {
    // On a full disk: the lock holds all the same, and a second gateway learns no pid.
  }
}

function readPid(pidFile: string): number {
  try {
    const pid = Number.parseInt(fs.readFileSync(pidFile, "utf8"), 10);
    return Number.isSafeInteger(pid) && pid > 0 ? pid : 0;
  } catch {
    return 0;
  }
}
