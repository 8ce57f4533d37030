/**
 * `durability`: other moments of acknowledgement for some topics. The first rule that matches a topic holds for it; what
 * that rule leaves out is as in `store`. A rule behind one that takes all of its topics is a mistake, and is said so.
 */
import type { Section } from "./section.ts";
import { COMMIT_DELAY_MAX_MS, SYNC_MODES, type SyncMode } from "./store.ts";
import { readMatch } from "./uplink-rules.ts";

export interface DurabilityRule {
  readonly match: string;
  /** How long its messages may wait for company; 0: they close the open commit group at once, for all. null = store.commit_delay */
  readonly commitDelayMs: number | null;
  /** When its messages are acknowledged. null = store.sync */
  readonly sync: SyncMode | null;
}

export function readDurability(root: Section): DurabilityRule[] {
  const rules: DurabilityRule[] = [];
  for (const section of root.sections("durability") ?? []) {
    const match = readMatch(section);
    const hasSync = section.has("sync");
    const hasDelay = section.has("commit_delay");
    const rule = {
      match,
      commitDelayMs: hasDelay ? section.duration("commit_delay", 0, 0, COMMIT_DELAY_MAX_MS) : null,
      sync: hasSync ? section.oneOf("sync", SYNC_MODES, "full") : null,
    };
    if (!hasDelay && !hasSync) section.complain("", "changes nothing", "give commit_delay: 0ms, or sync: off");
    const before = rules.findIndex((earlier) => covers(earlier.match, match));
    if (before >= 0)
      section.complain("", `never holds: durability[${before}] matches all its topics`, "put the narrower rule first");
    section.finish();
    rules.push(rule);
  }
  return rules;
}

/** Whether every topic that filter `b` matches is matched by filter `a`. */
function covers(a: string, b: string): boolean {
  const wide = a.split("/");
  const narrow = b.split("/");
  for (const [i, level] of wide.entries()) {
    const other = narrow[i];
    // [MQTT5-4.7.2-1] A wildcard in front does not match what begins with a $.
    if (level !== other && i === 0 && other?.startsWith("$")) return false;
    if (level === "#") return true;
    if (other === undefined || other === "#" || (level !== "+" && level !== other)) return false;
  }
  return wide.length === narrow.length;
}
