/** Several listeners with one set of tables. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { STORED_LATER } from "../../../../../src/core/router.ts";
import { REPLY_LIMITS } from "../../../../../src/protocol/coap/message/reply-pool.ts";
import { requestOf, responseOf } from "../../../../support/coap-messages.ts";
import { Harness } from "../harness.ts";

const put = (messageId: number) => requestOf({ code: "PUT", confirmable: true, messageId }, "/ps/a");

test("the same address, port and Message ID at two listeners are two requests, each answered by its own port", () => {
  const h = new Harness();
  const other = h.listen();
  for (let copy = 0; copy < 2; copy++) {
    h.receive(put(7));
    other.port.handler?.onDatagram(put(7), "192.0.2.7", 40_000, null);
  }
  assert.equal(h.published.length, 2);
  assert.deepEqual([h.port.sent.length, other.port.sent.length], [2, 2]);
  assert.equal(h.shared.messages.peers.size, 2);
});

test("replies are shared: what one listener's requests hold, the other's do not get", () => {
  const h = new Harness();
  const other = h.listen();
  h.outcome = STORED_LATER;
  for (let i = 0; i < REPLY_LIMITS.repliesMax; i++) h.receive(put(i));
  other.port.handler?.onDatagram(put(0), "192.0.2.7", 40_000, null);
  assert.equal(responseOf(other.port.sent[0]!.bytes).code, "5.03");
});

test("a listener that closes takes its peers, replies and timers along, and leaves the others theirs", () => {
  const h = new Harness();
  const other = h.listen();
  h.outcome = STORED_LATER;
  h.receive(put(1));
  other.port.handler?.onDatagram(put(1), "192.0.2.7", 40_000, null);
  other.port.handler?.onDatagram(put(2), "192.0.2.8", 40_000, null);
  h.advance(1100);
  other.server.close();
  for (const waiter of h.waiters.splice(0)) waiter.onStored(0, 0);
  assert.equal(other.port.sent.length, 2, "the Empty acknowledgements, and nothing after");
  const response = h.take().at(-1);
  assert.deepEqual([response?.type, response?.code], ["CON", "2.04"]);
  h.acknowledge(response);
  assert.equal(h.shared.messages.replies.inUse, 0);
  assert.equal(h.wheel.armed, 0);
  assert.equal(h.request({ code: "PUT" }, "/ps/a", "192.0.2.9").length, 0, "the other one goes on");
});
