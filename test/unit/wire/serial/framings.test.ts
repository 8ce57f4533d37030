// Every framing with every check: vectors, any cut of the stream, noise, limits.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import type { BadFrame } from "../../../../src/wire/serial/framing.ts";
import { decoderOf, encoderOf, type FramingOptions } from "../../../../src/wire/serial/framings.ts";
import {
  COBS,
  checksOf,
  crc16,
  cut,
  FIXED,
  FRAMINGS,
  Frames,
  feed,
  HDLC,
  hex,
  IDLE,
  length,
  MAX,
  payloadOf,
  SLIP,
  sizeOf,
  startEnd,
} from "./kinds.ts";

const VECTORS: [title: string, framing: FramingOptions, bytes: string, frames: string[], bad: BadFrame[]][] = [
  ["slip: END, ESC and their stand-ins", SLIP, "c0 01 dbdc 02 dbdd 03 c0", ["01c002db03"], []],
  ["slip: frames with one and with two ENDs between", SLIP, "01 c0 02 c0 c0 03 c0", ["01", "02", "03"], []],
  [
    "slip: ESC before another byte, and before END",
    SLIP,
    "0102 db03 04 c0 05 db c0 06 c0",
    ["06"],
    ["escape", "escape"],
  ],
  ["slip: too long", SLIP, `${"11".repeat(MAX + 1)} 22 c0 ${"33".repeat(MAX)} c0`, ["33".repeat(MAX)], ["too-long"]],
  [
    "cobs: the paper's 45 00 00 2c 4c 79 00 00 40 06 4f 37",
    COBS,
    "02 45 01 04 2c4c79 01 05 40064f37 00",
    ["4500002c4c79000040064f37"],
    [],
  ],
  ["cobs: 00, 00 00, 00 11 00", COBS, "0101 00 010101 00 01021101 00", ["00", "0000", "001100"], []],
  ["cobs: a frame cut by a zero, zeros between frames", COBS, "05 1122 00 00 00 02 33 00", ["33"], ["cut"]],
  ["cobs: too long", COBS, `42 ${"11".repeat(65)} 00 02 22 00`, ["22"], ["too-long"]],
  ["length: two bytes, big endian", length(), "0003 616263 0000 0001 64", ["616263", "", "64"], []],
  ["length: one byte", length({ bytes: 1 }), "03 616263 01 64", ["616263", "64"], []],
  ["length: four bytes, little endian", length({ bytes: 4, endian: "little" }), "03000000 616263", ["616263"], []],
  [
    "length: of the whole frame, at offset 1, kept",
    length({ bytes: 1, offset: 1, adjust: -2, keepHeader: true }),
    "aa 05 616263 aa 02",
    ["aa05616263", "aa02"],
    [],
  ],
  ["length: beyond the limit is no beginning", length({ bytes: 1 }), "ff 01 61", ["61"], ["too-long"]],
  ["length: less than its header", length({ bytes: 1, adjust: -1 }), "00 02 61", ["61"], ["too-long"]],
  [
    "length: MQTT-SN's PINGREQ and PINGRESP",
    length({ bytes: 1, adjust: -1, keepHeader: true }),
    "02 16 02 17",
    ["0216", "0217"],
    [],
  ],
  ["fixed", FIXED, `${"01".repeat(12)}${"02".repeat(12)}03`, ["01".repeat(12), "02".repeat(12)], []],
  [
    "start-end: STX and ETX with DLE",
    startEnd("02", "03", "10"),
    "02 61 1003 62 1010 1002 03 02 03",
    ["6103621002", ""],
    [],
  ],
  [
    "start-end: noise around",
    startEnd("02", "03"),
    "0d0a20 02 61 03 0d0a 02 62 03 20",
    ["61", "62"],
    ["noise", "noise"],
  ],
  ["start-end: a start inside begins anew", startEnd("02", "03"), "02 61 02 62 03", ["62"], ["cut"]],
  ["start-end: of two bytes each", startEnd("aa55", "0d0a"), "aaaa55 61aa62 0d 63 0d0a", ["61aa620d63"], []],
  [
    "start-end: too long, then a good one",
    startEnd("02", "03"),
    `02 ${"61".repeat(66)} 03 02 62 03`,
    ["62"],
    ["too-long"],
  ],
  [
    "start-end: of the longest frame the end is lost",
    startEnd("aa55", "0d0a"),
    `aa55 ${"61".repeat(MAX)} 0d aa55 62 0d0a`,
    ["62"],
    ["too-long"],
  ],
  ["start-end: one flag between, too long", HDLC, `7e ${"61".repeat(MAX + 1)} 7e 62 7e`, ["62"], ["too-long"]],
  ["start-end: HDLC flags, 7d 5e is 7e", HDLC, "7e 617d5e62 7e 7d5d 7e 7e 63 7e", ["617e62", "7d", "63"], []],
  ["start-end: HDLC's abort", HDLC, "7e 61 7d7e 62 7e", ["62"], ["escape"]],
];

for (const [title, framing, bytes, frames, bad] of VECTORS) {
  test(`${title}: whole, cut at each byte, byte by byte, and for a sink that takes one at a time`, () => {
    const stream = hex(bytes);
    const check = (chunks: Buffer[], slow: boolean, what: string) => {
      const found = feed(decoderOf(framing, null), chunks, new Frames(slow));
      assert.deepEqual(found.frames, frames, what);
      assert.deepEqual(found.bad, bad, what);
    };
    for (const slow of [false, true]) {
      for (let at = 0; at < stream.length; at++) check([stream.subarray(0, at), stream.subarray(at)], slow, `at ${at}`);
      check(
        [...stream].map((byte) => Buffer.of(byte)),
        slow,
        "byte by byte",
      );
    }
  });
}

/** Bytes from `first` to `last`, which may lie behind 0xff. */
const run = (first: number, last: number): string =>
  Buffer.from(Array.from({ length: last - first + 1 }, (_, i) => (first + i) & 0xff)).toString("hex");
const COBS_BLOCKS: [content: string, bytes: string][] = [
  [run(1, 0xfe), `ff${run(1, 0xfe)}00`],
  [run(0, 0xfe), `01ff${run(1, 0xfe)}00`],
  [run(1, 0xff), `ff${run(1, 0xfe)}02ff00`],
  [run(2, 0x100), `ff${run(2, 0xff)}010100`],
  [run(3, 0x101), `fe${run(3, 0xff)}020100`],
  [run(1, 0xfe) + run(1, 0xfe), `ff${run(1, 0xfe)}ff${run(1, 0xfe)}00`],
];

test("cobs: blocks of 253, 254 and 255 bytes, both ways", () => {
  const framing: FramingOptions = { type: "cobs", frameBytesMax: 508 };
  for (const [content, bytes] of COBS_BLOCKS) {
    assert.equal(encoderOf(framing, null).encode(hex(content)).toString("hex"), bytes);
    assert.deepEqual(feed(decoderOf(framing, null), [hex(bytes)]).frames, [content]);
    assert.deepEqual(feed(decoderOf({ ...framing, frameBytesMax: 200 }, null), [hex(bytes)]).bad, ["too-long"]);
  }
});

test("idle: what comes between gaps is a frame; one beyond the limit is thrown away up to the gap", () => {
  const bytes = (n: number) => Buffer.alloc(n, 0x61);
  const found = feed(decoderOf(IDLE, null), [
    bytes(2),
    bytes(1),
    null,
    null,
    bytes(MAX),
    null,
    bytes(MAX),
    bytes(1),
    bytes(5),
    null,
    bytes(4),
    null,
  ]);
  assert.deepEqual(
    found.frames.map((frame) => frame.length / 2),
    [3, MAX, 4],
  );
  assert.deepEqual(found.bad, ["too-long"]);
});

test("length and fixed: what is incomplete at a gap is thrown away; with a check, whole frames behind it are found", () => {
  const encoder = encoderOf(length(), crc16);
  const good = encoder.encode(Buffer.from("good"));
  const longer = hex("0030 11");
  assert.deepEqual(
    feed(decoderOf(length(), null), [hex("0004 61"), null, hex("0001 62")]),
    Object.assign(new Frames(), { frames: ["62"], bad: ["cut"] }),
  );
  for (const slow of [false, true]) {
    const { frames, bad } = feed(decoderOf(length(), crc16), [longer, good, good, null, good], new Frames(slow));
    assert.deepEqual([frames.length, bad], [3, ["cut"]]);
  }
  const fixed = feed(decoderOf(FIXED, null), [Buffer.alloc(5), null, Buffer.alloc(12, 1)]);
  assert.deepEqual([fixed.frames, fixed.bad], [["01".repeat(12)], ["cut"]]);
});

for (const [name, framing] of FRAMINGS) {
  test(`${name}: what is encoded is decoded, with any check and any cut`, () => {
    const random = seededRandom(name.length * 7919);
    for (const check of checksOf(framing)) {
      const encoder = encoderOf(framing, check);
      const sent: string[] = [];
      const chunks: (Buffer | null)[] = [];
      for (let i = 0; i < 300; i++) {
        const payload = payloadOf(random, sizeOf(framing, check, random));
        if (encoder.problem(payload) !== null) continue;
        sent.push(payload.toString("hex"));
        chunks.push(...cut(encoder.encode(payload), random));
        if (framing.type === "idle") chunks.push(null);
      }
      assert.ok(sent.length > 0, `${check?.type}`);
      for (const slow of [false, true]) {
        const { frames, bad } = feed(decoderOf(framing, check), chunks, new Frames(slow));
        assert.deepEqual(frames, sent, `${check?.type}`);
        assert.deepEqual(bad, []);
      }
    }
  });

  test(`${name}: any stream of bytes, cut anywhere, yields the same frames and the same bad ones`, () => {
    const random = seededRandom(name.length * 104_729);
    for (let round = 0; round < 60; round++) {
      const checks = checksOf(framing);
      const check = checks[round % checks.length] ?? null;
      const encoder = encoderOf(framing, check);
      const parts = Array.from({ length: 12 }, () => {
        const payload = payloadOf(random, sizeOf(framing, check, random));
        return random() < 0.5 || encoder.problem(payload) !== null ? payload : encoder.encode(payload);
      });
      const stream = Buffer.concat(parts);
      const whole = feed(decoderOf(framing, check), [stream, null]);
      for (const slow of [false, true]) {
        const found = feed(decoderOf(framing, check), [...cut(stream, random), null], new Frames(slow));
        assert.deepEqual(found.frames, whole.frames);
        assert.deepEqual(found.bad, whole.bad);
      }
      const bytewise = feed(decoderOf(framing, check), [...Array.from(stream, (byte) => Buffer.of(byte)), null]);
      assert.deepEqual([bytewise.frames, bytewise.bad], [whole.frames, whole.bad]);
    }
  });
}
