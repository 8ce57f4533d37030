/** A request whose answer is large waits for proof of its address, for a moment. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { OptionName } from "coap-packet";
import { HELD_MAX, PING_AGAIN_MS, PROOF_WAIT_MS } from "../../../../../src/protocol/coap/message/responder.ts";
import { hex } from "../../../wire/coap/vectors.ts";
import { blockOf, textOf } from "../blocks/uploading.ts";
import { Harness } from "../harness.ts";

function unproven(): Harness {
  const h = new Harness();
  h.port.peersVerified = false;
  h.retain("a", textOf(2000));
  return h;
}

test("a client that answers the ping gets its first block as large as it takes", () => {
  for (const type of ["RST", "ACK"] as const) {
    for (const confirmable of [true, false]) {
      const h = unproven();
      const [ping] = h.request({ confirmable }, "/ps/a");
      assert.deepEqual([ping?.type, ping?.code], ["CON", "0.00"]);
      h.take();
      h.acknowledge(ping, type);
      const answers = h.take();
      assert.deepEqual(
        answers.map((each) => `${each.type} ${each.code} ${each.payload.length} ${blockOf(each, "Block2")}`),
        [`${confirmable ? "ACK" : "NON"} 2.05 1024 0/1/6`],
      );
      h.advance(10_000);
      assert.deepEqual([h.take().length, h.wheel.armed], [0, 0]);
    }
  }
});

test("a client that does not answer it gets small blocks, is not waited for again, and never more than three times its bytes", () => {
  const h = unproven();
  const token = hex("0102030405060708");
  const request = 4 + 8 + 3 + 2;
  h.request({ token }, "/ps/a");
  h.advance(PROOF_WAIT_MS + 150);
  const [, first] = h.take();
  assert.equal(blockOf(first, "Block2"), "0/1/0");
  h.request({ token }, "/ps/a");
  const second = h.port.sent.splice(0);
  assert.ok(second.length >= 1 && second.length <= 2, "at once");
  assert.ok(second.reduce((sum, { bytes }) => sum + bytes.length, 0) <= 3 * request);
  assert.equal(h.wheel.armed, 0);
});

test("a ping that has no answer is sent once more under its Message ID, where a block has room beside it; a late RST proves as well", () => {
  const h = unproven();
  const path = `/ps/a?clientid=${"x".repeat(20)}`;
  const [ping] = h.request({}, path);
  h.take();
  h.advance(PING_AGAIN_MS + 50);
  const again = h.take();
  assert.deepEqual(
    again.map(({ type, code, messageId }) => [type, code, messageId]),
    [["CON", "0.00", ping?.messageId]],
  );
  h.advance(PROOF_WAIT_MS - PING_AGAIN_MS - 100);
  h.acknowledge(ping);
  const [answer] = h.take();
  assert.deepEqual([answer?.code, blockOf(answer, "Block2")], ["2.05", "0/1/6"]);
  h.advance(10_000);
  assert.deepEqual([h.take().length, h.wheel.armed], [0, 0]);
});

test("ping and answer to one request are together no more than three times its bytes", () => {
  for (let length = 1; length <= 12; length++) {
    const h = unproven();
    h.retain("a".repeat(length), textOf(2000));
    h.request({}, `/ps/${"a".repeat(length)}`);
    h.advance(PROOF_WAIT_MS + 150);
    const bytes = h.port.sent.reduce((sum, sent) => sum + sent.bytes.length, 0);
    assert.ok(bytes <= 3 * (4 + 3 + 1 + length), `${bytes} bytes for a topic of ${length}`);
    const [, answer] = h.take();
    assert.equal(answer?.code, length < 5 ? "4.01" : "2.05");
  }
});

test("RFC 9175 section 2.4: where not even the smallest block may go it is 4.01 with Echo, which proves the address", () => {
  const h = unproven();
  h.request({}, "/ps/a");
  h.advance(PROOF_WAIT_MS + 150);
  const [, challenge] = h.take();
  assert.deepEqual([challenge?.code, challenge?.payload], ["4.01", ""]);
  const value = challenge?.options.get("252") as Buffer;
  const answer = h.ask({ options: [{ name: "252" as OptionName, value }] }, "/ps/a");
  assert.deepEqual([answer.code, answer.payload.length], ["2.05", 1024]);
});

test("an error to an address that is not proven goes with as many of its words as may go", () => {
  const h = unproven();
  const response = h.ask({ code: "PUT" }, "/ps/a/%2B");
  assert.deepEqual([response.code, response.payload], ["4.00", "the topic has a wildcard, wh"]);
  assert.equal(h.port.sent[0]?.bytes.length, 3 * (4 + 3 + 2 + 2));
});

test("a repeated CON gets nothing while its first copy waits, then the same answer", () => {
  const h = unproven();
  const [ping] = h.request({ messageId: 7 }, "/ps/a");
  assert.equal(h.request({ messageId: 7 }, "/ps/a").length, 0);
  h.take();
  h.acknowledge(ping);
  const [answer] = h.take();
  assert.deepEqual(h.request({ messageId: 7 }, "/ps/a"), [answer]);
});

test("a value that fits is answered at once, and so is who has guessed a Message ID", () => {
  const h = unproven();
  h.retain("b", "1");
  assert.equal(h.ask({}, "/ps/b").payload, "1");
  h.request({ token: hex("0102030405060708") }, "/ps/a");
  h.take();
  h.receive(Buffer.from("70001234", "hex"));
  h.advance(PROOF_WAIT_MS + 150);
  h.take();
  assert.equal(h.request({ token: hex("0102030405060708") }, "/ps/a").filter(({ code }) => code === "2.05").length, 1);
});

test("requests that wait are bounded with the responses that wait, and a listener that closes lets go of them", () => {
  const h = unproven();
  const { held, replies } = h.shared.messages;
  for (let i = 0; i < replies.limits.repliesMax + 10; i++) h.request({}, "/ps/a", `192.0.2.${i}`);
  assert.equal(held.size, HELD_MAX);
  h.server.close();
  assert.deepEqual([held.size, h.wheel.armed], [0, 0]);
  assert.equal(replies.takeBytes(replies.limits.responseBytesMax), true, "nothing is counted any more");
});
