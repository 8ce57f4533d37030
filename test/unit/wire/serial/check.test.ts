import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 as zlibCrc32 } from "node:zlib";
import { type CheckOptions, FrameCheck } from "../../../../src/wire/serial/check.ts";
import { crc8, crc16Ccitt, crc16Modbus, crc32, sum8, xor8 } from "../../../../src/wire/serial/crc.ts";

const DIGITS = Buffer.from("123456789");

test("the check values that the catalogue of CRCs gives for 123456789", () => {
  const of = (sum: (bytes: Uint8Array, from: number, end: number) => number) => sum(DIGITS, 0, 9).toString(16);
  assert.equal(of(sum8), "dd");
  assert.equal(of(xor8), "31");
  assert.equal(of(crc8), "f4"); // CRC-8/SMBUS
  assert.equal(of(crc16Modbus), "4b37"); // CRC-16/MODBUS
  assert.equal(of(crc16Ccitt), "29b1"); // CRC-16/IBM-3740
  assert.equal(crc16Ccitt(DIGITS, 0, 9, 0).toString(16), "31c3"); // CRC-16/XMODEM
  assert.equal(of(crc32), "cbf43926"); // CRC-32/ISO-HDLC
});

test("MODBUS over Serial Line 1.02, 6.2.2: 02 07 is sent with the check 41 12", () => {
  const check = new FrameCheck({ type: "crc16-modbus", position: "end", endian: "little", init: 0 });
  assert.equal(check.added(Buffer.from("0207", "hex")).toString("hex"), "02074112");
});

test("sums are over the range only, and of all values of a byte", () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  for (let from = 0; from < 256; from += 17) {
    assert.equal(crc32(bytes, from, 256), zlibCrc32(bytes.subarray(from)));
    assert.equal(crc32(bytes, 0, from), zlibCrc32(bytes.subarray(0, from)));
  }
});

const TYPES = ["sum8", "xor8", "crc8", "crc16-modbus", "crc16-ccitt", "crc32"] as const;

test("what is added holds, in each place and order; one changed bit does not, nor does a frame too short", () => {
  const content = Buffer.from("21.5 C");
  for (const type of TYPES) {
    for (const position of ["start", "end"] as const) {
      for (const endian of ["big", "little"] as const) {
        const options: CheckOptions = { type, position, endian, init: 0xffff };
        const check = new FrameCheck(options);
        const frame = check.added(content);
        const around = Buffer.concat([Buffer.from("<"), frame, Buffer.from(">")]);
        const what = JSON.stringify(options);
        assert.equal(check.holds(around, 1, 1 + frame.length), true, what);
        assert.deepEqual(frame.subarray(check.before, frame.length - check.behind), content, what);
        for (let bit = 0; bit < frame.length * 8; bit++) {
          frame[bit >> 3] = (frame[bit >> 3] as number) ^ (1 << (bit & 7));
          assert.equal(check.holds(frame, 0, frame.length), false, `${what} bit ${bit}`);
          frame[bit >> 3] = (frame[bit >> 3] as number) ^ (1 << (bit & 7));
        }
        for (let length = 0; length < check.before + check.behind; length++) {
          assert.equal(check.holds(frame, 0, length), false, what);
        }
      }
    }
  }
});

test("the order of bytes is as configured", () => {
  const frame = (endian: "big" | "little") =>
    new FrameCheck({ type: "crc16-ccitt", position: "start", endian, init: 0xffff }).added(DIGITS).toString("latin1");
  assert.equal(frame("big"), "\x29\xb1123456789");
  assert.equal(frame("little"), "\xb1\x29123456789");
});
