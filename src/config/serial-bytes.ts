/** Bytes of a serial line's framing, as a configuration writes them. */
import type { Section } from "./section.ts";

const MARK_BYTES_MAX = 8;

/** Text, with "hex:" before bytes in hexadecimal. At most eight bytes. */
export function readBytes<T>(section: Section | null, key: string, fallback: T): readonly number[] | T {
  const text = section?.text(key, null) ?? null;
  if (text === null || section === null) return fallback;
  const bytes = bytesOf(text);
  if (typeof bytes !== "string") return bytes;
  complainAbout(section, key, text, bytes);
  return fallback;
}

/**
 * One, or a list of them.
 * @param encode of what is written as text; null = it cannot be
 */
export function readBytesList(
  section: Section,
  key: string,
  most: number,
  encode: (text: string) => Buffer | null,
): readonly (readonly number[])[] {
  const isList = section.isList(key);
  const one = isList ? null : section.text(key, null);
  const texts = isList ? (section.texts(key) ?? []) : one === null ? [] : [one];
  if (isList && (texts.length === 0 || texts.length > most))
    section.complain(key, `has ${texts.length} entries`, `give 1 to ${most}`);
  return texts.flatMap((text, i) => {
    const bytes = bytesOf(text, encode);
    if (typeof bytes !== "string") return [bytes];
    complainAbout(section, isList ? `${key}[${i}]` : key, text, bytes);
    return [];
  });
}

function complainAbout(section: Section, key: string, text: string, problem: string): void {
  const advice = problem === TOO_LONG ? "shorten it" : 'write it like "hex:0d0a"';
  section.complain(key, problem === TOO_LONG ? problem : `${JSON.stringify(text)} ${problem}`, advice);
}

const TOO_LONG = "is longer than eight bytes";
const utf8 = (text: string): Buffer => Buffer.from(text);

/** @returns what is wrong with it, in words */
function bytesOf(text: string, encode: (text: string) => Buffer | null = utf8): readonly number[] | string {
  const isHex = text.startsWith("hex:");
  const digits = text.slice("hex:".length).replaceAll(" ", "");
  if (isHex && !/^([0-9a-fA-F]{2})+$/.test(digits)) return "is no hexadecimal";
  const bytes = isHex ? Buffer.from(digits, "hex") : encode(text);
  if (bytes === null) return "is not the same in every encoding";
  return bytes.length <= MARK_BYTES_MAX ? [...bytes] : TOO_LONG;
}
