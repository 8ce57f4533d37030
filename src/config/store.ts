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
  /** As these run out, groups wait longer for company; "off" = they never do for that. */
  readonly writeBudgetPerDay: number | "off";
  /** Bytes that the medium can take in its life, as its maker says; null = not known. */
  readonly endurance: number | null;
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
    writeBudgetPerDay: section.bytes<"off">("write_budget_per_day", 2 * 2 ** 30, 2 ** 20, 2 ** 50, "off"),
    endurance: section.has("endurance") ? section.bytes("endurance", 10 ** 12, 10 ** 9, 10 ** 15) : null,
  };
  section.finish();
  return store;
}
