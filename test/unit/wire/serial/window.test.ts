// The search for the next frame behind bytes that are none: what it costs, and that it finds all the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameCheck } from "../../../../src/wire/serial/check.ts";
import { encoderOf, type FramingOptions } from "../../../../src/wire/serial/framings.ts";
import { LengthMeasure } from "../../../../src/wire/serial/length.ts";
import { SEARCH_BYTES, WindowDecoder } from "../../../../src/wire/serial/window.ts";

const WHOLE = 65_535;
const LENGTH = {
  type: "length",
  bytes: 2,
  endian: "big",
  offset: 0,
  adjust: 0,
  keepHeader: false,
  gapMs: 1000,
  frameBytesMax: WHOLE,
} satisfies FramingOptions;
const CRC32 = { type: "crc32", position: "end", endian: "big", init: 0 } as const;

/** Counts the bytes that it sums. */
function metered(): { check: FrameCheck; summed: number } {
  const check = new FrameCheck(CRC32);
  const holds = check.holds.bind(check);
  const meter = { check, summed: 0 };
  check.holds = (bytes, from, end) => {
    meter.summed += end - from;
    return holds(bytes, from, end);
  };
  return meter;
}

test("a turn sums a bounded number of bytes, whatever the device says; no frame is lost for it", () => {
  const meter = metered();
  const decoder = new WindowDecoder(new LengthMeasure(LENGTH), LENGTH.gapMs, meter.check);
  const good = encoderOf(LENGTH, CRC32).encode(Buffer.from("good"));
  // Every byte may begin a frame of 0x4040 bytes, so that each costs a sum over all that.
  const stream = Buffer.concat([Buffer.alloc(0x6000, 0x40), good]);
  const frames: string[] = [];
  const sink = {
    onFrame: (bytes: Buffer, from: number, end: number) => frames.push(bytes.toString("latin1", from, end)) > 0,
    onBadFrame: () => {},
  };
  let turns = 0;
  let most = 0;
  const turn = (work: () => number): number => {
    meter.summed = 0;
    const at = work();
    most = Math.max(most, meter.summed);
    turns++;
    return at;
  };
  for (let at = 0; at < stream.length || decoder.busy; ) at = turn(() => decoder.feed(stream, at, sink));
  turn(() => {
    decoder.onGap(sink);
    return 0;
  });
  while (decoder.busy) turn(() => decoder.feed(Buffer.alloc(0), 0, sink));
  assert.deepEqual(frames, ["good"]);
  assert.ok(turns > 1000, `${turns} turns`);
  assert.ok(most > SEARCH_BYTES && most <= SEARCH_BYTES + WHOLE, `${most} bytes summed in one turn`);
});
