/** Brings the database file to the schema of this version, or refuses one that a newer version wrote. */
import { type Database, SqliteError } from "better-sqlite3";
import { APPLICATION_ID, SCHEMA_1, SCHEMA_2, SCHEMA_3, SCHEMA_VERSION } from "./schema.ts";

/** The file was written by a newer Sluice: it is left as it is. */
export class NewerDatabaseError extends Error {
  override readonly name = "NewerDatabaseError";
  readonly path: string;
  readonly version: number;

  constructor(path: string, version: number) {
    super(
      `${path} has schema version ${version}, written by a newer version of Sluice; this one knows up to ${SCHEMA_VERSION}`,
    );
    this.path = path;
    this.version = version;
  }
}

/** The file is an SQLite database, but not one of ours. */
export class ForeignDatabaseError extends Error {
  override readonly name = "ForeignDatabaseError";

  constructor(path: string) {
    super(`${path} is a database of another program`);
  }
}

/** Steps from version n to n + 1, by n. Each runs in one transaction with the change of `user_version`. */
const STEPS: readonly ((db: Database) => void)[] = [
  (db) => {
    db.pragma(`application_id = ${APPLICATION_ID}`);
    db.exec(SCHEMA_1);
  },
  (db) => {
    db.exec(SCHEMA_2);
  },
  (db) => {
    db.exec(SCHEMA_3);
  },
];

/** A version beyond it was written by nobody: the header is damaged. */
const VERSION_MAX = 1000;

/**
 * To be called before anything is written to the file.
 * @throws NewerDatabaseError, ForeignDatabaseError, or SqliteError (SQLITE_CORRUPT) for a header that contradicts the rest
 */
export function checkVersion(db: Database, path: string): void {
  const version = numberOf(db, "user_version");
  const ours = numberOf(db, "application_id") === APPLICATION_ID;
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all() as string[];
  if (version === 0 && tables.length === 0) return;
  const likeOurs = tables.includes("log") && tables.includes("receiver") && tables.includes("generation");
  if (!ours && !likeOurs) throw new ForeignDatabaseError(path);
  if (!ours || version < 1 || version > VERSION_MAX)
    throw new SqliteError(
      `the header says version ${version} of application ${ours ? "Sluice" : "unknown"}`,
      "SQLITE_CORRUPT",
    );
  if (version > SCHEMA_VERSION) throw new NewerDatabaseError(path, version);
}

export function migrate(db: Database): void {
  for (let version = numberOf(db, "user_version"); version < SCHEMA_VERSION; version++) {
    db.transaction(() => {
      STEPS[version]?.(db);
      db.pragma(`user_version = ${version + 1}`);
    })();
  }
}

function numberOf(db: Database, pragma: string): number {
  return Number(db.pragma(pragma, { simple: true }));
}
