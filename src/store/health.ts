/**
 * Whether the store stores: ok, full (the disk or `store.max_bytes`; space may return) or failed (an I/O error; only a
 * restart helps). Each change is logged once and told to whoever asked.
 */
import { SqliteError } from "better-sqlite3";
import type { Log } from "../base/log.ts";
import type { StoreHealth } from "../core/ports.ts";

/** `store.health` as a number. */
export const HEALTH_RANK: Record<StoreHealth, number> = { ok: 0, full: 1, failed: 2 };

export class Health {
  readonly #log: Log;
  readonly #onChange: (health: StoreHealth) => void;
  #failed = false;
  /** The disk refused a write. */
  #diskFull = false;
  /** The database has reached `store.max_bytes`. */
  #limitReached = false;
  #reason = "";
  /** What it failed with. */
  error: unknown = null;

  constructor(log: Log, onChange: (health: StoreHealth) => void) {
    this.#log = log;
    this.#onChange = onChange;
  }

  get state(): StoreHealth {
    if (this.#failed) return "failed";
    return this.#diskFull || this.#limitReached ? "full" : "ok";
  }

  get failed(): boolean {
    return this.#failed;
  }

  get diskFull(): boolean {
    return this.#diskFull;
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

  setDiskFull(full: boolean): void {
    if (this.#diskFull === full) return;
    this.#set(() => {
      this.#diskFull = full;
      if (full) this.#reason = "no space left on the disk";
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
    if (after === "full") this.#log.warn("store-full", { reason: this.#reason });
    else this.#log.info("store-ok");
    this.#onChange(after);
  }
}

/** No space left: SQLite has rolled the transaction back, and nothing is lost but the attempt. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof SqliteError && error.code === "SQLITE_FULL";
}
