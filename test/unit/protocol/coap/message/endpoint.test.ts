/** The message layer: what is answered, by which message, how often. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { generate } from "coap-packet";
import { seededRandom } from "../../../../../src/base/random.ts";
import { STORED_LATER } from "../../../../../src/core/router.ts";
import { exchangeLimits } from "../../../../../src/protocol/coap/message/exchange-table.ts";
import { REPLY_LIMITS } from "../../../../../src/protocol/coap/message/reply-pool.ts";
import { requestOf } from "../../../../support/coap-messages.ts";
import { FORMAT_ERRORS, hex, NOT_COAP_DATAGRAMS, REQUESTS } from "../../../wire/coap/vectors.ts";
import { Harness } from "../harness.ts";

const EXCHANGE_LIMITS = exchangeLimits(4096);

const TOKEN = hex("c0ffee");

for (const vector of NOT_COAP_DATAGRAMS) {
  test(`RFC 7252 section 3: ${vector.title} is silently ignored`, () => {
    const h = new Harness();
    h.receive(vector.bytes);
    assert.equal(h.port.sent.length, 0);
    assert.equal(h.counters.get("coap.ignored"), 1);
  });
}

for (const vector of FORMAT_ERRORS) {
  test(`RFC 7252 section 4.2: a CON with ${vector.title} is reset`, () => {
    const h = new Harness();
    h.receive(vector.bytes);
    assert.deepEqual(h.port.sent[0]?.bytes, hex("70 00 1234"));
    assert.equal(h.port.sent.length, 1);
    assert.equal(h.counters.get("coap.malformed"), 1);
  });

  test(`RFC 7252 sections 4.2 and 4.3: a NON, an ACK and an RST with ${vector.title} are silently ignored`, () => {
    const h = new Harness();
    for (const type of [1, 2, 3]) {
      const bytes = Buffer.from(vector.bytes);
      bytes[0] = (bytes[0]! & 0xcf) | (type << 4);
      h.receive(bytes);
    }
    assert.equal(h.port.sent.length, 0);
  });
}

test("RFC 7252 section 4.3: an Empty CON (ping) is answered by RST, an Empty NON by nothing", () => {
  const h = new Harness();
  h.receive(hex("40 00 0007"));
  h.receive(hex("50 00 0008"));
  assert.deepEqual(
    h.port.sent.map((sent) => sent.bytes),
    [hex("70 00 0007")],
  );
});

test("RFC 7252 section 4.2: a response that nobody asked for and a code of a reserved class are reset when CON, ignored otherwise", () => {
  for (const code of ["45", "84", "a0", "20", "c0", "e1"]) {
    const h = new Harness();
    h.receive(hex(`40 ${code} 0009`));
    h.receive(hex(`50 ${code} 000a`));
    h.receive(hex(`60 ${code} 000b`));
    h.receive(hex(`70 ${code} 000c`));
    assert.deepEqual(
      h.port.sent.map((sent) => sent.bytes),
      [hex("70 00 0009")],
    );
  }
});

test("a request's type, token and address come back: CON in the ACK, NON as a NON of our own Message ID", () => {
  const h = new Harness();
  const [con] = h.request({ token: TOKEN, messageId: 77 }, "/health", "192.0.2.9", 5000);
  assert.deepEqual([con?.type, con?.code, con?.messageId, con?.token], ["ACK", "2.05", 77, "c0ffee"]);
  assert.deepEqual([h.port.sent[0]?.address, h.port.sent[0]?.port], ["192.0.2.9", 5000]);
  const [non] = h.request({ token: TOKEN, messageId: 78, confirmable: false }, "/health");
  assert.deepEqual([non?.type, non?.code, non?.token], ["NON", "2.05", "c0ffee"]);
});

test("RFC 7252 section 4.5: a repeated CON gets the same bytes and its handler runs once", () => {
  const h = new Harness();
  const bytes = requestOf({ code: "PUT", messageId: 5, confirmable: true, token: TOKEN, payload: hex("61") }, "/ps/a");
  for (let i = 0; i < 3; i++) h.receive(bytes);
  assert.equal(h.published.length, 1);
  assert.equal(h.port.sent.length, 3);
  assert.deepEqual(h.port.sent[1]?.bytes, h.port.sent[0]?.bytes);
  assert.deepEqual(h.port.sent[2]?.bytes, h.port.sent[0]?.bytes);
  assert.equal(h.counters.get("coap.duplicates"), 2);
});

test("RFC 7252 section 4.5: a repeated NON is ignored and its handler runs once", () => {
  const h = new Harness();
  const bytes = requestOf({ code: "PUT", messageId: 5, token: TOKEN, payload: hex("61") }, "/ps/a");
  for (let i = 0; i < 3; i++) h.receive(bytes);
  assert.equal(h.published.length, 1);
  assert.equal(h.port.sent.length, 1);
});

test("the same Message ID of another address or port is another request", () => {
  const h = new Harness();
  const bytes = requestOf({ code: "PUT", messageId: 5, confirmable: true, payload: hex("61") }, "/ps/a");
  h.receive(bytes, "192.0.2.7", 1);
  h.receive(bytes, "192.0.2.7", 2);
  h.receive(bytes, "192.0.2.8", 1);
  assert.equal(h.published.length, 3);
});

test("RFC 7252 section 4.8.2: a Message ID is free again after EXCHANGE_LIFETIME (CON, 247 s) and NON_LIFETIME (145 s)", () => {
  for (const [confirmable, seconds] of [
    [true, 247],
    [false, 145],
  ] as const) {
    const h = new Harness();
    const bytes = requestOf({ code: "PUT", messageId: 5, confirmable, payload: hex("61") }, "/ps/a");
    h.receive(bytes);
    h.advance(seconds * 1000 - 100);
    h.receive(bytes);
    assert.equal(h.published.length, 1);
    h.advance(200);
    h.receive(bytes);
    assert.equal(h.published.length, 2);
  }
});

for (const exchangesMax of [512, 4096, 0x7fff])
  test(`limits.coap_exchanges: ${exchangesMax}: beyond it the oldest gives way and is counted`, () => {
    const h = new Harness({}, null, { coapExchanges: exchangesMax });
    const send = (i: number) =>
      h.receive(requestOf({ code: "PUT", messageId: i & 0xffff, confirmable: true }, "/ps/a"), "192.0.2.7", 1);
    for (let i = 0; i < exchangesMax; i++) send(i);
    assert.equal(h.counters.get("coap.exchanges_evicted"), 0);
    send(exchangesMax);
    assert.equal(h.shared.messages.exchanges.size, exchangesMax);
    assert.equal(h.counters.get("coap.exchanges_evicted"), 1);
    send(1);
    assert.equal(h.published.length, exchangesMax + 1, "the second oldest is still known");
    send(0);
    assert.equal(h.published.length, exchangesMax + 2, "the oldest is forgotten");
  });

test("a request under way never gives way to newer ones", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  const first = requestOf({ code: "PUT", messageId: 0xffff, confirmable: true }, "/ps/a");
  h.receive(first, "192.0.2.1", 1);
  h.outcome = 0;
  for (let i = 0; i < EXCHANGE_LIMITS.exchangesMax + 10; i++) {
    h.receive(requestOf({ code: "PUT", messageId: i, confirmable: true }, "/ps/a"));
  }
  const published = h.published.length;
  h.receive(first, "192.0.2.1", 1);
  assert.equal(h.published.length, published);
});

test("the bytes kept for repetition are bounded: a response written over is forgotten with its exchange", () => {
  const h = new Harness();
  h.retain("big", Buffer.alloc(1000, 0x61));
  const ask = (i: number) => h.receive(requestOf({ messageId: i, confirmable: true }, "/ps/big"));
  const fits = Math.floor(EXCHANGE_LIMITS.responseBytesMax / 1024);
  for (let i = 0; i < fits * 3; i++) ask(i);
  const before = h.port.sent.length;
  const last = h.port.sent[before - 1]?.bytes;
  ask(fits * 3 - 1);
  assert.deepEqual(h.port.sent[before]?.bytes, last, "the newest is repeated");
  assert.equal(h.counters.get("coap.duplicates"), 1);
  ask(0);
  assert.equal(h.counters.get("coap.duplicates"), 1, "the oldest is answered anew");
  assert.equal(h.port.sent.length, before + 2);
});

test("RFC 7252 section 5.2.2: after 1 s an Empty ACK, then the response as a CON that is repeated until it is acknowledged", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  const request = requestOf({ code: "PUT", messageId: 9, confirmable: true, token: TOKEN }, "/ps/a");
  h.receive(request);
  h.advance(950);
  assert.equal(h.port.sent.length, 0);
  h.receive(request);
  assert.equal(h.port.sent.length, 0, "a repeated request waits, too");
  h.advance(100);
  assert.deepEqual(
    h.port.sent.splice(0).map((sent) => sent.bytes),
    [hex("60 00 0009")],
  );
  h.receive(request);
  assert.deepEqual(
    h.port.sent.splice(0).map((sent) => sent.bytes),
    [hex("60 00 0009")],
  );

  h.advance(5000);
  h.waiters[0]?.onStored(0, 0);
  const [response] = h.take();
  assert.deepEqual([response?.type, response?.code, response?.token], ["CON", "2.04", "c0ffee"]);
  h.receive(request);
  assert.deepEqual(
    h.take().map((r) => [r.type, r.code, r.messageId]),
    [["ACK", "0.00", 9]],
  );
  h.advance(3050);
  assert.equal(h.take().length, 1, "repeated after 2 to 3 s");

  h.receive(generate({ code: "0.00", ack: true, messageId: response?.messageId ?? 0 }));
  h.advance(100_000);
  assert.equal(h.port.sent.length, 0);
  assert.equal(h.counters.get("coap.unacknowledged"), 0);
  assert.equal(h.published.length, 1);
});

test("RFC 7252 section 4.2: a separate response is sent 5 times in all, at doubling intervals of 2 to 3 s, then given up", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  h.request({ code: "PUT" }, "/ps/a");
  h.advance(1100);
  h.take();
  h.waiters[0]?.onStored(0, 0);
  const times: number[] = [];
  const start = h.clock.nowMs();
  for (let i = 0; i < 2400; i++) {
    if (h.take().length > 0) times.push(h.clock.nowMs() - start);
    h.advance(50);
  }
  assert.equal(times.length, 5);
  const first = times[1]!;
  assert.ok(first >= 2000 && first <= 3050, `${first}`);
  for (let i = 2; i < 5; i++) {
    const ratio = (times[i]! - times[i - 1]!) / (times[i - 1]! - times[i - 2]!);
    assert.ok(ratio > 1.9 && ratio < 2.1, `${times}`);
  }
  assert.equal(h.counters.get("coap.retransmitted"), 4);
  assert.equal(h.counters.get("coap.unacknowledged"), 1);
});

test("an RST ends a separate response; an ACK or RST of another Message ID or another address does not", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  h.request({ code: "PUT" }, "/ps/a");
  h.advance(1100);
  h.take();
  h.waiters[0]?.onStored(0, 0);
  const messageId = h.take()[0]?.messageId ?? 0;
  h.receive(generate({ code: "0.00", ack: true, messageId: (messageId + 1) & 0xffff }));
  h.receive(generate({ code: "0.00", reset: true, messageId }), "192.0.2.99");
  h.receive(generate({ code: "0.00", reset: true, messageId }), "192.0.2.7", 1);
  h.advance(3100);
  assert.equal(h.take().length, 1);
  h.receive(generate({ code: "0.00", reset: true, messageId }));
  h.advance(100_000);
  assert.equal(h.take().length, 0);
});

test("an answer within 1 s travels in the acknowledgement", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  h.request({ code: "PUT", messageId: 3 }, "/ps/a");
  h.advance(900);
  h.waiters[0]?.onStored(0, 0);
  h.advance(100_000);
  assert.deepEqual(
    h.take().map((r) => [r.type, r.code, r.messageId]),
    [["ACK", "2.04", 3]],
  );
});

test("a NON waits for the store without an Empty ACK and is answered once", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  h.request({ code: "PUT", confirmable: false, token: TOKEN }, "/ps/a?qos=1");
  h.advance(10_000);
  assert.equal(h.port.sent.length, 0);
  h.waiters[0]?.onStored(0, 0);
  h.advance(100_000);
  assert.deepEqual(
    h.take().map((r) => [r.type, r.code, r.token]),
    [["NON", "2.04", "c0ffee"]],
  );
});

test("requests under way are bounded: beyond the limit 5.03 with Max-Age, counted, and room again when one is done", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  for (let i = 0; i < REPLY_LIMITS.repliesMax; i++) {
    assert.equal(h.request({ code: "PUT" }, "/ps/a", `192.0.2.${i % 2}`).length, 0);
  }
  const refused = h.ask({ code: "PUT", token: TOKEN }, "/ps/a");
  assert.deepEqual([refused.code, refused.token], ["5.03", "c0ffee"]);
  assert.equal(refused.options.get("Max-Age")?.readUInt8(), 10);
  assert.equal(h.counters.get("coap.busy"), 1);
  assert.equal(h.published.length, REPLY_LIMITS.repliesMax);
  h.waiters[0]?.onStored(0, 0);
  assert.equal(h.request({ code: "PUT" }, "/ps/a").length, 0);
  assert.equal(h.published.length, REPLY_LIMITS.repliesMax + 1);
});

test("one source address has half of the requests under way, whatever its ports; the others are for others", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  const { perSourceMax } = REPLY_LIMITS;
  for (let i = 0; i < perSourceMax; i++) {
    assert.equal(h.request({ code: "PUT" }, "/ps/a", "192.0.2.7", 1000 + i).length, 0);
  }
  assert.equal(h.request({ code: "PUT" }, "/ps/a", "192.0.2.7", 1)[0]?.code, "5.03");
  assert.equal(h.request({ code: "PUT" }, "/ps/a", "192.0.2.8").length, 0);
  h.waiters[0]?.onStored(0, 0);
  assert.equal(h.request({ code: "PUT" }, "/ps/a", "192.0.2.7", 2).length, 0);
});

test("a closed endpoint sends nothing and leaves no timer", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  h.request({ code: "PUT" }, "/ps/a");
  h.request({ code: "PUT" }, "/ps/a");
  h.advance(1100);
  h.waiters[0]?.onStored(0, 0);
  h.request({ code: "PUT" }, "/ps/a");
  h.take();
  h.server.close();
  h.waiters[1]?.onStored(0, 0);
  h.advance(300_000);
  assert.equal(h.port.sent.length, 0);
  assert.equal(h.wheel.armed, 0);
});

test("every truncation of every request is answered by its ACK, by RST or not at all", () => {
  for (const vector of REQUESTS) {
    for (let end = 0; end < vector.bytes.length; end++) {
      const h = new Harness();
      h.receive(vector.bytes.subarray(0, end));
      assert.ok(h.port.sent.length <= 1);
      if (end < 4) assert.equal(h.port.sent.length, 0);
    }
  }
});

test("20,000 hostile datagrams: no throw, at most one answer each, none to what must stay silent", () => {
  const random = seededRandom(5683);
  const byte = () => Math.floor(random() * 256);
  const h = new Harness();
  for (let i = 0; i < 20_000; i++) {
    const datagram =
      i % 2 === 0
        ? Buffer.from(REQUESTS[i % REQUESTS.length]!.bytes)
        : Buffer.from(Array.from({ length: byte() % 32 }, byte));
    for (let flips = byte() % 5; flips > 0 && datagram.length > 0; flips--) datagram[byte() % datagram.length] = byte();
    const before = h.port.sent.length;
    h.receive(datagram, "192.0.2.7", 1024 + (i & 0xfff));
    const answers = h.port.sent.length - before;
    assert.ok(answers <= 1);
    const first = datagram[0] ?? 0;
    const silent = datagram.length < 4 || first >> 6 !== 1 || ((first >> 4) & 3) >= 2;
    if (silent) assert.equal(answers, 0, datagram.toString("hex"));
  }
});
