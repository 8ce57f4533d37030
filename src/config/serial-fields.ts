/** `serial[].publish.fields`: named parts of a frame. */
import { jsonPath } from "../base/json-path.ts";
import { groupsOf } from "../base/linear-pattern.ts";
import type { Section } from "./section.ts";
import { BUILT_IN } from "./serial-template.ts";

export const FIELDS_MAX = 32;

export const NUMBER_TYPES = [
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint24",
  "int24",
  "uint32",
  "int32",
  "uint64",
  "int64",
  "float32",
  "float64",
] as const;
export type NumberType = (typeof NUMBER_TYPES)[number];

/** Types of `offset` besides: bytes as text, as hexadecimal digits, as two decimal digits each; a bit. */
const BYTES_TYPES = ["text", "hex", "bcd"] as const;

export type FieldSource =
  /** The frame is JSON. */
  | { readonly kind: "json"; readonly path: readonly string[] }
  /** The frame is a line of separated values; the first column is 1, or has the name that the header gave it. */
  | { readonly kind: "column"; readonly column: number | string; readonly separator: string }
  /** Of a pattern of its own; null: of `match`. */
  | { readonly kind: "group"; readonly pattern: string | null; readonly group: string | number }
  /** At fixed bytes; a negative offset counts from the end. Of `mask` the lowest bit that is set is worth 1. */
  | NumberSource
  | { readonly kind: "bit"; readonly offset: number; readonly bit: number }
  | {
      readonly kind: (typeof BYTES_TYPES)[number];
      readonly offset: number;
      readonly length: number;
      readonly little: boolean;
    };

export interface NumberSource {
  readonly kind: "number";
  readonly offset: number;
  readonly type: NumberType;
  readonly little: boolean;
  /** Null: all bits. */
  readonly mask: number | null;
}

/** value * scale + add */
export interface NumberForm {
  readonly scale: number;
  readonly add: number;
  /** Digits behind the point; null: as many as it has. */
  readonly decimals: number | null;
  /** Texts have a comma for the point. */
  readonly comma: boolean;
}

/** In place of a value that a frame does not have; undefined: then nothing is published. */
export type FieldDefault = string | number | boolean | null | undefined;

export interface SerialField {
  readonly name: string;
  readonly source: FieldSource;
  /** Null: as it is, a number or not. */
  readonly form: NumberForm | null;
  readonly fallback: FieldDefault;
}

/** What fields may refer to. */
export interface FieldContext {
  /** Makes the pattern under `key`, complaining where it is none. */
  readonly pattern: (section: Section, key: string) => string | null;
  /** The entry's own pattern. */
  readonly match: string | null;
  /** Columns have names. */
  readonly header: boolean;
}

const OFFSET_MAX = 8191;
const SCALE_MAX = 1e12;

export function readFields(section: Section, context: FieldContext): SerialField[] {
  const named = section.namedSections("fields") ?? [];
  const fields: SerialField[] = [];
  if (named.length > FIELDS_MAX)
    section.complain("fields", `are ${named.length}`, `at most ${FIELDS_MAX} are possible`);
  for (const [name, inner] of named) {
    if (!/^[A-Za-z_]\w{0,63}$/.test(name)) inner.complain("", "is no name", "use A-Z a-z 0-9 _, and a letter first");
    else if (BUILT_IN.includes(name)) inner.complain("", "has a meaning already", "give another name");
    const source = readSource(inner, context);
    if (source !== null) fields.push({ name, source, form: readForm(inner), fallback: inner.value("default") });
    inner.finish();
  }
  return fields;
}

const SOURCES = ["json", "column", "pattern", "offset"] as const;

function readSource(inner: Section, context: FieldContext): FieldSource | null {
  const given = SOURCES.filter((key) => inner.has(key));
  if (given.length === 0 && inner.has("group")) return readGroup(inner, null, context.match);
  if (given.length !== 1) {
    const advice = `give one of ${SOURCES.join(", ")}, or group, of match`;
    inner.complain("", `takes its value from ${given.length} places`, advice);
    return null;
  }
  if (given[0] === "json") return { kind: "json", path: jsonPath(inner.text("json", "")) };
  if (given[0] === "column") return readColumn(inner, context.header);
  if (given[0] === "offset") return readOffset(inner);
  const pattern = context.pattern(inner, "pattern");
  return readGroup(inner, pattern, pattern);
}

function readColumn(inner: Section, header: boolean): FieldSource {
  const isName = typeof inner.value("column") === "string";
  const column = isName ? inner.text("column", "") : inner.count("column", 1, 1, 256);
  if (isName && !header) inner.complain("column", "is a name", "give its number, or the line's header, a pattern");
  const separator = inner.text("separator", ",");
  if (separator.length !== 1 || separator === '"')
    inner.complain("separator", "is not one character", 'like "," or ";", or "\\t" in double quotes');
  return { kind: "column", column, separator };
}

/** @param own  the field's pattern; null: the group is of `pattern`, which is the entry's */
function readGroup(inner: Section, own: string | null, pattern: string | null): FieldSource | null {
  const written = inner.source("group") ?? "1";
  if (pattern === null) {
    if (!inner.has("pattern")) inner.complain("group", "is of no pattern", "give pattern here, or match to the entry");
    return null;
  }
  const group = /^\d+$/.test(written) ? Number(written) : written;
  const { count, names } = groupsOf(pattern);
  if (typeof group === "number" ? group <= count : names.includes(group)) return { kind: "group", pattern: own, group };
  inner.complain("group", `${written} is no group of the pattern`, "count from 1; 0 is all that matched");
  return null;
}

function readOffset(inner: Section): FieldSource {
  const offset = inner.count("offset", 0, -OFFSET_MAX, OFFSET_MAX);
  const type = inner.oneOf("type", [...NUMBER_TYPES, ...BYTES_TYPES, "bool"], "uint8");
  if (type === "bool") return { kind: "bit", offset, bit: inner.count("bit", 0, 0, 7) };
  const little = inner.oneOf("endian", ["big", "little"], "big") === "little";
  const isBytes = type === "text" || type === "hex" || type === "bcd";
  const length = isBytes ? inner.count("length", 1, 1, OFFSET_MAX) : Number(/\d+$/.exec(type)?.[0]) / 8;
  if (offset < 0 && offset + length > 0) {
    const advice = `it counts from the end: -${length} has the last ones`;
    inner.complain("offset", `${offset} is too near to the end for the ${length} bytes of ${type}`, advice);
  }
  if (isBytes) return { kind: type, offset, length, little };
  const bits = /^uint(8|16|24|32)$/.exec(type);
  const mask = inner.has("mask") ? inner.count("mask", 1, 1, 2 ** Number(bits?.[1] ?? 32) - 1) : null;
  if (mask !== null && bits === null) inner.complain("mask", `means nothing to ${type}`, "give uint8, 16, 24 or 32");
  return { kind: "number", offset, type, little, mask };
}

function readForm(inner: Section): NumberForm | null {
  const isNumber = !inner.has("offset") && inner.oneOf("type", ["text", "number"], "text") === "number";
  if (!isNumber && !["scale", "add", "decimals", "comma"].some((key) => inner.has(key))) return null;
  return {
    scale: inner.number("scale", 1, -SCALE_MAX, SCALE_MAX),
    add: inner.number("add", 0, -SCALE_MAX, SCALE_MAX),
    decimals: inner.has("decimals") ? inner.count("decimals", 0, 0, 12) : null,
    comma: inner.flag("comma", false),
  };
}
