// The CoAP plugtests' cases LINK 01 to 09. What their types and links are here: see README.md.
import assert from "node:assert/strict";
import { test } from "node:test";
import { linkMatches, linkText, type Link as OwnLink } from "../../../src/wire/coap/link-format.ts";
import { Option, uintOf } from "./bytes.ts";
import type { HandEndpoint } from "./hand-endpoint.ts";
import { bodyOf, get, product, readBlocks, unique } from "./harness.ts";
import { type Link, parseLinks, valuesIn } from "./links.ts";

const gateway = product();

async function links(raw: HandEndpoint, path: string): Promise<Link[]> {
  const messages = await readBlocks(raw, path);
  for (const one of messages) assert.deepEqual([one.code, uintOf(one, Option.ContentFormat)], ["2.05", 40]);
  return parseLinks(bodyOf(messages));
}

const hrefs = (found: readonly Link[]) => found.map(({ href }) => href);
const CORE = "/.well-known/core";

/** The plugtests' server, filtered by what filters the gateway's own list. */
function filtered(all: readonly OwnLink[], argument: string): string[] {
  return hrefs(
    parseLinks(
      all
        .filter((link) => linkMatches(link, argument))
        .map(linkText)
        .join(","),
    ),
  );
}

test("TD_COAP_LINK_01 access to the well-known interface", async (t) => {
  const raw = await gateway.open(t);
  const found = hrefs(await links(raw, CORE));
  for (const href of ["/ps", "/mqtt/publish", "/mqtt/connection", "/health"]) assert.ok(found.includes(href), href);
});

test("TD_COAP_LINK_02 a filter by resource type", async (t) => {
  const raw = await gateway.open(t);
  const all = await links(raw, CORE);
  for (const type of new Set(all.flatMap((link) => valuesIn(link, "rt")))) {
    const expected = all.filter((link) => valuesIn(link, "rt").includes(type));
    assert.deepEqual(hrefs(await links(raw, `${CORE}?rt=${type}`)), hrefs(expected));
  }
});

test("TD_COAP_LINK_03 an empty prefix: whoever has the attribute", async (t) => {
  const raw = await gateway.open(t);
  const all = await links(raw, CORE);
  const having = all.filter((link) => valuesIn(link, "if").length > 0);
  assert.ok(having.length > 0 && having.length < all.length, "some have it and some not");
  assert.deepEqual(hrefs(await links(raw, `${CORE}?if=*`)), hrefs(having));
});

test("TD_COAP_LINK_04 a filter among several types of one link", () => {
  const groups: OwnLink[] = [
    { href: "/1", attributes: [["rt", "Type1 Type2"]] },
    { href: "/2", attributes: [["rt", "Type2 Type3"]] },
    { href: "/3", attributes: [["rt", "Type1 Type3"]] },
    { href: "/4", attributes: [["rt", ""]] },
  ];
  assert.deepEqual(filtered(groups, "rt=Type2"), ["/1", "/2"]);
});

test("TD_COAP_LINK_05 a filter by a prefix of the interface", async (t) => {
  const groups: OwnLink[] = [
    { href: "/1", attributes: [["if", "If1"]] },
    { href: "/2", attributes: [["if", "If2"]] },
    { href: "/3", attributes: [["if", "foo"]] },
    { href: "/4", attributes: [] },
  ];
  assert.deepEqual(filtered(groups, "if=If*"), ["/1", "/2"]);
  const raw = await gateway.open(t);
  assert.deepEqual(hrefs(await links(raw, `${CORE}?if=core*`)), ["/ps"]);
});

test("TD_COAP_LINK_06 a filter by sz with an empty prefix", async (t) => {
  const groups: OwnLink[] = [
    { href: "/1", attributes: [["sz", "4096"]] },
    { href: "/2", attributes: [["rt", "a"]] },
  ];
  assert.deepEqual(filtered(groups, "sz=*"), ["/1"]);
  const raw = await gateway.open(t);
  assert.deepEqual(await links(raw, `${CORE}?sz=*`), [], "none of the gateway's own is large");
});

test("TD_COAP_LINK_07 a filter by a whole href", async (t) => {
  const raw = await gateway.open(t);
  for (const href of hrefs(await links(raw, CORE))) {
    assert.deepEqual(hrefs(await links(raw, `${CORE}?href=${href}`)), [href]);
  }
});

test("TD_COAP_LINK_08 a filter by a prefix of href", async (t) => {
  const raw = await gateway.open(t);
  assert.deepEqual(hrefs(await links(raw, `${CORE}?href=/mqtt*`)), ["/mqtt/publish", "/mqtt/connection"]);
});

test("TD_COAP_LINK_09 links in a hierarchy: /ps is a list of its own", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("sub");
  await gateway.retain(`${topic}/1`, "one", "text/plain");
  await gateway.retain(`${topic}/2`, "two", "text/plain");
  const entry = (await links(raw, CORE)).find(({ href }) => href === "/ps");
  assert.deepEqual(valuesIn(entry!, "ct"), ["40"]);
  const found = hrefs(await links(raw, "/ps"));
  for (const [sub, value] of [
    ["1", "one"],
    ["2", "two"],
  ] as const) {
    assert.ok(found.includes(`/ps/${topic}/${sub}`), `${sub} among ${found}`);
    const answer = await raw.ask(get(`/ps/${topic}/${sub}`));
    assert.deepEqual([answer.code, answer.payload.toString()], ["2.05", value]);
  }
});
