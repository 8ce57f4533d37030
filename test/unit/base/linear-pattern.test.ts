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

/** From lists of patterns that have brought programs down, each with a text that nearly matches: by length. */
const KNOWN: readonly [name: string, source: string, text: (length: number) => string][] = [
  ["nested counts", "^(a+)+$", (n) => `${"a".repeat(n)}!`],
  ["letters in a group", "^([a-zA-Z]+)*$", (n) => `${"a".repeat(n)}!`],
  ["two ways for each letter", "^(a|a?)+$", (n) => `${"a".repeat(n)}!`],
  ["one or two of the same", "^(a|aa)+$", (n) => `${"a".repeat(n)}!`],
  ["twelve times anything", "(.*a){12}b", (n) => "a".repeat(n)],
  ["x or x", "(x+x+)+y", (n) => "x".repeat(n)],
  ["words and digits", "(\\w+\\d+)+C", (n) => "1".repeat(n)],
  ["OWASP: a class name", "^(([a-z])+.)+[A-Z]([a-z])+$", (n) => "a".repeat(n)],
  [
    "OWASP: an address",
    "^([a-zA-Z0-9])(([\\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+[.]{1}(([a-z]{2,3})|([a-z]{2,3}[.]{1}[a-z]{2,3}))$",
    (n) => "a".repeat(n),
  ],
  ["blanks at the end", "^[\\s\\u200c]+|[\\s\\u200c]+$", (n) => `x${" ".repeat(n)}x`],
  [
    "a firewall's rule",
    "(?:\"|'|\\]|\\}|\\d|nan|`|-|\\+)+[)]*;?((?:\\s|-|~|!|\\+)*.*(?:.*=.*))",
    (n) => `1${"=".repeat(n)}`,
  ],
  ["columns", "^(?:.*?,){11}P", (n) => "1,".repeat(n / 2)],
  ["quotes", "(?:[\"'](.*?)[\"']\\s*)+;", (n) => `"${"a' \"".repeat(n / 4)}`],
  ["a format of dates", "D[oD]?(\\[[^\\[\\]]*\\]|\\s)+MMMM?", (n) => `D${" ".repeat(n)}`],
  ["overlapping groups", "^(\\d*)(\\d*)(\\d*)(\\d*)(\\d*)x$", (n) => "1".repeat(n)],
];

/** The least of several runs: others use the processor, too. */
function shortestMs(pattern: RegExp, text: string): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    const began = performance.now();
    pattern.test(text);
    least = Math.min(least, performance.now() - began);
  }
  return least;
}

for (const [name, source, text] of KNOWN) {
  test(`a text eight times as long takes eight times as long, not its square: ${name}`, () => {
    const pattern = linearPattern(source);
    assert.ok(pattern instanceof RegExp, `${pattern}`);
    shortestMs(pattern, text(64));
    const [short, long] = [shortestMs(pattern, text(1024)), shortestMs(pattern, text(8192))];
    // A square would be 64 times. What takes less than a quarter of a millisecond is not worth a look.
    assert.ok(long < 24 * Math.max(short, 0.01) || long < 0.25, `${short} ms, ${long} ms`);
  });
}
