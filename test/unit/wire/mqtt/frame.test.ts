import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MALFORMED_PACKET, NEED_MORE, OK } from "../../../../src/wire/mqtt/codes.ts";
import {
  areFlagsValid,
  FRAME_HEADER_BYTES_MAX,
  FrameHeader,
  frameBytes,
  readFrameHeader,
  remainingLengthBytes,
  writeFrameHeader,
} from "../../../../src/wire/mqtt/frame.ts";
import { bytes, guarded, varint } from "./bytes.ts";
import { VECTORS } from "./vectors.ts";

const header = new FrameHeader();

/** Both sides of each boundary of the Remaining Length: MQTT 5.0 table 1-1. */
const LENGTHS = [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455];

describe("[MQTT5-1.5.5-1] the Remaining Length", () => {
  for (const length of LENGTHS) {
    it(`is written and read as ${length}`, () => {
      const expected = Buffer.concat([Buffer.from([0x3d]), varint(length)]);
      const out = Buffer.alloc(FRAME_HEADER_BYTES_MAX + 2, 0xee);
      const next = writeFrameHeader(out, 1, 0x3d, length);
      assert.equal(out.toString("hex", 0, next), `ee${expected.toString("hex")}`);
      assert.equal(out[next], 0xee);
      assert.equal(remainingLengthBytes(length), expected.length - 1);
      assert.equal(frameBytes(length), expected.length + length);

      assert.equal(readFrameHeader(out, 1, next, header), OK);
      assert.deepEqual({ ...header }, { type: 3, flags: 13, bodyAt: next, end: next + length });
    });

    it(`of ${length} cut off anywhere needs more`, () => {
      const out = Buffer.alloc(FRAME_HEADER_BYTES_MAX);
      const next = writeFrameHeader(out, 0, 0x30, length);
      for (let end = 0; end < next; end++)
        assert.equal(readFrameHeader(guarded(out, 0, end), 0, end, header), NEED_MORE);
    });
  }

  it("in five bytes is malformed as soon as the fourth says that it goes on", () => {
    const chunk = bytes("30 ffffffff 7f");
    assert.equal(readFrameHeader(guarded(chunk, 0, 4), 0, 4, header), NEED_MORE);
    assert.equal(readFrameHeader(guarded(chunk, 0, 5), 0, 5, header), MALFORMED_PACKET);
    assert.equal(readFrameHeader(guarded(chunk, 0, 6), 0, 6, header), MALFORMED_PACKET);
  });

  it("in more bytes than it needs is understood, as clients that reserve them send it", () => {
    for (const text of ["c0 00", "c0 8000", "c0 808000", "c0 80808000"]) {
      const chunk = bytes(text);
      assert.equal(readFrameHeader(chunk, 0, chunk.length, header), OK);
      assert.equal(header.end, chunk.length);
    }
  });
});

it("a packet split at each byte is found when its header is there, and ends where it ends", () => {
  for (const { title, bytes: text } of VECTORS) {
    const frame = bytes(text);
    const chunk = Buffer.concat([bytes("c0 00"), frame, bytes("d0 00")]);
    for (let split = 0; split <= frame.length; split++) {
      const end = 2 + split;
      const code = readFrameHeader(guarded(chunk, 2, end), 2, end, header);
      assert.equal(code, split < 2 ? NEED_MORE : OK, title);
      if (code === OK) assert.equal(header.end, 2 + frame.length, title);
    }
  }
});

it("a chunk of many packets is walked to its end", () => {
  const frames = VECTORS.map((vector) => bytes(vector.bytes));
  const chunk = Buffer.concat(frames);
  let at = 0;
  for (const frame of frames) {
    assert.equal(readFrameHeader(chunk, at, chunk.length, header), OK);
    assert.equal((header.type << 4) | header.flags, frame[0]);
    at = header.end;
  }
  assert.equal(at, chunk.length);
});

describe("[MQTT311-2.2.2-2] [MQTT5-2.1.3-1] flags", () => {
  /** Table 2.2 of 3.1.1, table 2-2 of 5.0: what each type's flags must be, by type. */
  const FIXED = [-1, 0, 0, -2, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0];

  for (const version of [3, 4, 5]) {
    it(`are what they must be in version ${version}`, () => {
      for (let type = 0; type < 16; type++) {
        for (let flags = 0; flags < 16; flags++) {
          const exists = type !== 0 && (type !== 15 || version === 5);
          const isFree = type === 3 || version === 3;
          assert.equal(areFlagsValid(version, type, flags), exists && (isFree || flags === FIXED[type]));
        }
      }
    });
  }
});
