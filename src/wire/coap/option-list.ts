/** The options of a message in words, for people who look at a wire. */
import {
  ACCEPT,
  BLOCK1,
  BLOCK2,
  CONTENT_FORMAT,
  LOCATION_PATH,
  MAX_AGE,
  OBSERVE,
  SIZE1,
  SIZE2,
  URI_PATH,
  URI_QUERY,
} from "./codes.ts";
import { blockBytes, readUint } from "./options.ts";

const PAYLOAD_MARKER = 0xff;
/** Options whose value is a number, by what they are called. */
const NUMBERS: Readonly<Record<number, string>> = {
  [OBSERVE]: "observe",
  [CONTENT_FORMAT]: "format",
  [MAX_AGE]: "max-age",
  [ACCEPT]: "accept",
  [SIZE1]: "size1",
  [SIZE2]: "size2",
};

export interface OptionList {
  /** "/ps/a?qos=1 observe 0 block2 3+ of 64"; options without a name here are left out. */
  readonly words: string;
  readonly payloadBytes: number;
}

/**
 * @param message found well-formed by `readHeader`
 * @param at      index of the first option
 * @see RFC 7252 section 3.1, RFC 7959 section 2.2
 */
export function coapOptions(message: Buffer, at: number): OptionList {
  let path = "";
  let query = "";
  const others: string[] = [];
  let number = 0;
  while (at < message.length && message[at] !== PAYLOAD_MARKER) {
    const byte = message[at++] as number;
    const nibbles = [byte >> 4, byte & 0x0f];
    const [delta = 0, length = 0] = nibbles.map((nibble) => {
      if (nibble < 13) return nibble;
      const more = nibble - 12;
      at += more;
      return message.readUIntBE(at - more, more) + (nibble === 13 ? 13 : 269);
    });
    number += delta;
    const value = message.subarray(at, at + length);
    at += length;
    if (number === URI_PATH || number === LOCATION_PATH) path += `/${value}`;
    else if (number === URI_QUERY) query += `${query === "" ? "?" : "&"}${value}`;
    else if (number === BLOCK1 || number === BLOCK2)
      others.push(`block${number === BLOCK1 ? 1 : 2} ${blockText(value)}`);
    else if (NUMBERS[number] !== undefined) others.push(`${NUMBERS[number]} ${readUint(value)}`);
  }
  const words = [path + query, ...others].filter((word) => word !== "").join(" ");
  return { words, payloadBytes: Math.max(0, message.length - at - 1) };
}

/** "3+ of 64": the fourth block of 64 bytes, and more follow. */
function blockText(value: Buffer): string {
  const block = readUint(value);
  return `${block >>> 4}${(block & 8) === 0 ? "" : "+"} of ${blockBytes(block & 7)}`;
}
