/**
 * Stores that take a step of src/store/README.md in the wrong order, to see that the exploration finds them; and
 * SQLite's own FULL, where it must find nothing. They are made in the recorded process, by replacing methods of the
 * parts that do the steps: the product has no seam for them.
 */
import fs from "node:fs";
import Database, { type Database as Db } from "better-sqlite3";
import { Checkpoint } from "../../../src/store/checkpoint.ts";
import { DatabaseFile } from "../../../src/store/database-file.ts";
import { Syncer } from "../../../src/store/sync.ts";

type Done = (error: Error | null) => void;

/** What the workload has to know of a wrong order. */
export interface Surroundings {
  /** The configuration's `store.sync`. */
  sync: "full" | "normal";
  /** Called once the database's sync is under way, if the order closes the gateway then. */
  closeWhileGated: boolean;
  onDatabaseSync: () => void;
}

interface Wrong {
  /** In a sentence: the exploration finds a store that ... */
  readonly what: string;
  readonly apply: (around: Surroundings) => void;
  /** How the lives of the process end that show it; null = as in any other run. */
  readonly lives: readonly string[] | null;
  /** Whether a sync of the log fails in the first life. */
  readonly fails: boolean;
  /** Each sync takes so much longer, where the usual time is too short to see it. */
  readonly slowUs?: number;
}

const isDatabase = (fd: number): boolean => fs.readlinkSync(`/proc/self/fd/${fd}`).endsWith("/sluice.db");

function replaceSync(how: (fd: number, done: Done, real: (done: Done) => void) => void): void {
  const real = Syncer.prototype.start;
  Syncer.prototype.start = function start(fd: number, done: Done): void {
    how(fd, done, (answer) => real.call(this, fd, answer));
  };
}

/** Pragmas that SQLite gets instead of those that the product gives. */
function replacePragma(how: (text: string) => unknown): void {
  const real = Database.prototype.pragma;
  Database.prototype.pragma = function pragma(this: Db, text: string, options?: Database.PragmaOptions): unknown {
    const answer = how(text);
    return typeof answer === "string" ? real.call(this, answer, options) : answer;
  };
}

/** The pages are in the database, as SQLite sees it, before its time. */
function copyAtOnce(): void {
  let file: DatabaseFile | null = null;
  const walFrames = DatabaseFile.prototype.walFrames;
  DatabaseFile.prototype.walFrames = function frames(): number {
    file = this;
    return walFrames.call(this);
  };
  const request = Checkpoint.prototype.request;
  Checkpoint.prototype.request = function early(): void {
    if (this.open) file?.copyPages();
    request.call(this);
  };
}

/** Commits go on while the database is synced; what they write begins the next round of the log. */
function neverGated(): void {
  let syncing = false;
  let begun = false;
  const open = Object.getOwnPropertyDescriptor(Checkpoint.prototype, "open")?.get as () => boolean;
  Object.defineProperty(Checkpoint.prototype, "open", {
    get(this: Checkpoint) {
      return syncing || open.call(this);
    },
  });
  replaceSync((fd, done, real) => {
    syncing = isDatabase(fd);
    begun = begun || syncing;
    real((error) => {
      syncing = false;
      done(error);
    });
  });
  oneFrameWhatever(() => begun);
}

/** Step 13 looks as if the round began with one frame. */
function oneFrameWhatever(since: () => boolean): void {
  const walFrames = DatabaseFile.prototype.walFrames;
  const nextGeneration = DatabaseFile.prototype.nextGeneration;
  let next = false;
  DatabaseFile.prototype.nextGeneration = function generation(written: Buffer): void {
    nextGeneration.call(this, written);
    next = since();
  };
  DatabaseFile.prototype.walFrames = function frames(): number {
    if (!next) return walFrames.call(this);
    next = false;
    return 1;
  };
}

function withoutGeneration(): void {
  replacePragma((text) => (text === "synchronous = NORMAL" ? "synchronous = OFF" : text));
  DatabaseFile.prototype.nextGeneration = () => {};
  oneFrameWhatever(() => true);
}

function smallJournal(): void {
  replacePragma((text) => (text === "journal_size_limit = -1" ? "journal_size_limit = 65536" : text));
}

function closeUnderOff(): void {
  const close = DatabaseFile.prototype.close;
  DatabaseFile.prototype.close = function closeOff(written: () => Buffer): void {
    replacePragma((text) => (text === "synchronous = FULL" ? "synchronous = OFF" : text));
    close.call(this, written);
  };
}

function closeWhileGated(around: Surroundings): void {
  around.closeWhileGated = true;
  let syncing = false;
  const closable = Object.getOwnPropertyDescriptor(Checkpoint.prototype, "closable")?.get as () => boolean;
  Object.defineProperty(Checkpoint.prototype, "closable", {
    get(this: Checkpoint) {
      return syncing || closable.call(this);
    },
  });
  replaceSync((fd, done, real) => {
    syncing = isDatabase(fd);
    real(done);
    if (syncing) around.onDatabaseSync();
  });
}

function retrySync(): void {
  replaceSync((_fd, done, real) => real((error) => (error === null ? done(null) : real(done))));
}

/** Step 2 finds no log to write anew. */
function withoutRewriting(): void {
  const statSync = fs.statSync;
  const blind = (path: fs.PathLike, options?: fs.StatSyncOptions): unknown =>
    String(path).endsWith("sluice.db-wal") && options?.throwIfNoEntry === false ? undefined : statSync(path, options);
  Object.assign(fs, { statSync: blind });
}

/** Neither step 2 nor step 4. */
function continueLog(): void {
  withoutRewriting();
  replacePragma((text) => (text === "wal_checkpoint(TRUNCATE)" ? [{ busy: 0 }] : text));
}

/** SQLite syncs as it sees fit, and nobody else does. */
function ownFull(): void {
  replacePragma((text) => (text.startsWith("synchronous = ") ? "synchronous = FULL" : text));
  replaceSync((_fd, done) => setImmediate(done, null));
}

const plain = { lives: null, fails: false };
const afterFailure = { lives: ["fail", "kill", "kill"], fails: true };

export const WRONG_ORDERS: Readonly<Record<string, Wrong>> = {
  w1: {
    what: "acknowledges before the log is synced",
    apply: (around) => {
      around.sync = "normal";
    },
    ...plain,
  },
  w2: {
    what: "never syncs the database",
    apply: () => replaceSync((fd, done, real) => (isDatabase(fd) ? setImmediate(done, null) : real(done))),
    ...plain,
  },
  w3: { what: "writes while the sync of the database runs", apply: neverGated, ...plain },
  w4: { what: "copies pages before the log is synced", apply: copyAtOnce, ...plain },
  c1: { what: "does not sync the header of a restarted log", apply: withoutGeneration, ...plain },
  c4j: { what: "lets SQLite truncate the log", apply: smallJournal, ...plain },
  w5: { what: "closes with synchronous=OFF", apply: closeUnderOff, lives: ["close", "close", "close"], fails: false },
  gated: {
    what: "closes while the database is being synced",
    apply: closeWhileGated,
    lives: ["close", "close", "close"],
    fails: false,
    slowUs: 20_000,
  },
  w6: { what: "tries a failed sync again", apply: retrySync, lives: ["kill"], fails: true },
  step2: { what: "does not write an inherited log anew", apply: withoutRewriting, ...afterFailure },
  w7: { what: "continues an inherited log", apply: continueLog, ...afterFailure },
};

/** @param order a name of WRONG_ORDERS, "full" for SQLite's own, "" for the product's */
export function applyOrder(order: string, around: Surroundings): void {
  if (order === "full") ownFull();
  else if (order !== "") WRONG_ORDERS[order]?.apply(around);
}
