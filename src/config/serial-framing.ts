/** `serial[].framing`: where a frame begins and ends, and what its text is written in. */
import type { Section } from "./section.ts";
import { readBytes, readBytesList } from "./serial-bytes.ts";

export const ENCODINGS = [
  "utf8",
  "ascii",
  "ascii7",
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
  "utf16le",
  "utf16be",
  "hex",
] as const;
export type TextEncoding = (typeof ENCODINGS)[number];

export interface TextConfig {
  /** Of the device; in the gateway it is UTF-8. null = bytes are as they are. */
  readonly encoding: TextEncoding | null;
  /** Blanks around the text are dropped. */
  readonly trim: boolean;
}

export type FramingConfig = FrameConfig & TextConfig;

type FrameConfig =
  /** Ends with the delimiter, or another of `delimitersToo`; for "\n" alone a "\r" before it is not part of the frame. */
  | {
      readonly type: "line";
      readonly delimiter: readonly number[];
      readonly delimitersToo: readonly (readonly number[])[];
      readonly frameBytesMax: number;
    }
  /** RFC 1055. */
  | { readonly type: "slip"; readonly frameBytesMax: number }
  | { readonly type: "cobs"; readonly frameBytesMax: number }
  /** A header of `offset` bytes, then the length. */
  | {
      readonly type: "length";
      readonly bytes: 1 | 2 | 4;
      readonly endian: "big" | "little";
      /** Bytes before the length; they are part of the frame. */
      readonly offset: number;
      /** What every frame begins with. */
      readonly start: readonly number[];
      /** Added to the length to get the bytes behind it: negative when it counts the header, too. */
      readonly adjust: number;
      /** Whether header and length are part of what is published. */
      readonly keepHeader: boolean;
      /** What is incomplete when nothing came for so long stays it. */
      readonly gapMs: number;
      readonly frameBytesMax: number;
    }
  | {
      readonly type: "fixed";
      readonly bytes: number;
      readonly start: readonly number[];
      readonly gapMs: number;
      readonly frameBytesMax: number;
    }
  /** From start bytes to end bytes; `escape` before one of them makes it content, or-ed exclusively with `escapeXor`. */
  | {
      readonly type: "start-end";
      readonly start: readonly number[];
      readonly end: readonly number[];
      /** -1 = none. */
      readonly escape: number;
      readonly escapeXor: number;
      readonly frameBytesMax: number;
    }
  /** Ends when nothing comes for `gapMs`; fractions are allowed. */
  | { readonly type: "idle"; readonly gapMs: number; readonly frameBytesMax: number };

export const FRAMINGS = ["line", "slip", "cobs", "length", "fixed", "start-end", "idle"] as const;
type FramingType = (typeof FRAMINGS)[number];
const DELIMITERS_MAX = 4;
const FRAME_BYTES = 8192;
const FRAME_BYTES_MAX = 65_535;
const GAP_MS_MIN = 0.1;
const GAP_MS_MAX = 10_000;
/** Without `gap_ms`: within a frame no device is silent for so long, and the next one after an hour is not the rest of it. */
const REST_MS = 1000;

/** A name, or a mapping with a `type`. */
export function readFraming(section: Section): FramingConfig {
  const inner = section.source("framing") === null ? section.section("framing") : null;
  const type = inner?.oneOf("type", FRAMINGS, "line") ?? section.oneOf("framing", FRAMINGS, "line");
  const text = readText(inner);
  const framing = framingOf(section, inner, type, text.encoding);
  if (text.encoding === "hex" && (type === "length" || type === "fixed"))
    inner?.complain(
      "encoding",
      `hex is nothing for ${type}, which finds frames by their bytes`,
      "use line or start-end",
    );
  inner?.finish();
  return { ...framing, ...text };
}

function readText(inner: Section | null): TextConfig {
  const encoding = inner?.oneOf("encoding", ["none", ...ENCODINGS], "none") ?? "none";
  const trim = inner?.flag("trim", false) ?? false;
  if (trim && encoding === "hex") inner?.complain("trim", "means nothing to hex", "remove it");
  return { encoding: encoding === "none" ? null : encoding, trim };
}

/** @param inner null = only the type is given */
function framingOf(
  outer: Section,
  inner: Section | null,
  type: FramingType,
  encoding: TextEncoding | null,
): FrameConfig {
  const frameBytesMax = inner?.bytes("max_frame", FRAME_BYTES, 1, FRAME_BYTES_MAX) ?? FRAME_BYTES;
  const need = (what: string): void => {
    const advice = `write framing: {type: ${type}, ...}`;
    if (inner === null) outer.complain("framing", `${type} needs ${what}`, advice);
    else inner.complain("", `${type} needs ${what}`, "give them");
  };
  const gapMs = (fallback: number): number => inner?.number("gap_ms", fallback, GAP_MS_MIN, GAP_MS_MAX) ?? fallback;
  switch (type) {
    case "line":
      return { type, ...readDelimiters(inner, encoding), frameBytesMax };
    case "slip":
    case "cobs":
      return { type, frameBytesMax };
    case "length": {
      const offset = inner?.count("offset", 0, 0, 255) ?? 0;
      const start = readBytes<readonly number[]>(inner, "start", []);
      if (start.length > offset) inner?.complain("start", "has more bytes than offset", "they stand before the length");
      return {
        type,
        bytes: inner?.oneOf("bytes", [1, 2, 4], 2) ?? 2,
        endian: inner?.oneOf("endian", ["big", "little"], "big") ?? "big",
        offset,
        start,
        adjust: inner?.count("adjust", 0, -255, 255) ?? 0,
        keepHeader: inner?.flag("keep_header", false) ?? false,
        gapMs: gapMs(REST_MS),
        frameBytesMax,
      };
    }
    case "fixed": {
      if (inner === null || !inner.has("bytes")) need("bytes");
      const bytes = inner?.count("bytes", 1, 1, FRAME_BYTES_MAX) ?? 1;
      const start = readBytes<readonly number[]>(inner, "start", []);
      if (start.length > bytes) inner?.complain("start", "has more bytes than a frame", "shorten it");
      return { type, bytes, start, gapMs: gapMs(REST_MS), frameBytesMax: bytes };
    }
    case "start-end":
      return readStartEnd(inner, frameBytesMax, need);
    case "idle":
      return { type, gapMs: gapMs(5), frameBytesMax };
  }
}

/** What is written as text is in the encoding of the lines. */
function readDelimiters(inner: Section | null, encoding: TextEncoding | null) {
  const encode = encoderOf(encoding);
  const given = inner === null ? [] : readBytesList(inner, "delimiter", DELIMITERS_MAX, encode);
  const lf = [...(encode("\n") as Buffer)];
  const [delimiter = lf, ...others] = given;
  // With "\n" alone a "\r" before it is tolerated, which a line of bytes does by itself.
  const isWideLf = others.length === 0 && lf.length > 1 && String(delimiter) === String(lf);
  return { delimiter, delimitersToo: isWideLf ? [[...(encode("\r\n") as Buffer)]] : others };
}

/** Other encodings than UTF-8 and UTF-16 have ASCII in common. */
function encoderOf(encoding: TextEncoding | null): (text: string) => Buffer | null {
  if (encoding === "utf16le") return (text) => Buffer.from(text, "utf16le");
  if (encoding === "utf16be") return (text) => Buffer.from(text, "utf16le").swap16();
  if (encoding === null || encoding === "utf8") return (text) => Buffer.from(text);
  return (text) => (/^[\0-\x7f]*$/.test(text) ? Buffer.from(text) : null);
}

function readStartEnd(inner: Section | null, frameBytesMax: number, need: (what: string) => void): FrameConfig {
  const none: readonly number[] = [];
  const start = readBytes(inner, "start", none);
  const end = readBytes(inner, "end", none);
  const escapes = readBytes(inner, "escape", none);
  const escapeXor = inner?.count("escape_xor", 0, 0, 255) ?? 0;
  if (inner === null || !inner.has("start") || !inner.has("end")) need("start and end");
  if (escapes.length > 1) inner?.complain("escape", "is more than one byte", "give one");
  const escapeByte = escapes[0] ?? -1;
  const special = [escapeByte, start[0], end[0]];
  if (escapeByte >= 0 && (escapeByte === start[0] || escapeByte === end[0]))
    inner?.complain("escape", "is also what a start or an end begins with", "give another");
  else if (escapeByte >= 0 && escapeXor !== 0 && special.some((byte) => special.includes((byte ?? -1) ^ escapeXor)))
    inner?.complain("escape_xor", "makes one of start, end and escape of another", "give another, such as 0x20");
  return { type: "start-end", start, end, escape: escapeByte, escapeXor, frameBytesMax };
}

/** A frame is published, so no more than a publication is possible. What nobody asked for is lowered without a word. */
export function complainAboutFrames(
  root: Section,
  serial: readonly { readonly protocol: string; readonly framing?: FramingConfig }[],
  { maxPacketBytes }: { readonly maxPacketBytes: number },
): void {
  for (const [i, { protocol, framing }] of serial.entries()) {
    if (protocol !== "frames" || framing === undefined) continue;
    const { type, frameBytesMax } = framing;
    if (frameBytesMax <= maxPacketBytes || (type !== "fixed" && frameBytesMax === FRAME_BYTES)) continue;
    const key = type === "fixed" ? "bytes" : "max_frame";
    root.complain(`serial[${i}].framing.${key}`, "is more than limits.max_packet_bytes", "make it smaller");
  }
}
