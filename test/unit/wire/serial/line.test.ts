import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import { encodeLine, isLine, LineDecoder } from "../../../../src/wire/serial/line.ts";

function decode(decoder: LineDecoder, ...chunks: (string | Buffer)[]): string[] {
  const lines: string[] = [];
  const sink = {
    onLine(bytes: Buffer, from: number, end: number): boolean {
      lines.push(bytes.toString("latin1", from, end));
      return true;
    },
  };
  for (const chunk of chunks) {
    const bytes = Buffer.from(chunk as string, "latin1");
    assert.equal(decoder.feed(bytes, 0, sink), bytes.length);
  }
  return lines;
}

const VECTORS: [title: string, bytes: string, lines: string[]][] = [
  ["one line", "abc\n", ["abc"]],
  ["several lines", "a\nbc\n\nd\n", ["a", "bc", "", "d"]],
  ["\\r\\n", "a\r\nb\r\n", ["a", "b"]],
  ["a \\r inside and a second one before the end stay", "a\rb\nc\r\r\n", ["a\rb", "c\r"]],
  ["a line without end gives nothing", "abc", []],
  ["bytes that are no text", "\x00\xff\x80\n", ["\x00\xff\x80"]],
  ["exactly the limit, with \\n and with \\r\\n", "12345678\n12345678\r\n", ["12345678", "12345678"]],
  ["a byte too long, then a good one", "123456789\nok\n", ["ok"]],
  ["much too long, then a good one", `${"x".repeat(100)}\nok\n`, ["ok"]],
];

for (const [title, bytes, lines] of VECTORS) {
  test(`${title}: whole, split at each byte, byte by byte`, () => {
    assert.deepEqual(decode(new LineDecoder(8), bytes), lines);
    for (let at = 1; at < bytes.length; at++) {
      assert.deepEqual(decode(new LineDecoder(8), bytes.slice(0, at), bytes.slice(at)), lines, `split at ${at}`);
    }
    assert.deepEqual(decode(new LineDecoder(8), ...bytes), lines);
  });
}

test("lines that are too long are counted once each, however they come", () => {
  for (const chunks of [
    ["x".repeat(30), "y\n", "ok\n"],
    [`${"x".repeat(30)}\n${"y".repeat(9)}\r\n`],
    ["123456789\r", "\n"],
  ]) {
    const decoder = new LineDecoder(8);
    decode(decoder, ...chunks);
    assert.equal(decoder.tooLong, chunks.length === 1 ? 2 : 1);
  }
});

test("a sink that says false is given no more until it is fed again from there", () => {
  const decoder = new LineDecoder(8);
  const lines: string[] = [];
  const sink = {
    onLine(bytes: Buffer, from: number, end: number): boolean {
      lines.push(bytes.toString("latin1", from, end));
      return false;
    },
  };
  const bytes = Buffer.from("a\nb\r\nc");
  let at = decoder.feed(bytes, 0, sink);
  assert.deepEqual([lines, at], [["a"], 2]);
  at = decoder.feed(bytes, at, sink);
  assert.deepEqual([lines, at], [["a", "b"], 5]);
  assert.equal(decoder.feed(bytes, at, sink), 6);
  assert.equal(decoder.pendingBytes, 1);
});

test("reset forgets the line under way, also one being thrown away", () => {
  const decoder = new LineDecoder(8);
  decode(decoder, "abc");
  decoder.reset();
  assert.deepEqual(decode(decoder, "d\n"), ["d"]);
  decode(decoder, "x".repeat(20));
  decoder.reset();
  assert.deepEqual(decode(decoder, "e\n"), ["e"]);
});

test("what is encoded is decoded, at any split; what could not be a line is told apart", () => {
  const random = seededRandom(9600);
  const decoder = new LineDecoder(64);
  for (let i = 0; i < 2000; i++) {
    const payload = Buffer.from(Array.from({ length: Math.floor(random() * 65) }, () => Math.floor(random() * 256)));
    if (!isLine(payload)) {
      assert.ok(payload.includes(10) || payload.includes(13));
      continue;
    }
    const line = encodeLine(payload);
    const at = Math.floor(random() * line.length);
    assert.deepEqual(decode(decoder, line.subarray(0, at), line.subarray(at)), [payload.toString("latin1")]);
  }
  assert.equal(decoder.tooLong, 0);
});
