/** What an address that is not proven may get, and how it is proven. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Packet } from "coap-packet";
import { FRESH_SECONDS } from "../../../../../src/protocol/coap/message/echo.ts";
import { VERIFIED_SECONDS } from "../../../../../src/protocol/coap/message/peer-table.ts";
import { HELD_MAX, PROOF_WAIT_MS } from "../../../../../src/protocol/coap/message/responder.ts";
import { type Response, requestOf } from "../../../../support/coap-messages.ts";
import { hex } from "../../../wire/coap/vectors.ts";
import { Harness } from "../harness.ts";

const ECHO = "252";

/** Plain UDP. */
function open(): Harness {
  const h = new Harness();
  h.port.peersVerified = false;
  h.retain("a", "0123456789".repeat(10));
  return h;
}

/** Asks, does not answer the ping, and takes the answer after the time for that. */
function ask(h: Harness, packet: Packet, path: string, address?: string, port?: number): Response {
  h.take();
  h.request(packet, path, address, port);
  h.advance(PROOF_WAIT_MS + 150);
  const [answer, ...others] = h.take().filter((sent) => sent.type !== "CON");
  assert.ok(answer !== undefined && others.length === 0, `${others.length}`);
  return answer;
}

/** Asks, and repeats the request with the Echo value of a 4.01. */
function askWithEcho(h: Harness, path: string): Response {
  const first = ask(h, { token: hex("01") }, path);
  const echo = first.options.get(ECHO);
  assert.equal(first.code, "4.01");
  assert.ok(echo !== undefined);
  return ask(h, { token: hex("02"), options: [{ name: ECHO, value: echo }] }, path);
}

test("no datagram to an address that is not proven is more than 3 times what it answers, whatever is asked", () => {
  const h = open();
  h.retain("topic/with/levels", Buffer.alloc(2000, 0x61));
  const random = [..."abcdefghij"];
  const paths = [
    "/",
    "/ps",
    "/ps/a",
    "/ps/topic/with/levels",
    "/health",
    "/.well-known/core",
    "/nowhere",
    "/ps/+/x?qos=9",
  ];
  for (const path of paths) {
    for (const code of ["GET", "PUT", "POST", "DELETE", "FETCH"]) {
      for (const confirmable of [true, false]) {
        for (const tokenBytes of [0, 1, 8]) {
          const request = requestOf(
            {
              code,
              confirmable,
              messageId: h.port.sent.length + 1,
              token: Buffer.from(random.slice(0, tokenBytes).join("")),
            },
            path,
          );
          const from = h.port.sent.length;
          h.receive(request, "192.0.2.7", 1000 + from);
          h.advance(PROOF_WAIT_MS + 150);
          for (const { bytes } of h.port.sent.slice(from)) {
            assert.ok(bytes.length <= 3 * request.length, `${code} ${path}: ${bytes.length} for ${request.length}`);
          }
        }
      }
    }
  }
});

test("RFC 9175 section 2.4: what is larger is 4.01 with an Echo option; the request with its value proves the address for some minutes", () => {
  const h = open();
  assert.equal(askWithEcho(h, "/ps/a").code, "2.05");
  assert.equal(ask(h, {}, "/ps/a").code, "2.05", "without the option, too");
  assert.equal(h.counters.get("coap.echo_asked"), 1);
  h.advance((VERIFIED_SECONDS + 1) * 1000);
  assert.equal(ask(h, {}, "/ps/a").code, "4.01");
});

test("an Echo value is good for its address, its port and FRESH_SECONDS alone", () => {
  const h = open();
  const echo = ask(h, {}, "/ps/a").options.get(ECHO) as Buffer;
  const proves = (value: Buffer, address: string, port: number): boolean => {
    h.request({ options: [{ name: ECHO, value }] }, "/ps/a", address, port);
    return h.peer(address, port).verified;
  };
  assert.equal(proves(echo, "192.0.2.8", 40_000), false);
  assert.equal(proves(echo, "192.0.2.7", 40_001), false);
  for (let i = 0; i < echo.length; i++) {
    const forged = Buffer.from(echo);
    forged[i]! ^= 1;
    assert.equal(proves(forged, "192.0.2.7", 40_000), false, `byte ${i}`);
  }
  assert.equal(proves(echo.subarray(1), "192.0.2.7", 40_000), false);
  h.advance((FRESH_SECONDS + 1) * 1000);
  assert.equal(proves(echo, "192.0.2.7", 40_000), false);

  const fresh = ask(h, {}, "/ps/a").options.get(ECHO) as Buffer;
  h.advance((FRESH_SECONDS - 1) * 1000);
  assert.equal(proves(fresh, "192.0.2.7", 40_000), true, "also after the key was replaced");
});

test("an Echo value of another gateway, and of another listener, proves nothing", () => {
  const a = open();
  const b = open();
  const echo = ask(a, {}, "/ps/a").options.get(ECHO) as Buffer;
  ask(b, { options: [{ name: ECHO, value: echo }] }, "/ps/a");
  assert.equal(b.peer().verified, false);
});

test("a request whose answer is too large waits for the RST of a ping, and is answered whole", () => {
  const h = open();
  h.request({}, "/ps/a");
  const [ping, ...others] = h.take();
  assert.deepEqual([ping?.type, ping?.code, others.length], ["CON", "0.00", 0]);
  h.acknowledge(ping, "RST");
  assert.deepEqual(
    h.take().map(({ code, payload }) => [code, payload.length]),
    [["2.05", 100]],
  );
});

test("requests that wait for proof are bounded: beyond HELD_MAX they are answered at once, as much as may go", () => {
  const h = open();
  for (let i = 0; i < HELD_MAX; i++) h.request({}, "/ps/a", `10.0.0.${i}`);
  assert.ok(h.take().every(({ code }) => code === "0.00"));
  assert.equal(h.request({}, "/ps/a", "10.0.1.1")[0]?.code, "4.01");
  h.take();
  h.advance(PROOF_WAIT_MS + 150);
  assert.equal(h.take().length, HELD_MAX);
  assert.equal(h.shared.messages.replies.inUse, 0);
});

test("a flood from forged addresses leaves replies to those who are there", () => {
  const h = open();
  for (let i = 0; i < 10_000; i++) h.request({}, "/ps/a", `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  assert.equal(h.request({ code: "PUT" }, "/ps/b", "192.0.2.1")[0]?.code, "2.04");
  assert.equal(h.counters.get("coap.busy"), 0);
});

test("an effect is never taken back: what was done is answered by its code, with the first of its words", () => {
  const h = open();
  const refused = h.ask({ code: "PUT" }, "/x");
  assert.deepEqual([refused.code, refused.payload], ["4.04", "no such resou"]);
  assert.equal(h.ask({ code: "PUT" }, "/ps/a").code, "2.04");
  assert.equal(h.ask({ code: "DELETE" }, "/ps/a").code, "2.02");
});

test("over DTLS the address is proven", () => {
  const h = open();
  h.port.peersVerified = true;
  assert.equal(ask(h, {}, "/ps/a").code, "2.05");
});
