/**
 * `on_change`: a reading is sent when a number in it is `deadband` or more away from what was sent last, when anything
 * else in it is different, or when the last one was sent `max_silence` ago. The first of a topic is sent.
 *
 * The next reading is what ends a silence: a device that says nothing is not made to speak. With `deadband: 0` every
 * change is sent, and what has not changed is not.
 */

import { crypto } from "../../base/crypto.ts";
import type { OnChangeConfig } from "../../config/uplink-aggregate.ts";
import type { Fields } from "./reading.ts";

/** What was sent last of one topic. */
export interface LastSent {
  readonly stampMs: number;
  readonly names: readonly string[];
  /** Those that are no numbers are NaN here. */
  readonly numbers: readonly number[];
  /** Stands for those that are no numbers; "" = all are. */
  readonly others: string;
}

/** Differences of decimal numbers are a little off: 0.3 - 0.1 is less than 0.2. So much of the numbers is forgiven. */
const TOLERANCE = 4 * Number.EPSILON;

/** @param elapsedMs since the last one was sent */
export function isChange(last: LastSent | null, fields: Fields, elapsedMs: number, rule: OnChangeConfig): boolean {
  if (last === null) return true;
  if (rule.maxSilenceMs !== null && elapsedMs >= rule.maxSilenceMs) return true;
  if (fields.size !== last.names.length) return true;
  let i = 0;
  for (const [name, value] of fields) {
    if (name !== last.names[i]) return true;
    const before = last.numbers[i] as number;
    if (typeof value === "number" ? isAway(value, before, rule.deadband) : !Number.isNaN(before)) return true;
    i++;
  }
  return othersOf(fields) !== last.others;
}

function isAway(value: number, before: number, deadband: number): boolean {
  if (Number.isNaN(before)) return true;
  const difference = Math.abs(value - before);
  if (difference === 0) return false;
  return difference + TOLERANCE * Math.max(Math.abs(value), Math.abs(before)) >= deadband;
}

/** @param before the one before, whose names are kept when they are the same */
export function lastSent(fields: Fields, stampMs: number, before: LastSent | null): LastSent {
  const names = [...fields.keys()];
  const same = before !== null && before.names.length === names.length && names.every((n, i) => n === before.names[i]);
  const numbers = [...fields.values()].map((value) => (typeof value === "number" ? value : Number.NaN));
  return { stampMs, names: same ? before.names : names, numbers, others: othersOf(fields) };
}

/** Texts may be long: a digest stands for them. */
function othersOf(fields: Fields): string {
  const others: unknown[] = [];
  for (const value of fields.values()) if (typeof value !== "number") others.push(value);
  return others.length === 0 ? "" : crypto().hash("sha1", JSON.stringify(others), "base64");
}
