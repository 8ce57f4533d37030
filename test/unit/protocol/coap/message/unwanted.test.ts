/** Responses that nobody wants: RFC 7967's No-Response, and what a multicast must not get. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { generate } from "coap-packet";
import { STORED_LATER } from "../../../../../src/core/router.ts";
import { REPLY_LIMITS } from "../../../../../src/protocol/coap/message/reply-pool.ts";
import { requestOf } from "../../../../support/coap-messages.ts";
import { hex } from "../../../wire/coap/vectors.ts";
import { Harness } from "../harness.ts";

/** No-Response with these bits: 2 = no 2.xx, 8 = no 4.xx, 16 = no 5.xx. */
function noResponse(bits: number) {
  return [{ name: "258", value: Buffer.from(bits === 0 ? [] : [bits]) }];
}

test("RFC 7967 section 2.1: a NON gets none of the classes it names, and the others", () => {
  for (const [bits, path, code] of [
    [2, "/ps/a", undefined],
    [8, "/ps/a", "2.04"],
    [8, "/ps/a?qos=9", undefined],
    [2, "/ps/a?qos=9", "4.00"],
    [16, "/ps/a", "2.04"],
    [26, "/ps/a", undefined],
    [26, "/ps/a?qos=9", undefined],
    [0, "/ps/a", "2.04"],
  ] as const) {
    const h = new Harness();
    const [answer] = h.request({ code: "PUT", confirmable: false, options: noResponse(bits) }, path);
    assert.equal(answer?.code, code, `${bits} ${path}`);
  }
});

test("RFC 7967 section 2.1: a CON gets an Empty acknowledgement in the place of what it does not want, when it is repeated, too", () => {
  const h = new Harness();
  const request = requestOf(
    { code: "PUT", confirmable: true, messageId: 7, token: hex("01"), options: noResponse(2) },
    "/ps/a",
  );
  h.receive(request);
  h.receive(request);
  assert.deepEqual(
    h.port.sent.map(({ bytes }) => bytes),
    [hex("60 00 0007"), hex("60 00 0007")],
  );
  assert.equal(h.published.length, 1);
  h.advance(100_000);
  assert.equal(h.port.sent.length, 2);
});

test("a CON that waits for the store and does not want the answer gets the Empty acknowledgement once", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  h.request({ code: "PUT", options: noResponse(2) }, "/ps/a");
  h.advance(1100);
  assert.deepEqual(
    h.take().map((r) => [r.type, r.code]),
    [["ACK", "0.00"]],
  );
  h.waiters[0]?.onStored(0, 0);
  h.advance(100_000);
  assert.equal(h.take().length, 0);
});

/** Sends to the multicast address of the listener. */
function multicast(h: Harness, bytes: Buffer, address = "192.0.2.7"): void {
  h.server.endpoint.multicast.onDatagram(bytes, address, 40_000, null);
}

test("RFC 7252 section 8.2: a multicast is answered by a NON, some time within DEFAULT_LEISURE", () => {
  const h = new Harness();
  const delays = new Set<number>();
  for (let i = 0; i < 40; i++) {
    const request = requestOf(
      { confirmable: false, messageId: i, token: Buffer.from([i]) },
      "/.well-known/core?rt=core.ps",
    );
    multicast(h, request, `192.0.2.${i}`);
    multicast(h, request, `192.0.2.${i}`);
  }
  assert.equal(h.port.sent.length, 0);
  for (let ms = 0; ms <= 5100; ms += 50) {
    for (const answer of h.take()) {
      assert.deepEqual([answer.type, answer.code], ["NON", "2.05"]);
      delays.add(ms);
    }
    h.advance(50);
  }
  assert.ok(delays.size > 15, `${[...delays]}`);
  assert.equal(h.counters.get("coap.duplicates"), 40);
  assert.equal(h.wheel.armed, 0);
});

test("RFC 7252 section 8.1: a multicast gets no error, no RST and no acknowledgement, and a CON is not looked at", () => {
  const h = new Harness();
  multicast(h, requestOf({ confirmable: false, messageId: 1 }, "/nowhere"));
  multicast(h, requestOf({ confirmable: true, messageId: 2 }, "/.well-known/core"));
  multicast(h, generate({ code: "0.00", confirmable: true, messageId: 3 }));
  multicast(h, hex("40 01 0004 ff"));
  multicast(h, hex("50 45 0005"));
  h.advance(100_000);
  assert.equal(h.port.sent.length, 0);
});

test("answers to multicasts share the room of responses that wait: what does not fit is not sent, and the room comes back", () => {
  const h = new Harness();
  const ask = (i: number) => multicast(h, requestOf({ confirmable: false, messageId: i }, "/.well-known/core"));
  ask(0);
  h.advance(5100);
  const bytes = h.port.sent.splice(0)[0]?.bytes.length ?? 0;
  const { replies } = h.shared.messages;
  assert.equal(replies.takeBytes(REPLY_LIMITS.responseBytesMax - 3 * bytes), true);
  for (let round = 1; round <= 3; round++) {
    for (let i = 0; i < 10; i++) ask(100 * round + i);
    h.advance(5100);
    assert.equal(h.take().length, 3);
  }
  assert.equal(replies.inUse, 0);
});
