import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bitAt,
  decodeNumber,
  decodeText,
  encodeNumber,
  encodeText,
  type Layout,
  type NumberType,
} from "../../../../src/wire/modbus/values.ts";

const BIG: Layout = { wordOrder: "big", byteOrder: "big" };

test("0x12345678 in the four orders that devices have", () => {
  const orders: [Layout, string][] = [
    [BIG, "12345678"],
    [{ wordOrder: "little", byteOrder: "big" }, "56781234"],
    [{ wordOrder: "big", byteOrder: "little" }, "34127856"],
    [{ wordOrder: "little", byteOrder: "little" }, "78563412"],
  ];
  for (const [layout, bytes] of orders) {
    assert.equal(decodeNumber("uint32", layout, Buffer.from(bytes, "hex"), 0), 0x12345678);
    assert.equal(encodeNumber("uint32", layout, 0x12345678)?.toString("hex"), bytes);
  }
});

test("the bounds of each type are written and read back, and what is one beyond is refused", () => {
  const bounds: [NumberType, bigint, bigint][] = [
    ["int16", -32_768n, 32_767n],
    ["uint16", 0n, 65_535n],
    ["int32", -2_147_483_648n, 2_147_483_647n],
    ["uint32", 0n, 4_294_967_295n],
    ["int64", -(2n ** 63n), 2n ** 63n - 1n],
    ["uint64", 0n, 2n ** 64n - 1n],
  ];
  for (const [type, low, high] of bounds) {
    for (const wordOrder of ["big", "little"] as const) {
      for (const byteOrder of ["big", "little"] as const) {
        for (const value of [low, high]) {
          const bytes = encodeNumber(type, { wordOrder, byteOrder }, value);
          assert.ok(bytes !== null);
          assert.equal(BigInt(decodeNumber(type, { wordOrder, byteOrder }, bytes, 0)), value);
        }
      }
    }
    assert.equal(encodeNumber(type, BIG, low - 1n), null);
    assert.equal(encodeNumber(type, BIG, high + 1n), null);
    assert.equal(encodeNumber(type, BIG, 1.5), null);
    assert.equal(encodeNumber(type, BIG, Number.NaN), null);
  }
});

test("floats are read and written; what a single cannot hold, and what is no number, is refused", () => {
  assert.equal(decodeNumber("float32", BIG, Buffer.from("41aa6666", "hex"), 0), Math.fround(21.3));
  assert.equal(encodeNumber("float32", BIG, 21.3)?.toString("hex"), "41aa6666");
  assert.equal(decodeNumber("float64", BIG, encodeNumber("float64", BIG, -1e300) as Buffer, 0), -1e300);
  assert.equal(encodeNumber("float32", BIG, 1e300), null);
  assert.equal(encodeNumber("float64", BIG, Number.POSITIVE_INFINITY), null);
});

test("texts end at NUL, lose the spaces at their end, and are two characters a register in either order", () => {
  const little: Layout = { wordOrder: "big", byteOrder: "little" };
  assert.equal(encodeText(BIG, 4, "SN-42")?.toString("latin1"), "SN-42\0\0\0");
  assert.equal(encodeText(little, 3, "SN-42")?.toString("latin1"), "NS4-\x002");
  assert.equal(decodeText(little, Buffer.from("NS4-\x002", "latin1"), 0, 3), "SN-42");
  assert.equal(decodeText(BIG, Buffer.from("AB  \0zzz"), 0, 4), "AB");
  assert.equal(encodeText(BIG, 2, "12345"), null);
  assert.equal(encodeText(BIG, 2, "€"), null);
});

test("bits come lowest first", () => {
  const bytes = Buffer.of(0, 0b101, 0b1000_0000);
  assert.deepEqual(
    [0, 1, 2, 15].map((i) => bitAt(bytes, 1, i)),
    [true, false, true, true],
  );
});
