import assert from "node:assert/strict";
import { test } from "node:test";
import { Allowance } from "../../../../src/base/allowance.ts";
import { TOPIC_IDS_MAX } from "../../../../src/protocol/mqtt-sn/limits.ts";
import { randomTopicId, TopicIdBlocks, TopicIds } from "../../../../src/protocol/mqtt-sn/topic-ids.ts";
import { connected, connectOf, DISCONNECT, LASTING, message, SnHub } from "./harness.ts";

test("[SN12-6.5-2] topic ids of a client are bounded: one more REGISTER is congestion", () => {
  const hub = new SnHub({ clientsMax: 64 });
  const device = connected(hub);
  for (let i = 0; i < TOPIC_IDS_MAX; i++)
    assert.match(device.ask(message(0x0a, [0, 0, 0, 1], `t/${i}`))[0] as string, /00$/);
  assert.deepEqual(device.ask(message(0x0a, [0, 0, 0, 1], "more")), ["070b0000000101"]);
  assert.equal(hub.counter("mqtt_sn.topic_ids_full"), 1);
});

test("[SN12-5.3.11-1] ids that are given up come again when all have been given, and none is reserved", () => {
  const ids = new TopicIds(new Map(), new Allowance(10_000), 1);
  assert.equal(ids.register("stays"), 1);
  for (let i = 2; i <= 0xfffe; i++) {
    assert.equal(ids.register("goes"), i);
    ids.forget("goes");
  }
  assert.equal(ids.register("again"), 2);
  assert.deepEqual([ids.find(0, 1), ids.find(0, 2)], ["stays", "again"]);
});

test("an id of before stands for nothing when its client was forgotten, whatever was registered since", () => {
  const hub = new SnHub();
  const device = connected(hub, "a", LASTING);
  assert.deepEqual(device.ask(message(0x0a, [0, 0, 0, 1], "old/topic")), ["070b0001000100"]);
  device.ask(DISCONNECT);
  device.send(connectOf("a", LASTING));
  hub.settle();
  device.take();
  assert.deepEqual(device.ask(message(0x0a, [0, 0, 0, 1], "new/topic")), ["070b0081000100"]);
  assert.deepEqual(device.ask(message(0x0c, [0x20, 0, 1, 0, 2], "x")), ["070d0001000202"]);
});

test("blocks of ids follow one another, and begin anew before the reserved id", () => {
  const blocks = new TopicIdBlocks(0xfffe - 2 * TOPIC_IDS_MAX);
  assert.deepEqual([blocks.take(), blocks.take(), blocks.take()], [0xfffe - 256, 0xfffe - 128, 0xfffe]);
  assert.equal(blocks.take(), 1);
  for (const random of [0, 0.5, 0.999999999]) {
    const first = randomTopicId(() => random);
    assert.ok(first >= 1 && first <= 0xfffe, `${first}`);
  }
});
