/** `serial[].framing` and `check`: where a frame begins and ends, and whether it arrived whole. */
import type { Section } from "./section.ts";

export type FramingConfig =
  /** Ends with the delimiter; for "\n" a "\r" before it is not part of the frame. */
  | { readonly type: "line"; readonly delimiter: readonly number[]; readonly frameBytesMax: number }
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
      /** Added to the length to get the bytes behind it: negative when it counts the header, too. */
      readonly adjust: number;
      /** Whether header and length are part of what is published. */
      readonly keepHeader: boolean;
      /** What is incomplete when nothing came for so long stays it. */
      readonly gapMs: number;
      readonly frameBytesMax: number;
    }
  | { readonly type: "fixed"; readonly bytes: number; readonly gapMs: number; readonly frameBytesMax: number }
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

export const CHECKS = ["sum8", "xor8", "crc8", "crc16-modbus", "crc16-ccitt", "crc32"] as const;
export type CheckType = (typeof CHECKS)[number];

export interface CheckConfig {
  readonly type: CheckType;
  readonly position: "end" | "start";
  readonly endian: "big" | "little";
  /** What crc16-ccitt begins with. */
  readonly init: number;
}

const FRAMINGS = ["line", "slip", "cobs", "length", "fixed", "start-end", "idle"] as const;
type FramingType = (typeof FRAMINGS)[number];
const LF = 0x0a;
const FRAME_BYTES = 8192;
const FRAME_BYTES_MAX = 65_535;
const GAP_MS_MIN = 0.1;
const GAP_MS_MAX = 10_000;
/** Without `gap_ms`: within a frame no device is silent for so long, and the next one after an hour is not the rest of it. */
const REST_MS = 1000;

/** A name, or a mapping with a `type`. */
export function readFraming(section: Section): FramingConfig {
  if (section.source("framing") !== null) {
    return framingOf(section, null, section.oneOf("framing", FRAMINGS, "line"));
  }
  const inner = section.section("framing");
  if (inner === null) return framingOf(section, null, "line");
  const framing = framingOf(section, inner, inner.oneOf("type", FRAMINGS, "line"));
  inner.finish();
  return framing;
}

/** @param inner null = only the type is given */
function framingOf(outer: Section, inner: Section | null, type: FramingType): FramingConfig {
  const frameBytesMax = inner?.bytes("max_frame", FRAME_BYTES, 1, FRAME_BYTES_MAX) ?? FRAME_BYTES;
  const need = (what: string): void => {
    const advice = `write framing: {type: ${type}, ...}`;
    if (inner === null) outer.complain("framing", `${type} needs ${what}`, advice);
    else inner.complain("", `${type} needs ${what}`, "give them");
  };
  const gapMs = (fallback: number): number => inner?.number("gap_ms", fallback, GAP_MS_MIN, GAP_MS_MAX) ?? fallback;
  switch (type) {
    case "line": {
      const delimiter = readBytes(inner, "delimiter", [LF]);
      return { type, delimiter, frameBytesMax };
    }
    case "slip":
    case "cobs":
      return { type, frameBytesMax };
    case "length":
      return {
        type,
        bytes: inner?.oneOf("bytes", [1, 2, 4], 2) ?? 2,
        endian: inner?.oneOf("endian", ["big", "little"], "big") ?? "big",
        offset: inner?.count("offset", 0, 0, 255) ?? 0,
        adjust: inner?.count("adjust", 0, -255, 255) ?? 0,
        keepHeader: inner?.flag("keep_header", false) ?? false,
        gapMs: gapMs(REST_MS),
        frameBytesMax,
      };
    case "fixed": {
      if (inner === null || !inner.has("bytes")) need("bytes");
      const bytes = inner?.count("bytes", 1, 1, FRAME_BYTES_MAX) ?? 1;
      return { type, bytes, gapMs: gapMs(REST_MS), frameBytesMax: bytes };
    }
    case "start-end":
      return readStartEnd(inner, frameBytesMax, need);
    case "idle":
      return { type, gapMs: gapMs(5), frameBytesMax };
  }
}

function readStartEnd(inner: Section | null, frameBytesMax: number, need: (what: string) => void): FramingConfig {
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

/** Text, with "hex:" before bytes in hexadecimal. At most eight bytes. */
function readBytes(section: Section | null, key: string, fallback: readonly number[]): readonly number[] {
  const text = section?.text(key, null) ?? null;
  if (text === null || section === null) return fallback;
  const isHex = text.startsWith("hex:");
  const digits = text.slice("hex:".length).replaceAll(" ", "");
  if (isHex && !/^([0-9a-fA-F]{2})+$/.test(digits)) {
    section.complain(key, `${JSON.stringify(text)} is no hexadecimal`, 'write it like "hex:0d0a"');
    return fallback;
  }
  const bytes = [...(isHex ? Buffer.from(digits, "hex") : Buffer.from(text))];
  if (bytes.length <= 8) return bytes;
  section.complain(key, "is longer than eight bytes", "shorten it");
  return fallback;
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

/** null = none. */
export function readCheck(section: Section): CheckConfig | null {
  const types = ["none", ...CHECKS] as const;
  if (section.source("check") !== null) {
    const type = section.oneOf("check", types, "none");
    return type === "none" ? null : checkOf(type, null);
  }
  const inner = section.section("check");
  if (inner === null) return null;
  const type = inner.oneOf("type", types, "none");
  const check = type === "none" ? null : checkOf(type, inner);
  inner.finish();
  return check;
}

/** Modbus sends the low byte first, the others the high one. */
function checkOf(type: CheckType, inner: Section | null): CheckConfig {
  const endian = type === "crc16-modbus" ? "little" : "big";
  return {
    type,
    position: inner?.oneOf("position", ["end", "start"], "end") ?? "end",
    endian: inner?.oneOf("endian", ["big", "little"], endian) ?? endian,
    init: (type === "crc16-ccitt" ? inner?.count("init", 0xffff, 0, 0xffff) : null) ?? 0xffff,
  };
}
