// RFC 7252 sections 4.2, 4.4, 4.8 and 5.2.2 where time matters: separate responses on a clock that the test moves.
import assert from "node:assert/strict";
import { test } from "node:test";
import { STORED_LATER } from "../../../src/core/router.ts";
import { Harness } from "../../unit/protocol/coap/harness.ts";
import { ACK, CON, code, type Message, message, NON, PUT, RST, readMessage, uri } from "./bytes.ts";
import { holdToRules } from "./harness.ts";

const ID = 0x1234;
const TOKEN = Buffer.from("c0ffee", "hex");
const REQUEST = message({ code: PUT, id: ID, token: TOKEN, options: uri("/ps/a"), payload: "x" });
const MAX_TRANSMIT_SPAN_MS = 45_000;
const MAX_TRANSMIT_WAIT_MS = 93_000;

/** What the gateway has sent since the last look. */
function sent(h: Harness): Message[] {
  const messages = h.port.sent.splice(0).map(({ bytes }) => readMessage(bytes));
  for (const one of messages) holdToRules(one);
  return messages;
}

/** A request whose store takes its time: acknowledged by an Empty message. */
function acknowledged(): Harness {
  const h = new Harness();
  h.outcome = STORED_LATER;
  h.receive(REQUEST);
  h.advance(1_050);
  assert.deepEqual(sent(h).map(kindOf), [`ACK 0.00 ${ID} `]);
  return h;
}

/** And its response, as the CON of the gateway's own that it is. */
function separate(): { h: Harness; response: Message } {
  const h = acknowledged();
  h.waiters[0]!.onStored(0, 0);
  const [response, ...more] = sent(h);
  assert.deepEqual([response?.type, response?.code, more.length], ["CON", "2.04", 0]);
  return { h, response: response! };
}

const kindOf = ({ type, code, id, token }: Message) => `${type} ${code} ${id} ${token}`;

/** Times of what is sent in the next `forMs`, in ms from now, with what was sent. */
function timeline(h: Harness, forMs: number): { atMs: number; read: Message }[] {
  const out: { atMs: number; read: Message }[] = [];
  for (let atMs = 50; atMs <= forMs; atMs += 50) {
    h.advance(50);
    for (const read of sent(h)) out.push({ atMs, read });
  }
  return out;
}

test("[RFC7252-4.2-7] [RFC7252-4.8.1-1] [RFC7252-4.8.1-2] a CON of the gateway's is repeated after 2 to 3 s, then at doubling intervals, four times", () => {
  const { h, response } = separate();
  const repeated = timeline(h, MAX_TRANSMIT_WAIT_MS + 10_000);
  assert.equal(repeated.length, 4);
  for (const { read } of repeated) assert.deepEqual(read.bytes, response.bytes, "under the same Message ID");
  const [first = 0, ...rest] = repeated.map(({ atMs }, i) => atMs - (i === 0 ? 0 : repeated[i - 1]!.atMs));
  assert.ok(first >= 2_000 && first <= 3_100, `${first} ms`);
  for (const [i, interval] of rest.entries()) {
    const expected = first * 2 ** (i + 1);
    assert.ok(Math.abs(interval - expected) <= 200 * 2 ** i, `${interval} ms is not about ${expected}`);
  }
});

test("[RFC7252-4.2-8] its last repetition lies within MAX_TRANSMIT_SPAN, and after MAX_TRANSMIT_WAIT it is given up", () => {
  for (let round = 0; round < 20; round++) {
    const { h } = separate();
    const repeated = timeline(h, 300_000);
    assert.equal(repeated.length, 4);
    assert.ok(repeated[3]!.atMs <= MAX_TRANSMIT_SPAN_MS + 500, `${repeated[3]!.atMs} ms`);
    assert.equal(h.counters.get("coap.unacknowledged"), 1);
  }
});

test("[RFC7252-4.2-9] [RFC7252-5.2.2-2] a request repeated when its separate response was acknowledged gets the Empty ACK again, and is done once", () => {
  const { h, response } = separate();
  h.receive(message({ type: ACK, code: 0, id: response.id, token: "" }));
  for (let i = 0; i < 3; i++) {
    h.receive(REQUEST);
    assert.deepEqual(sent(h).map(kindOf), [`ACK 0.00 ${ID} `]);
  }
  assert.equal(timeline(h, MAX_TRANSMIT_WAIT_MS).length, 0);
  assert.equal(h.published.length, 1);
});

test("[RFC7252-5.2.2-1] [RFC7252-5.2.2-2] once there was an Empty ACK, the response never comes in an ACK, however often the request is repeated", () => {
  const h = acknowledged();
  for (let i = 0; i < 5; i++) {
    h.receive(REQUEST);
    assert.deepEqual(sent(h).map(kindOf), [`ACK 0.00 ${ID} `]);
  }
  h.waiters[0]!.onStored(0, 0);
  const [response] = sent(h);
  assert.equal(response?.type, "CON");
  h.receive(REQUEST);
  assert.deepEqual(sent(h).map(kindOf), [`ACK 0.00 ${ID} `]);
});

test("[RFC7252-5.3.2-3] a separate response has the request's token, and a Message ID of its own", () => {
  const { response } = separate();
  assert.equal(response.token, TOKEN.toString("hex"));
  assert.notEqual(response.id, ID);
});

/** What ends the repetition of a CON, by the bytes behind its header. */
const ENDS: Readonly<Record<string, (id: number) => Buffer>> = {
  "an Empty ACK": (id) => message({ type: ACK, code: 0, id, token: "" }),
  "an ACK with a response code": (id) => message({ type: ACK, code: code("2.05"), id, token: TOKEN }),
  "an ACK with a payload": (id) => message({ type: ACK, code: code("4.04"), id, token: "", payload: "what" }),
  "an RST": (id) => message({ type: RST, code: 0, id, token: "" }),
};

for (const [what, bytes] of Object.entries(ENDS)) {
  test(`[RFC7252-5.2.2-4] ${what} ends the repetition of a separate response, at any time`, () => {
    for (const afterMs of [0, 1_000, 4_000, 20_000]) {
      const { h, response } = separate();
      h.advance(afterMs);
      sent(h);
      h.receive(bytes(response.id));
      assert.equal(timeline(h, MAX_TRANSMIT_WAIT_MS).length, 0);
      assert.equal(h.counters.get("coap.unacknowledged"), 0);
    }
  });
}

test("[RFC7252-4.4-3] an ACK or RST of another Message ID, address or port ends nothing", () => {
  const { h, response } = separate();
  for (const type of [ACK, RST]) {
    h.receive(message({ type, code: 0, id: (response.id + 1) & 0xffff, token: "" }));
    h.receive(message({ type, code: 0, id: response.id, token: "" }), "192.0.2.8");
    h.receive(message({ type, code: 0, id: response.id, token: "" }), "192.0.2.7", 40_001);
  }
  assert.equal(timeline(h, MAX_TRANSMIT_WAIT_MS).length, 4, "it is still repeated");
});

test("[RFC7252-5.2.3-1] a NON whose store takes its time gets no ACK, and its response is one NON", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  const options = uri("/ps/a?qos=1");
  h.receive(message({ type: NON, code: PUT, id: ID, token: TOKEN, options, payload: "x" }));
  h.advance(30_000);
  assert.deepEqual(sent(h), []);
  h.waiters[0]!.onStored(0, 0);
  const [response, ...more] = sent(h);
  assert.deepEqual([response?.type, response?.code, more.length], ["NON", "2.04", 0]);
  assert.deepEqual(timeline(h, MAX_TRANSMIT_WAIT_MS), []);
});

test("[RFC7252-4.5-1] a CON repeated within EXCHANGE_LIFETIME (247 s) is the same one, a NON within NON_LIFETIME (145 s) too", () => {
  for (const [type, lifetimeMs, answers] of [
    [CON, 247_000, 1],
    [NON, 145_000, 0],
  ] as const) {
    const h = new Harness();
    const bytes = message({ type, code: PUT, id: ID, token: TOKEN, options: uri("/ps/a?qos=0"), payload: "x" });
    h.receive(bytes);
    const [first] = sent(h);
    h.advance(lifetimeMs - 1_000);
    h.receive(bytes);
    const again = sent(h);
    assert.equal(again.length, answers);
    if (answers === 1) assert.deepEqual(again[0]!.bytes, first!.bytes);
    assert.equal(h.published.length, 1);
    h.advance(2_000);
    h.receive(bytes);
    assert.equal(h.published.length, 2, "after that it is another one");
  }
});

test("[RFC7252-4.4-2] 65,000 responses to 1,000 others within EXCHANGE_LIFETIME do not bring a Message ID back to one endpoint", () => {
  const h = new Harness();
  const ask = (id: number, port: number): number => {
    h.receive(message({ type: NON, id, token: "", options: uri("/health") }), "192.0.2.7", port);
    return sent(h)[0]!.id;
  };
  const ours = new Set([ask(1, 40_000)]);
  for (let i = 0; i < 65_000; i++) ask(Math.floor(i / 1000), 50_000 + (i % 1000));
  for (let i = 2; i <= 2_000; i++) ours.add(ask(i, 40_000));
  assert.equal(ours.size, 2_000);
});
