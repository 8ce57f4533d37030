// Framings and checks that the tests of streams go through, payloads for them, and streams cut anywhere.
import assert from "node:assert/strict";
import { type CheckOptions, FrameCheck } from "../../../../src/wire/serial/check.ts";
import type { BadFrame, FrameDecoder } from "../../../../src/wire/serial/framing.ts";
import type { FramingOptions } from "../../../../src/wire/serial/framings.ts";

export const MAX = 64;
export const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
export const length = (options: Partial<Extract<FramingOptions, { type: "length" }>> = {}): FramingOptions => ({
  type: "length",
  bytes: 2,
  endian: "big",
  offset: 0,
  adjust: 0,
  keepHeader: false,
  gapMs: 1000,
  frameBytesMax: MAX,
  ...options,
});
export const startEnd = (start: string, end: string, escapeByte = "", escapeXor = 0): FramingOptions => ({
  type: "start-end",
  start: hex(start),
  end: hex(end),
  escape: hex(escapeByte)[0] ?? -1,
  escapeXor,
  frameBytesMax: MAX,
});
export const LINE: FramingOptions = { type: "line", delimiter: hex("0d0a"), frameBytesMax: MAX };
export const SLIP: FramingOptions = { type: "slip", frameBytesMax: MAX };
export const COBS: FramingOptions = { type: "cobs", frameBytesMax: MAX };
export const FIXED: FramingOptions = { type: "fixed", bytes: 12, gapMs: 1000, frameBytesMax: 12 };
export const IDLE: FramingOptions = { type: "idle", gapMs: 5, frameBytesMax: MAX };
export const HDLC = startEnd("7e", "7e", "7d", 0x20);
export const crc16: CheckOptions = { type: "crc16-modbus", position: "end", endian: "little", init: 0xffff };

export const CRC32: CheckOptions = { type: "crc32", position: "end", endian: "little", init: 0 };

export class Frames {
  readonly frames: string[] = [];
  readonly bad: BadFrame[] = [];
  /** Says "no more" after every frame. */
  readonly slow: boolean;

  constructor(slow = false) {
    this.slow = slow;
  }

  onFrame(bytes: Buffer, from: number, end: number): boolean {
    assert.ok(from >= 0 && from <= end && end <= bytes.length);
    this.frames.push(bytes.toString("hex", from, end));
    return !this.slow;
  }

  onBadFrame(cause: BadFrame, bytes: Buffer, from: number, end: number): void {
    assert.ok(from >= 0 && from <= end && end <= bytes.length);
    this.bad.push(cause);
  }
}

/** null among the chunks is a gap. */
export function feed(decoder: FrameDecoder, chunks: readonly (Buffer | null)[], sink = new Frames()): Frames {
  for (const chunk of chunks) {
    if (chunk === null) {
      decoder.onGap(sink);
      while (sink.slow && feedRest(decoder, sink));
      continue;
    }
    let at = 0;
    do at = decoder.feed(chunk, at, sink);
    while (at < chunk.length);
    while (sink.slow && feedRest(decoder, sink));
  }
  return sink;
}

/** @returns whether there was one more frame inside */
function feedRest(decoder: FrameDecoder, sink: Frames): boolean {
  const before = sink.frames.length;
  decoder.feed(Buffer.alloc(0), 0, sink);
  return sink.frames.length > before;
}

export const FRAMINGS: [name: string, framing: FramingOptions][] = [
  ["line", { ...LINE, delimiter: hex("0a") }],
  ["line of two bytes", LINE],
  ["slip", SLIP],
  ["cobs", COBS],
  ["length", length()],
  ["length, kept header", length({ bytes: 1, offset: 2, adjust: -3, endian: "little", keepHeader: false })],
  ["length behind a start", length({ offset: 3, start: hex("aa55") })],
  ["fixed", FIXED],
  ["start-end with escape", startEnd("02", "03", "10")],
  ["start-end of two bytes", startEnd("aa55", "5555", "10", 0x0f)],
  ["start-end without escape", startEnd("3c", "3e")],
  ["HDLC", HDLC],
  ["line of digits", { ...LINE, encoding: "hex" }],
  ["start-end of digits", { ...startEnd("3a", "0d0a"), encoding: "hex" }],
  ["idle", IDLE],
];
export const CHECKS: (CheckOptions | null)[] = [
  null,
  { type: "sum8", position: "start", endian: "big", init: 0 },
  { type: "xor8", position: "end", endian: "big", init: 0 },
  { type: "crc8", position: "end", endian: "big", init: 0 },
  crc16,
  { type: "crc16-ccitt", position: "start", endian: "big", init: 0xffff },
  { type: "crc16-x25", position: "end", endian: "big", init: 0, digits: true, skip: 1, mark: hex("2a2a") },
  CRC32,
];
const BEHIND: CheckOptions[] = [
  { ...crc16, position: "behind", covers: "both" },
  { ...CRC32, position: "behind", covers: "end", digits: true },
];

/** Those that the framing can have. */
export function checksOf(framing: FramingOptions): (CheckOptions | null)[] {
  const ends = framing.type === "start-end" && String(framing.start) !== String(framing.end);
  return ends ? [...CHECKS, ...BEHIND] : CHECKS;
}

/** Payloads of all lengths, full of the bytes that framings care about. */
export function payloadOf(random: () => number, size: number): Buffer {
  const special = [0, 1, 2, 3, 0x0a, 0x0d, 0x10, 0x7d, 0x7e, 0xc0, 0xdb, 0xdc, 0xdd, 0xaa, 0x55, 0x3c, 0x3e, 0xff];
  const byte = () =>
    random() < 0.3 ? (special[Math.floor(random() * special.length)] as number) : Math.floor(random() * 256);
  return Buffer.from(Array.from({ length: size }, byte));
}

export function sizeOf(framing: FramingOptions, check: CheckOptions | null, random: () => number): number {
  const { before, behind } = check === null ? { before: 0, behind: 0 } : new FrameCheck(check);
  if (framing.type === "fixed") return framing.bytes - before - behind;
  const most = framing.encoding === "hex" ? MAX / 2 : MAX;
  return 5 + Math.floor(random() * (most - 4 - before - behind));
}

export function cut(bytes: Buffer, random: () => number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const n = random() < 0.5 ? 1 + Math.floor(random() * 3) : 1 + Math.floor(random() * bytes.length);
    chunks.push(bytes.subarray(at, at + n));
    at += n;
  }
  return chunks;
}
