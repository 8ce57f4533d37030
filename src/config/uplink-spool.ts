/** `uplinks[].spool`: what may wait for the link, per priority class. */
import type { Section } from "./section.ts";

export interface SpoolLimits {
  readonly maxBytes: number;
  readonly maxMessages: number;
  readonly maxAgeMs: number;
  readonly whenFull: "drop-oldest" | "drop-newest" | "refuse" | "latest-per-topic";
}

/** Limits of each class that has no entry of its own in `priorities`. */
export interface SpoolConfig extends SpoolLimits {
  readonly priorities: readonly (SpoolLimits & { readonly priority: number })[];
}

export const PRIORITY_MAX = 7;

const DAY_MS = 86_400_000;
const DEFAULTS: SpoolLimits = {
  maxBytes: 256 * 2 ** 20,
  maxMessages: 1_000_000,
  maxAgeMs: 7 * DAY_MS,
  whenFull: "drop-oldest",
};

export function readSpool(uplink: Section): SpoolConfig {
  const section = uplink.sectionOrEmpty("spool");
  const limits = readLimits(section, DEFAULTS);
  const priorities: (SpoolLimits & { priority: number })[] = [];
  for (const [i, entry] of (section.sections("priorities") ?? []).entries()) {
    const at = `priorities[${i}].priority`;
    if (!entry.has("priority")) section.complain(at, "is missing", `say which class it is: 0 to ${PRIORITY_MAX}`);
    const priority = entry.count("priority", 0, 0, PRIORITY_MAX);
    if (priorities.some((other) => other.priority === priority))
      section.complain(at, `${priority} has an entry already`, "put its limits into one");
    priorities.push({ priority, ...readLimits(entry, limits) });
    entry.finish();
  }
  section.finish();
  return { ...limits, priorities };
}

/** The limits of one class. */
export function spoolLimitsOf(spool: SpoolConfig, priority: number): SpoolLimits {
  return spool.priorities.find((entry) => entry.priority === priority) ?? spool;
}

function readLimits(section: Section, defaults: SpoolLimits): SpoolLimits {
  const policies = ["drop-oldest", "drop-newest", "refuse", "latest-per-topic"] as const;
  return {
    maxBytes: section.bytes("max_bytes", defaults.maxBytes, 64 * 1024, 2 ** 50),
    maxMessages: section.count("max_messages", defaults.maxMessages, 1, 1_000_000_000),
    maxAgeMs: section.duration("max_age", defaults.maxAgeMs, 1000, 3650 * DAY_MS),
    whenFull: section.oneOf("when_full", policies, defaults.whenFull),
  };
}
