import assert from "node:assert/strict";
import { test } from "node:test";
import { bytePattern } from "../../../../src/config/frame-template.ts";
import { matchesPattern } from "../../../../src/protocol/serial/byte-pattern.ts";

const matches = (text: string, frame: string): boolean => {
  const pattern = bytePattern(text);
  assert.notEqual(typeof pattern, "string");
  // Neighbours in the buffer are no part of the frame.
  return matchesPattern(pattern as Buffer[], Buffer.from(`OK${frame}OK`), 2, 2 + Buffer.byteLength(frame));
};

for (const [pattern, yes, no] of [
  ["OK", ["OK"], ["", "O", "OKO", "XOK"]],
  ["OK*", ["OK", "OK 1"], ["O", "xOK", ""]],
  ["*OK", ["OK", "1 OK"], ["OKx", "K"]],
  ["*", ["", "x"], []],
  ["a*a", ["aa", "aba", "aaa"], ["a", "ab"]],
  ["*b*", ["b", "abc"], ["", "ac"]],
  ["a*b*c", ["abc", "a1b2c", "abbc"], ["ac", "acb", "bac"]],
  ["a*O*", ["aO", "aOx"], ["a", "ab"]],
] as const) {
  test(`${pattern} is ${yes.join(", ")} and not ${no.join(", ")}`, () => {
    for (const frame of yes) assert.equal(matches(pattern, frame), true, frame);
    for (const frame of no) assert.equal(matches(pattern, frame), false, frame);
  });
}
