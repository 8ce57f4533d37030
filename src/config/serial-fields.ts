/** `serial[].publish.fields`: named parts of a frame. */
import { groupsOf } from "../base/linear-pattern.ts";
import type { Section } from "./section.ts";
import { BUILT_IN } from "./serial-template.ts";

export const FIELDS_MAX = 32;

export const NUMBER_TYPES = [
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint32",
  "int32",
  "uint64",
  "int64",
  "float32",
  "float64",
] as const;
export type NumberType = (typeof NUMBER_TYPES)[number];

export type FieldSource =
  /** The frame is JSON. */
  | { readonly kind: "json"; readonly path: readonly string[] }
  /** The frame is a line of separated values; the first column is 1. */
  | { readonly kind: "column"; readonly column: number; readonly separator: string }
  | { readonly kind: "group"; readonly pattern: string; readonly group: string | number }
  /** At fixed bytes; a negative offset counts from the end. */
  | { readonly kind: "number"; readonly offset: number; readonly type: NumberType; readonly little: boolean }
  | { readonly kind: "text" | "hex"; readonly offset: number; readonly length: number };

/** value * scale + add */
export interface NumberForm {
  readonly scale: number;
  readonly add: number;
  /** Digits behind the point; null: as many as it has. */
  readonly decimals: number | null;
}

export interface SerialField {
  readonly name: string;
  readonly source: FieldSource;
  /** Null: as it is, a number or not. */
  readonly form: NumberForm | null;
}

const OFFSET_MAX = 8191;
const SCALE_MAX = 1e12;

/** @param pattern makes the one under `key`, complaining where it is none */
export function readFields(section: Section, pattern: (section: Section, key: string) => string | null): SerialField[] {
  const named = section.namedSections("fields") ?? [];
  const fields: SerialField[] = [];
  if (named.length > FIELDS_MAX)
    section.complain("fields", `are ${named.length}`, `at most ${FIELDS_MAX} are possible`);
  for (const [name, inner] of named) {
    if (!/^[A-Za-z_]\w{0,63}$/.test(name)) inner.complain("", "is no name", "use A-Z a-z 0-9 _, and a letter first");
    else if (BUILT_IN.includes(name)) inner.complain("", "has a meaning already", "give another name");
    const source = readSource(inner, pattern);
    if (source !== null) fields.push({ name, source, form: readForm(inner) });
    inner.finish();
  }
  return fields;
}

const SOURCES = ["json", "column", "pattern", "offset"] as const;

function readSource(inner: Section, pattern: (section: Section, key: string) => string | null): FieldSource | null {
  const given = SOURCES.filter((key) => inner.has(key));
  if (given.length !== 1) {
    inner.complain("", `takes its value from ${given.length} places`, `give one of ${SOURCES.join(", ")}`);
    return null;
  }
  if (given[0] === "json") return { kind: "json", path: inner.text("json", "").split(".") };
  if (given[0] === "column") return readColumn(inner);
  if (given[0] === "pattern") return readGroup(inner, pattern(inner, "pattern"));
  return readOffset(inner);
}

function readColumn(inner: Section): FieldSource {
  const column = inner.count("column", 1, 1, 256);
  const separator = inner.text("separator", ",");
  if (separator.length !== 1 || separator === '"')
    inner.complain("separator", "is not one character", 'like "," or ";"');
  return { kind: "column", column, separator };
}

function readGroup(inner: Section, pattern: string | null): FieldSource | null {
  const written = inner.source("group") ?? "1";
  if (pattern === null) return null;
  const group = /^\d+$/.test(written) ? Number(written) : written;
  const { count, names } = groupsOf(pattern);
  if (typeof group === "number" ? group <= count : names.includes(group)) return { kind: "group", pattern, group };
  inner.complain("group", `${written} is no group of the pattern`, "count from 1; 0 is all that matched");
  return null;
}

function readOffset(inner: Section): FieldSource {
  const offset = inner.count("offset", 0, -OFFSET_MAX, OFFSET_MAX);
  const type = inner.oneOf("type", [...NUMBER_TYPES, "text", "hex"], "uint8");
  if (type === "text" || type === "hex") return { kind: type, offset, length: inner.count("length", 1, 1, OFFSET_MAX) };
  return { kind: "number", offset, type, little: inner.oneOf("endian", ["big", "little"], "big") === "little" };
}

function readForm(inner: Section): NumberForm | null {
  const isNumber = !inner.has("offset") && inner.oneOf("type", ["text", "number"], "text") === "number";
  if (!isNumber && !inner.has("scale") && !inner.has("add") && !inner.has("decimals")) return null;
  return {
    scale: inner.number("scale", 1, -SCALE_MAX, SCALE_MAX),
    add: inner.number("add", 0, -SCALE_MAX, SCALE_MAX),
    decimals: inner.has("decimals") ? inner.count("decimals", 0, 0, 12) : null,
  };
}
