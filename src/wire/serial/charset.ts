/**
 * Encodings of text that devices use, from and to UTF-8, and bytes as pairs of hexadecimal digits. What is UTF-8 as it lies
 * is not copied.
 * @see WHATWG Encoding Standard for the single-byte encodings; IBM's code pages 437 and 850
 */
import { isUtf8 } from "node:buffer";
import { hexByte } from "./hex.ts";

/** What `decode` says besides a number of bytes: they are as they lie; what they cannot be in this encoding; no room. */
export const AS_IT_IS = -1;
export const INVALID = -2;
export const NO_ROOM = -3;

export interface Transcoder {
  /** @returns the bytes that it wrote to `out`, or AS_IT_IS, INVALID, NO_ROOM */
  decode(bytes: Buffer, from: number, end: number, out: Buffer): number;
  /** @returns null for what the encoding does not have; a new buffer, or `content` itself */
  encode(content: Buffer): Buffer | null;
}

const SINGLE_BYTE = [
  "latin1",
  "iso-8859-2",
  "iso-8859-5",
  "iso-8859-7",
  "iso-8859-15",
  "windows-1250",
  "windows-1251",
  "windows-1252",
  "windows-1253",
  "windows-1254",
  "koi8-r",
  "cp437",
  "cp850",
  "cp866",
] as const;
/**
 * The Encoding Standard takes ISO 8859-9 for windows-1254. `ascii7`: the top bit, which may be one of parity, is dropped
 * before anything else looks at the bytes.
 */
export const ENCODINGS = ["utf8", "ascii", "ascii7", ...SINGLE_BYTE, "utf16le", "utf16be", "hex"] as const;
export type Encoding = (typeof ENCODINGS)[number];

/** Characters 0x80 to 0xFF of code pages that the Encoding Standard does not have. */
const CODE_PAGES: Readonly<Record<string, string>> = {
  cp437:
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0",
  cp850:
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u00ad±‗¾¶§÷¸°¨·¹³²■\u00a0",
};
const UNKNOWN = "\ufffd";

export function transcoderOf(encoding: Encoding): Transcoder {
  switch (encoding) {
    case "utf8":
      return UTF8;
    case "ascii":
    case "ascii7":
      return new SingleByte(UNKNOWN.repeat(128));
    case "utf16le":
    case "utf16be":
      return new Utf16(encoding === "utf16be");
    case "hex":
      return HEX;
    default:
      return new SingleByte(upperHalfOf(encoding));
  }
}

function upperHalfOf(encoding: (typeof SINGLE_BYTE)[number]): string {
  const bytes = Buffer.from(Array.from({ length: 128 }, (_, i) => 128 + i));
  if (encoding === "latin1") return bytes.toString("latin1");
  return CODE_PAGES[encoding] ?? new TextDecoder(encoding === "cp866" ? "ibm866" : encoding).decode(bytes);
}

const UTF8: Transcoder = {
  decode: (bytes, from, end) => (isUtf8(bytes.subarray(from, end)) ? AS_IT_IS : INVALID),
  encode: (content) => (isUtf8(content) ? content : null),
};

/** ASCII, and 128 characters of the Basic Multilingual Plane; U+FFFD stands for none. */
class SingleByte implements Transcoder {
  readonly #codes = new Uint16Array(128);
  readonly #bytes = new Map<string, number>();

  constructor(upperHalf: string) {
    for (let i = 0; i < 128; i++) {
      const char = upperHalf[i] as string;
      this.#codes[i] = char.charCodeAt(0);
      if (char !== UNKNOWN) this.#bytes.set(char, 128 + i);
    }
  }

  decode(bytes: Buffer, from: number, end: number, out: Buffer): number {
    let at = from;
    while (at < end && (bytes[at] as number) < 0x80) at++;
    if (at === end) return AS_IT_IS;
    let written = 0;
    for (let i = from; i < end; i++) {
      const byte = bytes[i] as number;
      const code = byte < 0x80 ? byte : (this.#codes[byte - 0x80] as number);
      if (code === 0xfffd) return INVALID;
      if (written + 3 > out.length && written + utf8Bytes(code) > out.length) return NO_ROOM;
      written = putUtf8(code, out, written);
    }
    return written;
  }

  encode(content: Buffer): Buffer | null {
    if (!isUtf8(content)) return null;
    const text = content.toString();
    if (text.length === content.length) return content; // ASCII only
    const bytes = Buffer.allocUnsafe(text.length);
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      const byte = code < 0x80 ? code : this.#bytes.get(text[i] as string);
      if (byte === undefined) return null;
      bytes[i] = byte;
    }
    return bytes;
  }
}

/** Two bytes a code unit; a surrogate without its other half is invalid. */
class Utf16 implements Transcoder {
  readonly #big: boolean;

  constructor(big: boolean) {
    this.#big = big;
  }

  decode(bytes: Buffer, from: number, end: number, out: Buffer): number {
    if ((end - from) % 2 !== 0) return INVALID;
    let written = 0;
    for (let i = from; i < end; i += 2) {
      let code = this.#unit(bytes, i);
      if (code >= 0xd800 && code <= 0xdfff) {
        const low = i + 2 < end ? this.#unit(bytes, i + 2) : 0;
        if (code > 0xdbff || low < 0xdc00 || low > 0xdfff) return INVALID;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        i += 2;
      }
      if (written + utf8Bytes(code) > out.length) return NO_ROOM;
      written = putUtf8(code, out, written);
    }
    return written;
  }

  encode(content: Buffer): Buffer | null {
    if (!isUtf8(content)) return null;
    const bytes = Buffer.from(content.toString(), "utf16le");
    return this.#big ? bytes.swap16() : bytes;
  }

  #unit(bytes: Buffer, at: number): number {
    return this.#big ? bytes.readUInt16BE(at) : bytes.readUInt16LE(at);
  }
}

/** Upper or lower case is read, upper case written. */
const HEX: Transcoder = {
  decode: (bytes, from, end, out) => {
    if ((end - from) % 2 !== 0) return INVALID;
    let written = 0;
    for (let i = from; i < end; i += 2) {
      const value = hexByte(bytes, i);
      if (value < 0) return INVALID;
      out[written++] = value;
    }
    return written;
  },
  encode: (content) => Buffer.from(content.toString("hex").toUpperCase(), "latin1"),
};

function utf8Bytes(code: number): number {
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}

/** @returns index behind the character */
function putUtf8(code: number, out: Buffer, at: number): number {
  if (code < 0x80) {
    out[at++] = code;
    return at;
  }
  const length = utf8Bytes(code);
  const first = length === 2 ? 0xc0 : length === 3 ? 0xe0 : 0xf0;
  out[at++] = first | (code >> (6 * (length - 1)));
  for (let left = length - 2; left >= 0; left--) out[at++] = 0x80 | ((code >> (6 * left)) & 0x3f);
  return at;
}
