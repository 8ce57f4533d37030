import assert from "node:assert/strict";
import { test } from "node:test";
import { atJsonPath, jsonPath } from "../../../src/base/json-path.ts";

const json = { motor: { speed: 5 }, list: [1, { t: 2 }], "a.b": { "c/d": 3 }, none: null };

for (const [path, value] of [
  ["motor.speed", 5],
  ["list.1.t", 2],
  ["/a.b/c~1d", 3],
  ["none", null],
  ["none.x", undefined],
  ["list.length", undefined],
  ["motor.constructor", undefined],
  ["missing", undefined],
] as const) {
  test(`${path} is ${value}`, () => assert.equal(atJsonPath(json, jsonPath(path)), value));
}
