/** `store`: when and how much is written. */
import type { Section } from "./section.ts";

export type SyncMode = "full" | "normal" | "off";

export interface StoreConfig {
  readonly sync: SyncMode;
  /** How long a message may wait for company; auto = follows the uplink's round trip, 20 to 250 ms. */
  readonly commitDelayMs: number | "auto";
  /** A group this large is committed at once. */
  readonly commitBytes: number;
  /** Of the database file. */
  readonly maxBytes: number;
}

export const SYNC_MODES = ["full", "normal", "off"] as const;
/** A device waits this long for its acknowledgement; most give up after some seconds. */
export const COMMIT_DELAY_MAX_MS = 5000;

export function readStore(root: Section): StoreConfig {
  const section = root.sectionOrEmpty("store");
  const store: StoreConfig = {
    sync: section.oneOf("sync", SYNC_MODES, "full"),
    commitDelayMs: section.duration<"auto">("commit_delay", "auto", 0, COMMIT_DELAY_MAX_MS, "auto"),
    commitBytes: section.bytes("commit_bytes", 256 * 1024, 4096, 16 * 2 ** 20),
    maxBytes: section.bytes("max_bytes", 512 * 2 ** 20, 4 * 2 ** 20, 2 ** 50),
  };
  section.notBuilt("write_budget_per_day", "writes are not metered against a budget yet: remove this key");
  section.notBuilt("endurance", "wear is not estimated yet: remove this key");
  section.finish();
  return store;
}
