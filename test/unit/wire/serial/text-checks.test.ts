// Checks in text, and behind the end bytes: vectors of instruments and standards, cuts, noise, what is written.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type CheckOptions, FrameCheck } from "../../../../src/wire/serial/check.ts";
import { crc16Modbus, crc16X25, lrc8 } from "../../../../src/wire/serial/crc.ts";
import type { BadFrame } from "../../../../src/wire/serial/framing.ts";
import { decoderOf, encoderOf, type FramingOptions } from "../../../../src/wire/serial/framings.ts";

class Texts {
  readonly frames: string[] = [];
  readonly bad: BadFrame[] = [];

  onFrame(bytes: Buffer, from: number, end: number): boolean {
    this.frames.push(bytes.toString("latin1", from, end));
    return true;
  }

  onBadFrame(cause: BadFrame): void {
    this.bad.push(cause);
  }
}

function decoded(framing: FramingOptions, check: CheckOptions, text: string): [frames: string[], bad: BadFrame[]] {
  const bytes = Buffer.from(text, "latin1");
  const whole = new Texts();
  decoderOf(framing, check).feed(bytes, 0, whole);
  for (let at = 0; at <= bytes.length; at++) {
    const cut = new Texts();
    const decoder = decoderOf(framing, check);
    decoder.feed(bytes.subarray(0, at), 0, cut);
    decoder.feed(bytes.subarray(at), 0, cut);
    assert.deepEqual(cut, whole, `cut at ${at}`);
  }
  return [whole.frames, whole.bad];
}

const LINE: FramingOptions = { type: "line", delimiter: [0x0a], frameBytesMax: 256 };
const startEnd = (start: string, end: string): Extract<FramingOptions, { type: "start-end" }> => ({
  type: "start-end",
  start: Buffer.from(start, "latin1"),
  end: Buffer.from(end, "latin1"),
  escape: -1,
  escapeXor: 0,
  frameBytesMax: 256,
});
const check = (type: CheckOptions["type"], options: Partial<CheckOptions> = {}): CheckOptions => ({
  type,
  position: "end",
  endian: "big",
  init: 0xffff,
  ...options,
});

test("the check values of the catalogue of CRCs for 123456789: CRC-16/ARC, CRC-16/IBM-SDLC; and a sum that makes 0", () => {
  const digits = Buffer.from("123456789");
  assert.equal(crc16Modbus(digits, 0, 9, 0).toString(16), "bb3d");
  assert.equal(crc16X25(digits, 0, 9).toString(16), "906e");
  assert.equal(lrc8(digits, 0, 9), 0x23); // 0x1dd + 0x23 = 0x200
});

const NMEA = check("xor8", { digits: true, skip: 1, mark: Buffer.from("*") });

test("NMEA 0183: two digits behind *, of what is between $ or ! and *", () => {
  const sentences = [
    "$GPRMC,152904.000,A,4611.1699,N,00117.8182,W,000.00,0.0,240714,,,E*46",
    "$GPGGA,153845.307,,,,,0,00,,,M,,M,,*72",
    "!AIVDM,1,1,,B,35Mj3MPOj@o?FVFK<5w3r3@L00di,0*0F",
    "!AIVDM,1,1,,B,35Mj3MPOj@o?FVFK<5w3r3@L00di,0*0f",
  ];
  const contents = sentences.map((sentence) => sentence.slice(0, -3));
  const stream = `${sentences.join("\r\n")}\r\n`;
  assert.deepEqual(decoded(LINE, NMEA, stream), [contents, []]);
  assert.deepEqual(decoded(LINE, { ...NMEA, keep: true }, stream), [sentences, []]);
  const wrong = ["$GPGGA,153845.307,,,,,0,00,,,M,,M,,*73", "$GPGGA", "*", "$GPGGA,1+72", "$GPGGA,1*7", "$*0G"];
  assert.deepEqual(decoded(LINE, NMEA, `${wrong.join("\r\n")}\r\n`), [[], wrong.map(() => "check")]);
  const crLf: FramingOptions = { ...LINE, delimiter: [0x0d, 0x0a] } as FramingOptions;
  assert.equal(
    encoderOf(crLf, NMEA)
      .encode(Buffer.from(contents[1] as string))
      .toString(),
    "$GPGGA,153845.307,,,,,0,00,,,M,,M,,*72\r\n",
  );
});

test("Modbus ASCII: the sum of what the digits say, which makes 0 with its LRC (Modicon's and Delta's examples)", () => {
  const framing: FramingOptions = { ...startEnd(":", "\r\n"), encoding: "hex" };
  const lrc = check("lrc8");
  assert.deepEqual(decoded(framing, lrc, ":1103006B00037E\r\n:010304010001F6\r\n:010304010001F7\r\n"), [
    ["\x11\x03\x00\x6b\x00\x03", "\x01\x03\x04\x01\x00\x01"],
    ["check"],
  ]);
  const written = encoderOf(framing, lrc).encode(Buffer.from("1103006b0003", "hex"));
  assert.equal(written.toString(), ":1103006B00037E\r\n");
});

const P1_FRAMING = startEnd("/", "!");
const P1 = check("crc16-arc", { digits: true, position: "behind", covers: "both" });
const P1_CONTENT = "ABC5meter\r\n\r\n1-0:1.8.1(000004.426*kWh)\r\n1-0:1.7.0(00.244*kW)\r\n";
// The check is by a program of a few lines that gives 7EF9 for a telegram of a Sagemcom T210-D meter.
const P1_TELEGRAM = `/${P1_CONTENT}!E693\r\n`;

test("DSMR P1: four digits behind !, of everything from / to !; line ends between telegrams are no noise", () => {
  assert.deepEqual(decoded(P1_FRAMING, P1, P1_TELEGRAM + P1_TELEGRAM), [[P1_CONTENT, P1_CONTENT], []]);
  assert.deepEqual(decoded(P1_FRAMING, P1, `${P1_TELEGRAM.replace("244", "245")}x${P1_TELEGRAM}`), [
    [P1_CONTENT],
    ["check"],
  ]);
  const kept = decoded(P1_FRAMING, { ...P1, keep: true }, P1_TELEGRAM)[0];
  assert.deepEqual(kept, [`${P1_CONTENT}!E693`]);
  assert.equal(encoderOf(P1_FRAMING, P1).encode(Buffer.from(P1_CONTENT)).toString(), P1_TELEGRAM.trimEnd());
});

test("a check behind the end that lost bytes costs no other frame: the next start is looked for in it", () => {
  for (let lost = 1; lost <= 4; lost++) {
    const cut = `${P1_TELEGRAM.slice(0, -2 - lost)}${P1_TELEGRAM}`;
    assert.deepEqual(decoded(P1_FRAMING, P1, cut), [[P1_CONTENT], ["check"]], `${lost} lost`);
  }
  const tiny = startEnd("<", ">");
  const sum = check("crc32", { digits: true, position: "behind" });
  const good = encoderOf(tiny, sum).encode(Buffer.from("a")).toString();
  assert.deepEqual(decoded(tiny, sum, `<b>12<>${good}`), [["a"], ["check", "check"]]);
});

test("IEC 62056-21 and others: exclusive or behind ETX, with ETX and without STX (NEC's example)", () => {
  const framing = startEnd("\x01", "\x03");
  const bcc = check("xor8", { position: "behind", covers: "end" });
  const content = "0A0E0A\x0200100064";
  assert.deepEqual(decoded(framing, bcc, `\x01${content}\x03\x77\r\x01${content}\x03\x78\r`), [[content], ["check"]]);
  assert.equal(encoderOf(framing, bcc).encode(Buffer.from(content)).toString("latin1"), `\x01${content}\x03\x77`);
});

test("behind the end, with escapes: the sum is of the content without them, the check itself has none", () => {
  const framing = { ...startEnd("\x02", "\x03"), escape: 0x10 };
  for (const covers of ["content", "end", "both"] as const) {
    const sum = check("sum8", { position: "behind", covers });
    const content = Buffer.from([0x02, 0x10, 0x03, 0x61]);
    const more = covers === "content" ? 0 : covers === "end" ? 3 : 5;
    const wire = `\x02\x10\x02\x10\x10\x10\x03a\x03${String.fromCharCode(0x76 + more)}`;
    assert.equal(encoderOf(framing, sum).encode(content).toString("latin1"), wire);
    assert.deepEqual(decoded(framing, sum, wire + wire), [
      [content.toString("latin1"), content.toString("latin1")],
      [],
    ]);
  }
});

test("M-Bus: start, length twice, the sum of what is behind them, and a stop byte (frames of an Actaris gas meter)", () => {
  const framing: FramingOptions = {
    type: "length",
    bytes: 1,
    endian: "big",
    offset: 1,
    start: [0x68],
    adjust: 4,
    keepHeader: true,
    gapMs: 1000,
    frameBytesMax: 261,
  };
  const sum = check("sum8", { skip: 4, tail: [0x16] });
  const select = "6806066853fe51017a405d16";
  const readings =
    "685656680840724360520077041403ca1000000c78760301100d7c084449202e747375630a30303030303030303030046d3815aa19027c09656d" +
    "6974202e746162220c0413c10e000004937f4e01000044135d0800000f01001fde16";
  const bytes = [select, readings].map((digits) => Buffer.from(digits, "hex"));
  const text = bytes.map((frame) => frame.toString("latin1"));
  const contents = text.map((frame) => frame.slice(0, -2));
  assert.deepEqual(decoded(framing, sum, `\xe5${text.join("")}`), [contents, ["noise"]]);
  const damaged = `${text[0]?.replace("\x5d", "\x5e")}${text[1]?.slice(0, -1)}\x17${text[0]}`;
  assert.deepEqual(decoded(framing, sum, damaged), [[contents[0]], ["check"]]);
  const encoder = encoderOf(framing, sum);
  for (const [i, content] of contents.entries()) {
    assert.equal(encoder.problem(Buffer.from(content, "latin1")), null);
    assert.deepEqual(encoder.encode(Buffer.from(content, "latin1")), bytes[i]);
  }
  assert.equal(encoder.problem(Buffer.from("6906066853fe51017a40", "hex")), "invalid");
});

test("dust sensors: frames of one length behind their start, with a sum and a tail (SDS011) or of 16 bits (PMS5003)", () => {
  const sds: FramingOptions = { type: "fixed", bytes: 10, start: [0xaa, 0xc0], gapMs: 1000, frameBytesMax: 10 };
  const sum = check("sum8", { skip: 2, tail: [0xab] });
  const frame = Buffer.from("aac0d4043a0aa1601dab", "hex").toString("latin1");
  assert.deepEqual(decoded(sds, sum, `\xc0\xaa${frame}${frame}\xaa${frame}`), [
    [frame, frame, frame].map((whole) => whole.slice(0, -2)),
    ["noise", "noise"],
  ]);
  assert.equal(encoderOf(sds, sum).problem(Buffer.from("aac1d4043a0aa160", "hex")), "invalid");
  const pms: FramingOptions = { type: "fixed", bytes: 8, start: [0x42, 0x4d], gapMs: 1000, frameBytesMax: 8 };
  const content = Buffer.from("424d0004fffe", "hex"); // 0x42 + 0x4d + 4 + 0xff + 0xfe = 0x290
  assert.equal(encoderOf(pms, check("sum16")).encode(content).toString("hex"), "424d0004fffe0290");
});

test("digits with a check behind the end: it is of the digits", () => {
  const framing: FramingOptions = { ...startEnd("<", ">"), encoding: "hex" };
  const sum = check("xor8", { position: "behind", digits: true });
  assert.deepEqual(decoded(framing, sum, "<4142>03\r\n<4142>06"), [["AB"], ["check"]]); // 34 ^ 31 ^ 34 ^ 32 = 03
  assert.equal(encoderOf(framing, sum).encode(Buffer.from("AB")).toString(), "<4142>03");
});

test("HDLC's flags and FCS", () => {
  const framing: FramingOptions = { ...startEnd("~", "~"), escape: 0x7d, escapeXor: 0x20 };
  assert.deepEqual(decoded(framing, check("crc16-x25", { endian: "little" }), "~123456789\x6e\x90~"), [
    ["123456789"],
    [],
  ]);
});

test("digits: any case is read, each place and order; one changed digit does not hold", () => {
  const content = Buffer.from("21.5 C");
  for (const type of ["sum8", "crc16-ccitt", "crc32"] as const) {
    for (const position of ["start", "end"] as const) {
      for (const endian of ["big", "little"] as const) {
        const sum = new FrameCheck(check(type, { position, endian, digits: true }));
        const frame = sum.added(content);
        assert.match(frame.toString(), /^[0-9A-F]{2,8}21|C[0-9A-F]{2,8}$/);
        assert.equal(sum.holds(frame, 0, frame.length), true);
        const binary = new FrameCheck(check(type, { position, endian })).added(content).toString("hex");
        assert.ok(binary.includes(frame.toString().replace("21.5 C", "").toLowerCase()));
        const at = position === "start" ? 0 : content.length;
        for (let i = at; i < at + frame.length - content.length; i++) {
          const other = Buffer.from(frame);
          other[i] = other[i] === 0x30 ? 0x31 : 0x30;
          assert.equal(sum.holds(other, 0, other.length), false);
          other[i] = 0x47; // G
          assert.equal(sum.holds(other, 0, other.length), false);
        }
      }
    }
  }
});
