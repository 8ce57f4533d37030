import assert from "node:assert/strict";
import { test } from "node:test";
import { groupsOf, linearPattern, PATTERN_CHARACTERS_MAX, patternWeight } from "../../../src/base/linear-pattern.ts";

const ordinary = [
  ["^T=([\\d.]+),H=([\\d.]+)$", "T=21.5,H=40", ["21.5", "40"]],
  ["^(?<id>\\w+):\\s*(.*)$", "a1: on", ["a1", "on"]],
  ["(?:DBG|TRACE)\\b", "TRACE x", []],
  ["\\xff(.)", "\xff\x01", ["\x01"]],
  ["(?<=v=)(\\d{1,4})", "v=1234", ["1234"]],
] as const;

for (const [source, text, groups] of ordinary) {
  test(`${source} finds what it finds elsewhere`, () => {
    const pattern = linearPattern(source);
    assert.ok(pattern instanceof RegExp);
    assert.deepEqual(pattern.exec(text)?.slice(1), [...groups]);
    assert.deepEqual([...(new RegExp(source).exec(text) ?? [])].slice(1), [...groups]);
    assert.equal(groupsOf(source).count, groups.length);
  });
}

test("the names of groups are known", () => {
  assert.deepEqual(groupsOf("(?<a>x)|(?<b>y)|(z)"), { count: 3, names: ["a", "b"] });
});

test("what would need going back, and what is no pattern, is refused in words", () => {
  for (const source of ["(a)\\1", "(?=a)b", "(?!a)b", "(?:a{0,200}){0,200}"])
    assert.match(String(linearPattern(source)), /linear time/, source);
  assert.match(String(linearPattern("(a")), /^is no pattern: /);
  assert.match(String(linearPattern("x".repeat(PATTERN_CHARACTERS_MAX + 1))), /longer than 200 characters/);
  assert.match(String(linearPattern("(x)".repeat(10))), /has 10 groups/);
});

test("the weight of a pattern grows with its length and what its counts lay it out to", () => {
  assert.equal(patternWeight("abc"), 3 * 2);
  assert.equal(patternWeight("a{3}"), 4 * 4);
  assert.equal(patternWeight("(?:a{2,4}){0,2}"), 15 * 9);
  assert.equal(patternWeight("a{16}b{16}"), 10 * 17);
  assert.equal(patternWeight("[{]x}"), 5 * 2);
});

// Backtracking takes 2^n steps for each of these, or n^4; a second is a thousand times what they take here.
const hostile = [
  "(a*)*b",
  "(a|a)*b",
  "(a|aa)+$b",
  "^(\\w+\\s?)*\\d$",
  "(a+a+)+b",
  "(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)b",
  "(?:(?:.?.?.?.?.?.?.?.?.?.?.?.?.?.?.?.?.?.?.?.?.?.?.?){4}){4}(.)(.)(.)(.)(.)(.)(.)(.)(.)b",
  `${"(a*)".repeat(9)}${"a*".repeat(80)}b`,
];

for (const source of hostile) {
  test(`${source.slice(0, 40)} does not hold up the loop on 8 KiB that nearly match`, () => {
    const pattern = linearPattern(source);
    assert.ok(pattern instanceof RegExp);
    const started = performance.now();
    pattern.test("a".repeat(8192));
    assert.ok(performance.now() - started < 1000);
  });
}
