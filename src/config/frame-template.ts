/**
 * Bytes as people write them: the templates of frames to a device, and the patterns of frames from it.
 *
 *     "SET {payload}\r"          text; \r \n \t \0 \\ \{ \} \* and \x1b stand for bytes
 *     "M{json:motor.speed}"      a value of a payload that is JSON
 *     "hex: 02 {payload} 03"     the same with its static bytes in hexadecimal
 *     "OK*"   "hex: 01 03 *"     a pattern: * is any number of bytes
 */

import { jsonPath } from "../base/json-path.ts";

/** Static bytes, the name of a variable part (payload, topic, rest, 1, 2, ...), or where it lies in JSON. */
export type FramePiece = Buffer | string | { readonly json: readonly string[] };

/** What lies before, between and behind the stars; a single one is the whole frame. */
export type BytePattern = readonly Buffer[];

const HEX = "hex:";
const JSON_VALUE = "json:";
const ESCAPES: Readonly<Record<string, string>> = { r: "\r", n: "\n", t: "\t", 0: "\0" };
const TOKEN =
  /\\x(?<hex>[0-9a-fA-F]{2})|\\(?<escape>[rnt0\\{}*])|\{(?<name>[^{}]*)\}|(?<star>\*)|(?<plain>[^\\{}*]+)|(?<other>[\s\S])/gu;

/** @returns the pieces, or what is wrong with `text` as the template of frames for topics that match `filter` */
export function frameTemplate(text: string, filter: string): readonly FramePiece[] | string {
  const pieces: FramePiece[] = [];
  const isHex = text.startsWith(HEX);
  for (const token of (isHex ? text.slice(HEX.length) : text).matchAll(TOKEN)) {
    const name = token.groups?.["name"];
    if (name !== undefined) {
      const problem = nameProblem(name, filter);
      if (problem !== null) return problem;
      pieces.push(name.startsWith(JSON_VALUE) ? { json: jsonPath(name.slice(JSON_VALUE.length)) } : name);
      continue;
    }
    const bytes = staticBytes(token, isHex);
    if (bytes === null) return problemOf(token[0], isHex);
    append(pieces, bytes);
  }
  return pieces;
}

/** @returns the pattern, or what is wrong with `text` as one */
export function bytePattern(text: string): BytePattern | string {
  const parts: Buffer[] = [Buffer.alloc(0)];
  const isHex = text.startsWith(HEX);
  for (const token of (isHex ? text.slice(HEX.length) : text).matchAll(TOKEN)) {
    if (token.groups?.["star"] !== undefined) {
      parts.push(Buffer.alloc(0));
      continue;
    }
    const isBrace = token.groups?.["name"] !== undefined || /^[{}]$/.test(token[0]);
    const bytes = isBrace && !isHex ? Buffer.from(token[0]) : staticBytes(token, isHex);
    if (bytes === null) return problemOf(token[0], isHex);
    append(parts, bytes);
  }
  return parts;
}

/** Neighbours become one. */
function append(pieces: FramePiece[], bytes: Buffer): void {
  const last = pieces.at(-1);
  if (Buffer.isBuffer(last)) pieces[pieces.length - 1] = Buffer.concat([last, bytes]);
  else pieces.push(bytes);
}

/** @returns null for what stands for no byte */
function staticBytes({ 0: text, groups = {} }: RegExpMatchArray, isHex: boolean): Buffer | null {
  const { hex, escape: escaped, other } = groups;
  if (isHex) {
    const digits = text.replaceAll(/\s/g, "");
    return /^([0-9a-fA-F]{2})*$/.test(digits) ? Buffer.from(digits, "hex") : null;
  }
  if (other !== undefined) return null;
  if (hex !== undefined) return Buffer.from(hex, "hex");
  return Buffer.from(escaped === undefined ? text : (ESCAPES[escaped] ?? escaped));
}

function problemOf(text: string, isHex: boolean): string {
  const quoted = JSON.stringify(text.trim());
  if (isHex) return `${quoted} is no hexadecimal`;
  return `${quoted} stands for nothing: a backslash is written \\\\, a brace \\{ or \\}`;
}

/** @returns what is wrong with {name} in the template of frames for topics that match `filter`, or null */
function nameProblem(name: string, filter: string): string | null {
  if (name === "payload" || name === "topic") return null;
  if (name.startsWith(JSON_VALUE))
    return name === JSON_VALUE ? "{json:} names no value, like {json:motor.speed}" : null;
  if (name === "rest") return filter.endsWith("#") ? null : `{rest} is what "#" matched, and ${filter} has none`;
  if (!/^[1-9]\d?$/.test(name))
    return `{${name}} is no placeholder: they are {payload}, {json:...}, {topic}, {rest}, {1}, {2} and so on`;
  const plus = filter.split("/").filter((level) => level === "+").length;
  return Number(name) <= plus ? null : `{${name}} is what "+" number ${name} matched, and ${filter} has ${plus}`;
}
