/** `uplinks[].forward` and `uplinks[].receive`: which topics go out, which come in, and under what name. */
import type { Section } from "./section.ts";
import { filterProblem, isOwnTopic, templateProblem } from "./topics.ts";

export interface ForwardRule {
  readonly match: string;
  readonly qos: "keep" | 0 | 1 | 2;
  /** Template of the remote topic: {topic}, {rest}, {1}.. */
  readonly to: string;
  readonly offline: "store" | "drop";
}

export interface ReceiveRule {
  /** Filter at the remote broker. */
  readonly match: string;
  readonly qos: 0 | 1 | 2;
  /** Template of the local topic. */
  readonly to: string;
}

export function readForward(uplink: Section): ForwardRule[] {
  return (uplink.sections("forward") ?? []).map((section) => {
    const match = readMatch(section);
    const rule: ForwardRule = {
      match,
      qos: section.oneOf<"keep" | 0 | 1 | 2>("qos", ["keep", 0, 1, 2], 1),
      to: readTo(section, match),
      offline: section.oneOf("offline", ["store", "drop"], "store"),
    };
    section.notBuilt("priority", "rules are drained in order of arrival for now: remove this key");
    section.finish();
    return rule;
  });
}

export function readReceive(uplink: Section): ReceiveRule[] {
  return (uplink.sections("receive") ?? []).map((section) => {
    const match = readMatch(section);
    const rule: ReceiveRule = { match, qos: section.oneOf("qos", [0, 1, 2], 1), to: readTo(section, match) };
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
