/**
 * In place of a store that the disk does not let open: one that keeps nothing and refuses whatever would have to be kept,
 * so that the gateway can route what is live and say how it stands. It is a store that has failed, like one whose disk
 * failed later; its files lie in memory and have no names.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { SqliteError } from "better-sqlite3";
import { isReadOnly } from "./health.ts";
import type { StoreOptions } from "./options.ts";
import { openStore, type SqliteStore } from "./store.ts";

/** Where files are not on the disk, if the system has any such place. */
const FOLDERS = ["/dev/shm", os.tmpdir()];

/** What a disk, or the file system on it, says when it is at fault; not EACCES and the like, which are mistakes in the set-up. */
const DISK_ERRORS = new Set(["EIO", "EROFS", "ENOSPC", "EDQUOT", "EUCLEAN", "ENXIO", "ENODEV", "ETIMEDOUT"]);

/**
 * Opens the store of `options.dataDir`, or the stand-in when the disk is at fault.
 * @throws DataDirLockedError, NewerDatabaseError, ForeignDatabaseError, and what is no fault of the disk
 */
export async function openStoreOrStandIn(options: StoreOptions): Promise<SqliteStore> {
  try {
    return await openStore(options);
  } catch (error) {
    if (!isDiskFault(error, options.dataDir)) throw error;
    const dataDir = makeFolder();
    const store = await openStore({ ...options, dataDir, reserveBytes: 0 });
    fs.rmSync(dataDir, { recursive: true, force: true });
    store.fail("start", error);
    return store;
  }
}

function makeFolder(): string {
  for (const folder of FOLDERS) {
    try {
      return fs.mkdtempSync(path.join(folder, "sluice-"));
    } catch {
      // The next one.
    }
  }
  throw new Error(`no room for a store, neither in ${FOLDERS.join(" nor in ")}`);
}

function isDiskFault(error: unknown, dataDir: string): boolean {
  if (!(error instanceof SqliteError)) return DISK_ERRORS.has((error as NodeJS.ErrnoException).code ?? "");
  if (/^SQLITE_(IOERR|FULL)/.test(error.code)) return true;
  return /^SQLITE_(READONLY|CANTOPEN)/.test(error.code) && isReadOnly(dataDir);
}
