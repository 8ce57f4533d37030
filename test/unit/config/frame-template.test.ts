import assert from "node:assert/strict";
import { test } from "node:test";
import { bytePattern, type FramePiece, frameTemplate } from "../../../src/config/frame-template.ts";

const pieceText = (piece: FramePiece): string => {
  if (Buffer.isBuffer(piece)) return piece.toString("hex");
  return typeof piece === "string" ? `{${piece}}` : `json ${piece.json.join("|")}`;
};
const hex = (pieces: readonly FramePiece[] | string) => (typeof pieces === "string" ? pieces : pieces.map(pieceText));

for (const [text, pieces] of [
  ["{payload}", ["{payload}"]],
  ["AT{payload}", ["4154", "{payload}"]],
  ["é {topic}\\r\\x02", ["c3a920", "{topic}", "0d02"]],
  ["\\{{1}\\}\\\\\\*\\0\\t*", ["7b", "{1}", "7d5c2a00092a"]],
  ["hex: 02 {payload} 03 0D", ["02", "{payload}", "030d"]],
  ["hex:{payload}", ["{payload}"]],
  ["M{json:motor.speed}{json:/a.b/0}", ["4d", "json motor|speed", "json a.b|0"]],
] as const) {
  test(`the template ${text} has the pieces ${pieces.join(" ")}`, () => {
    assert.deepEqual(hex(frameTemplate(text, "a/+/c")), pieces);
  });
}

for (const [text, problem] of [
  ["{pay}", /no placeholder/],
  ["{json:}", /names no value/],
  ["{2}", /number 2 matched, and a\/\+\/c has 1/],
  ["{rest}", /has none/],
  ["a{b", /"\{" stands for nothing/],
  ["a\\q", /stands for nothing/],
  ["hex: 0{payload}", /no hexadecimal/],
  ["hex: 0g", /no hexadecimal/],
] as const) {
  test(`the template ${text} is none: ${problem.source}`, () => {
    assert.match(String(frameTemplate(text, "a/+/c")), problem);
  });
}

for (const [text, parts] of [
  ["OK", ["4f4b"]],
  ["OK*", ["4f4b", ""]],
  ["*a*", ["", "61", ""]],
  ["{a}\\*", ["7b617d2a"]],
  ["hex: 01 03 *", ["0103", ""]],
] as const) {
  test(`the pattern ${text} has the parts ${parts.join(" ")}`, () => {
    assert.deepEqual(hex(bytePattern(text)), parts);
  });
}

test("a pattern of half a byte is none", () => {
  assert.match(String(bytePattern("hex: 1 *")), /no hexadecimal/);
});
