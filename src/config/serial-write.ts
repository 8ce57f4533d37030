/** `serial[].write`: which messages become frames to the device, how, and what their responses are. */
import { bytePattern, frameTemplate } from "./frame-template.ts";
import type { Section } from "./section.ts";
import { filterProblem, isOwnTopic, templateProblem } from "./topics.ts";

export type PayloadFormat = "raw" | "utf8" | "hex" | "base64";

export interface SerialWriteConfig {
  /** Topic filter. */
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  /** What the payload of a message has to be: any bytes, text, or bytes in hexadecimal or base64. */
  readonly format: PayloadFormat;
  /** Of the frame, as frame-template.ts reads it; null = the payload alone. */
  readonly template: string | null;
  /** From the end of what was on the wire to the frame. */
  readonly gapMs: number;
  /** The device answers each frame; null = it does not. */
  readonly request: SerialRequestConfig | null;
}

export interface SerialRequestConfig {
  readonly timeoutMs: number;
  /** Times the frame is written again when no response comes. */
  readonly retries: number;
  /** What a response looks like; null = the next frame is one. */
  readonly match: string | null;
  /** Template of the topic for the response to a message without Response Topic; null = as other frames of the device. */
  readonly reply: string | null;
  /** Payload of what is published when no response comes; null = nothing is. */
  readonly failure: string | null;
}

const WRITES_MAX = 32;
const GAP_MAX_MS = 60_000;
const TIMEOUT_MS = 1000;
const TIMEOUT_MAX_MS = 60_000;
const RETRIES_MAX = 10;

/**
 * One or a list; none when absent or `off`.
 * @param lines frames are lines, in which no line end may stand
 */
export function readWrites(serial: Section, name: string, lines: boolean): readonly SerialWriteConfig[] {
  if (serial.source("write") === "off") return [];
  if (!serial.isList("write")) {
    const inner = serial.section("write");
    return inner === null ? [] : [readWrite(inner, `serial/${name}/set`, lines)];
  }
  const writes = (serial.sections("write") ?? []).map((inner) => {
    if (!inner.has("topic")) inner.complain("topic", "is missing", "in a list each entry has its own");
    return readWrite(inner, `serial/${name}/set`, lines);
  });
  for (const [i, { topic }] of writes.entries()) {
    const first = writes.findIndex((other) => other.topic === topic);
    if (first < i)
      serial.complain(`write[${i}].topic`, `is that of write[${first}]`, "the first entry that matches holds");
  }
  if (writes.length > WRITES_MAX) serial.complain("write", `has ${writes.length} entries`, `at most ${WRITES_MAX}`);
  return writes;
}

function readWrite(section: Section, standard: string, lines: boolean): SerialWriteConfig {
  const topic = readFilter(section, standard);
  const write: SerialWriteConfig = {
    topic,
    qos: section.oneOf("qos", [0, 1, 2], 1),
    format: section.oneOf<PayloadFormat>("format", ["raw", "utf8", "hex", "base64"], "raw"),
    template: readTemplate(section, topic, lines),
    gapMs: section.duration("gap", 0, 0, GAP_MAX_MS),
    request: readRequest(section, topic),
  };
  section.finish();
  return write;
}

function readFilter(section: Section, standard: string): string {
  const topic = section.text("topic", standard);
  const problem = topic.startsWith("$share/") ? "is shared" : filterProblem(topic);
  if (problem === null) return topic;
  section.complain("topic", `${JSON.stringify(topic)} ${problem}`, 'write it like "plant/pump" or "plant/+/set"');
  return standard;
}

function readTemplate(section: Section, topic: string, lines: boolean): string | null {
  const text = section.text("payload", null);
  if (text === null) return null;
  const template = frameTemplate(text, topic);
  if (typeof template === "string") {
    section.complain("payload", template, 'write it like "SET {1} {payload}" or "hex: 02 {payload} 03"');
    return null;
  }
  if (lines && template.some((piece) => Buffer.isBuffer(piece) && /[\r\n]/.test(piece.toString("latin1")))) {
    section.complain("payload", "has a line end, which the framing adds", "remove it");
  }
  return text;
}

function readRequest(section: Section, topic: string): SerialRequestConfig | null {
  const inner = section.section("request");
  if (inner === null) return null;
  const request: SerialRequestConfig = {
    timeoutMs: inner.duration("timeout", TIMEOUT_MS, 1, TIMEOUT_MAX_MS),
    retries: inner.count("retries", 0, 0, RETRIES_MAX),
    match: readMatch(inner),
    reply: readReply(inner, topic),
    failure: inner.source("failure") === "off" ? null : inner.text("failure", ""),
  };
  inner.finish();
  return request;
}

function readMatch(section: Section): string | null {
  const text = section.text("match", null);
  if (text === null) return null;
  const pattern = bytePattern(text);
  if (typeof pattern !== "string") return text;
  section.complain("match", pattern, 'write it like "OK*" or "hex: 01 03 *"');
  return null;
}

function readReply(section: Section, filter: string): string | null {
  const reply = section.text("reply", null);
  if (reply === null) return null;
  const unknown = reply.match(/\{(?:node|client)\}/);
  const own = isOwnTopic(reply.replace(/^\{topic\}/, filter)) ? "is under $SYS" : null;
  const problem = unknown === null ? (templateProblem(reply, filter) ?? own) : `${unknown[0]} is no placeholder here`;
  if (problem === null) return reply;
  section.complain("reply", `${JSON.stringify(reply)}: ${problem}`, 'write it like "{topic}/reply"');
  return null;
}
