/**
 * Whether the store stores: ok, full (the disk or `store.max_bytes`; space may return), read-only (the file system; it
 * may be writable again) or failed (an I/O error; only a restart helps). Each change is logged once and told to whoever
 * asked.
 */
import fs from "node:fs";
import path from "node:path";
import { SqliteError } from "better-sqlite3";
import type { Log } from "../base/log.ts";
import type { StoreHealth } from "../core/ports.ts";

/** `store.health` as a number. */
export const HEALTH_RANK: Record<StoreHealth, number> = { ok: 0, full: 1, failed: 2, "read-only": 3 };

/** The disk takes no writes at present; SQLite has rolled back what met it. */
export type Refusal = "full" | "read-only";

const REASONS: Record<Refusal, string> = {
  full: "no space left on the disk",
  "read-only": "the file system is read-only",
};

/** Written and removed again to see what the file system says. */
export const PROBE_NAME = "sluice.probe";

export class Health {
  readonly #directory: string;
  readonly #log: Log;
  readonly #onChange: (health: StoreHealth) => void;
  #failed = false;
  /** The disk refused a write. */
  #refusal: Refusal | null = null;
  /** The database has reached `store.max_bytes`. */
  #limitReached = false;
  #reason = "";
  /** What it failed with. */
  error: unknown = null;

  constructor(directory: string, log: Log, onChange: (health: StoreHealth) => void) {
    this.#directory = directory;
    this.#log = log;
    this.#onChange = onChange;
  }

  get state(): StoreHealth {
    if (this.#failed) return "failed";
    return this.#refusal ?? (this.#limitReached ? "full" : "ok");
  }

  get failed(): boolean {
    return this.#failed;
  }

  get refusal(): Refusal | null {
    return this.#refusal;
  }

  get limitReached(): boolean {
    return this.#limitReached;
  }

  /** Why it is not ok; "" when it is. */
  get reason(): string {
    return this.state === "ok" ? "" : this.#reason;
  }

  /** Step 15: nothing is written, synced or acknowledged any more. */
  fail(doing: string, error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.error = error;
    this.#reason = `${doing}: ${error instanceof Error ? error.message : String(error)}`;
    this.#log.error("store-failed", { doing, error: this.#reason, durable: false });
    this.#onChange("failed");
  }

  /** Runs a read of the database; when SQLite cannot, the store has failed and `otherwise` is the answer. */
  reading<T>(read: () => T, otherwise: T): T {
    if (this.#failed) return otherwise;
    try {
      return read();
    } catch (error) {
      if (!(error instanceof SqliteError)) throw error;
      this.fail("read", error);
      return otherwise;
    }
  }

  /**
   * What a failed write or truncation means: the disk's refusal, with nothing lost but the attempt, or null: an error.
   * A sync that failed is always an error.
   */
  refusalOf(error: unknown): Refusal | null {
    if (isDiskFull(error)) return "full";
    if (!(error instanceof SqliteError) || !READ_ONLY_CODES.test(error.code)) return null;
    return this.isReadOnly() ? "read-only" : null;
  }

  isReadOnly(): boolean {
    return isReadOnly(this.#directory);
  }

  /** @param refusal null = the disk takes writes again */
  setRefusal(refusal: Refusal | null): void {
    if (this.#refusal === refusal) return;
    this.#set(() => {
      this.#refusal = refusal;
      if (refusal !== null) this.#reason = REASONS[refusal];
    });
  }

  setLimitReached(reached: boolean): void {
    if (this.#limitReached === reached) return;
    this.#set(() => {
      this.#limitReached = reached;
      if (reached) this.#reason = "store.max_bytes reached";
    });
  }

  #set(change: () => void): void {
    const before = this.state;
    change();
    const after = this.state;
    if (before === after) return;
    if (after === "ok") this.#log.info("store-ok");
    else this.#log.warn(`store-${after}`, { reason: this.#reason });
    this.#onChange(after);
  }
}

/** SQLite does not tell EROFS from EIO; a file of our own does. */
export function isReadOnly(directory: string): boolean {
  const probe = path.join(directory, PROBE_NAME);
  try {
    fs.writeFileSync(probe, "x", { mode: 0o600 });
    fs.rmSync(probe, { force: true });
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EROFS";
  }
}

/** What SQLite says of a write, or a change of size, that the file system refused. */
const READ_ONLY_CODES = /^SQLITE_(IOERR_WRITE|IOERR_TRUNCATE|READONLY)/;

/** No space left: SQLite has rolled the transaction back, and nothing is lost but the attempt. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof SqliteError && error.code === "SQLITE_FULL";
}
