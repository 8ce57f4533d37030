import { levelCount } from "../../../core/topic.ts";

export interface TopicLimits {
  readonly topicLevels: number;
  readonly topicBytes: number;
}

/** Why nothing may be published under a topic. */
export type TopicCause =
  | "topic_wildcard"
  | "topic_reserved"
  | "topic_empty_level"
  | "topic_characters"
  | "topic_too_long";

/** @returns null when something may be; as strict as names that a device had a hand in should be */
export function topicCause(topic: string, limits: TopicLimits): TopicCause | null {
  if (topic === "" || topic.startsWith("/") || topic.endsWith("/") || topic.includes("//")) return "topic_empty_level";
  if (topic.startsWith("$")) return "topic_reserved";
  if (Buffer.byteLength(topic) > limits.topicBytes || levelCount(topic) > limits.topicLevels) return "topic_too_long";
  for (let i = 0; i < topic.length; i++) {
    const code = topic.charCodeAt(i);
    if (code === 0x2b || code === 0x23) return "topic_wildcard"; // + #
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return "topic_characters"; // [MQTT5-1.5.4-2] and the SHOULD NOTs of 1.5.4
  }
  return topic.isWellFormed() ? null : "topic_characters";
}
