/** `serial[].check`: whether a frame arrived whole. */
import type { Section } from "./section.ts";
import { readBytes } from "./serial-bytes.ts";
import type { FramingConfig } from "./serial-framing.ts";

export const CHECKS = [
  "sum8",
  "sum16",
  "xor8",
  "lrc8",
  "crc8",
  "crc16-modbus",
  "crc16-arc",
  "crc16-ccitt",
  "crc16-x25",
  "crc32",
] as const;
export type CheckType = (typeof CHECKS)[number];

export interface CheckConfig {
  readonly type: CheckType;
  /** At an end of what the frame contains, or behind the end bytes of start-end. */
  readonly position: "end" | "start" | "behind";
  readonly endian: "big" | "little";
  /** What crc16-ccitt begins with. */
  readonly init: number;
  /** In hexadecimal digits. */
  readonly digits: boolean;
  /** Bytes at the beginning that are not summed. */
  readonly skip: number;
  /** Between the content and the check, and behind it. */
  readonly mark: readonly number[];
  readonly tail: readonly number[];
  /** What a check behind the end bytes is also the sum of. */
  readonly covers: "content" | "end" | "both";
  /** It is published with the frame. */
  readonly keep: boolean;
}

/** null = none. */
export function readCheck(section: Section, framing: FramingConfig): CheckConfig | null {
  const check = checkOf(section);
  if (check !== null) judge(section, framing, check);
  return check;
}

function checkOf(section: Section): CheckConfig | null {
  const types = ["none", ...CHECKS] as const;
  const inner = section.source("check") === null ? section.section("check") : null;
  const type = inner?.oneOf("type", types, "none") ?? section.oneOf("check", types, "none");
  const check = type === "none" ? null : keysOf(type, inner);
  if (inner !== null && !inner.has("type")) inner.complain("type", "is missing", `give one of ${CHECKS.join(", ")}`);
  else inner?.finish();
  return check;
}

/** Modbus and HDLC send the low byte first, the others the high one. */
function keysOf(type: CheckType, inner: Section | null): CheckConfig {
  const endian = type === "crc16-modbus" || type === "crc16-x25" ? "little" : "big";
  const position = inner?.oneOf("position", ["end", "start", "behind"], "end") ?? "end";
  for (const [key, where] of [
    ["mark", "end"],
    ["tail", "end"],
    ["covers", "behind"],
  ] as const)
    if (position !== where && inner?.has(key)) inner.complain(key, `is for position: ${where}`, "remove it");
  if (type !== "crc16-ccitt" && inner?.has("init")) inner.complain("init", `means nothing to ${type}`, "remove it");
  return {
    type,
    position,
    endian: inner?.oneOf("endian", ["big", "little"], endian) ?? endian,
    init: (type === "crc16-ccitt" ? inner?.count("init", 0xffff, 0, 0xffff) : null) ?? 0xffff,
    digits: inner?.oneOf("encoding", ["binary", "hex"], "binary") === "hex",
    skip: inner?.count("skip", 0, 0, 255) ?? 0,
    mark: (position === "end" ? readBytes(inner, "mark", []) : null) ?? [],
    tail: (position === "end" ? readBytes(inner, "tail", []) : null) ?? [],
    covers: (position === "behind" ? inner?.oneOf("covers", ["content", "end", "both"], "content") : null) ?? "content",
    keep: inner?.flag("keep", false) ?? false,
  };
}

function judge(section: Section, framing: FramingConfig, { type, position, digits, mark, tail }: CheckConfig): void {
  const sumBytes = type === "crc32" ? 4 : type.includes("16") ? 2 : 1;
  const bytes = sumBytes * (digits ? 2 : 1) + mark.length + tail.length;
  if (position !== "behind") {
    if (framing.frameBytesMax <= bytes)
      section.complain("check", "leaves no room for content", "give the framing more bytes");
    return;
  }
  if (framing.type !== "start-end")
    section.complain("check.position", "is behind the end bytes, which only start-end has", "use end");
  else if (String(framing.start) === String(framing.end))
    section.complain("check.position", "is behind an end that is also a start", "use end");
}
