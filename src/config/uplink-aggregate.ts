/** `batch`, `reduce` and `on_change` of a forward rule: fewer and smaller messages before the link. */
import type { Section } from "./section.ts";

export const BATCH_FORMATS = ["json-array", "senml-json", "senml-cbor", "lines"] as const;
export const EMITS = ["mean", "min", "max", "last", "count"] as const;
export type BatchFormat = (typeof BATCH_FORMATS)[number];
export type Emit = (typeof EMITS)[number];

/** A batch closes with whichever is reached first. */
export interface BatchConfig {
  readonly maxMessages: number;
  /** Of the payloads in it, before compression. */
  readonly maxBytes: number;
  readonly maxDelayMs: number;
  readonly format: BatchFormat;
  readonly compress: "none" | "gzip";
}

export interface ReduceConfig {
  readonly windowMs: number;
  /** Names of numeric fields, with dots where they lie deeper; null = all on the first level, or the payload itself. */
  readonly fields: readonly string[] | null;
  readonly emit: readonly Emit[];
}

export interface OnChangeConfig {
  /** A value that is less than this away from the one sent last is not sent. */
  readonly deadband: number;
  /** A value that comes so long after the one sent last is sent, changed or not; null = never for that. */
  readonly maxSilenceMs: number | null;
  /** As in ReduceConfig. */
  readonly fields: readonly string[] | null;
}

const BATCH_BYTES_MAX = 4 * 2 ** 20;
const FIELDS_MAX = 16;
const FIELD_LEVELS_MAX = 8;
const DAY_MS = 86_400_000;

export function readBatch(rule: Section): BatchConfig | null {
  const section = rule.section("batch");
  if (section === null) return null;
  const batch: BatchConfig = {
    maxMessages: section.count("max_messages", 100, 1, 10_000),
    maxBytes: section.bytes("max_bytes", 16 * 1024, 256, BATCH_BYTES_MAX),
    maxDelayMs: section.duration("max_delay", 10_000, 100, DAY_MS),
    format: section.oneOf("format", BATCH_FORMATS, "json-array"),
    compress: section.oneOf("compress", ["none", "gzip"], "none"),
  };
  section.finish();
  return batch;
}

export function readReduce(rule: Section): ReduceConfig | null {
  const section = rule.section("reduce");
  if (section === null) return null;
  const emit = section.texts("emit");
  for (const [i, word] of (emit ?? []).entries()) {
    if (!EMITS.includes(word as Emit))
      section.complain(`emit[${i}]`, `${JSON.stringify(word)} is not possible`, `possible: ${EMITS.join(", ")}`);
  }
  if (emit !== null && emit.length === 0) section.complain("emit", "is empty", `give some of ${EMITS.join(", ")}`);
  const reduce: ReduceConfig = {
    windowMs: section.duration("window", 60_000, 100, DAY_MS),
    fields: readFields(section),
    emit: emit === null ? ["mean"] : EMITS.filter((word) => emit.includes(word)),
  };
  section.finish();
  return reduce;
}

export function readOnChange(rule: Section): OnChangeConfig | null {
  const section = rule.section("on_change");
  if (section === null) return null;
  const onChange: OnChangeConfig = {
    deadband: section.number("deadband", 0, 0, 1e300),
    maxSilenceMs: section.has("max_silence") ? section.duration("max_silence", DAY_MS, 100, 31 * DAY_MS) : null,
    fields: readFields(section),
  };
  section.finish();
  return onChange;
}

function readFields(section: Section): string[] | null {
  const fields = section.texts("fields");
  if (fields === null) return null;
  if (fields.length === 0) section.complain("fields", "is empty", "name some fields, or remove it for all of them");
  if (fields.length > FIELDS_MAX) section.complain("fields", `names ${fields.length}`, `name at most ${FIELDS_MAX}`);
  for (const [i, field] of fields.entries()) {
    const levels = field.split(".");
    if (levels.includes("") || levels.length > FIELD_LEVELS_MAX)
      section.complain(`fields[${i}]`, `${JSON.stringify(field)} is no field`, 'write it like "temp" or "motor.temp"');
    else if (fields.indexOf(field) < i) section.complain(`fields[${i}]`, "is named twice", "remove one");
  }
  return fields;
}
