import assert from "node:assert/strict";
import { test } from "node:test";
import { type Form, plainText, Teller } from "../../../../src/cli/sniff/frame-text.ts";
import type { SniffedFrames } from "../../../../src/cli/sniff/options.ts";
import { readingOf } from "../../../../src/cli/sniff/readings.ts";
import { Sniffer } from "../../../../src/cli/sniff/sniffer.ts";
import { type CheckOptions, FrameCheck } from "../../../../src/wire/serial/check.ts";

const CRC: CheckOptions = { type: "crc16-modbus", position: "end", endian: "little", init: 0xffff };
const MODBUS = new FrameCheck(CRC);
const REQUEST = Buffer.from("0103000a0001", "hex");
const SLIP: SniffedFrames["framing"] = { type: "slip", frameBytesMax: 64 };

interface Options {
  readonly form?: Form;
  readonly check?: CheckOptions | null;
  readonly framing?: SniffedFrames["framing"];
  readonly framesMax?: number;
}

type Give = (bytes: Buffer, afterMs?: number) => void;

/** What is told of the frames that `act` gives. */
async function sniffed(options: Options, act: (give: Give, sniffer: Sniffer) => void): Promise<string[]> {
  const { form = "rows", check = null, framing = SLIP, framesMax = 99 } = options;
  const lines: string[] = [];
  let now = 0;
  const nowMs = () => now;
  const wallMs = () => Date.UTC(2026, 10, 21, 12, 34, 56, 789) + now;
  const teller = new Teller({ form, say: (line) => void lines.push(line), wallMs, nowMs });
  const reading = await readingOf({ protocol: "frames", framing, check, settings: {} as SniffedFrames["settings"] });
  const sniffer = new Sniffer({ reading, teller, nowMs, framesMax });
  const give: Give = (bytes, afterMs = 0) => {
    now += afterMs;
    sniffer.bytes += bytes.length;
    sniffer.onFrame(Buffer.concat([Buffer.from("<"), bytes]), 1, bytes.length + 1);
  };
  act(give, sniffer);
  teller.tellSum(sniffer.sum);
  return lines;
}

/** A request whose CRC is wrong. */
function hit(): Buffer {
  const frame = MODBUS.added(REQUEST);
  frame[6] = 0;
  return frame;
}

test("a frame is its time, what passed since the last one, verdict, length, bytes and text; a long one goes on in rows", async () => {
  const lines = await sniffed({}, (give) => {
    give(Buffer.from("21.5 °C\x1b[2J and more"));
    give(Buffer.from("a"), 1_501);
  });
  assert.deepEqual(lines, [
    "12:34:56.789          unchecked    21  32 31 2e 35 20 c2 b0 43 1b 5b 32 4a 20 61 6e 64  21.5 ..C.[2J and",
    "                                       20 6d 6f 72 65                                    more",
    "12:34:58.290   +1.501 unchecked     1  61                                               a",
    "2 frames, none bad, 22 bytes in 1.5 s, 15 a second",
  ]);
});

test("the check is judged, and a wrong one shown beside what it would be", async () => {
  const lines = await sniffed({ check: CRC }, (give, sniffer) => {
    give(MODBUS.added(REQUEST));
    give(hit());
    give(Buffer.from("01", "hex"));
    give(Buffer.alloc(0));
    sniffer.onBadFrame("too-long", Buffer.alloc(0), 0, 0);
  });
  assert.deepEqual(lines, [
    "12:34:56.789          ok            8  01 03 00 0a 00 01 a4 08                          ........",
    "12:34:56.789   +0.000 check         8  01 03 00 0a 00 01 00 08                          ........",
    "                                       its check would be a4 08",
    "12:34:56.789   +0.000 check         1  01                                               .",
    "12:34:56.789   +0.000 too-long      0",
    "1 frame, 3 bad (check 2, too-long 1), 17 bytes in 0.0 s",
  ]);
});

test("--hex and --text are one line a frame", async () => {
  const act = (give: Give): void => {
    give(Buffer.from("21.5 °C\r\n", "utf8"));
    give(hit());
  };
  assert.equal((await sniffed({ form: "hex" }, act))[0], "12:34:56.789          unchecked    10  32312e3520c2b0430d0a");
  const text = await sniffed({ form: "text", check: CRC }, act);
  assert.equal(text[0], "12:34:56.789          check        10  21.5 °C\\x0d\\x0a");
  assert.equal(text[3], "                                       its check would be a4 08");
});

test("with --json each is an object, and so is the sum; no character of it acts on a terminal", async () => {
  const lines = await sniffed({ check: CRC, form: "json" }, (give) => {
    give(MODBUS.added(REQUEST));
    give(Buffer.from("6869c29b32e280ae7f0000", "hex"), 20);
  });
  for (const line of lines) assert.doesNotMatch(line, /[\p{C}]/u);
  const [first, second, sum] = lines.map((line) => JSON.parse(line));
  const time = "2026-11-21T12:34:56.789Z";
  const text = MODBUS.added(REQUEST).toString();
  assert.deepEqual(first, { time, verdict: "ok", bytes: 8, hex: "0103000a0001a408", text });
  assert.equal(second.text, "hi\u009b2\u202e\x7f\0\0");
  assert.deepEqual([second.verdict, second.sinceMs], ["check", 20]);
  assert.match(second.expected, /^[0-9a-f]{4}$/);
  assert.deepEqual(sum, { frames: 1, bad: { check: 1 }, bytes: 19, seconds: 0.02 });
});

test("text shows what is printable, and the bytes of all else", () => {
  for (const [hex, text] of [
    ["32312c352020c2b043", "21,5  °C"],
    ["1b5b324a", "\\x1b[2J"],
    ["c29b", "\\xc2\\x9b"],
    ["e280ae61", "\\xe2\\x80\\xaea"],
    ["f09f9880e4b8ad", "😀中"],
    ["c3", "\\xc3"],
    ["c0afeda080", "\\xc0\\xaf\\xed\\xa0\\x80"],
    ["ff5c6e", "\\xff\\\\n"],
    ["e282", "\\xe2\\x82"],
  ] as const) {
    assert.equal(plainText(Buffer.from(hex, "hex")), text);
  }
});

test("a frame whose check the decoder needs to find it is ok", async () => {
  const framing: SniffedFrames["framing"] = { type: "fixed", bytes: 8, gapMs: 10, frameBytesMax: 8 };
  const [line] = await sniffed({ framing, check: CRC }, (give) => give(REQUEST));
  assert.match(line as string, / ok +6 {2}01 03/);
});

test("no more than were asked for are told", async () => {
  const lines = await sniffed({ framesMax: 2 }, (_give, sniffer) => {
    assert.equal(sniffer.onFrame(Buffer.from("a"), 0, 1), true);
    sniffer.onBadFrame("noise", Buffer.from("b"), 0, 1);
    assert.equal(sniffer.full, true);
    assert.equal(sniffer.onFrame(Buffer.from("c"), 0, 1), false);
    sniffer.onBadFrame("noise", Buffer.from("d"), 0, 1);
  });
  assert.equal(lines.at(-1), "1 frame, 1 bad (noise 1), 0 bytes in 0.0 s");
});
