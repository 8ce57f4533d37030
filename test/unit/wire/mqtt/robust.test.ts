/**
 * What a peer can do to a packet: cut it, change a byte, or send anything. No decoder throws, reads beyond `end`, names
 * a range outside the packet, or answers with a number that is not a reason.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OK, PINGREQ, PINGRESP, reasonName } from "../../../../src/wire/mqtt/codes.ts";
import { FrameHeader, readFrameHeader } from "../../../../src/wire/mqtt/frame.ts";
import { bytes, guarded, Random } from "./bytes.ts";
import { decodeBody, rangesInside, viewOf } from "./packets.ts";
import { VECTORS } from "./vectors.ts";
import { WRONG_VECTORS } from "./wrong-vectors.ts";

const header = new FrameHeader();

/** Decodes and judges the answer; `say` prints the packet when it is wrong. */
function check(frame: Buffer, type: number, flags: number, from: number, end: number, version: number): number {
  const say = () => `type ${type}, flags ${flags}, version ${version}: ${frame.toString("hex", from, end)}`;
  const code = decodeBody(frame, type, flags, from, end, version);
  assert.notEqual(reasonName(code), "unknown-reason-code", say());
  const isPing = type === PINGREQ || type === PINGRESP;
  if (code === OK && !isPing) assert.ok(rangesInside(viewOf(type), from, end), say());
  return code;
}

describe("every truncation, the Remaining Length fitted to it, of", () => {
  for (const { title, version, bytes: text, shorter = 0 } of VECTORS) {
    it(`${title}: ${shorter} are packets`, () => {
      const frame = bytes(text);
      assert.equal(readFrameHeader(frame, 0, frame.length, header), OK);
      const { type, flags, bodyAt } = header;
      let packets = 0;
      for (let end = bodyAt; end < frame.length; end++) {
        if (check(frame, type, flags, bodyAt, end, version) === OK) packets++;
        decodeBody(guarded(frame, bodyAt, end), type, flags, bodyAt, end, version);
      }
      assert.equal(packets, shorter);
    });
  }
});

it("every byte of every vector changed to each other value", () => {
  for (const { version, bytes: text } of VECTORS) {
    const frame = bytes(text);
    assert.equal(readFrameHeader(frame, 0, frame.length, header), OK);
    const { type, flags, bodyAt, end } = header;
    for (let at = bodyAt; at < end; at++) {
      const right = frame[at] as number;
      for (let value = 0; value < 256; value++) {
        frame[at] = value;
        check(frame, type, flags, bodyAt, end, version);
      }
      for (const value of [0, right ^ 1, right ^ 0x80, 0x7f, 0xff]) {
        frame[at] = value;
        decodeBody(guarded(frame, bodyAt, end), type, flags, bodyAt, end, version);
      }
      frame[at] = right;
    }
  }
});

it("every vector read as each other type, in each version, with each flag", () => {
  for (const text of [...VECTORS.map((each) => each.bytes), ...WRONG_VECTORS.map((each) => each[2])]) {
    const frame = bytes(text);
    if (readFrameHeader(frame, 0, frame.length, header) !== OK || header.end > frame.length) continue;
    const { bodyAt, end } = header;
    for (let first = 0x10; first < 0x100; first++) {
      for (const version of [3, 4, 5]) check(frame, first >> 4, first & 15, bodyAt, end, version);
    }
  }
});

/** `npm test -- --long SEED` goes on from another seed, for longer. */
const LONG = process.env["SLUICE_LONG"];
const SEED = LONG === undefined ? 1 : Number(LONG);
const SECONDS = LONG === undefined ? 20 : 900;
/** However slow the machine: as many as it takes to get everywhere. */
const COUNT_MIN = 500_000;

it(`${SECONDS} s of packets grown from the vectors by splicing and noise, seed ${SEED}`, (t) => {
  const untilMs = performance.now() + SECONDS * 1000;
  const random = new Random(SEED);
  const seeds = [...VECTORS.map((each) => each.bytes), ...WRONG_VECTORS.map((each) => each[2])].map(bytes);
  const chunk = Buffer.alloc(4096);
  const seen = new Set<number>();
  let count = 0;
  for (; count < COUNT_MIN || count % 1024 !== 0 || performance.now() < untilMs; count++) {
    const seed = random.pick(seeds);
    if (readFrameHeader(seed, 0, seed.length, header) !== OK) continue;
    const { type, flags } = header;
    const from = 7 + random.below(3);
    let end = from + seed.copy(chunk, from, header.bodyAt);
    for (let change = random.below(5); change > 0; change--) end = mutate(random, seeds, chunk, from, end);
    chunk.fill(random.below(2) * 255, end, end + 16);
    seen.add(check(chunk, type, random.chance(90) ? flags : random.below(16), from, end, random.chance(90) ? 5 : 4));
  }
  t.diagnostic(`${count} packets`);
  // it gets everywhere: success and each code a decoder has
  assert.deepEqual(
    [...seen].sort((a, b) => a - b),
    [0, 0x81, 0x82, 0x84, 0x85, 0x8f, 0x90, 0x94],
  );
});

/** One change to the body `chunk[from..end)`. @returns its new end */
function mutate(random: Random, seeds: readonly Buffer[], chunk: Buffer, from: number, end: number): number {
  if (end === from) return from + 1;
  const at = from + random.below(end - from);
  switch (random.below(5)) {
    case 0:
      chunk[at] = random.below(256);
      return end;
    case 1:
      chunk[at] = random.pick([0, 1, 2, 0x7f, 0x80, 0xff, 0x23, 0x26, 0x2b]);
      return end;
    case 2:
      return at;
    case 3:
      chunk.copyWithin(at, at + 1, end);
      return end - 1;
    default: {
      const piece = random.pick(seeds);
      const length = Math.min(random.below(piece.length + 1), 1000);
      if (end + length > 3000) return end;
      chunk.copyWithin(at + length, at, end);
      piece.copy(chunk, at, piece.length - length);
      return end + length;
    }
  }
}
