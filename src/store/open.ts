/**
 * Opens the database: steps 1 to 6 of the procedure in README.md. All syncs here block; no listener is open yet.
 */
import fs from "node:fs";
import path from "node:path";
import Database, { type Database as Db, SqliteError } from "better-sqlite3";
import type { Observation } from "../base/age-scale.ts";
import { assert } from "../base/assert.ts";
import type { KeptClock } from "../base/clock.ts";
import { resumeAges } from "./age-keeper.ts";
import { isDamageAtStart, isUnreadable } from "./damage.ts";
import { pruneDamaged } from "./damaged-files.ts";
import { DatabaseFile, INCREMENTAL } from "./database-file.ts";
import { isDiskFull, PROBE_NAME } from "./health.ts";
import { logBytes, UPKEEP, WriteMeter } from "./meter.ts";
import { checkVersion, migrate } from "./migrations.ts";
import { type Recounted, recount } from "./recount.ts";
import { finishSalvage, type SalvageParts, salvage } from "./salvage.ts";
import { walHeaderDamaged } from "./salvage-file.ts";
import { FRAME_BYTES, PAGE_BYTES } from "./schema.ts";
import { RESERVE_NAME } from "./space.ts";
import { makeStartRoom, reserveStartRoom } from "./start-room.ts";
import type { Syncer } from "./sync.ts";
import { ThreadWrites } from "./thread-writes.ts";

export const DATABASE_NAME = "sluice.db";
/** Left behind by a gateway that found the file damaged while running: the next start looks closely. */
const SUSPECT_NAME = "sluice.db-suspect";
/** SQLite's page cache. */
export const CACHE_KIB = 1024;
/** In use, in a file that is written anew: 2 MiB take 3 ms here and as much memory. */
const REWRITE_PAGES_MAX = 512;
const COPY_CHUNK_BYTES = 1024 * 1024;

export interface OpenParts extends SalvageParts {
  readonly clock: KeptClock;
  /** Kept free for the next start; 0 = nothing is. */
  readonly startRoomBytes: number;
}

export interface Opened {
  readonly file: DatabaseFile;
  readonly contents: Recounted;
  /** What the wall clock told when age time was taken up. */
  readonly clockFound: Observation;
  readonly meter: WriteMeter;
  readonly writes: ThreadWrites;
}

/**
 * Steps 2 to 6. A file that SQLite finds damaged is moved aside, and a new one started with the rows that can be read.
 * @throws NewerDatabaseError, ForeignDatabaseError, or the error of a disk that does not work
 */
export function openDatabase(dataDir: string, parts: OpenParts): Opened {
  const file = path.join(dataDir, DATABASE_NAME);
  const walBytes = fs.statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  pruneDamaged(dataDir, 2 * parts.startRoomBytes);
  makeStartRoom(dataDir, walBytes, [RESERVE_NAME]);
  const writes = new ThreadWrites();
  const before = writes.total();
  const opened = openOrSalvage(file, dataDir, { ...parts, writes });
  if (!reserveStartRoom(dataDir, parts.startRoomBytes)) parts.log.warn("store-start-room-missing", { path: dataDir });
  // What is not in the first frame's numbers yet.
  opened.meter.add(UPKEEP, writes.since(before, opened.meter.written) - opened.meter.written);
  return opened;
}

interface OpenOnceParts extends OpenParts {
  readonly writes: ThreadWrites;
}

function openOrSalvage(file: string, dataDir: string, parts: OpenOnceParts): Opened {
  finishSalvage(file, parts);
  try {
    lookAtLog(file);
    return openOnce(file, dataDir, parts);
  } catch (error) {
    if (!isDamageAtStart(error) && !isBadSector(error, dataDir, parts.syncer)) throw error;
    salvage(file, parts, error);
    fs.rmSync(path.join(dataDir, SUSPECT_NAME), { force: true });
    return openOnce(file, dataDir, parts);
  }
}

/** A part of the file cannot be read on a medium that works otherwise. One that is gone altogether may come back with all of it. */
function isBadSector(error: unknown, dataDir: string, syncer: Syncer): boolean {
  if (!isUnreadable(error)) return false;
  const probe = path.join(dataDir, PROBE_NAME);
  try {
    fs.writeFileSync(probe, "x", { mode: 0o600 });
    syncer.file(probe);
    fs.rmSync(probe);
    return true;
  } catch {
    return false;
  }
}

/** What SQLite would not report: it takes such a log for empty and deletes it, and reads zeros behind the end. */
function lookAtLog(file: string): void {
  const wal = `${file}-wal`;
  const sizeOf = (name: string): number => fs.statSync(name, { throwIfNoEntry: false })?.size ?? 0;
  if (walHeaderDamaged(wal)) throw new SqliteError("the write-ahead log has no header", "SQLITE_CORRUPT");
  // With a log the end may be torn by a power cut, and be in the log: looked at after step 4.
  if (sizeOf(file) % PAGE_BYTES !== 0 && sizeOf(wal) === 0 && sizeOf(`${file}-journal`) === 0)
    throw new SqliteError("the file ends within a page", "SQLITE_CORRUPT");
  if (sizeOf(file) === 0 && sizeOf(wal) > 0) throw new SqliteError("a log without a database", "SQLITE_CORRUPT");
}

/** Damage found while running: the next start checks the whole file before it trusts it. */
export function markSuspect(dataDir: string): void {
  try {
    fs.writeFileSync(path.join(dataDir, SUSPECT_NAME), "");
  } catch {
    // The disk is in trouble already; the mark is a courtesy.
  }
}

const abandoned: Db[] = [];

function isDiskError(error: unknown): boolean {
  return error instanceof SqliteError
    ? error.code.startsWith("SQLITE_IOERR")
    : error instanceof Error && "errno" in error;
}

function openOnce(file: string, dataDir: string, parts: OpenOnceParts): Opened {
  const { syncer, writes } = parts;
  const before = writes.total();
  rewriteInheritedWal(file, dataDir, syncer);
  const db = new Database(file, { timeout: 0 });
  let databaseFd = -1;
  let walFd = -1;
  try {
    const inheritedFrames = prepare(db, file);
    lookClosely(db, dataDir);
    // Step 4: never append to an inherited log.
    const [checkpoint] = db.pragma("wal_checkpoint(TRUNCATE)") as { busy: number }[];
    assert(checkpoint?.busy === 0, "nobody else has the database open");
    // SQLite reads zeros for what is missing of the last page.
    if (fs.statSync(file).size % PAGE_BYTES !== 0)
      throw new SqliteError("the file ends within a page", "SQLITE_CORRUPT");
    // Step 5.
    walFd = fs.openSync(`${file}-wal`, "r");
    databaseFd = fs.openSync(file, "r");
    syncer.directory(dataDir);
    syncer.now(walFd);
    const opened = new DatabaseFile(file, dataDir, db, walFd, databaseFd, syncer);
    const contents = recount(opened.statements);
    const clockFound = resumeAges(db, contents.logState, parts.clock);
    // Step 6.
    const meter = new WriteMeter(opened.statements.written.get() ?? Buffer.alloc(0));
    meter.inherited(logBytes(0, inheritedFrames, true));
    const frames = opened.walFrames();
    meter.add(UPKEEP, writes.since(before, inheritedFrames * (FRAME_BYTES + PAGE_BYTES)));
    opened.statements.generation.run(meter.encode());
    meter.add(UPKEEP, logBytes(frames, frames + 1, true));
    syncer.now(walFd);
    db.pragma("synchronous = NORMAL");
    return { file: opened, contents, clockFound, meter, writes };
  } catch (error) {
    if (isDiskError(error)) {
      // Step 15: closing would write and sync once more. The process is about to end; until then nobody may collect it.
      abandoned.push(db);
      throw error;
    }
    db.close();
    if (walFd >= 0) fs.closeSync(walFd);
    if (databaseFd >= 0) fs.closeSync(databaseFd);
    throw error;
  }
}

/** Step 3. @returns frames of the log that the last run left behind */
function prepare(db: Db, file: string): number {
  // Before the first access to the write-ahead log, so that its index lies on the heap and there is no -shm file.
  db.pragma("locking_mode = EXCLUSIVE");
  db.pragma("synchronous = FULL");
  checkVersion(db, file);
  db.pragma(`page_size = ${PAGE_BYTES}`);
  db.pragma("auto_vacuum = INCREMENTAL");
  const mode = db.pragma("journal_mode = WAL", { simple: true });
  assert(mode === "wal", `journal mode is wal, not ${mode}`);
  db.pragma("wal_autocheckpoint = 0");
  db.pragma("journal_size_limit = -1");
  db.pragma("mmap_size = 0");
  db.pragma("temp_store = MEMORY");
  db.pragma(`cache_size = -${CACHE_KIB}`);
  const [inherited] = db.pragma("wal_checkpoint(NOOP)") as { log: number }[];
  migrate(db);
  makeShrinkable(db);
  return Math.max(0, inherited?.log ?? 0);
}

/**
 * A file from before auto_vacuum is written anew once, at a start that finds little in it. SQLite makes no other way;
 * with more in it, it keeps its size until then.
 */
function makeShrinkable(db: Db): void {
  if (db.pragma("auto_vacuum", { simple: true }) === INCREMENTAL) return;
  const pages = Number(db.pragma("page_count", { simple: true }));
  const free = Number(db.pragma("freelist_count", { simple: true }));
  if (pages - free > REWRITE_PAGES_MAX) return;
  db.pragma("auto_vacuum = INCREMENTAL");
  try {
    db.exec("VACUUM");
  } catch (error) {
    if (!isDiskFull(error)) throw error; // rolled back; at the next start, then
  }
}

/**
 * Step 2. After a failed sync the page cache may hold frames that are not on the medium; recovery would trust them,
 * and a power cut in the middle of its copying would leave a torn database. Written anew they are what they seem.
 */
function rewriteInheritedWal(file: string, dataDir: string, syncer: Syncer): void {
  const wal = `${file}-wal`;
  const copy = `${wal}-new`;
  fs.rmSync(copy, { force: true });
  const size = fs.statSync(wal, { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0) return;
  const source = fs.openSync(wal, "r");
  const target = fs.openSync(copy, "w", 0o600);
  try {
    const chunk = Buffer.allocUnsafe(COPY_CHUNK_BYTES);
    for (let at = 0; at < size; ) {
      const read = fs.readSync(source, chunk, 0, chunk.length, at);
      if (read === 0) break;
      for (let written = 0; written < read; )
        written += fs.writeSync(target, chunk, written, read - written, at + written);
      at += read;
    }
  } finally {
    fs.closeSync(source);
    fs.closeSync(target);
  }
  syncer.file(copy);
  fs.renameSync(copy, wal);
  syncer.directory(dataDir);
}

/** Reads through the small tables, which the registries are built from; through all when the last run left a mark. */
function lookClosely(db: Db, dataDir: string): void {
  const mark = path.join(dataDir, SUSPECT_NAME);
  const suspect = fs.existsSync(mark);
  const tables = suspect ? [null] : ["receiver", "session", "subscription", "inbound", "retained", "generation"];
  for (const table of tables) {
    const answer = db.pragma(table === null ? "integrity_check(1)" : `integrity_check(${table})`, { simple: true });
    if (answer !== "ok") throw new SqliteError(String(answer), "SQLITE_CORRUPT");
  }
  if (suspect) fs.rmSync(mark);
}
