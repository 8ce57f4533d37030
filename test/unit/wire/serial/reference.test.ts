// Framings beside plain ones that see the whole stream at once: few byte values and short limits, so that edges meet.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import { decoderOf, type FramingOptions } from "../../../../src/wire/serial/framings.ts";
import { cut, Frames, feed } from "./kinds.ts";

const MAX = 5;
/** Frames in hexadecimal, and the causes of those that are none, in their order. */
type Found = [frames: string[], bad: string[]];
const text = (bytes: readonly number[]): string => Buffer.from(bytes).toString("hex");
const endsWith = (bytes: readonly number[], end: readonly number[]): boolean =>
  bytes.length >= end.length && end.every((byte, i) => bytes[bytes.length - end.length + i] === byte);

function lines(stream: readonly number[], delimiters: readonly number[][]): Found {
  const found: Found = [[], []];
  let line: number[] = [];
  for (const byte of stream) {
    line.push(byte);
    const ends = delimiters.filter((delimiter) => endsWith(line, delimiter)).map(({ length }) => length);
    if (ends.length === 0) continue;
    let content = line.slice(0, line.length - Math.max(...ends));
    if (delimiters.length === 1 && text(delimiters[0] as number[]) === "0a" && content.at(-1) === 0x0d)
      content = content.slice(0, -1);
    line = [];
    if (content.length > MAX) found[1].push("too-long");
    else found[0].push(text(content));
  }
  if (line.length > MAX + 8) found[1].push("too-long");
  return found;
}

function pieces(stream: readonly number[], delimiter: number): number[][] {
  const all: number[][] = [[]];
  for (const byte of stream) {
    if (byte === delimiter) all.push([]);
    else all.at(-1)?.push(byte);
  }
  return all;
}

/** @param unpack gives the content as far as it is one, and the cause when it is none */
function packed(stream: readonly number[], delimiter: number, unpack: (piece: number[]) => [number[], string]): Found {
  const found: Found = [[], []];
  const all = pieces(stream, delimiter);
  for (const [i, piece] of all.entries()) {
    if (piece.length === 0) continue;
    const [content, cause] = unpack(piece);
    const isLast = i === all.length - 1;
    if (content.length > MAX) found[1].push("too-long");
    else if (cause === "escape" || (cause === "open" && !isLast)) found[1].push(delimiter === 0 ? "cut" : "escape");
    else if (!isLast) found[0].push(text(content));
  }
  return found;
}

function slip(stream: readonly number[]): Found {
  const found = packed(stream, 0xc0, (piece) => {
    const content: number[] = [];
    for (let i = 0; i < piece.length; i++) {
      if (piece[i] !== 0xdb) content.push(piece[i] as number);
      else if (i + 1 === piece.length) return [content, "open"];
      else if (piece[++i] === 0xdc) content.push(0xc0);
      else if (piece[i] === 0xdd) content.push(0xdb);
      else return [content, "escape"];
    }
    return [content, ""];
  });
  return found;
}

function cobs(stream: readonly number[]): Found {
  return packed(stream, 0, (piece) => {
    const content: number[] = [];
    for (let i = 0; i < piece.length; ) {
      const code = piece[i] as number;
      const block = piece.slice(i + 1, i + code);
      content.push(...block);
      if (block.length < code - 1) return [content, "open"];
      i += code;
      if (i < piece.length && code < 255) content.push(0);
    }
    return [content, ""];
  });
}

/** Between the first start and the end that comes first; a start that comes before it begins anew. No escapes. */
function between(stream: readonly number[], start: readonly number[], end: readonly number[]): string[] {
  const frames: string[] = [];
  let since: number[] = [];
  let inside = false;
  const same = text(start) === text(end);
  for (const byte of stream) {
    since.push(byte);
    if (!inside) {
      if (endsWith(since, start)) [inside, since] = [true, []];
    } else if (since.length - end.length <= MAX && endsWith(since, end)) {
      const content = since.slice(0, since.length - end.length);
      if (!same || content.length > 0) frames.push(text(content));
      [inside, since] = [same, []];
    } else if (endsWith(since, start)) {
      since = [];
    } else if (since.length > MAX + end.length) {
      // What may begin the next start is part of it.
      inside = false;
    }
  }
  return frames;
}

const xor = (bytes: readonly number[]): number => bytes.reduce((sum, byte) => sum ^ byte, 0);

/** A byte of length, content, and an exclusive or that the length counts; whatever is none costs a byte. */
function checkedLengths(stream: readonly number[]): string[] {
  const frames: string[] = [];
  for (let at = 0; at < stream.length; ) {
    const length = stream[at] as number;
    const body = stream.slice(at + 1, at + 1 + length);
    if (length > MAX || length < 1 || body.length < length || xor(body) !== 0) {
      at++;
      continue;
    }
    if (length > 1) frames.push(text(body.slice(0, -1)));
    else frames.push("");
    at += 1 + length;
  }
  return frames;
}

function checkedFixed(stream: readonly number[], start: readonly number[]): string[] {
  const frames: string[] = [];
  for (let at = 0; at < stream.length; ) {
    const frame = stream.slice(at, at + MAX);
    const isFrame = frame.length === MAX && start.every((byte, i) => frame[i] === byte) && xor(frame) === 0;
    if (isFrame) frames.push(text(frame.slice(0, -1)));
    at += isFrame ? MAX : 1;
  }
  return frames;
}

const XOR = { type: "xor8", position: "end", endian: "big", init: 0 } as const;

function compare(
  title: string,
  alphabet: readonly number[],
  decoder: () => ReturnType<typeof decoderOf>,
  reference: (stream: readonly number[]) => string[] | Found,
): void {
  test(`${title}: any stream, cut anywhere, is read as by who sees it whole`, () => {
    const random = seededRandom(title.length * 15_485_863);
    for (let round = 0; round < 3000; round++) {
      const size = 1 + Math.floor(random() * 40);
      const stream = Array.from({ length: size }, () => alphabet[Math.floor(random() * alphabet.length)] as number);
      const { frames, bad } = feed(decoder(), [...cut(Buffer.from(stream), random), null], new Frames(round % 2 === 0));
      const expected = reference(stream);
      const isFound = Array.isArray(expected[0]);
      assert.deepEqual(isFound ? [frames, bad] : frames, expected, text(stream));
    }
  });
}

const lineOf = (...delimiters: number[][]): FramingOptions => ({
  type: "line",
  delimiter: delimiters[0] as number[],
  delimitersToo: delimiters.slice(1),
  frameBytesMax: MAX,
});
const LINES: number[][][] = [
  [[0x0a]],
  [[0x0d, 0x0a]],
  [[0x0a, 0x0a]],
  [[0x0a, 0x0d, 0x0a]],
  [[0x0d, 0x0a], [0x0d], [0x0a]],
  [[0x0a], [0x0d, 0x0d, 0x0a]],
  [
    [0x0a, 0x61],
    [0x0d, 0x0a],
  ],
];
for (const delimiters of LINES)
  compare(
    `line ${delimiters.map(text)}`,
    [0x0a, 0x0d, 0x61],
    () => decoderOf(lineOf(...delimiters), null),
    (stream) => lines(stream, delimiters),
  );
compare("slip", [0xc0, 0xdb, 0xdc, 0xdd, 0x61], () => decoderOf({ type: "slip", frameBytesMax: MAX }, null), slip);
compare("cobs", [0, 1, 2, 3, 4, 7], () => decoderOf({ type: "cobs", frameBytesMax: MAX }, null), cobs);

const MARKS: [start: number[], end: number[]][] = [
  [[1], [2]],
  [[1], [1]],
  [
    [1, 2],
    [2, 1],
  ],
  [
    [1, 1],
    [1, 1],
  ],
  [[1, 1, 2], [3]],
  [[3], [1, 1, 2]],
  [[1], [2, 1]],
  [
    [1, 2],
    [2, 2],
  ],
];
for (const [start, end] of MARKS)
  compare(
    `start-end ${text(start)} ${text(end)}`,
    [1, 2, 3],
    () => decoderOf({ type: "start-end", start, end, escape: -1, escapeXor: 0, frameBytesMax: MAX }, null),
    (stream) => between(stream, start, end),
  );
compare(
  "length with a check",
  [0, 1, 2, 3, 4, 9],
  () =>
    decoderOf(
      {
        type: "length",
        bytes: 1,
        endian: "big",
        offset: 0,
        adjust: 0,
        keepHeader: false,
        gapMs: 1,
        frameBytesMax: MAX,
      },
      XOR,
    ),
  checkedLengths,
);
for (const start of [[], [1], [1, 1]])
  compare(
    `fixed from ${text(start)} with a check`,
    [0, 1, 2, 3],
    () => decoderOf({ type: "fixed", bytes: MAX, start, gapMs: 1, frameBytesMax: MAX }, XOR),
    (stream) => checkedFixed(stream, start),
  );
