/**
 * What a payload has to be to be gathered: a JSON number, or a JSON object with at least one field that is a number. All
 * else is no reading, whatever it is, and passes through: text, arrays, true and false, malformed JSON or UTF-8, a byte
 * order mark, numbers beyond NUMBER_MAX (1e400 among them).
 *
 * Payloads come from anybody who may publish, so what is done with one is bounded: bytes, fields, levels. A payload at
 * the limit takes about 0.7 ms to read on the machine of bench/README.md, arrays in arrays at worst; one that is
 * malformed takes 10 us. Of two fields of one name the last counts; a field named __proto__ is a field like others.
 */
import { isUtf8 } from "node:buffer";

/** Longer payloads are no readings. */
export const READING_BYTES_MAX = 16 * 1024;
/** Fields of a reading, and the bytes of their names; what has more is none. */
export const READING_FIELDS_MAX = 64;
export const READING_NAMES_MAX = 4096;
/** Objects in objects that are looked into. */
export const READING_LEVELS_MAX = 8;
/** Of a value: so many of them add up to a finite sum. */
export const NUMBER_MAX = 1e300;

export type FieldValue = number | string | boolean;

/** Fields by name, in the order of the payload: those on deeper levels have names with dots. "" is the payload itself. */
export type Fields = Map<string, FieldValue>;

const OPEN_BRACE = 0x7b;
const MINUS = 0x2d;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;

/** What a payload says, if it is a number or an object; whether it is a reading is up to `fieldsOf`. */
export type Reading = number | Json;

/**
 * @param names which fields to look for, with dots where they lie deeper; null = all on the first level
 * @param deep  with `names` null: those on deeper levels as well
 * @returns the fields that are there, at least one of them a number; null when it is no reading
 */
export function fieldsOf(reading: Reading, names: readonly string[] | null, deep = false): Fields | null {
  const fields: Fields = new Map();
  if (typeof reading === "number") {
    if (!isNumber(reading)) return null;
    fields.set("", reading);
    return fields;
  }
  const levels = deep ? READING_LEVELS_MAX : 1;
  const fits = names === null ? collect(fields, reading, "", levels) : find(fields, reading, names);
  return fits && hasNumber(fields) && namesBytes(fields) <= READING_NAMES_MAX ? fields : null;
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Math.abs(value) <= NUMBER_MAX;
}

function hasNumber(fields: Fields): boolean {
  for (const value of fields.values()) if (typeof value === "number") return true;
  return false;
}

type Json = Readonly<Record<string, unknown>>;

/** @returns null for what cannot be a reading */
export function parseReading(payload: Buffer): Reading | null {
  if (payload.length === 0 || payload.length > READING_BYTES_MAX) return null;
  // Whatever begins otherwise is no reading, and parsing it in vain costs more.
  let at = 0;
  while (at < payload.length && isSpace(payload[at] as number)) at++;
  const first = payload[at] ?? 0;
  if (first !== OPEN_BRACE && first !== MINUS && !(first >= DIGIT_0 && first <= DIGIT_9)) return null;
  if (!isUtf8(payload)) return null;
  try {
    const value: unknown = JSON.parse(payload.toString("utf8"));
    return typeof value === "number" ? value : (value as Json);
  } catch {
    return null;
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** @returns false when there is more than a reading may have, or a number that is none */
function collect(fields: Fields, object: Json, prefix: string, levels: number): boolean {
  for (const name of Object.keys(object)) {
    const value = object[name];
    const path = prefix + name;
    if (isObject(value)) {
      if (levels > 1 && !collect(fields, value, `${path}.`, levels - 1)) return false;
    } else if (!add(fields, path, value)) {
      return false;
    }
  }
  return true;
}

function find(fields: Fields, object: Json, names: readonly string[]): boolean {
  for (const name of names) if (!add(fields, name, valueAt(object, name))) return false;
  return true;
}

/** A field whose name has the dots in it comes before one that lies deeper. */
function valueAt(object: Json, path: string): unknown {
  if (Object.hasOwn(object, path)) return object[path];
  let at: unknown = object;
  for (const level of path.split(".")) {
    if (!isObject(at) || !Object.hasOwn(at, level)) return undefined;
    at = at[level];
  }
  return at;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function add(fields: Fields, name: string, value: unknown): boolean {
  if (typeof value === "number") {
    if (!isNumber(value)) return false;
  } else if (typeof value !== "string" && typeof value !== "boolean") {
    return true; // null, arrays: no value
  }
  if (fields.size >= READING_FIELDS_MAX) return false;
  fields.set(name, value);
  return true;
}

/** Bytes of memory that the names take, about. */
export function namesBytes(fields: Fields): number {
  let bytes = 0;
  for (const name of fields.keys()) bytes += name.length * 2;
  return bytes;
}
