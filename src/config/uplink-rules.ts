/** `uplinks[].forward` and `uplinks[].receive`: which topics go out, which come in, and under what name. */
import type { Section } from "./section.ts";
import { filterProblem, isOwnTopic, templateProblem } from "./topics.ts";
import {
  type BatchConfig,
  type OnChangeConfig,
  type ReduceConfig,
  readBatch,
  readOnChange,
  readReduce,
} from "./uplink-aggregate.ts";
import { PRIORITY_MAX } from "./uplink-spool.ts";

export interface ForwardRule {
  readonly match: string;
  readonly qos: "keep" | 0 | 1 | 2;
  /** Template of the remote topic: {topic}, {rest}, {1}.., {node}, {client} */
  readonly to: string;
  readonly offline: "store" | "drop";
  readonly retain: "keep" | "clear";
  /** 0 to 7, the most urgent. */
  readonly priority: number;
  /** Not sent later than so long after it was accepted; null = whenever the link is there. */
  readonly expiryMs: number | null;
  readonly batch: BatchConfig | null;
  readonly reduce: ReduceConfig | null;
  readonly onChange: OnChangeConfig | null;
}

export interface ReceiveRule {
  /** Filter at the remote broker. */
  readonly match: string;
  readonly qos: 0 | 1 | 2;
  /** Template of the local topic. */
  readonly to: string;
  readonly retain: "keep" | "clear";
}

/** Message Expiry Interval is 32 bits of seconds. */
const EXPIRY_MAX_MS = 4_294_967_295_000;

export function readForward(uplink: Section): ForwardRule[] {
  return (uplink.sections("forward") ?? []).map((section) => {
    const match = readMatch(section);
    const rule: ForwardRule = {
      match,
      qos: section.oneOf<"keep" | 0 | 1 | 2>("qos", ["keep", 0, 1, 2], 1),
      to: readTo(section, match),
      offline: section.oneOf("offline", ["store", "drop"], "store"),
      retain: section.oneOf("retain", ["keep", "clear"], "keep"),
      priority: section.count("priority", 0, 0, PRIORITY_MAX),
      expiryMs: section.has("expiry") ? section.duration("expiry", EXPIRY_MAX_MS, 1000, EXPIRY_MAX_MS) : null,
      batch: readBatch(section),
      reduce: readReduce(section),
      onChange: readOnChange(section),
    };
    complainAboutAggregation(section, rule);
    section.finish();
    return rule;
  });
}

/** What is gathered over time has to be stored meanwhile. */
function complainAboutAggregation(section: Section, rule: ForwardRule): void {
  if (rule.batch === null && rule.reduce === null && rule.onChange === null) return;
  const how = "its messages are gathered from the store";
  if (rule.qos === 0 || rule.qos === "keep") section.complain("qos", `is ${rule.qos}, and ${how}`, "make it 1 or 2");
  if (rule.offline === "drop") section.complain("offline", `is drop, and ${how}`, "make it store");
}

export function readReceive(uplink: Section): ReceiveRule[] {
  return (uplink.sections("receive") ?? []).map((section) => {
    const match = readMatch(section);
    const rule: ReceiveRule = {
      match,
      qos: section.oneOf("qos", [0, 1, 2], 1),
      to: readTo(section, match),
      retain: section.oneOf("retain", ["keep", "clear"], "keep"),
    };
    // What variables make of it is seen when a message comes (uplink/topic-map.ts).
    if (isOwnTopic(rule.to.replace(/^\{topic\}/, match)))
      section.complain("to", "leads under $SYS", "only the gateway itself publishes there");
    section.finish();
    return rule;
  });
}

/** @returns a valid filter; "#" where it was not */
export function readMatch(section: Section): string {
  const match = section.text("match", "#");
  const problem = filterProblem(match);
  if (problem === null) return match;
  section.complain("match", `${JSON.stringify(match)} is no topic filter: ${problem}`, 'write it like "sensors/#"');
  return "#";
}

function readTo(section: Section, match: string): string {
  const to = section.text("to", "{topic}");
  const problem = templateProblem(to, match);
  if (problem !== null) section.complain("to", `${JSON.stringify(to)}: ${problem}`, 'write it like "site/17/{topic}"');
  return to;
}
