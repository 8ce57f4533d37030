// Framings and checks on a serial line: what is published and written, what is counted, silence.
import assert from "node:assert/strict";
import { test } from "node:test";
import { STORED_LATER } from "../../../../src/core/router.ts";
import { ERRORS_PER_SECOND } from "../../../../src/protocol/serial/bad-frames.ts";
import { budget } from "../../../../src/protocol/serial/serial-line.ts";
import type { CheckOptions } from "../../../../src/wire/serial/check.ts";
import type { FramingOptions } from "../../../../src/wire/serial/framings.ts";
import { Harness } from "./harness.ts";

const XOR: CheckOptions = { type: "xor8", position: "end", endian: "big", init: 0 };
const SLIP: FramingOptions = { type: "slip", frameBytesMax: 100 };
const LENGTH: FramingOptions = {
  type: "length",
  bytes: 1,
  endian: "big",
  offset: 0,
  adjust: 0,
  keepHeader: false,
  gapMs: 1000,
  frameBytesMax: 100,
};
const IDLE: FramingOptions = { type: "idle", gapMs: 200, frameBytesMax: 8 };
const LINE: FramingOptions = { type: "line", delimiter: [0x0a], frameBytesMax: 8 };

test("the content of a frame is published without its check; a message is written with it", async () => {
  const h = new Harness({ framing: LINE, check: XOR });
  h.device.data("ab\x03\nab\x04\n");
  assert.deepEqual(h.lines(), ["ab"]);
  assert.equal(h.counters.get("serial.lines_bad_check"), 1);
  h.deliver("ab", 1);
  assert.deepEqual(h.device.written, ["ab\x03\n"]);
});

test("a message whose check would be a line end is not written, but counted as invalid", () => {
  const h = new Harness({ framing: LINE, check: XOR });
  h.deliver("\x0a\x0a\x0a", 0);
  h.deliver("\x08\x02", 0);
  assert.deepEqual(h.device.written, []);
  assert.equal(h.counters.get("serial.writes_invalid"), 2);
});

test("bad frames are counted by their cause", () => {
  const h = new Harness({ framing: { ...SLIP, frameBytesMax: 8 } });
  h.handle(Buffer.from("c0616263646566676869c0db61c06162c0", "hex"));
  assert.deepEqual(h.lines(), ["ab"]);
  assert.equal(h.counters.get("serial.lines_too_long"), 1);
  assert.equal(h.counters.get("serial.lines_bad_escape"), 1);
  const noisy = new Harness({
    framing: { type: "start-end", start: [0x3c], end: [0x3e], escape: -1, escapeXor: 0, frameBytesMax: 8 },
  });
  noisy.device.data("debug\n<a<b>\n");
  assert.deepEqual(noisy.lines(), ["b"]);
  assert.equal(noisy.counters.get("serial.lines_noise"), 2);
  assert.equal(noisy.counters.get("serial.lines_cut"), 1);
});

test("bad frames are published to errors.topic as they came, so many in a second and no more; the others are counted", () => {
  const h = new Harness({ framing: LINE, check: XOR, errors: { topic: "serial/meter/errors", qos: 0 } });
  h.device.data("bad!\n");
  assert.deepEqual(h.published.splice(0), [{ topic: "serial/meter/errors", payload: "bad!", qos: 0, publisher: 7 }]);
  h.device.data("bad!\n".repeat(3 * ERRORS_PER_SECOND));
  assert.equal(h.lines().length, ERRORS_PER_SECOND - 1);
  assert.equal(h.counters.get("serial.errors_skipped"), 2 * ERRORS_PER_SECOND + 1);
  h.advance(1000);
  h.device.data("bad!\n".repeat(3 * ERRORS_PER_SECOND));
  assert.equal(h.lines().length, ERRORS_PER_SECOND);
  assert.equal(h.counters.get("serial.lines_bad_check"), 1 + 6 * ERRORS_PER_SECOND);
  h.writable = false;
  h.advance(1000);
  h.device.data("bad!\n");
  assert.equal(h.lines().length, 0);
});

test("idle: silence ends a frame, by the timer or when the next chunk comes late; a chunk in time does not", () => {
  const h = new Harness({ framing: IDLE });
  h.device.data("ab");
  h.advance(150);
  h.device.data("cd");
  h.advance(150);
  assert.deepEqual(h.lines(), []);
  h.advance(100);
  assert.deepEqual(h.lines(), ["abcd"]);
  h.device.data("ef");
  h.clock.advance(200); // the wheel is late
  h.device.data("gh");
  assert.deepEqual(h.lines(), ["ef"]);
  h.advance(300);
  assert.deepEqual(h.lines(), ["gh"]);
  assert.equal(h.wheel.armed, 0);
  h.device.data("i");
  h.device.away();
  assert.equal(h.wheel.armed, 0);
  assert.equal(h.counters.get("serial.lines_cut"), 1);
});

test("idle: the frame that a late chunk ends may pause the port; the chunk is kept", () => {
  const h = new Harness({ framing: IDLE });
  h.outcome = 0x97;
  h.device.data("ab");
  h.clock.advance(300);
  h.device.data("cd");
  assert.equal(h.device.paused, true);
  h.outcome = 0;
  h.lines();
  h.advance(500);
  assert.equal(h.device.paused, false);
  h.advance(300);
  assert.deepEqual(h.lines(), ["ab", "cd"]);
});

test("length: a frame that stops is thrown away after the gap, and the next is read", () => {
  const h = new Harness({ framing: LENGTH });
  h.device.data("\x03ab");
  h.advance(900);
  assert.equal(h.counters.get("serial.lines_cut"), 0);
  h.advance(200);
  assert.equal(h.counters.get("serial.lines_cut"), 1);
  h.device.data("\x02cd");
  assert.deepEqual(h.lines(), ["cd"]);
});

test("length: frames found again behind a wrong length are taken one by one when the store is slow", () => {
  const h = new Harness({ framing: LENGTH, check: XOR });
  h.outcome = STORED_LATER;
  h.device.data("\x63zz");
  for (let i = 0; i < 20; i++) h.device.data("\x03ab\x03");
  h.advance(1200);
  assert.equal(h.lines().length, 20);
  const held = new Harness({ framing: LENGTH, check: XOR });
  held.outcome = 0x97;
  held.device.data("\x63zz\x03ab\x03\x03ac\x02");
  held.advance(1200);
  assert.equal(held.device.paused, true);
  held.outcome = 0;
  held.lines();
  held.advance(500);
  assert.deepEqual(held.lines(), ["ab", "ac"]);
  assert.equal(held.device.paused, false);
});

test("the bill has each line's own frames", () => {
  const bill = (framing: FramingOptions, check: CheckOptions | null) =>
    budget({ maxPacketBytes: 262_144 }, [{ framing, check, write: [] }])[0]?.bytes ?? 0;
  const small = bill({ ...LINE, frameBytesMax: 100 }, null);
  assert.equal(bill({ ...LINE, frameBytesMax: 1100 }, null) - small, 5 * 1000);
  assert.equal(bill({ type: "slip", frameBytesMax: 100 }, XOR) - small, 4 * 100);
  assert.deepEqual(budget({ maxPacketBytes: 262_144 }, []), []);
});
