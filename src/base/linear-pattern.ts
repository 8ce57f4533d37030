/**
 * Regular expressions whose time grows with the text, never exponentially: V8's own engine for them (flag `l`), which
 * walks all alternatives at once instead of going back. What it cannot do (backreferences, lookaheads, counts above 16)
 * is refused when the pattern is made.
 */
import { setFlagsFromString } from "node:v8";
import { assert } from "./assert.ts";

export const PATTERN_CHARACTERS_MAX = 200;
/** Each costs the engine a copy of all of them where it takes more than one way. */
export const PATTERN_GROUPS_MAX = 9;

/** What V8 says of a pattern that it would have to go back for. */
const NOT_LINEAR = "Cannot be executed in linear time";

let flagged = false;

/** @returns the pattern, or what is wrong with it in words */
export function linearPattern(source: string): RegExp | string {
  if (source.length > PATTERN_CHARACTERS_MAX) return `is longer than ${PATTERN_CHARACTERS_MAX} characters`;
  if (!flagged) setFlagsFromString("--enable-experimental-regexp-engine");
  flagged = true;
  try {
    const pattern = new RegExp(source, "l");
    const groups = groupsOf(source).count;
    return groups > PATTERN_GROUPS_MAX ? `has ${groups} groups; at most ${PATTERN_GROUPS_MAX} are possible` : pattern;
  } catch (error) {
    const why = (error as Error).message;
    if (!why.includes(NOT_LINEAR)) return `is no pattern: ${why}`;
    return "cannot be searched for in linear time: no backreferences, lookaheads, (?i:) or counts above 16";
  }
}

/** V8 refuses patterns that repeat a part more often, counts within counts included: it would be laid out as often. */
const COUNTS_MAX = 16;

/**
 * Grows with the longest time that a pattern may take for a text: with its length, times what its counts lay it out to.
 * 1,600 is 90 ms of 8 KiB on a core of 3 GHz, whatever the pattern and the text.
 */
export function patternWeight(source: string): number {
  let copies = 1;
  for (const [, from, to] of source.matchAll(/\{(\d+)(?:,(\d*))?\}/g)) copies *= Math.max(1, Number(to || from));
  return source.length * (1 + Math.min(COUNTS_MAX, copies));
}

/** A pattern that `linearPattern` has taken before. */
export function knownPattern(source: string): RegExp {
  const pattern = linearPattern(source);
  assert(typeof pattern !== "string", "a pattern that was judged before");
  return pattern;
}

/** How many groups a pattern that `linearPattern` takes has, and the names of those that have one. */
export function groupsOf(source: string): { readonly count: number; readonly names: readonly string[] } {
  // With an empty alternative it matches the empty text, and says all its groups.
  const found = new RegExp(`${source}|`, "l").exec("") as RegExpExecArray;
  return { count: found.length - 1, names: Object.keys(found.groups ?? {}) };
}
