import assert from "node:assert/strict";
import { test } from "node:test";
import { Sniffer, type SnifferOptions } from "../../../src/cli/sniffer.ts";
import { FrameCheck } from "../../../src/wire/serial/check.ts";

const MODBUS = new FrameCheck({ type: "crc16-modbus", position: "end", endian: "little", init: 0xffff });
const REQUEST = Buffer.from("0103000a0001", "hex");

function sniffed(options: Partial<SnifferOptions>, act: (sniffer: Sniffer) => void): string[] {
  const lines: string[] = [];
  const wallMs = () => Date.UTC(2026, 10, 21, 12, 34, 56, 789);
  const sniffer = new Sniffer({
    check: null,
    checkedBefore: false,
    json: false,
    framesMax: 99,
    say: (line) => void lines.push(line),
    wallMs,
    ...options,
  });
  act(sniffer);
  lines.push(sniffer.summary());
  return lines;
}

function give(sniffer: Sniffer, bytes: Buffer): void {
  sniffer.bytes += bytes.length;
  sniffer.onFrame(Buffer.concat([Buffer.from("<"), bytes]), 1, bytes.length + 1);
}

test("a frame is its time, verdict, length, bytes and text; a long one goes on in rows", () => {
  const lines = sniffed({}, (sniffer) => {
    give(sniffer, Buffer.from("21.5 °C\x1b[2J and more"));
  });
  assert.deepEqual(lines, [
    "12:34:56.789 unchecked    21  32 31 2e 35 20 c2 b0 43 1b 5b 32 4a 20 61 6e 64  21.5 ..C.[2J and",
    "                              20 6d 6f 72 65                                    more",
    "1 frames, none bad, 21 bytes",
  ]);
});

test("the check is judged, and a wrong one shown beside what it would be", () => {
  const lines = sniffed({ check: MODBUS }, (sniffer) => {
    give(sniffer, MODBUS.added(REQUEST));
    const hit = MODBUS.added(REQUEST);
    hit[6] = 0;
    give(sniffer, hit);
    give(sniffer, Buffer.from("01", "hex"));
    sniffer.onBadFrame("too-long", Buffer.alloc(0), 0, 0);
  });
  assert.deepEqual(lines, [
    "12:34:56.789 ok            8  01 03 00 0a 00 01 a4 08                          ........",
    "12:34:56.789 check         8  01 03 00 0a 00 01 00 08                          ........",
    "                              its check would be a4 08",
    "12:34:56.789 check         1  01                                               .",
    "12:34:56.789 too-long      0",
    "1 frames, 3 bad (check 2, too-long 1), 17 bytes",
  ]);
});

test("with --json each is an object, and so is the sum", () => {
  const lines = sniffed({ check: MODBUS, json: true }, (sniffer) => {
    give(sniffer, MODBUS.added(REQUEST));
    give(sniffer, Buffer.from("6869210000", "hex"));
  }).map((line) => JSON.parse(line));
  const time = "2026-11-21T12:34:56.789Z";
  assert.deepEqual(lines, [
    { time, verdict: "ok", bytes: 8, hex: "0103000a0001a408", text: MODBUS.added(REQUEST).toString() },
    { time, verdict: "check", expected: lines[1]?.expected, bytes: 5, hex: "6869210000", text: "hi!\0\0" },
    { frames: 1, bad: { check: 1 }, bytes: 13 },
  ]);
  assert.match(lines[1]?.expected, /^[0-9a-f]{4}$/);
});

test("a frame that the decoder has checked is ok", () => {
  const [line] = sniffed({ checkedBefore: true }, (sniffer) => give(sniffer, REQUEST));
  assert.match(line as string, / ok +6 {2}01 03/);
});

test("no more than were asked for are told", () => {
  const lines = sniffed({ framesMax: 2 }, (sniffer) => {
    assert.equal(sniffer.onFrame(Buffer.from("a"), 0, 1), true);
    sniffer.onBadFrame("noise", Buffer.from("b"), 0, 1);
    assert.equal(sniffer.full, true);
    assert.equal(sniffer.onFrame(Buffer.from("c"), 0, 1), false);
    sniffer.onBadFrame("noise", Buffer.from("d"), 0, 1);
  });
  assert.equal(lines.at(-1), "1 frames, 1 bad (noise 1), 0 bytes");
});
