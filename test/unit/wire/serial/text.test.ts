// Text of devices: every encoding both ways, what it does not have, blanks, the top bit, hexadecimal digits.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import {
  AS_IT_IS,
  ENCODINGS,
  type Encoding,
  INVALID,
  NO_ROOM,
  transcoderOf,
} from "../../../../src/wire/serial/charset.ts";
import type { BadFrame } from "../../../../src/wire/serial/framing.ts";
import { decoderOf, encoderOf, type FramingOptions } from "../../../../src/wire/serial/framings.ts";

const line = (
  encoding: Encoding | null,
  options: Partial<Extract<FramingOptions, { type: "line" }>> = {},
): FramingOptions => ({
  type: "line",
  delimiter: [0x0a],
  frameBytesMax: 64,
  encoding,
  ...options,
});

class Texts {
  readonly frames: string[] = [];
  readonly bad: BadFrame[] = [];

  onFrame(bytes: Buffer, from: number, end: number): boolean {
    this.frames.push(bytes.toString("utf8", from, end));
    return true;
  }

  onBadFrame(cause: BadFrame): void {
    this.bad.push(cause);
  }
}

/** The same whole and byte by byte. */
function decoded(framing: FramingOptions, bytes: Buffer): [frames: string[], bad: BadFrame[]] {
  const whole = new Texts();
  const pieces = new Texts();
  decoderOf(framing, null).feed(Buffer.from(bytes), 0, whole);
  const decoder = decoderOf(framing, null);
  for (const byte of bytes) decoder.feed(Buffer.of(byte), 0, pieces);
  assert.deepEqual(pieces, whole);
  return [whole.frames, whole.bad];
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

/** Of Python 3.11's codecs: bytes from 0x80 that are no character, and SHA-256 of all others, "80€81..." */
const CODECS: [encoding: Encoding, none: string, digest: string][] = [
  ["latin1", "", "4ecbe5ffdbd07798c8febb8f10411b90"],
  ["iso-8859-2", "", "13558c15c96289663959b605a876ae7a"],
  ["iso-8859-5", "", "cd2b9d42903a9f17bee02ecd77457c60"],
  ["iso-8859-7", "aed2ff", "64435ca8771a5acf3e1fe845e4033c53"],
  ["iso-8859-15", "", "e831534555c1de67a650e75895eb1b9e"],
  ["windows-1250", "8183889098", "603ec56eb807c037a5fff5dfdafd3820"],
  ["windows-1251", "98", "15551fcab27871b7974c4a26216ff97f"],
  ["windows-1252", "818d8f909d", "9655c575f95f1950b482ca97f37f09ba"],
  ["windows-1253", "81888a8c8d8e8f90989a9c9d9e9faad2ff", "5171dc17a1bcfde690e27551f560d956"],
  ["windows-1254", "818d8e8f909d9e", "65d272de512ed63d0bca246d6a4bda48"],
  ["koi8-r", "", "7814ae1770d4b931c7434c31abdc867d"],
  ["cp437", "", "0f312e9c947354cd727247534f46dabc"],
  ["cp850", "", "3f2578ada8bbeb95593214a75ee5d63c"],
  ["cp866", "", "06cdf7796408254338778e89eeb57ed9"],
];

test("the characters of every single-byte encoding are those of Python's codecs, both ways", () => {
  const out = Buffer.alloc(8);
  for (const [encoding, none, digest] of CODECS) {
    const transcoder = transcoderOf(encoding);
    const hash = createHash("sha256");
    for (let byte = 0x80; byte < 0x100; byte++) {
      const digits = byte.toString(16);
      if (hex(none).includes(byte)) continue;
      const length = transcoder.decode(Buffer.of(byte), 0, 1, out);
      const char = out.toString("utf8", 0, length);
      assert.equal(transcoder.encode(Buffer.from(char))?.toString("hex"), digits, `${encoding} ${char}`);
      hash.update(digits + char);
    }
    assert.equal(hash.digest("hex").slice(0, 32), digest, encoding);
  }
});

test("each encoding: ASCII is ASCII, and what is written is read again", () => {
  const ascii = Buffer.from(Array.from({ length: 128 }, (_, i) => i)).toString();
  for (const encoding of ENCODINGS) {
    if (encoding === "hex") continue;
    const transcoder = transcoderOf(encoding);
    const bytes = transcoder.encode(Buffer.from(ascii)) as Buffer;
    const out = Buffer.alloc(256);
    const length = transcoder.decode(bytes, 0, bytes.length, out);
    const text = length === AS_IT_IS ? bytes.toString() : out.toString("utf8", 0, length);
    assert.equal(text, ascii, encoding);
    assert.equal(transcoder.encode(Buffer.from([0xff])), null, `${encoding}: no UTF-8`);
  }
});

const CASES: [encoding: Encoding, bytes: string, frames: string[], bad: BadFrame[]][] = [
  ["utf8", "32312e35c2b0430a ff0a 6f6b0a", ["21.5°C", "ok"], ["encoding"]],
  ["latin1", "32312e35b0430a", ["21.5°C"], []],
  ["cp437", "32312e35f8430a", ["21.5°C"], []],
  ["windows-1252", "80352c300a", ["€5,0"], []],
  ["koi8-r", "d7c5d30a", ["вес"], []],
  ["ascii", "6162e40a 6f6b0d0a", ["ok"], ["encoding"]],
  ["ascii7", "b1b2 2e b7 8d8a", ["12.7"], []],
  ["iso-8859-7", "ae0a 6f6b0a", ["ok"], ["encoding"]],
  ["hex", "34316234320a 343162340a 34310a 34670a", ["A\ufffd", "A"], ["encoding", "encoding"]],
];

for (const [encoding, bytes, frames, bad] of CASES) {
  test(`${encoding}: ${frames.join(", ")}; what it does not have is a bad frame, and the next one is whole`, () => {
    assert.deepEqual(decoded(line(encoding), hex(bytes)), [frames, bad]);
  });
}

test("UTF-16: delimiters are characters of two bytes; a surrogate alone, and half a character, are bad", () => {
  const wide = (encoding: Encoding, text: string) =>
    encoding === "utf16le" ? Buffer.from(text, "utf16le") : Buffer.from(text, "utf16le").swap16();
  for (const encoding of ["utf16le", "utf16be"] as const) {
    const framing = line(encoding, { delimiter: wide(encoding, "\n"), delimitersToo: [wide(encoding, "\r\n")] });
    const stream = wide(encoding, "21,5 °C\r\n€ 😀\n");
    assert.deepEqual(decoded(framing, stream), [["21,5 °C", "€ 😀"], []]);
    const half = Buffer.concat([
      wide(encoding, "\ud83dx\n\udc00\nx\ud800\n"),
      Buffer.of(0x20),
      wide(encoding, "\nok\n"),
    ]);
    const [frames, bad] = decoded(framing, half);
    assert.deepEqual([frames.at(-1), bad.length >= 3, new Set(bad)], ["ok", true, new Set(["encoding"])]);
    assert.deepEqual(encoderOf(framing, null).encode(Buffer.from("€\u0a00")), wide(encoding, "€\u0a00\n"));
    assert.equal(encoderOf(framing, null).problem(Buffer.from("a\nb")), "invalid");
  }
});

test("ascii7: a sink that takes one line at a time gets each once, and a long chunk is gone through once", () => {
  const framing = line("ascii7");
  const lines = Array.from({ length: 2000 }, (_, i) => String(i));
  const chunk = Buffer.from(lines.map((text) => `${text}\n`).join(""));
  for (let i = 0; i < chunk.length; i++) chunk[i] = (chunk[i] as number) | 0x80;
  const sent = Buffer.from(chunk);
  const found: string[] = [];
  const decoder = decoderOf(framing, null);
  const slow = {
    onFrame: (bytes: Buffer, from: number, end: number) => found.push(bytes.toString("latin1", from, end)) < 0,
    onBadFrame: () => assert.fail("a bad frame"),
  };
  let at = decoder.feed(chunk, 0, slow);
  assert.deepEqual(found, ["0"]);
  assert.ok(chunk.subarray(1024).equals(sent.subarray(1024)), "what is far behind is not looked at yet");
  while (at < chunk.length) at = decoder.feed(chunk, at, slow);
  assert.deepEqual(found, lines);
  const quick = new Texts();
  decoderOf(framing, null).feed(sent, 0, quick);
  assert.deepEqual(quick.frames, lines);
});

test("any bytes, cut anywhere, are the same text in each encoding", () => {
  const random = seededRandom(4711);
  const special = [0x0a, 0x0a, 0x00, 0x20, 0xd8, 0xdc, 0xc3, 0xe2, 0x41, 0x46, 0x30];
  for (const encoding of ENCODINGS) {
    const isWide = encoding.startsWith("utf16");
    const framing = line(encoding, {
      frameBytesMax: 24,
      trim: encoding !== "hex",
      delimiter: isWide ? [0x0a, 0] : [0x0a],
    });
    for (let round = 0; round < 20; round++) {
      const byte = () => (random() < 0.5 ? (special[Math.floor(random() * special.length)] as number) : random() * 256);
      const [frames, bad] = decoded(framing, Buffer.from(Array.from({ length: 300 }, byte)));
      assert.ok(frames.length + bad.length > 0);
      for (const frame of frames) assert.ok(encoding === "hex" || Buffer.byteLength(frame) <= 24, frame);
    }
  }
});

test("max_frame holds for the bytes on the wire and for the UTF-8", () => {
  const framing = line("latin1", { frameBytesMax: 4 });
  assert.deepEqual(decoded(framing, hex("e4e4 0a e4e461 0a e4e46161 0a 6161616161 0a 610a")), [
    ["ää", "a"],
    ["too-long", "too-long", "too-long"],
  ]);
  const out = Buffer.alloc(3);
  assert.equal(transcoderOf("cp437").decode(Buffer.of(0xee, 0x61, 0x61), 0, 3, out), NO_ROOM);
  assert.equal(transcoderOf("windows-1252").decode(Buffer.of(0x80), 0, 1, out), 3);
  assert.equal(transcoderOf("utf16le").decode(hex("3dd800de"), 0, 4, out), NO_ROOM);
  assert.equal(transcoderOf("utf16le").decode(hex("3dd8"), 0, 2, out), INVALID);
});

test("what is written is turned back; characters that the device does not have are told apart", () => {
  const encoder = encoderOf(line("cp437"), null);
  assert.equal(encoder.encode(Buffer.from("5°")).toString("hex"), "35f80a");
  assert.equal(encoder.problem(Buffer.from("5°")), null);
  assert.equal(encoder.problem(Buffer.from("Größe 3½ \u2105")), "encoding");
  assert.equal(encoder.problem(Buffer.from("😀")), "encoding");
  assert.equal(encoder.problem(Buffer.of(0xff)), "encoding", "no UTF-8");
  assert.equal(encoder.problem(Buffer.from("a\nb")), "invalid");
  assert.equal(encoder.problem(Buffer.from("°".repeat(64))), null, "128 bytes of UTF-8 are 64 on the wire");
  assert.equal(encoder.problem(Buffer.from("°".repeat(65))), "too-large");
  assert.equal(encoderOf(line("ascii7"), null).problem(Buffer.from("°")), "encoding");
  assert.equal(encoderOf(line("hex"), null).encode(Buffer.of(0xab, 0x0a)).toString(), "AB0A\n");
});

test("trim drops blanks around, whatever the encoding; a line of blanks is empty", () => {
  const bytes = Buffer.from("  12.5 kg\t \r\n \0\x02abc\n   \n", "latin1");
  assert.deepEqual(decoded(line(null, { trim: true }), bytes), [["12.5 kg", "abc", ""], []]);
  assert.deepEqual(decoded(line("cp437", { trim: true }), hex("20f820 0a")), [["°"], []]);
});

test("a check is of the bytes that the device sent; of hexadecimal digits, of what they say", () => {
  const check = { type: "xor8", position: "end", endian: "big", init: 0 } as const;
  const sink = new Texts();
  decoderOf(line("latin1"), check).feed(hex("e461 85 0a"), 0, sink);
  assert.deepEqual(sink.frames, ["äa"]);
  assert.equal(encoderOf(line("latin1"), check).encode(Buffer.from("äa")).toString("hex"), "e461850a");
  const bytes = new Texts();
  decoderOf(line("hex"), check).feed(Buffer.from("616203\n616204\n"), 0, bytes);
  assert.deepEqual(bytes, Object.assign(new Texts(), { frames: ["ab"], bad: ["check"] }));
  assert.equal(encoderOf(line("hex"), check).encode(Buffer.from("ab")).toString(), "616203\n");
});
