/** What peers send that nobody asked for, by the ten thousand: it changes nothing for the others. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { generate } from "coap-packet";
import { seededRandom } from "../../../../../src/base/random.ts";
import { STORED_LATER } from "../../../../../src/core/router.ts";
import { exchangeLimits } from "../../../../../src/protocol/coap/message/exchange-table.ts";
import { REPLY_LIMITS } from "../../../../../src/protocol/coap/message/reply-pool.ts";
import { requestOf } from "../../../../support/coap-messages.ts";
import { Harness } from "../harness.ts";

const EXCHANGE_LIMITS = exchangeLimits(4096);

const addressOf = (i: number): string => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;

test("every Message ID as ACK and RST, from 10,000 forged addresses: no separate response ends, nobody is remembered, nothing is sent", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  h.request({ code: "PUT" }, "/ps/a");
  h.advance(1100);
  h.waiters[0]?.onStored(0, 0);
  const response = h.take().find(({ type }) => type === "CON");
  const { peers } = h.shared.messages;
  assert.equal(peers.size, 1);
  for (let messageId = 0; messageId < 0x1_0000; messageId++) {
    const type = messageId % 2 === 0 ? { ack: true } : { reset: true };
    h.receive(generate({ code: "0.00", messageId, ...type }), addressOf(messageId % 10_000));
    h.receive(generate({ code: "0.00", messageId, ack: true }), "192.0.2.7", 1);
  }
  assert.equal(peers.size, 1);
  assert.equal(h.take().length, 0);
  assert.equal(h.counters.get("coap.ignored"), 2 * 0x1_0000);
  h.advance(3100);
  assert.equal(h.take().length, 1, "it is still retransmitted");
  h.acknowledge(response);
  h.advance(100_000);
  assert.equal(h.take().length, 0);
});

test("guesses at the Message ID from the peer's own address end a separate response by luck alone, and prove nothing", () => {
  const h = new Harness();
  h.port.peersVerified = false;
  h.outcome = STORED_LATER;
  h.request({ code: "PUT" }, "/ps/a");
  h.advance(1100);
  h.waiters[0]?.onStored(0, 0);
  const response = h.take().find(({ type }) => type === "CON");
  for (let i = 1; i < 0x1_0000; i += 7) {
    h.receive(generate({ code: "0.00", messageId: (response!.messageId + 1000 + i) & 0xffff, ack: true }));
  }
  assert.equal(h.peer().verified, false);
});

test("an ACK that carries a request, and an RST that carries anything, acknowledge nothing", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  h.request({ code: "PUT" }, "/ps/a");
  h.advance(1100);
  h.waiters[0]?.onStored(0, 0);
  const messageId = h.take().find(({ type }) => type === "CON")?.messageId ?? 0;
  h.receive(generate({ code: "0.01", ack: true, messageId }));
  h.receive(generate({ code: "2.05", reset: true, messageId }));
  h.receive(generate({ code: "7.01", ack: true, messageId }));
  h.advance(3100);
  assert.equal(h.take().length, 1);
});

test("exchanges, peers and replies all full at once: newcomers are refused in words or answered, and who waits gets his answer", () => {
  const h = new Harness();
  for (let i = 0; i < EXCHANGE_LIMITS.exchangesMax; i++) h.request({ code: "PUT" }, "/ps/a", addressOf(i));
  h.outcome = STORED_LATER;
  for (let i = 0; i < REPLY_LIMITS.repliesMax; i++) h.request({ code: "PUT" }, "/ps/a", addressOf(100_000 + i));
  h.take();
  for (let i = 0; i < 10_000; i++) {
    assert.equal(h.request({ code: "PUT" }, "/ps/a", addressOf(200_000 + i))[0]?.code, "5.03");
  }
  h.take();
  for (const waiter of h.waiters.splice(0)) waiter.onStored(0, 0);
  const answers = h.take();
  assert.equal(answers.length, REPLY_LIMITS.repliesMax);
  assert.ok(answers.every(({ type, code }) => type === "ACK" && code === "2.04"));
  assert.equal(h.counters.get("coap.busy"), 10_000);
});

test("what waits to be acknowledged is bounded: beyond it 5.03 takes the place of a large response", () => {
  const h = new Harness();
  h.retain("big", Buffer.alloc(1000, 0x61));
  h.loginsWait = true;
  const { repliesMax, responseBytesMax } = REPLY_LIMITS;
  for (let i = 0; i < repliesMax; i++) h.request({}, "/ps/big?u=x&p=secret", addressOf(i));
  h.advance(1100);
  h.take();
  for (const [i, waiter] of h.loginWaiters.entries()) waiter.onLogin({ name: "x", clientId: `${i}` }, 0);
  const codes = h.take().map(({ code }) => code);
  assert.equal(codes.length, repliesMax);
  const whole = codes.filter((code) => code === "2.05").length;
  assert.ok(whole > 50 && whole * 1000 <= responseBytesMax, `${whole}`);
  assert.equal(codes.filter((code) => code === "5.03").length, repliesMax - whole);
  h.advance(100_000);
  assert.equal(h.shared.messages.replies.inUse, 0);
  assert.equal(h.shared.messages.replies.takeBytes(responseBytesMax), true, "all of it came back");
});

test("who leaves with many responses outstanding holds no reply for longer than one of them is tried", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  for (let i = 0; i < 100; i++) h.request({ code: "PUT" }, "/ps/a");
  h.advance(1100);
  for (const waiter of h.waiters.splice(0)) waiter.onStored(0, 0);
  assert.equal(h.shared.messages.replies.inUse, 100);
  h.advance(94_000);
  assert.equal(h.shared.messages.replies.inUse, 0);
  assert.equal(h.counters.get("coap.unacknowledged"), 100);
  h.request({ code: "PUT" }, "/ps/a");
  h.advance(1100);
  h.take();
  h.waiters[0]?.onStored(0, 0);
  assert.equal(h.take().length, 1, "when it is heard of again, it gets its responses");
});

test("random requests, losses, repetitions, answers and departures: nothing is left behind", () => {
  for (let seed = 1; seed <= 10; seed++) {
    const h = new Harness();
    const random = seededRandom(seed);
    h.outcome = STORED_LATER;
    const sent: { bytes: Buffer; address: string; port: number }[] = [];
    for (let i = 0; i < 2000; i++) {
      const dice = random();
      if (dice < 0.4) {
        const address = addressOf(Math.floor(random() * 20));
        const bytes = requestOf({ code: "PUT", confirmable: random() < 0.7, messageId: i }, "/ps/a");
        sent.push({ bytes, address, port: 1 });
        h.receive(bytes, address, 1);
      } else if (dice < 0.6 && sent.length > 0) {
        const again = sent[Math.floor(random() * sent.length)]!;
        h.receive(again.bytes, again.address, again.port);
      } else if (dice < 0.8) {
        h.waiters.splice(Math.floor(random() * h.waiters.length), 1)[0]?.onStored(0, random() < 0.8 ? 0 : 0x97);
      } else if (dice < 0.9) {
        for (const { bytes, address, port } of h.port.sent.splice(0)) {
          if ((bytes[0]! >> 4) % 4 !== 0 || random() < 0.3) continue;
          const messageId = bytes.readUInt16BE(2);
          h.receive(generate({ code: "0.00", messageId, ack: random() < 0.8, reset: false }), address, port);
        }
      } else if (dice < 0.92) {
        h.server.endpoint.onPeerGone(addressOf(Math.floor(random() * 20)), 1);
      } else {
        h.advance(random() * 3000);
      }
    }
    for (const waiter of h.waiters.splice(0)) waiter.onStored(0, 0);
    h.advance(400_000);
    assert.equal(h.shared.messages.replies.inUse, 0, `seed ${seed}`);
    assert.equal(h.wheel.armed, 0, `seed ${seed}`);
    for (let i = 0; i < 20; i++) {
      const { peers } = h.shared.messages;
      const peer = peers.find(h.server.endpoint, peers.hashOf(addressOf(i)), addressOf(i), 1, null);
      assert.deepEqual(
        [peer?.busy ?? 0, peer?.outstanding ?? null, peer?.firstBegun ?? null],
        [0, null, null],
        `seed ${seed}`,
      );
    }
    assert.ok(h.published.length > 100);
  }
});
