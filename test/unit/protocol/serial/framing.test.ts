// Framings and checks on a serial line: what is published and written, what is counted, silence.
import assert from "node:assert/strict";
import { test } from "node:test";
import { STORED_LATER } from "../../../../src/core/router.ts";
import { ERROR_BYTES_MAX, ERRORS_PER_SECOND } from "../../../../src/protocol/serial/bad-frames.ts";
import { budget } from "../../../../src/protocol/serial/serial-line.ts";
import type { CheckOptions } from "../../../../src/wire/serial/check.ts";
import { encoderOf, type FramingOptions } from "../../../../src/wire/serial/framings.ts";
import { SEARCH_BYTES } from "../../../../src/wire/serial/window.ts";
import { Harness, write } from "./harness.ts";

const XOR: CheckOptions = { type: "xor8", position: "end", endian: "big", init: 0 };
const ERRORS = { topic: "serial/meter/errors", qos: 0, format: "json" } as const;
const CRC16: CheckOptions = { type: "crc16-modbus", position: "end", endian: "little", init: 0xffff };
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
const LONG_LINE: FramingOptions = { ...LINE, frameBytesMax: 2000 };

test("the content of a frame is published without its check; a message is written with it", async () => {
  const h = new Harness({ framing: LINE, check: XOR });
  h.device.data("ab\x03\nab\x04\n");
  assert.deepEqual(h.lines(), ["ab"]);
  assert.equal(h.counters.get("serial.lines_bad_check"), 1);
  h.deliver("ab", 1);
  assert.deepEqual(h.device.written, ["ab\x03\n"]);
});

test("text of the device is UTF-8 here, and what is written is turned back; what it does not have is counted and listed", () => {
  const h = new Harness({ framing: { ...LONG_LINE, encoding: "cp437", trim: true } });
  h.handle(Buffer.from("  5.2\xf8C \r\n   \r\n", "latin1"));
  assert.deepEqual(h.lines(), ["5.2°C"]);
  h.deliver("5\u20acC", 1);
  assert.deepEqual(h.device.written, []);
  assert.equal(h.counters.get("serial.writes_invalid"), 1);
  assert.equal(h.ledger.entries()[0]?.cause, "encoding");
  h.deliver("C\u00e7", 1);
  assert.deepEqual(h.device.written, [Buffer.from("C\x87\n", "latin1").toString()]);
  const strict = new Harness({ framing: { ...LINE, encoding: "utf8" }, errors: ERRORS });
  strict.handle(Buffer.from("5.2\xb0\nok\n", "latin1"));
  assert.equal(strict.counters.get("serial.lines_bad_encoding"), 1);
  const [error = "", frame] = strict.lines();
  assert.deepEqual([JSON.parse(error).verdict, JSON.parse(error).hex, frame], ["encoding", "352e32b0", "ok"]);
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
  noisy.device.data("debug\n<a<b>!\n");
  assert.deepEqual(noisy.lines(), ["b"]);
  assert.equal(noisy.counters.get("serial.lines_noise"), 2);
  assert.equal(noisy.counters.get("serial.lines_cut"), 1);
});

test("a bad frame is published to errors.topic with its cause, the time, its bytes in hex and as text", () => {
  const h = new Harness({ framing: LINE, check: XOR, errors: ERRORS });
  h.clock.advance(1234);
  h.handle(Buffer.from("b\xffd!\n", "latin1"));
  const [{ payload, ...published } = { payload: "" }] = h.published.splice(0);
  assert.deepEqual(published, { topic: "serial/meter/errors", qos: 0, publisher: 7 });
  assert.deepEqual(JSON.parse(payload), {
    time: new Date(h.clock.wallMs()).toISOString(),
    verdict: "check",
    bytes: 4,
    hex: "62ff6421",
    text: "b\ufffdd!",
  });
  h.device.data("0123456789\n");
  assert.equal(JSON.parse(h.lines()[0] ?? "").verdict, "too-long");
});

test("noise before a frame is shown without the frame", () => {
  const framing: FramingOptions = {
    type: "start-end",
    start: [0x3c],
    end: [0x3e],
    escape: -1,
    escapeXor: 0,
    frameBytesMax: 8,
  };
  const h = new Harness({ framing, errors: { ...ERRORS, format: "raw" } });
  h.device.data("\r\nboot\r\n<a>b<c>d");
  assert.deepEqual(h.lines(), ["boot\r\n", "a", "b", "c", "d"]);
});

test("a long bad frame is shown by its beginning, and how long it was; raw: the bytes alone", () => {
  const h = new Harness({ framing: LONG_LINE, check: XOR, errors: ERRORS });
  h.device.data(`${"a".repeat(1501)}\n`);
  const { bytes, hex } = JSON.parse(h.lines()[0] ?? "");
  assert.deepEqual([bytes, hex], [1501, "61".repeat(ERROR_BYTES_MAX)]);
  const raw = new Harness({ framing: LONG_LINE, check: XOR, errors: { ...ERRORS, format: "raw" } });
  raw.device.data(`bad!\n${"a".repeat(1501)}\n`);
  assert.deepEqual(raw.lines(), ["bad!", "a".repeat(ERROR_BYTES_MAX)]);
});

test("so many bad frames are published in a second and no more; the others are counted", () => {
  const h = new Harness({ framing: LINE, check: XOR, errors: ERRORS });
  h.device.data("bad!\n".repeat(1 + 3 * ERRORS_PER_SECOND));
  assert.equal(h.lines().length, ERRORS_PER_SECOND);
  assert.equal(h.counters.get("serial.errors_skipped"), 2 * ERRORS_PER_SECOND + 1);
  h.advance(1000);
  h.device.data("bad!\n".repeat(3 * ERRORS_PER_SECOND));
  assert.equal(h.lines().length, ERRORS_PER_SECOND);
  assert.equal(h.counters.get("serial.lines_bad_check"), 1 + 6 * ERRORS_PER_SECOND);
  h.writable = false;
  h.advance(1000);
  h.device.data("bad!\nbad!\n");
  assert.equal(h.lines().length, 0);
  assert.equal(h.counters.get("serial.lines_denied"), 2);
  assert.equal(h.logged.filter((line) => line.includes("serial-publish-denied")).length, 1);
});

test("a line that is only asked shows its bad frames, too", () => {
  const request = { timeoutMs: 1000, retries: 0, match: null, reply: null, failure: null };
  const h = new Harness({ framing: LINE, check: XOR, errors: ERRORS, publish: null, write: [write({ request })] });
  h.device.data("bad!\n");
  assert.equal(JSON.parse(h.lines()[0] ?? "").verdict, "check");
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

test("length: a search longer than a turn goes on in the next ones; the port is paused meanwhile, and nothing is lost", () => {
  const framing: FramingOptions = { ...LENGTH, bytes: 2, frameBytesMax: 60_000 };
  const h = new Harness({ framing, check: CRC16 });
  const chunk = 4096;
  // Each of these bytes may begin a frame of 0x4444 bytes, and none does.
  const garbage = Buffer.alloc(32_000, 0x44);
  let turns = 0;
  const rest = (): void => {
    for (; h.device.paused; turns++) h.tick(1);
  };
  for (let at = 0; at < garbage.length; at += chunk) {
    h.handle(garbage.subarray(at, at + chunk));
    rest();
  }
  assert.ok(turns >= Math.floor(((garbage.length - 0x4444) * 0x4444) / (SEARCH_BYTES + 0x4444)), `${turns} turns`);
  h.handle(encoderOf(framing, CRC16).encode(Buffer.from("ab")));
  rest();
  h.advance(2000);
  rest();
  assert.deepEqual(h.lines(), ["ab"]);
  assert.equal(h.busWheel.armed, 0);
});

test("a port that goes away and comes back in the middle of a search stays paused until that is over", () => {
  const framing: FramingOptions = { ...LENGTH, bytes: 2, frameBytesMax: 60_000 };
  const h = new Harness({ framing, check: CRC16 });
  h.handle(Buffer.alloc(19_000, 0x44));
  assert.equal(h.device.paused, true);
  h.device.away();
  h.device.open();
  assert.equal(h.device.paused, true);
  for (let turn = 0; h.device.paused && turn < 10_000; turn++) h.tick(1);
  assert.equal(h.device.paused, false);
  h.advance(2000);
  for (let turn = 0; h.device.paused && turn < 10_000; turn++) h.tick(1);
  h.handle(encoderOf(framing, CRC16).encode(Buffer.from("ab")));
  assert.deepEqual(h.lines(), ["ab"]);
});

test("the bill has each line's own frames", () => {
  const bill = (framing: FramingOptions, check: CheckOptions | null) =>
    budget({ maxPacketBytes: 262_144 }, [{ framing, check, write: [] }])[0]?.bytes ?? 0;
  const small = bill({ ...LINE, frameBytesMax: 100 }, null);
  assert.equal(bill({ ...LINE, frameBytesMax: 1100 }, null) - small, 5 * 1000);
  assert.equal(bill({ type: "slip", frameBytesMax: 100 }, XOR) - small, 4 * 100);
  const text = bill({ ...LINE, frameBytesMax: 100, encoding: "cp850" }, null);
  assert.equal(text - small, 2 * 100, "text as it is read, and as it is written");
  assert.equal(bill({ ...LENGTH, frameBytesMax: 5000 }, null) - bill({ ...LINE, frameBytesMax: 5000 }, null), 4096);
  assert.deepEqual(budget({ maxPacketBytes: 262_144 }, []), []);
});
