/** `serial[].errors`: where bytes go that are no frame. */
import type { Section } from "./section.ts";
import { isOwnTopic, topicProblem } from "./topics.ts";

export interface SerialErrors {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  /** `json`: an object with the cause, the time, how many bytes, and the bytes; `raw`: the bytes. */
  readonly format: "json" | "raw";
}

/** null = nowhere; `off` says so, too. */
export function readErrors(section: Section, topic: string): SerialErrors | null {
  if (section.source("errors") === "off") return null;
  const inner = section.section("errors");
  if (inner === null) return null;
  const errors: SerialErrors = {
    topic: inner.text("topic", topic),
    qos: inner.oneOf("qos", [0, 1, 2], 1),
    format: inner.oneOf("format", ["json", "raw"], "json"),
  };
  const problem = topicProblem(errors.topic);
  if (problem !== null) inner.complain("topic", `${JSON.stringify(errors.topic)} ${problem}`, "give one topic");
  if (isOwnTopic(errors.topic))
    inner.complain("topic", `${JSON.stringify(errors.topic)} is under $SYS`, "only the gateway itself publishes there");
  inner.finish();
  return errors;
}
