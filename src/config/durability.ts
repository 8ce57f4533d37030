/** `durability`: other moments of acknowledgement for some topics. */
import type { Section } from "./section.ts";
import { readMatch } from "./uplink-rules.ts";

export interface DurabilityRule {
  readonly match: string;
  /** 0: its messages close the open commit group at once, for all. */
  readonly commitDelayMs: number;
}

const HOUR_MS = 3_600_000;

export function readDurability(root: Section): DurabilityRule[] {
  return (root.sections("durability") ?? []).map((section) => {
    const rule = { match: readMatch(section), commitDelayMs: 0 };
    section.notBuilt("sync", "store.sync holds for all topics");
    if (!section.has("commit_delay")) {
      section.complain("", "changes nothing", "give commit_delay: 0ms");
    } else if (section.duration("commit_delay", 0, 0, HOUR_MS) !== 0) {
      section.complain("commit_delay", "other than 0ms is not built yet", "use 0ms, or leave the rule out");
    }
    section.finish();
    return rule;
  });
}
