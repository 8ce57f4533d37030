/**
 * JSON whose numbers stay as they are written where a double cannot hold them: a serial number of 19 digits is passed on
 * digit by digit. Such a number is an object of `JSON.rawJSON`, which JSON.stringify writes as it was.
 */

type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;

/** Not in TypeScript's library yet. */
interface ExactJson {
  parse(text: string, reviver: Reviver): unknown;
  rawJSON(source: string): { readonly rawJSON: string };
  isRawJSON(value: unknown): value is { readonly rawJSON: string };
}
const exact = JSON as unknown as ExactJson;

/** Without either a number is what a double holds. */
const MAY_BE_INEXACT = /[\d.]{16}|\d[eE]/;
const EXACT_DIGITS = 15;

/** @throws SyntaxError when it is no JSON, RangeError when numbers to keep lie too deep in it */
export function parseExact(text: string): unknown {
  return MAY_BE_INEXACT.test(text) ? exact.parse(text, keepNumber) : JSON.parse(text);
}

const keepNumber: Reviver = (_key, value, { source }) => {
  if (typeof value !== "number" || source === undefined || String(value) === source) return value;
  const isExact = source.length <= EXACT_DIGITS && Number.isFinite(value) && value !== 0;
  return isExact ? value : exact.rawJSON(source);
};

/** The number as it was written; null when `value` is none that was kept. */
export function numberSource(value: unknown): string | null {
  return exact.isRawJSON(value) ? value.rawJSON : null;
}

/** @returns null for what lies too deep to be written: some 7,000 brackets, which are read without trouble */
export function jsonText(value: unknown): string | null {
  try {
    return JSON.stringify(value);
  } catch {
    return null;
  }
}
