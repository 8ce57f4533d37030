import assert from "node:assert/strict";
import { test } from "node:test";
import { Allowance } from "../../../../src/base/allowance.ts";
import { TOPIC_IDS_MAX } from "../../../../src/protocol/mqtt-sn/limits.ts";
import { TopicIds } from "../../../../src/protocol/mqtt-sn/topic-ids.ts";
import { connected, message, SnHub } from "./harness.ts";

test("[SN12-6.5-2] topic ids of a client are bounded: one more REGISTER is congestion", () => {
  const hub = new SnHub({ clientsMax: 64 });
  const device = connected(hub);
  for (let i = 0; i < TOPIC_IDS_MAX; i++)
    assert.match(device.ask(message(0x0a, [0, 0, 0, 1], `t/${i}`))[0] as string, /00$/);
  assert.deepEqual(device.ask(message(0x0a, [0, 0, 0, 1], "more")), ["070b0000000101"]);
  assert.equal(hub.counter("mqtt_sn.topic_ids_full"), 1);
});

test("[SN12-5.3.11-1] ids that are given up come again when all have been given, and none is reserved", () => {
  const ids = new TopicIds(new Map(), new Allowance(10_000));
  assert.equal(ids.register("stays"), 1);
  for (let i = 2; i <= 0xfffe; i++) {
    assert.equal(ids.register("goes"), i);
    ids.forget("goes");
  }
  assert.equal(ids.register("again"), 2);
  assert.deepEqual([ids.find(0, 1), ids.find(0, 2)], ["stays", "again"]);
});
