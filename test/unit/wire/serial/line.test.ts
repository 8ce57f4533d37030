import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import type { BadFrame } from "../../../../src/wire/serial/framing.ts";
import { LineDecoder, LineEncoder } from "../../../../src/wire/serial/line.ts";

const line = (delimiter = "\n", frameBytesMax = 8) => ({ delimiter: Buffer.from(delimiter), frameBytesMax });
const decoderOf = (delimiter?: string, frameBytesMax?: number) => new LineDecoder(line(delimiter, frameBytesMax), null);

class Frames {
  readonly frames: string[] = [];
  readonly bad: BadFrame[] = [];
  more = true;

  onFrame(bytes: Buffer, from: number, end: number): boolean {
    this.frames.push(bytes.toString("latin1", from, end));
    return this.more;
  }

  onBadFrame(cause: BadFrame): void {
    this.bad.push(cause);
  }
}

function decode(decoder: LineDecoder, ...chunks: (string | Buffer)[]): Frames {
  const sink = new Frames();
  for (const chunk of chunks) {
    const bytes = Buffer.from(chunk as string, "latin1");
    assert.equal(decoder.feed(bytes, 0, sink), bytes.length);
  }
  return sink;
}

const VECTORS: [title: string, delimiter: string, bytes: string, lines: string[]][] = [
  ["one line", "\n", "abc\n", ["abc"]],
  ["several lines", "\n", "a\nbc\n\nd\n", ["a", "bc", "", "d"]],
  ["\\r\\n", "\n", "a\r\nb\r\n", ["a", "b"]],
  ["a \\r inside and a second one before the end stay", "\n", "a\rb\nc\r\r\n", ["a\rb", "c\r"]],
  ["a line without end gives nothing", "\n", "abc", []],
  ["bytes that are no text", "\n", "\x00\xff\x80\n", ["\x00\xff\x80"]],
  ["exactly the limit, with \\n and with \\r\\n", "\n", "12345678\n12345678\r\n", ["12345678", "12345678"]],
  ["a byte too long, then a good one", "\n", "123456789\nok\n", ["ok"]],
  ["much too long, then a good one", "\n", `${"x".repeat(100)}\nok\n`, ["ok"]],
  ["\\r alone as delimiter", "\r", "a\rb\n\r", ["a", "b\n"]],
  ["a delimiter of two bytes", "\r\n", "a\r\nb\r\r\nc\nd\r\n", ["a", "b\r", "c\nd"]],
  ["a delimiter that overlaps itself", "aab", "xaaaab12aab", ["xaa", "12"]],
  ["a delimiter of eight bytes", "--end--\n", "a--end--\n--end--\n", ["a", ""]],
  ["exactly the limit, and a byte more, with two bytes", "\r\n", "12345678\r\n123456789\r\nok\r\n", ["12345678", "ok"]],
];

for (const [title, delimiter, bytes, lines] of VECTORS) {
  test(`${title}: whole, split at each byte, byte by byte`, () => {
    assert.deepEqual(decode(decoderOf(delimiter), bytes).frames, lines);
    for (let at = 1; at < bytes.length; at++) {
      const { frames } = decode(decoderOf(delimiter), bytes.slice(0, at), bytes.slice(at));
      assert.deepEqual(frames, lines, `split at ${at}`);
    }
    assert.deepEqual(decode(decoderOf(delimiter), ...bytes).frames, lines);
  });
}

test("lines that are too long are counted once each, however they come", () => {
  for (const chunks of [
    ["x".repeat(30), "y\n", "ok\n"],
    [`${"x".repeat(30)}\n${"y".repeat(9)}\r\n`],
    ["123456789\r", "\n"],
  ]) {
    const { bad } = decode(decoderOf(), ...chunks);
    assert.deepEqual(bad, chunks.length === 1 ? ["too-long", "too-long"] : ["too-long"]);
  }
});

test("a sink that says false is given no more until it is fed again from there", () => {
  const decoder = decoderOf();
  const sink = new Frames();
  sink.more = false;
  const bytes = Buffer.from("a\nb\r\nc");
  let at = decoder.feed(bytes, 0, sink);
  assert.deepEqual([sink.frames, at], [["a"], 2]);
  at = decoder.feed(bytes, at, sink);
  assert.deepEqual([sink.frames, at], [["a", "b"], 5]);
  assert.equal(decoder.feed(bytes, at, sink), 6);
  assert.equal(decoder.pendingBytes, 1);
});

test("reset forgets the line under way, also one being thrown away", () => {
  const decoder = decoderOf();
  decode(decoder, "abc");
  decoder.reset();
  assert.deepEqual(decode(decoder, "d\n").frames, ["d"]);
  decode(decoder, "x".repeat(20));
  decoder.reset();
  assert.deepEqual(decode(decoder, "e\n").frames, ["e"]);
});

const ANY = { ...line("\r\n"), delimitersToo: [Buffer.from("\r"), Buffer.from("\n"), Buffer.from("END")] };

test("several delimiters: the first that comes ends a line, the longest of those that end together", () => {
  const bytes = "a\rb\nc\r\nENdENDe\r\rf\n";
  const lines = ["a", "b", "c", "", "ENd", "e", "", "f"];
  for (let at = 0; at <= bytes.length; at++) {
    const { frames } = decode(new LineDecoder(ANY, null), bytes.slice(0, at), bytes.slice(at));
    assert.deepEqual(frames, lines, `split at ${at}`);
  }
  const strict = { ...line("\n"), delimitersToo: [Buffer.from("\r\n")] };
  assert.deepEqual(decode(new LineDecoder(strict, null), "a\rb\nc\r\nd\r\r\n").frames, ["a\rb", "c", "d\r"]);
  assert.deepEqual(decode(new LineDecoder(ANY, null), `${"x".repeat(30)}ENDok\r`).frames, ["ok"]);
});

test("several delimiters: the first of them is written; none may be inside", () => {
  const encoder = new LineEncoder(ANY);
  assert.equal(encoder.encode(Buffer.from("ab")).toString(), "ab\r\n");
  for (const good of ["ab", "EN", ""]) assert.equal(encoder.problem(Buffer.from(good)), null, good);
  for (const bad of ["a\rb", "a\n", "END", "xENDx"]) assert.equal(encoder.problem(Buffer.from(bad)), "invalid", bad);
  const strict = new LineEncoder({ ...line("\n"), delimitersToo: [Buffer.from("\r\n")] });
  assert.equal(strict.problem(Buffer.from("a\r")), "invalid");
  assert.equal(strict.problem(Buffer.from("a\rb")), null);
});

test("what is encoded is decoded, at any split; what could not be a line is told apart", () => {
  const random = seededRandom(9600);
  for (const delimiter of ["\n", "\r\n", "aab", "aa"]) {
    const decoder = decoderOf(delimiter, 64);
    const encoder = new LineEncoder(line(delimiter, 64));
    let refused = 0;
    for (let i = 0; i < 2000; i++) {
      const letter = () => (i % 2 === 0 ? Math.floor(random() * 256) : 97 + Math.floor(random() * 2));
      const payload = Buffer.from(Array.from({ length: Math.floor(random() * 65) }, letter));
      const honest = decode(decoderOf(delimiter, 64), Buffer.concat([payload, Buffer.from(delimiter)])).frames;
      const whole = honest.length === 1 && honest[0] === payload.toString("latin1");
      if (encoder.problem(payload) !== null) {
        refused++;
        assert.ok(!whole || payload.includes(13));
        continue;
      }
      const bytes = encoder.encode(payload);
      const at = Math.floor(random() * bytes.length);
      const { frames, bad } = decode(decoder, bytes.subarray(0, at), bytes.subarray(at));
      assert.deepEqual([frames, bad], [[payload.toString("latin1")], []]);
    }
    assert.ok(refused > 0 && refused < 2000, `${delimiter}: ${refused} refused`);
    assert.equal(encoder.problem(Buffer.alloc(65)), "too-large");
  }
});
