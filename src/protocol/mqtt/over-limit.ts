/**
 * What is longer or deeper than a limit of the configuration: counted by the limit's key (mqtt.refused.topic_levels),
 * and put into words that name it.
 */
import { CLIENT_IDENTIFIER_NOT_VALID, QUOTA_EXCEEDED, SUCCESS, TOPIC_NAME_INVALID } from "../../wire/mqtt/codes.ts";
import { longestStringBytes } from "../../wire/mqtt/property-strings.ts";
import { because } from "./reason-words.ts";
import type { MqttServer } from "./server.ts";

/** @param key  of `limits`  @returns code */
export function overLimit(server: MqttServer, code: number, key: string, words: string): number {
  countOver(server, key);
  return because(server, code, words);
}

export function countOver(server: MqttServer, key: string): void {
  server.parts.counters.counter(`mqtt.refused.${key}`).value++;
}

/** A topic name of `bytes` and `levels` is beyond one of the two limits. @returns TOPIC_NAME_INVALID */
export function topicOverLimit(server: MqttServer, bytes: number, levels: number): number {
  const { topicBytes, topicLevels } = server.limits;
  return bytes > topicBytes
    ? overLimit(
        server,
        TOPIC_NAME_INVALID,
        "topic_bytes",
        `topic of ${bytes} bytes: limits.topic_bytes is ${topicBytes}`,
      )
    : overLimit(
        server,
        TOPIC_NAME_INVALID,
        "topic_levels",
        `topic has ${levels} levels: limits.topic_levels is ${topicLevels}`,
      );
}

/** @returns `code` when a string of `bytes` is too long, else SUCCESS */
export function checkString(server: MqttServer, what: string, bytes: number, code: number): number {
  const { stringBytes } = server.limits;
  if (bytes <= stringBytes) return SUCCESS;
  return overLimit(server, code, "string_bytes", `${what} of ${bytes} bytes: limits.string_bytes is ${stringBytes}`);
}

export function checkClientId(server: MqttServer, bytes: number): number {
  return checkString(server, "client id", bytes, CLIENT_IDENTIFIER_NOT_VALID);
}

/**
 * The strings of a property block: no walk through one that is itself no longer than a string may be.
 * @returns QUOTA_EXCEEDED or SUCCESS
 */
export function checkProperties(server: MqttServer, bytes: Buffer, from: number, length: number): number {
  if (length <= server.limits.stringBytes) return SUCCESS;
  return checkString(server, "property", longestStringBytes(bytes, from, from + length), QUOTA_EXCEEDED);
}
