// RFC 7252 section 7 and RFC 6690: what the gateway has, in link format.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "../../../src/config/load.ts";
import { GatewayProcess, temporaryFolder } from "../../support/gateway-process.ts";
import { Option, uintOf } from "./bytes.ts";
import { HandEndpoint } from "./hand-endpoint.ts";
import { bodyOf, get, product, read, readBlocks } from "./harness.ts";
import { type Link, parseLinks } from "./links.ts";

const gateway = product();
const CORE = "/.well-known/core";

test("[RFC7252-7.1-1] a CoAP listener without a bind is on port 5683; on that port, discovery is answered", async () => {
  const { config } = load("listeners: [{type: coap}]", { directory: "/", checkFiles: false });
  assert.equal(config?.listeners[0]?.port, 5683);
  using folder = temporaryFolder();
  // An address of loopback's that nobody else is on.
  const host = `127.72.52.${1 + Math.floor(Math.random() * 250)}`;
  await using other = new GatewayProcess(folder.path, { listeners: [{ type: "coap", bind: `${host}:5683` }] });
  await other.start();
  using raw = await HandEndpoint.open(5683, host);
  assert.equal((await raw.ask(get(CORE))).code, "2.05");
});

test("[RFC7252-7.2-1] GET /.well-known/core is 2.05 in link format (40) and lists only what is there", async (t) => {
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
