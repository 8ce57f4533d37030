/** RFC 6690: links as text, and the filter of section 4.1. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hrefOf, type Link, linkMatches, linkText } from "../../../../src/wire/coap/link-format.ts";

/** As in the examples of RFC 6690 section 5. */
const TEMPERATURE: Link = {
  href: "/sensors/temp",
  attributes: [
    ["rt", "temperature-c outdoor-temperature"],
    ["if", "sensor"],
    ["ct", "0 41"],
    ["sz", "1400"],
    ["title", 'a "quoted" \\ title'],
    ["obs", null],
  ],
};

test("attributes stand as RFC 6690 section 2 has them: numbers bare, the rest quoted and escaped, obs without a value", () => {
  assert.equal(
    linkText(TEMPERATURE),
    '</sensors/temp>;rt="temperature-c outdoor-temperature";if="sensor";ct="0 41";sz=1400;' +
      'title="a \\"quoted\\" \\\\ title";obs',
  );
  assert.equal(linkText({ href: "/health", attributes: [["ct", "0"]] }), "</health>;ct=0");
  assert.equal(linkText({ href: "/x", attributes: [] }), "</x>");
});

test("a path is percent-encoded, so that no character of it ends the link", () => {
  assert.equal(hrefOf("/ps", ["a b", "été", '<,>;"', ""]), "/ps/a%20b/%C3%A9t%C3%A9/%3C%2C%3E%3B%22/");
});

for (const [argument, expected] of [
  ["href=/sensors/temp", true],
  ["href=/sensors/*", true],
  ["href=/sensors", false],
  ["href=*", true],
  ["href=", false],
  ["rt=temperature-c", true],
  ["rt=outdoor-temperature", true],
  ["rt=temperature-c outdoor-temperature", true],
  ["rt=outdoor*", true],
  ["rt=temp*", true],
  ["rt=*", true],
  ["rt=temperature", false],
  ["rt=door*", false],
  ["rt=TEMPERATURE-C", false],
  ["rt=", false],
  ["if=sensor", true],
  ["if=s*", true],
  ["if=core.s", false],
  ["ct=0", true],
  ["ct=41", true],
  ["ct=4", false],
  ["ct=4*", true],
  ["sz=1400", true],
  ["sz=14*", true],
  ["sz=140", false],
  ["title=a*", true],
  ['title=a "quoted" \\ title', true],
  ["title=\\\\", false],
  ["title=title", false],
  ["obs", true],
  ["obs=", true],
  ["obs=*", true],
  ["obs=1", false],
  ["rel=hosts", false],
  ["rel=*", false],
  ["anchor=*", false],
  ["", false],
  ["=x", false],
] as const) {
  test(`RFC 6690 section 4.1: ?${argument} ${expected ? "asks for" : "does not ask for"} the link`, () => {
    assert.equal(linkMatches(TEMPERATURE, argument), expected);
  });
}
