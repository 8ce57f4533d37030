/** `serial[].publish` and `serial[].ignore`: what is published of a frame, and of which. */
import { groupsOf, linearPattern, patternWeight } from "../base/linear-pattern.ts";
import type { Section } from "./section.ts";
import { readFields, type SerialField } from "./serial-fields.ts";
import { BUILT_IN, filled, parseTemplate, placeholdersOf, type Template } from "./serial-template.ts";
import { isOwnTopic, topicProblem } from "./topics.ts";

/** Longest frame that a mapping looks at: the time of its patterns was weighed with it. */
export const MAPPED_FRAME_BYTES_MAX = 8192;

/** How the frame reads as a payload, or as `{frame}` in one. */
export const FORMATS = ["raw", "utf8", "hex", "base64", "json"] as const;
export type FrameFormat = (typeof FORMATS)[number];

/** One publication of a frame. */
export interface SerialPublish {
  readonly topic: Template;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** Only of frames that this pattern matches (base/linear-pattern.ts); null: of each. */
  readonly match: string | null;
  readonly format: FrameFormat;
  /** Null: the frame. */
  readonly payload: Template | null;
  readonly fields: readonly SerialField[];
}

export interface SerialMapping {
  readonly publications: readonly SerialPublish[];
  /** A pattern of frames that nothing is published of. */
  readonly ignore: string | null;
  /** A pattern of frames that name the columns of those behind them. */
  readonly header: string | null;
  /** Of all its patterns together (`patternWeight`). */
  readonly weight: number;
}

/** A frame that is published as it is under one topic. */
interface PlainPublish {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
}

/** Of one frame. */
const PUBLICATIONS_MAX = 16;
/** Of the columns of one line: a frame is split by each. */
export const SEPARATORS_MAX = 4;
/** Of one line: each may read a whole frame. */
const PATTERNS_MAX = 8;
const PATTERNS_WEIGHT_MAX = 1600;

interface Published {
  readonly publish: PlainPublish | null;
  readonly mapping: SerialMapping | null;
}

/**
 * @param line  its name
 * @returns `publish` when the frames go to one topic as they are; `mapping` when there is more to do; neither when it is off
 */
export function readPublish(section: Section, line: string): Published {
  if (section.source("publish") === "off") {
    for (const key of ["ignore", "header"])
      if (section.has(key)) section.complain(key, "has no use where publish is off", "remove it");
    return { publish: null, mapping: null };
  }
  let patterns = 0;
  let weight = 0;
  const pattern = (inner: Section, key: string): string | null => {
    const source = inner.text(key, null);
    if (source === null) return null;
    if (++patterns > PATTERNS_MAX) inner.complain(key, "is one pattern too many", `at most ${PATTERNS_MAX} for a port`);
    weight += patternWeight(source);
    if (weight > PATTERNS_WEIGHT_MAX)
      inner.complain(
        key,
        "is too much: the port's patterns may take too long together",
        "write shorter ones, and counts out",
      );
    const made = linearPattern(source);
    if (typeof made !== "string") return source;
    inner.complain(key, `${JSON.stringify(source)} ${made}`, "write a simpler one");
    return null;
  };
  const list = section.isList("publish") ? (section.sections("publish") ?? []) : [section.sectionOrEmpty("publish")];
  if (list.length === 0) section.complain("publish", "is empty", "give one entry or more, or off");
  if (list.length > PUBLICATIONS_MAX)
    section.complain("publish", `has ${list.length} entries`, `at most ${PUBLICATIONS_MAX}`);
  const ignore = pattern(section, "ignore");
  const header = pattern(section, "header");
  const publications = list.map((inner) => readEntry(inner, line, pattern, header !== null));
  const fields = publications.flatMap((publication) => publication.fields);
  const separators = new Set(fields.flatMap(({ source }) => (source.kind === "column" ? source.separator : [])));
  if (separators.size > SEPARATORS_MAX)
    section.complain("publish", `has columns by ${separators.size} separators`, `at most ${SEPARATORS_MAX}`);
  const [first] = publications;
  const isAlone = publications.length === 1 && ignore === null && header === null && first !== undefined;
  const plain = isAlone ? plainOf(first) : null;
  return plain === null
    ? { publish: null, mapping: { publications, ignore, header, weight } }
    : { publish: plain, mapping: null };
}

function plainOf({ topic, qos, retain, match, format, payload }: SerialPublish): PlainPublish | null {
  const [part] = topic;
  if (retain || match !== null || format !== "raw" || payload !== null) return null;
  return topic.length === 1 && part !== undefined && "text" in part ? { topic: part.text, qos } : null;
}

function readEntry(
  inner: Section,
  line: string,
  pattern: (section: Section, key: string) => string | null,
  header: boolean,
): SerialPublish {
  const source = inner.text("topic", `serial/${line}`).replaceAll("{line}", line);
  const payload = inner.text("payload", null);
  const match = pattern(inner, "match");
  const entry: SerialPublish = {
    topic: parseTemplate(source),
    qos: inner.oneOf("qos", [0, 1, 2], 1),
    retain: inner.flag("retain", false),
    match,
    format: inner.oneOf("format", FORMATS, "raw"),
    payload: payload === null ? null : parseTemplate(payload),
    fields: readFields(inner, { pattern, match, header }),
  };
  judgeTopic(inner, source, entry.topic);
  judgePlaceholders(inner, entry);
  if (entry.format === "json" && entry.payload !== null) judgeJson(inner, entry.payload);
  inner.finish();
  return entry;
}

function judgeTopic(inner: Section, source: string, topic: Template): void {
  const literal = filled(topic, "x");
  const problem = /[{}]/.test(literal) ? "has a brace that is not a placeholder's" : topicProblem(literal);
  if (problem !== null) inner.complain("topic", `${JSON.stringify(source)} ${problem}`, "give one topic");
  if (isOwnTopic(literal))
    inner.complain("topic", `${JSON.stringify(source)} is under $SYS`, "only the gateway itself publishes there");
}

function judgePlaceholders(inner: Section, { topic, payload, match, fields }: SerialPublish): void {
  const groups = match === null ? { count: 0, names: [] } : groupsOf(match);
  const names = [...BUILT_IN, ...fields.map((field) => field.name), ...groups.names];
  for (const [key, template] of [
    ["topic", topic],
    ["payload", payload ?? []],
  ] as const) {
    for (const { placeholder: name, levels } of placeholdersOf(template)) {
      if (levels && key === "payload") inner.complain(key, `{+${name}} is for topics`, `write {${name}}`);
      if (/^\d/.test(name) ? Number(name) <= groups.count : names.includes(name)) continue;
      inner.complain(key, `{${name}} is neither a field nor a group of match`, `there are ${names.join(", ")}`);
    }
  }
}

/** A JSON payload stays JSON whatever its placeholders stand for: each is a value. */
function judgeJson(inner: Section, payload: Template): void {
  try {
    JSON.parse(filled(payload, '"x"'));
    JSON.parse(filled(payload, "0"));
  } catch {
    inner.complain("payload", "is not JSON when its placeholders are values", 'write {"t": {t}}: no quotes around {t}');
  }
}
