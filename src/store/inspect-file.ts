/**
 * Opens a database that no gateway runs on, to look at it, and changes nothing: neither the file nor its log. SQLite
 * moves the log into the file when a connection closes, so this one is never closed; it ends with the process.
 */
import fs from "node:fs";
import path from "node:path";
import Database, { type Database as Db } from "better-sqlite3";
import { checkDataDir } from "./data-dir.ts";
import { inspect, type StoreReport } from "./inspect.ts";
import { type DataDirLock, lockDataDir } from "./lock.ts";
import { checkVersion } from "./migrations.ts";
import { DATABASE_NAME } from "./open.ts";

/** In the header: read version, 2 = with a write-ahead log. */
const READ_VERSION_AT = 19;
const WITH_LOG = 2;

/** Never closed, never collected. */
const kept: Db[] = [];

/** There is no database. */
export class NoStoreError extends Error {
  override readonly name = "NoStoreError";

  constructor(file: string) {
    super(`there is no store: ${file}`);
  }
}

/** @throws NoStoreError, DataDirLockedError: a gateway runs on it */
export function lockStopped(dataDir: string): DataDirLock {
  const file = path.join(dataDir, DATABASE_NAME);
  if (!fs.existsSync(file)) throw new NoStoreError(file);
  checkDataDir(dataDir);
  return lockDataDir(dataDir);
}

/**
 * Everything that can be said of the file. For one in a data directory the caller holds its lock, and ends the process
 * with `process.exit`.
 * @throws NoStoreError, NewerDatabaseError, ForeignDatabaseError
 */
export function inspectFile(file: string): StoreReport {
  const db = openUnchanged(file);
  try {
    checkVersion(db, file);
    const steps = inspect(db, file, true);
    for (;;) {
      const { value, done } = steps.next();
      if (done === true) return value;
    }
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error;
    return damaged(file, error);
  }
}

/** SQLite's own quick look at a copy. @returns "ok", or what is wrong */
export function quickCheck(file: string): string {
  try {
    const db = new Database(file, { readonly: true });
    try {
      checkVersion(db, file);
      return String(db.pragma("quick_check(1)", { simple: true }));
    } finally {
      db.close();
    }
  } catch (error) {
    return (error as Error).message;
  }
}

function openUnchanged(file: string): Db {
  if (!fs.existsSync(file)) throw new NoStoreError(file);
  const withLog = readVersion(file) === WITH_LOG;
  const db = new Database(file, { readonly: !withLog, timeout: 0 });
  kept.push(db);
  // Before the log is looked at: without it SQLite would make a -shm file.
  if (withLog) db.pragma("locking_mode = EXCLUSIVE");
  db.pragma("query_only = ON");
  db.pragma("temp_store = MEMORY");
  return db;
}

function readVersion(file: string): number {
  const header = Buffer.alloc(READ_VERSION_AT + 1);
  const fd = fs.openSync(file, "r");
  try {
    fs.readSync(fd, header, 0, header.length, 0);
  } finally {
    fs.closeSync(fd);
  }
  return header[READ_VERSION_AT] as number;
}

function damaged(path: string, { message }: Error): StoreReport {
  const size = fs.statSync(path).size;
  return {
    path,
    schemaVersion: 0,
    integrity: [message],
    databaseBytes: size,
    freeBytes: 0,
    rows: 0,
    bytes: 0,
    receivers: [],
    tables: [],
    problems: [`integrity: ${message}`],
    notes: [],
  };
}
