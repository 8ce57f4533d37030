/** Messages that wait to be notified share a limit in bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Message } from "../../../../../src/core/message.ts";
import { ENTRY_BYTES, PLACE_BYTES, WaitingMessages } from "../../../../../src/protocol/coap/observe/waiting.ts";

function message(bytes: number): Message {
  return new Message(Buffer.alloc(bytes), 1, 1, 0, false, 0, 0, -1);
}

test("a message counts once however many observers it waits for, and until the last of them has it", () => {
  const waiting = new WaitingMessages(2000);
  const one = message(100);
  for (let i = 0; i < 100; i++) assert.ok(waiting.take(one));
  assert.equal(waiting.bytes, one.size + ENTRY_BYTES + 100 * PLACE_BYTES);
  for (let i = 0; i < 99; i++) waiting.give(one);
  assert.equal(waiting.bytes, one.size + ENTRY_BYTES + PLACE_BYTES);
  waiting.give(one);
  assert.equal(waiting.bytes, 0);
});

test("what fills the limit to the last byte is taken, one byte more is not", () => {
  const waiting = new WaitingMessages(2 * (message(100).size + ENTRY_BYTES + PLACE_BYTES));
  assert.ok(waiting.take(message(100)));
  assert.ok(!waiting.take(message(101)));
  assert.ok(waiting.take(message(100)));
  assert.ok(!waiting.take(message(0)));
});

test("giving back what was never taken changes nothing", () => {
  const waiting = new WaitingMessages(1000);
  waiting.give(message(10));
  assert.equal(waiting.bytes, 0);
});
