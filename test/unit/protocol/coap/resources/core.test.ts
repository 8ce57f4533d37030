/** `/.well-known/core`: what a listener offers, filtered. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness } from "../harness.ts";

const hrefs = (payload: string): string[] => [...payload.matchAll(/<([^>]*)>/g)].map((match) => match[1] as string);

test("it lists the resources with rt, if, ct, obs and title, as link format", () => {
  const response = new Harness().ask({}, "/.well-known/core");
  assert.deepEqual([response.code, response.options.get("Content-Format")?.toString("hex")], ["2.05", "28"]);
  assert.deepEqual(hrefs(response.payload), ["/ps", "/mqtt/publish", "/mqtt/connection", "/health"]);
  assert.match(response.payload, /<\/ps>;rt="core\.ps";if="core\.ll";ct=40;obs;title="/);
  assert.match(response.payload, /<\/health>;rt="health";ct=0$/);
});

test("topics with retained values are not in the list", () => {
  const h = new Harness();
  const before = h.ask({}, "/.well-known/core").payload;
  for (let i = 0; i < 100; i++) h.retain(`topic/${i}`, "x");
  assert.equal(h.ask({}, "/.well-known/core").payload, before);
});

for (const [query, expected] of [
  ["rt=core.ps", ["/ps"]],
  ["rt=core.*", ["/ps"]],
  ["rt=mqtt.*", ["/mqtt/publish", "/mqtt/connection"]],
  ["if=core.ll", ["/ps"]],
  ["ct=40", ["/ps"]],
  ["ct=0", ["/mqtt/connection", "/health"]],
  ["obs=*", ["/ps"]],
  ["href=/mqtt/*", ["/mqtt/publish", "/mqtt/connection"]],
  ["href=/health", ["/health"]],
  ["title=topics*", ["/ps"]],
  ["ct=0&rt=health", ["/health"]],
] as const) {
  test(`?${query} leaves ${expected.join(" and ")}`, () => {
    assert.deepEqual(hrefs(new Harness().ask({}, `/.well-known/core?${query}`).payload), expected);
  });
}

test("a filter that nothing meets is 2.05 without payload, an ETag tells lists apart", () => {
  const h = new Harness();
  for (const query of ["rt=nothing", "sz=*", "foo=bar", "clientid=x"]) {
    const none = h.ask({}, `/.well-known/core?${query}`);
    assert.deepEqual([none.code, none.payload], ["2.05", ""], query);
  }
  const all = h.ask({}, "/.well-known/core");
  const etag = all.options.get("ETag") as Buffer;
  assert.notDeepEqual(h.ask({}, "/.well-known/core?rt=health").options.get("ETag"), etag);
  const known = h.ask({ options: [{ name: "ETag", value: etag }] }, "/.well-known/core");
  assert.deepEqual([known.code, known.payload], ["2.03", ""]);
});

test("a client that takes small blocks gets the list in blocks, each of the same representation", () => {
  const h = new Harness();
  const whole = h.ask({}, "/.well-known/core");
  let text = "";
  let more = true;
  for (let num = 0; more; num++) {
    const asked = num === 0 ? Buffer.from([0x01]) : Buffer.from([(num >> 4) & 0xff, ((num & 15) << 4) | 1]);
    const block = h.ask({ options: [{ name: "Block2", value: asked }] }, "/.well-known/core");
    assert.equal(block.code, "2.05");
    assert.deepEqual(block.options.get("ETag"), whole.options.get("ETag"));
    const { length } = block.payload;
    more = ((block.options.get("Block2")?.at(-1) ?? 0) & 8) !== 0;
    assert.ok(length === 32 || !more);
    text += block.payload;
  }
  assert.equal(text, whole.payload);
});
