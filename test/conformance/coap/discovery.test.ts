// RFC 7252 section 7 and RFC 6690: what the gateway has, in link format.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "../../../src/config/load.ts";
import { linkMatches } from "../../../src/wire/coap/link-format.ts";
import { GatewayProcess, temporaryFolder } from "../../support/gateway-process.ts";
import { Option, uintOf } from "./bytes.ts";
import { HandEndpoint } from "./hand-endpoint.ts";
import { bodyOf, get, product, read, readBlocks } from "./harness.ts";
import { type Link, parseLinks, valuesIn } from "./links.ts";

const gateway = product();
const CORE = "/.well-known/core";

test("[RFC7252-7.1-1] [RFC6690-4-1] a CoAP listener without a bind is on port 5683; on that port, discovery is answered", async () => {
  const { config } = load("listeners: [{type: coap}]", { directory: "/", checkFiles: false });
  assert.equal(config?.listeners[0]?.port, 5683);
  using folder = temporaryFolder();
  // An address of loopback's that no other process of this test is on.
  const host = `127.72.${(process.pid >> 8) & 0xff}.${process.pid & 0xff}`;
  await using other = new GatewayProcess(folder.path, { listeners: [{ type: "coap", bind: `${host}:5683` }] });
  await other.start();
  using raw = await HandEndpoint.open(5683, host);
  assert.equal((await raw.ask(get(CORE))).code, "2.05");
});

test("[RFC7252-7.2-1] [RFC6690-4-2] GET /.well-known/core is 2.05 in link format (40) and lists only what is there", async (t) => {
  const raw = await gateway.open(t);
  const messages = await readBlocks(raw, CORE);
  for (const one of messages) {
    assert.equal(one.code, "2.05");
    assert.equal(uintOf(one, Option.ContentFormat), 40);
  }
  const links = parseLinks(bodyOf(messages));
  assert.ok(links.length >= 4);
  for (const { href } of links) {
    // What is there knows that it has no such method; some have their resources below them only.
    const codes = [await raw.ask({ ...get(href), code: 31 }), await raw.ask({ ...get(`${href}/a`), code: 31 })];
    assert.ok(
      codes.some(({ code }) => code === "4.05"),
      href,
    );
  }
});

test("[RFC7252-7.2.1-1] every ct is a number from 0 to 65535, or several in quotes", async (t) => {
  const raw = await gateway.open(t);
  const links = parseLinks(await read(raw, CORE));
  const formats = links.flatMap(({ attributes }: Link) => attributes.filter(([name]) => name === "ct"));
  assert.ok(formats.length >= 2);
  for (const [, value] of formats) {
    assert.match(value ?? "", /^\d+( \d+)*$/);
    for (const number of value!.split(" ")) assert.ok(Number(number) <= 65_535);
  }
});

test("[RFC6690-3.1-1] [RFC6690-3.2-1] [RFC6690-3.3-1] no link has an rt, if, sz or title twice", async (t) => {
  const raw = await gateway.open(t);
  for (const link of parseLinks(await read(raw, CORE))) {
    for (const name of ["rt", "if", "sz", "title", "ct", "obs"]) {
      assert.ok(valuesIn(link, name).length <= 1, `${link.href} ${name}`);
    }
  }
});

test("[RFC7641-6-1] [RFC7641-6-3] obs is a flag without a value, once in a link", async (t) => {
  const raw = await gateway.open(t);
  const links = parseLinks(await read(raw, CORE)).filter((link) => valuesIn(link, "obs").length > 0);
  assert.ok(links.length > 0);
  for (const link of links) assert.deepEqual(valuesIn(link, "obs"), [null]);
});

/** Links that a query leaves. */
async function found(raw: HandEndpoint, query: string): Promise<string[]> {
  return parseLinks(await read(raw, `${CORE}?${query}`)).map(({ href }) => href);
}

test("[RFC6690-3-2] a filter compares strings as they are: case counts, and numbers are text", async (t) => {
  const raw = await gateway.open(t);
  assert.deepEqual(await found(raw, "rt=core.ps"), ["/ps"]);
  for (const query of ["rt=CORE.PS", "RT=core.ps", "rt=core.p", "rt=core.ps%20", "ct=040", "href=ps"]) {
    assert.deepEqual(await found(raw, query), [], query);
  }
});

test("[RFC6690-4.1-1] of several values of rt, if or rel each is matched by itself", async (t) => {
  const raw = await gateway.open(t);
  const links = parseLinks(await read(raw, CORE));
  for (const name of ["rt", "if", "ct"]) {
    for (const link of links) {
      for (const value of (valuesIn(link, name)[0] ?? "").split(" ").filter((one) => one !== "")) {
        assert.ok((await found(raw, `${name}=${value}`)).includes(link.href), `${name}=${value}`);
      }
    }
  }
  // The gateway's own links have one value each; the matching of several is shown by what it is made of.
  const several = { href: "/a", attributes: [["rt", "one two three"] as const] };
  for (const [argument, matches] of [
    ["rt=two", true],
    ["rt=t*", true],
    ["rt=one two", false],
    ["rt=wo", false],
    ["rt=three", true],
  ] as const) {
    assert.equal(linkMatches(several, argument), matches, argument);
  }
});

test("section 4.1: a filter ending in * is a prefix, an empty one matches whoever has the attribute, none of it is empty", async (t) => {
  const raw = await gateway.open(t);
  const all = parseLinks(await read(raw, CORE));
  const having = (name: string) => all.filter((link) => valuesIn(link, name).length > 0).map(({ href }) => href);
  for (const name of ["rt", "if", "ct", "title"]) assert.deepEqual(await found(raw, `${name}=*`), having(name), name);
  assert.deepEqual(await found(raw, "href=/mqtt*"), ["/mqtt/publish", "/mqtt/connection"]);
  const none = await raw.ask(get(`${CORE}?rt=nothing`));
  assert.deepEqual([none.code, none.payload.length, uintOf(none, Option.ContentFormat)], ["2.05", 0, 40]);
});
