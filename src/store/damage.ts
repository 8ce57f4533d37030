/**
 * Damaged files. SQLite notices a page that cannot be one; a page that is another's, or an older one, it reads as rows
 * that make no sense. What reads the log checks for those and speaks of them as SQLite does.
 */
import { SqliteError } from "better-sqlite3";

/** Row `seq` of the log is not what can have been written there. */
export function damagedRow(seq: number, why: string): Error {
  return new SqliteError(`row ${seq} of the log ${why}`, "SQLITE_CORRUPT");
}

export function isDamage(error: unknown): boolean {
  return error instanceof SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code);
}

/** The medium could not read a part of the file. */
export function isUnreadable(error: unknown): boolean {
  if (error instanceof SqliteError) return /^SQLITE_IOERR_(READ|SHORT_READ)/.test(error.code);
  const { code, syscall } = error as NodeJS.ErrnoException;
  return code === "EIO" && syscall === "read";
}

/** What the disk, or another program, is to blame for. */
const NOT_THE_FILE = /^SQLITE_(IOERR|FULL|BUSY|LOCKED|CANTOPEN|READONLY|NOMEM|PERM|AUTH|PROTOCOL|NOLFS|INTERRUPT)/;

/**
 * At start the statements are known to be right, so whatever SQLite says against the file is damage: a table that is
 * missing (a lost entry of the schema), a row that breaks a rule.
 */
export function isDamageAtStart(error: unknown): boolean {
  return error instanceof SqliteError && !NOT_THE_FILE.test(error.code);
}
