/** Requests to All-CoAP-Nodes (RFC 7252 section 8): who has something to say answers, at leisure; nothing changes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Packet } from "coap-packet";
import { LEISURE_MAX } from "../../../../src/protocol/coap/message/responder.ts";
import { type Response, requestOf, responseOf } from "../../../support/coap-messages.ts";
import { Harness } from "./harness.ts";

let messageId = 0;

/** What comes back within the leisure to a request that went to the group. */
function ask(h: Harness, packet: Packet, path: string): Response[] {
  const from = h.port.sent.length;
  const request = requestOf({ messageId: ++messageId, confirmable: false, token: Buffer.from("t"), ...packet }, path);
  h.server.endpoint.multicast.onDatagram(request, "192.0.2.7", 40_000, null);
  assert.equal(h.port.sent.length, from, "not at once");
  h.advance(5_050);
  return h.port.sent.slice(from).map((sent) => responseOf(sent.bytes));
}

test("discovery and health answer with a NON, some time within the leisure", () => {
  const h = new Harness();
  h.port.peersVerified = false;
  const [core, ...others] = ask(h, {}, "/.well-known/core");
  assert.deepEqual([core?.type, core?.code, core?.token, others.length], ["NON", "2.05", "74", 0]);
  assert.match(core?.payload ?? "", /^<\/ps>/);
  assert.ok(core?.options.has("Block2"), "no more than three times the bytes of the request; the rest is asked for");
  const [health] = ask(h, {}, "/health");
  assert.deepEqual([health?.code, health?.payload], ["2.05", "healthy"]);
});

test("RFC 6690 section 4.1: a filter that nothing meets is silence, one that something meets is not", () => {
  const h = new Harness();
  assert.deepEqual(ask(h, {}, "/.well-known/core?rt=nothing"), []);
  assert.equal(ask(h, {}, "/.well-known/core?rt=core.ps").length, 1);
});

test("what would change something, or needs to know who asks, is ignored, and so is every error", () => {
  const h = new Harness();
  h.retain("a", "x");
  h.health = "failed";
  for (const [code, path] of [
    ["PUT", "/ps/a"],
    ["POST", "/ps/a"],
    ["DELETE", "/ps/a"],
    ["POST", "/mqtt/publish/a"],
    ["POST", "/mqtt/connection?clientid=c1"],
    ["GET", "/ps/a"],
    ["GET", "/nothing"],
    ["GET", "/mqtt/nothing"],
    ["GET", "/health"],
    ["PUT", "/health"],
    ["FETCH", "/.well-known/core"],
    ["0.31", "/.well-known/core"],
  ] as const) {
    assert.deepEqual(ask(h, { code }, path), [], `${code} ${path}`);
  }
  assert.deepEqual(ask(h, { options: [{ name: "9999", value: Buffer.alloc(1) }] }, "/health"), []);
  assert.deepEqual([h.published.length, h.logins.length, h.shared.connections.size], [0, 0, 0]);
});

test("RFC 7252 section 8.1: a CON to a group is not even reset, nor are an Empty message and an ACK", () => {
  const h = new Harness();
  assert.deepEqual(ask(h, { confirmable: true }, "/health"), []);
  for (const bytes of ["40000001", "60000001", "70000001", "4f010001", "50", "ff"]) {
    h.server.endpoint.multicast.onDatagram(Buffer.from(bytes, "hex"), "192.0.2.7", 40_000, null);
  }
  h.advance(5_050);
  assert.equal(h.port.sent.length, 0);
});

test("so many answers wait for their time; a flood of requests to the group leaves unicast requests alone", () => {
  const h = new Harness();
  for (let i = 0; i < 1_000; i++) {
    const request = requestOf({ messageId: i, confirmable: false }, "/health");
    h.server.endpoint.multicast.onDatagram(request, `192.0.2.${i % 250}`, 1_000 + i, null);
  }
  assert.equal(h.ask({ code: "PUT" }, "/ps/a").code, "2.04");
  h.port.sent.length = 0;
  h.advance(5_050);
  assert.equal(h.port.sent.length, LEISURE_MAX);
  assert.equal(h.counters.counter("coap.multicasts_dropped").value, 1_000 - LEISURE_MAX);
  assert.equal(ask(h, {}, "/health").length, 1, "there is room again");
});
