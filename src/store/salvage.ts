/**
 * A damaged database at start: set aside with its log, and what can be read brought into a fresh one before anything
 * else goes on. Each step may be the last before a power cut:
 *
 *     1  mark: where the file goes                               (synced)
 *     2  log, then database, renamed to there                    (directory synced after each)
 *     3  rows into sluice.db-salvaged                            (synced; from the beginning at each start)
 *     4  report beside the file set aside                        (synced)
 *     5  sluice.db-salvaged becomes sluice.db                    (directory synced)
 *     6  mark removed
 *
 * A start that finds the mark goes on: with step 6 if both the file set aside and `sluice.db` are there, else with 2.
 * The file set aside is only read. A salvage that fails, or three starts that did not come to its end, leave an empty
 * store: a gateway that takes no messages helps nobody, and nothing is lost that is not in the file.
 */
import fs from "node:fs";
import path from "node:path";
import Database from "better-sqlite3";
import type { Counters } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import {
  damagedPath,
  pruneDamaged,
  readMark,
  removeMark,
  type SalvageMark,
  writeMark,
  writeReport,
} from "./damaged-files.ts";
import { migrate } from "./migrations.ts";
import { SalvageCopy, type TableCount } from "./salvage-copy.ts";
import { DamagedFile } from "./salvage-file.ts";
import { Trees } from "./salvage-trees.ts";
import { PAGE_BYTES } from "./schema.ts";
import type { Syncer } from "./sync.ts";

/** A salvage ends after so long; what it has not reached stays in the file set aside. */
export const SALVAGE_MS_MAX = 45_000;
const PROGRESS_MS = 3_000;
const ATTEMPTS_MAX = 3;
const CACHE_KIB = 1024;

export interface SalvageParts {
  readonly syncer: Syncer;
  readonly log: Log;
  readonly counters: Counters;
  /** Unix ms. */
  readonly wallMs: number;
  /** For tests. */
  readonly salvageMsMax?: number;
}

/** Steps 1 to 6 for a file just found damaged. @param error what was found */
export function salvage(file: string, parts: SalvageParts, error: unknown): void {
  const directory = path.dirname(file);
  const reason = error instanceof Error ? error.message : String(error);
  const { wallMs, syncer, log, counters } = parts;
  const mark = { movedTo: path.basename(damagedPath(directory, wallMs)), reason, wallMs, attempts: 0 };
  counters.counter("store.moved_aside").value++;
  log.error("store-damaged", { movedTo: mark.movedTo, reason });
  writeMark(directory, mark, syncer);
  proceed(file, mark, parts);
}

/** Ends what an earlier start began, if one did. */
export function finishSalvage(file: string, parts: SalvageParts): void {
  const directory = path.dirname(file);
  const mark = readMark(directory);
  if (mark === null) return;
  if (fs.existsSync(file) && fs.existsSync(path.join(directory, mark.movedTo))) {
    removeMark(directory, parts.syncer);
    return;
  }
  parts.log.warn("store-salvage-resumed", { movedTo: mark.movedTo, attempts: mark.attempts });
  parts.counters.counter("store.moved_aside").value++;
  proceed(file, mark, parts);
}

function proceed(file: string, mark: SalvageMark, parts: SalvageParts): void {
  const directory = path.dirname(file);
  const { syncer } = parts;
  const aside = path.join(directory, mark.movedTo);
  writeMark(directory, { ...mark, attempts: mark.attempts + 1 }, syncer);
  for (const suffix of ["-wal", ""]) {
    if (fs.existsSync(file + suffix)) fs.renameSync(file + suffix, aside + suffix);
    syncer.directory(directory);
  }
  const fresh = `${file}-salvaged`;
  const { problem, tables } = copy(aside, fresh, mark, parts);
  syncer.file(fresh);
  const { reason, wallMs } = mark;
  writeReport({ movedTo: aside, reason, wallMs, complete: problem === "", problem, tables }, syncer);
  fs.renameSync(fresh, file);
  syncer.directory(directory);
  removeMark(directory, syncer);
  tell(aside, problem, tables, parts);
}

interface Outcome {
  /** Why not all was read; "" when it was. */
  readonly problem: string;
  readonly tables: Readonly<Record<string, TableCount>>;
}

/** Step 3. */
function copy(aside: string, fresh: string, mark: SalvageMark, parts: SalvageParts): Outcome {
  const roomBytes = 2 * (fs.statSync(aside, { throwIfNoEntry: false })?.size ?? 0);
  for (const gone of pruneDamaged(path.dirname(aside), roomBytes))
    parts.log.warn("store-damaged-deleted", { path: gone });
  if (mark.attempts >= ATTEMPTS_MAX) return empty(fresh, `${mark.attempts} starts did not come to the end of it`);
  try {
    return copyRows(aside, fresh, parts);
  } catch (error) {
    parts.log.error("store-salvage-failed", { reason: String(error) });
    return empty(fresh, String(error));
  }
}

function copyRows(aside: string, fresh: string, parts: SalvageParts): Outcome {
  const db = freshDatabase(fresh);
  const damaged = new DamagedFile(aside);
  let copying: SalvageCopy | null = null;
  try {
    const watch = new Watch(damaged.pages, parts);
    const trees = new Trees(damaged, watch.onPages);
    copying = new SalvageCopy(db, trees);
    let problem = "";
    try {
      copying.run();
      if (trees.stopped) problem = `the time was up (${watch.limitMs / 1000} s)`;
    } catch (error) {
      if (!isFull(error)) throw error;
      problem = "no space left on the disk";
    }
    copying.finish();
    return { problem, tables: copying.counts };
  } finally {
    damaged.close();
    db.close();
  }
}

/** Nothing is asked of it but that it is whole once it is closed and synced: until then a crash begins anew. */
function freshDatabase(fresh: string): Database.Database {
  fs.rmSync(fresh, { force: true });
  fs.rmSync(`${fresh}-journal`, { force: true });
  const db = new Database(fresh);
  db.pragma(`page_size = ${PAGE_BYTES}`);
  db.pragma("auto_vacuum = INCREMENTAL");
  db.pragma("journal_mode = MEMORY");
  db.pragma("synchronous = OFF");
  db.pragma(`cache_size = -${CACHE_KIB}`);
  migrate(db);
  return db;
}

function empty(fresh: string, problem: string): Outcome {
  freshDatabase(fresh).close();
  return { problem, tables: {} };
}

function isFull(error: unknown): boolean {
  return error instanceof Database.SqliteError && error.code === "SQLITE_FULL";
}

/** The clock, and words about how far it is. */
class Watch {
  readonly #pages: number;
  readonly #log: Log;
  readonly #startedMs = performance.now();
  readonly limitMs: number;
  #toldMs = performance.now();

  constructor(pages: number, parts: SalvageParts) {
    this.#pages = pages;
    this.#log = parts.log;
    this.limitMs = parts.salvageMsMax ?? SALVAGE_MS_MAX;
  }

  readonly onPages = (pages: number): boolean => {
    const nowMs = performance.now();
    if (nowMs - this.#toldMs >= PROGRESS_MS) {
      this.#toldMs = nowMs;
      this.#log.info("store-salvaging", { pagesRead: pages, pages: this.#pages });
    }
    return nowMs - this.#startedMs < this.limitMs;
  };
}

function tell(aside: string, problem: string, tables: Outcome["tables"], { log, counters }: SalvageParts): void {
  const of = (key: keyof TableCount): number => Object.values(tables).reduce((sum, count) => sum + count[key], 0);
  counters.counter("store.salvaged_rows").value += of("saved");
  counters.counter("store.salvage_lost_rows").value += of("lost");
  counters.counter("store.salvage_lost_pages").value += of("lostPages");
  const words = Object.entries(tables).map(([name, { saved, lost, lostPages }]) => {
    const missing = lost + lostPages === 0 ? "" : ` (lost: ${lost} rows, ${lostPages} pages)`;
    return `${name} ${saved}${missing}`;
  });
  log.error("store-salvaged", { movedTo: aside, complete: problem === "", problem, rows: words.join(", ") });
}
