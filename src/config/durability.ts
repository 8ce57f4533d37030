/** `durability`: other moments of acknowledgement for some topics. */
import type { Section } from "./section.ts";
import { COMMIT_DELAY_MAX_MS, SYNC_MODES, type SyncMode } from "./store.ts";
import { readMatch } from "./uplink-rules.ts";

export interface DurabilityRule {
  readonly match: string;
  /** null = as in `store`. */
  readonly commitDelayMs: number | null;
  /** null = as in `store`. */
  readonly sync: SyncMode | null;
}

export function readDurability(root: Section): DurabilityRule[] {
  return (root.sections("durability") ?? []).map((section) => {
    const rule: DurabilityRule = {
      match: readMatch(section),
      commitDelayMs: section.has("commit_delay") ? section.duration("commit_delay", 0, 0, COMMIT_DELAY_MAX_MS) : null,
      sync: section.has("sync") ? section.oneOf("sync", SYNC_MODES, "full") : null,
    };
    if (rule.commitDelayMs === null && rule.sync === null) {
      section.complain("", "changes nothing", "give commit_delay, sync or both");
    }
    section.finish();
    return rule;
  });
}
