import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { describe, it } from "node:test";
import { MALFORMED_PACKET, OK, TOPIC_FILTER_INVALID, TOPIC_NAME_INVALID } from "../../../../src/wire/mqtt/codes.ts";
import {
  isSharedFilter,
  isValidUtf8String,
  readU16,
  readU32,
  readVarint,
  sharedFilterAt,
  topicFilterProblem,
  topicNameProblem,
  VARINT_MAX,
  varintBytes,
  writeText,
  writeU16,
  writeU32,
  writeVarint,
} from "../../../../src/wire/mqtt/primitives.ts";
import { guarded, Random, varint } from "./bytes.ts";

describe("integers", () => {
  const out = Buffer.alloc(8);

  it("of two bytes are big-endian", () => {
    for (const value of [0, 1, 255, 256, 32_767, 32_768, 65_535]) {
      assert.equal(writeU16(out, 1, value), 3);
      assert.equal(out.readUInt16BE(1), value);
      assert.equal(readU16(out, 1), value);
    }
  });

  it("of four bytes are big-endian and never negative", () => {
    for (const value of [0, 1, 65_536, 2_147_483_647, 2_147_483_648, 4_294_967_295]) {
      assert.equal(writeU32(out, 1, value), 5);
      assert.equal(out.readUInt32BE(1), value);
      assert.equal(readU32(out, 1), value);
    }
  });

  it("of variable length have the bytes of table 1-1", () => {
    for (const value of [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, VARINT_MAX]) {
      const expected = varint(value);
      const next = writeVarint(out, 1, value);
      assert.equal(out.toString("hex", 1, next), expected.toString("hex"));
      assert.equal(varintBytes(value), expected.length);
      assert.equal(readVarint(guarded(out, 1, next), 1, next), value);
      for (let end = 1; end < next; end++) assert.equal(readVarint(guarded(out, 1, end), 1, end), -1);
    }
  });

  it("[MQTT5-1.5.5-1] of variable length in a longer form than necessary, or in five bytes, are none", () => {
    for (const text of ["8000", "808000", "80808000", "ff00", "8080808000", "8080808001", "ffffffff7f"]) {
      const buffer = Buffer.from(text, "hex");
      assert.equal(readVarint(buffer, 0, buffer.length), -1, text);
    }
  });
});

describe("text", () => {
  it("[MQTT5-1.5.4-1] is well-formed exactly when node says so, for all code points and every cut of them", () => {
    for (let point = 1; point <= 0x10ffff; point++) {
      if (point >= 0xd800 && point <= 0xdfff) continue;
      if (point > 0x3000 && point % 61 !== 0 && (point & 0xffff) < 0xfff0) continue;
      const buffer = Buffer.from(String.fromCodePoint(point));
      for (let end = 0; end <= buffer.length; end++) {
        assert.equal(isValidUtf8String(buffer, 0, end), end === 0 || end === buffer.length);
      }
    }
  });

  it("[MQTT5-1.5.4-1] is well-formed exactly when node says so, for all two and three bytes after a lead byte", () => {
    const buffer = Buffer.alloc(3);
    for (let lead = 0x80; lead < 0x100; lead++) {
      for (let second = 0x70; second < 0xd0; second++) {
        for (const third of [0x2f, 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xc0]) {
          buffer[0] = lead;
          buffer[1] = second;
          buffer[2] = third;
          assert.equal(isValidUtf8String(buffer, 0, 3), isUtf8(buffer), buffer.toString("hex"));
        }
      }
    }
  });

  it("[MQTT5-1.5.4-1] is well-formed exactly when node says so, for 300,000 random strings", () => {
    const random = new Random(0x5eed);
    const pieces = ["a", "/", "é", "€", "\ud7ff", "\ue000", "\u{10000}", "\u{10ffff}"].map((text) => Buffer.from(text));
    for (let i = 0; i < 300_000; i++) {
      const buffer = Buffer.concat([random.pick(pieces), random.pick(pieces), random.pick(pieces)]);
      if (random.chance(70)) buffer[random.below(buffer.length)] = 1 + random.below(255);
      const end = random.below(buffer.length + 1);
      assert.equal(isValidUtf8String(buffer, 0, end), isUtf8(buffer.subarray(0, end)), buffer.toString("hex"));
    }
  });

  it("[MQTT5-1.5.4-2] has no U+0000, whatever stands around it", () => {
    for (const text of ["\0", "a\0", "\0a", "€\0", "\0€"]) {
      const buffer = Buffer.from(text);
      assert.equal(isValidUtf8String(buffer, 0, buffer.length), false);
      assert.equal(topicNameProblem(buffer, 0, buffer.length), MALFORMED_PACKET);
    }
    assert.equal(isValidUtf8String(Buffer.from("c080", "hex"), 0, 2), false);
  });

  it("may have control characters and non-characters, unless it is a topic (sections 1.5.3 and 1.5.4)", () => {
    const points = [0x01, 0x0a, 0x1f, 0x7f, 0x80, 0x9f, 0xfdd0, 0xfdef, 0xfffe, 0xffff, 0x1fffe, 0x8ffff, 0x10ffff];
    for (const point of points) {
      const buffer = Buffer.from(`a${String.fromCodePoint(point)}`);
      assert.equal(isValidUtf8String(buffer, 0, buffer.length), true);
      assert.equal(topicNameProblem(buffer, 0, buffer.length), MALFORMED_PACKET, point.toString(16));
      assert.equal(topicFilterProblem(buffer, 0, buffer.length), MALFORMED_PACKET, point.toString(16));
    }
    for (const point of [
      0x20, 0x7e, 0xa0, 0x1dd0, 0x1fff, 0x10ffe, 0xfdcf, 0xfdf0, 0xfffd, 0x1fffd, 0x20000, 0x2ffbe, 0x2a6d4, 0x10fffd,
    ]) {
      const buffer = Buffer.from(String.fromCodePoint(point));
      assert.equal(topicNameProblem(buffer, 0, buffer.length), OK, point.toString(16));
    }
  });

  it("is written behind its length from a string and from bytes", () => {
    const out = Buffer.alloc(12, 0xee);
    assert.equal(writeText(out, 1, "€1"), 7);
    assert.equal(writeText(out, 7, Buffer.from([0, 255])), 11);
    assert.equal(out.toString("hex"), "ee0004e282ac31000200ffee");
  });
});

const problem = (check: (buffer: Buffer, from: number, end: number) => number, text: string): number => {
  const buffer = Buffer.from(`#\0${text}#\0`);
  return check(guarded(buffer, 2, buffer.length - 2), 2, buffer.length - 2);
};

describe("[MQTT5-4.7.3-1] [MQTT5-3.3.2-2] a topic name", () => {
  for (const name of ["a", "/", "//", "a/b/c", "$SYS/x", " ", "a b", "Ä/€/😀", "$share/g/a", "x".repeat(65_535)]) {
    it(`may be ${name.slice(0, 20)}`, () => assert.equal(problem(topicNameProblem, name), OK));
  }
  for (const name of ["", "#", "+", "a/#", "a/+/b", "a#", "+a", "€+"]) {
    it(`may not be '${name}'`, () => assert.equal(problem(topicNameProblem, name), TOPIC_NAME_INVALID));
  }
  it("with a wildcard and a NUL is malformed", () => assert.equal(problem(topicNameProblem, "+\0"), MALFORMED_PACKET));
});

describe("[MQTT5-4.7.1-1] [MQTT5-4.7.1-2] a topic filter", () => {
  const fine = ["#", "+", "/", "/#", "+/+", "a/#", "a/+/#", "+/a", "a//b", "$SYS/#", "$share", "Ä/+/€", "$shared/a"];
  const shared = ["$share/g/#", "$share/g/+", "$share/g//", "$share/g/a/#", "$share/€/a", "$share/$share/$share/a"];
  for (const filter of [...fine, ...shared]) {
    it(`may be ${filter}`, () => assert.equal(problem(topicFilterProblem, filter), OK));
  }
  const wrong = ["", "a#", "#a", "#/", "#/a", "a/#/b", "##", "a+", "+a", "++", "a/+b", "a/b+/c", "/+#", "+/#/"];
  const wrongShared = [
    "$share/",
    "$share//",
    "$share//a",
    "$share/g",
    "$share/g/",
    "$share/+/a",
    "$share/#",
    "$share/#/a",
  ];
  for (const filter of [...wrong, ...wrongShared, "$share/a+/b", "$share/g/a#", "$share/g/#/a"]) {
    it(`may not be '${filter}'`, () => assert.equal(problem(topicFilterProblem, filter), TOPIC_FILTER_INVALID));
  }

  it("[MQTT5-4.8.2-1] tells its share name from the filter proper", () => {
    const buffer = Buffer.from("$share/group/a/#");
    assert.equal(isSharedFilter(buffer, 0, buffer.length), true);
    assert.equal(buffer.toString("utf8", sharedFilterAt(buffer, 0, buffer.length)), "a/#");
    for (const nothing of ["$share/g", "$share/g/", "$share//a", "$share/"]) {
      assert.equal(sharedFilterAt(Buffer.from(nothing), 0, nothing.length), -1, nothing);
    }
    for (const other of ["$share", "$shareX/a", "$SHARE/a/b", "/$share/a/b"]) {
      const bytes = Buffer.from(other);
      assert.equal(isSharedFilter(bytes, 0, bytes.length), false, other);
    }
  });
});
