/** Framings of serial lines: bytes in, frames out. An operation is a byte. */
import type { CheckOptions } from "../../src/wire/serial/check.ts";
import type { FrameDecoder, FrameSink } from "../../src/wire/serial/framing.ts";
import { decoderOf, encoderOf, type FramingOptions } from "../../src/wire/serial/framings.ts";
import { type MicroCase, sink } from "./case.ts";

const FRAME_BYTES = 32;
const CHUNK_BYTES = 256;
const frameBytesMax = 8192;
const gapMs = 1000;

const LENGTH: FramingOptions = {
  type: "length",
  bytes: 2,
  endian: "big",
  offset: 0,
  adjust: 0,
  keepHeader: false,
  gapMs,
  frameBytesMax,
};
const FRAMINGS: Readonly<Record<string, FramingOptions>> = {
  line: { type: "line", delimiter: [0x0a], frameBytesMax },
  "line of two bytes": { type: "line", delimiter: [0x0d, 0x0a], frameBytesMax },
  "line in code page 437": { type: "line", delimiter: [0x0a], frameBytesMax, encoding: "cp437" },
  "line of digits": { type: "line", delimiter: [0x0a], frameBytesMax, encoding: "hex" },
  slip: { type: "slip", frameBytesMax },
  cobs: { type: "cobs", frameBytesMax },
  length: LENGTH,
  fixed: { type: "fixed", bytes: FRAME_BYTES, gapMs, frameBytesMax: FRAME_BYTES },
  "start-end with escape": { type: "start-end", start: [2], end: [3], escape: 16, escapeXor: 0, frameBytesMax },
  idle: { type: "idle", gapMs: 5, frameBytesMax },
};
const CHECKS = ["sum8", "crc8", "crc16-modbus", "crc16-ccitt", "crc32"] as const;

const taker: FrameSink = {
  onFrame: (_bytes, from, end) => {
    sink.value += end - from;
    return true;
  },
  onBadFrame: () => {
    throw new Error("a bad frame");
  },
};

function decode(name: string, framing: FramingOptions, type: CheckOptions["type"] | null): () => MicroCase {
  return () => {
    const check: CheckOptions | null = type === null ? null : { type, position: "end", endian: "big", init: 0xffff };
    const width = type === null ? 0 : type === "crc32" ? 4 : type.startsWith("crc16") ? 2 : 1;
    const encoder = encoderOf(framing, check);
    const letters = (n: number): Buffer =>
      Buffer.from(Array.from({ length: FRAME_BYTES - width }, (_, i) => 97 + ((i + n) % 26)));
    const frames = Array.from({ length: 26 }, (_, n) => encoder.encode(letters(n)));
    const stream = Buffer.concat(frames);
    const chunks: Buffer[] = [];
    for (let at = 0; at < stream.length; at += CHUNK_BYTES) chunks.push(stream.subarray(at, at + CHUNK_BYTES));
    const decoder = decoderOf(framing, check);
    const oneChunk = frames.map((frame) => frame);
    return {
      name: `wire/serial: ${name}${type === null ? "" : `, ${type}`}: a byte`,
      run: (times) => {
        for (let bytes = 0; bytes < times; bytes += stream.length) {
          if (framing.type === "idle") round(decoder, oneChunk, true);
          else round(decoder, chunks, false);
        }
      },
    };
  };
}

function round(decoder: FrameDecoder, chunks: readonly Buffer[], gaps: boolean): void {
  for (const chunk of chunks) {
    decoder.feed(chunk, 0, taker);
    if (gaps) decoder.onGap(taker);
  }
}

/** A device that means harm: each byte may begin a frame of half of the longest, and none is one. A turn of the search. */
function search(): MicroCase {
  const decoder = decoderOf(
    { ...LENGTH, frameBytesMax: 65_535 },
    { type: "crc16-modbus", position: "end", endian: "big", init: 0 },
  );
  const garbage = Buffer.alloc(65_536, 0x7f);
  const none: FrameSink = { onFrame: () => true, onBadFrame: () => {} };
  let at = 0;
  return {
    name: "wire/serial: length, crc16-modbus: a turn of the longest search",
    run: (times) => {
      for (let i = 0; i < times; i++) at = decoder.feed(garbage, at % garbage.length, none);
      sink.value += at;
    },
  };
}

export const framingCases: readonly (() => MicroCase)[] = [
  ...Object.entries(FRAMINGS).map(([name, framing]) => decode(name, framing, null)),
  ...["fixed", "slip", "idle"].flatMap((name) =>
    CHECKS.map((type) => decode(name, FRAMINGS[name] as FramingOptions, type)),
  ),
  search,
];
