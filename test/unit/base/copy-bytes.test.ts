import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { copyBytes } from "../../../src/base/copy-bytes.ts";
import { Random } from "../wire/mqtt/bytes.ts";

describe("copyBytes", () => {
  for (const length of [0, 1, 47, 48, 49, 200, 5000]) {
    it(`copies ${length} bytes and touches no other`, () => {
      const source = new Random(length).bytes(length + 20);
      const out = Buffer.alloc(length + 20, 0xee);
      assert.equal(copyBytes(source, 7, length, out, 10), 10 + length);
      const expected = Buffer.concat([Buffer.alloc(10, 0xee), source.subarray(7, 7 + length), Buffer.alloc(10, 0xee)]);
      assert.ok(out.equals(expected));
    });
  }
});
