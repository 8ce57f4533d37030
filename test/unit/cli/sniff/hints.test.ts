import assert from "node:assert/strict";
import { test } from "node:test";
import { Hints } from "../../../../src/cli/sniff/hints.ts";
import { errorWords, sumOf } from "../../../../src/cli/sniff/line-errors.ts";

function hinted(line: string | null, act: (hints: Hints, seen: Record<string, number>) => void): string[] {
  const said: string[] = [];
  const seen = { frames: 0, badFrames: 0, bytes: 0, now: 0 };
  const say = (words: string): void => void said.push(words);
  const hints = new Hints({ sniffer: seen, line, reading: "slip", say, nowMs: () => seen.now });
  act(hints, seen);
  return said;
}

test("silence, nothing but bad frames, and bytes without a frame are each explained once", () => {
  const said = hinted("9600 8N1", (hints, seen) => {
    hints.look(null);
    seen["now"] = 10_000;
    hints.look(null);
    hints.look(null);
    hints.onData(Buffer.from("hello"));
    hints.onData(Buffer.alloc(400, "x"));
    seen["bytes"] = 405;
    hints.look(null);
    seen["bytes"] = 500;
    hints.look(null);
    seen["badFrames"] = 10;
    hints.look(null);
    hints.look(null);
  });
  assert.deepEqual(said, [
    "nothing has come yet: does the device send by itself? are its TX and our RX connected?",
    '405 bytes and no frame: is it --framing (slip), or the line (9600 8N1; --baud auto tries the others)? they begin with 68 65 6c 6c 6f 78 78 78 78 78 78 78 78 78 78 78 "helloxxxxxxxxxxx"',
    "all frames are bad: is it the line (9600 8N1; --baud auto tries the others), or --framing and --check (slip)?",
  ]);
});

test("a device that says little, or frames that are never found again, are explained after ten seconds", () => {
  const said = (bytes: number, badFrames: number, now: number) =>
    hinted(null, (hints, seen) => {
      hints.onData(Buffer.from("c00102", "hex"));
      Object.assign(seen, { bytes, badFrames, now });
      hints.look(null);
    });
  const ends = 'the settings of the other end? they begin with c0 01 02 "\\xc0\\x01\\x02"';
  assert.deepEqual(said(3, 0, 9_000), []);
  assert.deepEqual(said(3, 0, 10_000), [`3 bytes and no frame: is it --framing (slip), or ${ends}`]);
  assert.deepEqual(said(300, 1, 1_000), [
    `300 bytes and no good frame: is it --framing and --check (slip), or ${ends}`,
  ]);
});

test("who sees good frames is not told anything; behind a socket the rate is the other end's", () => {
  const quiet = hinted("9600 8N1", (hints, seen) => {
    Object.assign(seen, { frames: 1, badFrames: 50, bytes: 5_000, now: 60_000 });
    hints.look(null);
  });
  assert.deepEqual(quiet, []);
  const [said] = hinted(null, (hints, seen) => {
    Object.assign(seen, { badFrames: 10, bytes: 500 });
    hints.look(null);
  });
  assert.equal(said, "all frames are bad: is it the settings of the other end, or --framing and --check (slip)?");
});

test("what the hardware counts is told once, and in the sum", () => {
  const errors = { framing: 0, parity: 0, overrun: 0, bufferOverrun: 0, break: 0 };
  const said = hinted("9600 8N1", (hints, seen) => {
    Object.assign(seen, { frames: 5, bytes: 100 });
    hints.look(errors);
    hints.look({ ...errors, framing: 12, parity: 1 });
    hints.look({ ...errors, framing: 13, parity: 1 });
  });
  assert.deepEqual(said, [
    "the hardware counts 12 framing errors, 1 parity error: is it the line (9600 8N1; --baud auto tries the others), or noise?",
  ]);
  assert.equal(
    errorWords({ ...errors, overrun: 2, bufferOverrun: 1, break: 3 }),
    "2 bytes lost in the hardware, 1 byte lost in the driver, 3 breaks",
  );
  const both = sumOf({ ...errors, framing: 1 }, { ...errors, framing: 2, break: 1 });
  assert.deepEqual(both, { ...errors, framing: 3, break: 1 });
  assert.deepEqual([sumOf(null, errors), sumOf(errors, null), sumOf(null, null)], [errors, errors, null]);
});
