import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CONTRACT } from "./contract.ts";

const TESTS = join(import.meta.dirname, "../..");

/** Whether a test of the file has a title that begins so. */
function isThere(file: string, title: string): boolean {
  const text = readFileSync(join(TESTS, file), "utf8").replaceAll(/\b(test|it)\(\s+/g, "$1(");
  return ['test("', "test(`", 'it("', "it(`"].some((call) => text.includes(call + title));
}

test("every promise about acknowledgements has tests, and those are there", () => {
  for (const { words, tests } of CONTRACT) {
    assert.ok(tests.length > 0, `no test: ${words}`);
    for (const [file, title] of tests) assert.ok(isThere(file, title), `${file} has no test "${title}": ${words}`);
  }
});
