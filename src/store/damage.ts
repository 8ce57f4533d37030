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
