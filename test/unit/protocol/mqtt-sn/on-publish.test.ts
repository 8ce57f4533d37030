import assert from "node:assert/strict";
import { test } from "node:test";
import { OWED_MAX } from "../../../../src/protocol/mqtt-sn/limits.ts";
import { OPEN_TO_ALL } from "../../../support/mqtt-hub.ts";
import { connected, LASTING, message, published, SnHub, subscriber, subscribeTo } from "./harness.ts";

test("[SN12-6.6-1] [SN12-6.7-1] [SN12-6.7-2] PUBLISH at QoS 0 by normal, predefined and short topic id reaches MQTT clients", () => {
  const hub = new SnHub({ predefined: new Map([[5, "pre/defined"]]) });
  const peer = subscriber(hub, "#", 0);
  const device = connected(hub);
  device.ask(message(0x0a, [0, 0, 0, 1], "a/b"));
  assert.deepEqual(
    device.ask(
      message(0x0c, [0x00, 0, 1, 0, 0], "one"),
      message(0x0c, [0x01, 0, 5, 0, 0], "two"),
      message(0x0c, [0x02, 0x78, 0x79, 0, 0], "three"),
    ),
    [],
  );
  assert.deepEqual(published(peer), ["a/b one", "pre/defined two", "xy three"]);
});

test("[SN12-6.6-2] [SN12-6.7-3] a PUBLISH to an id that stands for nothing is rejected", () => {
  const hub = new SnHub();
  const device = connected(hub);
  assert.deepEqual(device.ask(message(0x0c, [0x20, 0, 9, 0, 1], "x")), ["070d0009000102"]);
  assert.deepEqual(device.ask(message(0x0c, [0x21, 0, 9, 0, 1], "x")), ["070d0009000102"]);
});

test("[SN12-6.6-1] [SN12-6.13-2] PUBACK leaves when the message is stored; a repeated PUBLISH meanwhile is not a second message", () => {
  const hub = new SnHub();
  const peer = subscriber(hub, "xy", 1);
  peer.drop();
  const device = connected(hub);
  const publish = message(0x0c, [0x22, 0x78, 0x79, 0, 3], "x");
  assert.deepEqual(device.ask(publish, publish), []);
  hub.settle();
  assert.deepEqual(device.take(), ["070d7879000300"]);
});

test("[SN12-6.6-3] a queue that refuses is congestion", () => {
  const hub = new SnHub({}, { sessionQueueMessages: 2, sessionWhenFull: "refuse" });
  subscriber(hub, "xy", 1).drop();
  const device = connected(hub);
  for (const msgId of [1, 2, 3]) device.send(message(0x0c, [0x22, 0x78, 0x79, 0, msgId], "x"));
  hub.settle();
  assert.deepEqual(device.take().sort(), ["070d7879000100", "070d7879000200", "070d7879000301"]);
});

test("[SN12-6.6-3] more PUBLISHes than answers may be owed are congestion", () => {
  const hub = new SnHub();
  subscriber(hub, "xy", 1).drop();
  const device = connected(hub);
  for (let i = 1; i <= OWED_MAX + 1; i++) device.send(message(0x0c, [0x22, 0x78, 0x79, 0, i], "x"));
  assert.deepEqual(device.take(), [`070d787900${(OWED_MAX + 1).toString(16)}01`]);
  hub.settle();
  assert.equal(device.take().length, OWED_MAX);
});

test("[SN12-6.6-1] QoS 2: PUBREC once stored, no second message for a repeated PUBLISH, PUBCOMP for PUBREL", () => {
  const hub = new SnHub();
  const peer = subscriber(hub, "xy", 0);
  const device = connected(hub, "a", LASTING);
  const publish = message(0x0c, [0x42, 0x78, 0x79, 0, 3], "x");
  assert.deepEqual(device.ask(publish), []);
  hub.settle();
  assert.deepEqual(device.take(), ["040f0003"]);
  device.send(publish);
  hub.settle();
  assert.deepEqual(device.take(), ["040f0003"]);
  assert.deepEqual(published(peer), ["xy x"]);
  device.send("0410 0003");
  hub.settle();
  assert.deepEqual(device.take(), ["040e0003"]);
  device.send(publish);
  hub.settle();
  assert.deepEqual(published(peer), ["xy x"], "a new message under the id that is free again");
});

test("[SN12-5.4.13-2] [SN12-6.9-2] rights: what a client may not publish or read is rejected", () => {
  const rights = { ...OPEN_TO_ALL, open: false, mayPublish: () => false, maySubscribe: () => false };
  const hub = new SnHub({}, {}, undefined, rights);
  const device = connected(hub);
  assert.deepEqual(device.ask(message(0x0c, [0x22, 0x78, 0x79, 0, 3], "x")), ["070d7879000303"]);
  assert.deepEqual(device.ask(subscribeTo("a/b")), ["08130000000001" + "03"]);
});
