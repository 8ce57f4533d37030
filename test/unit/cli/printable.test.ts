import assert from "node:assert/strict";
import { test } from "node:test";
import { printable } from "../../../src/cli/printable.ts";

test("what would act on a terminal is shown as a question mark, and all else as it is", () => {
  assert.equal(printable("a\x1b[2Jb\x9bc\x7f\r\n\t"), "a?[2Jb?c????");
  assert.equal(printable("1\u202e2\u2066\u2028"), "1?2??");
  assert.equal(printable("21.5 °C, 中, 😀"), "21.5 °C, 中, 😀");
});
