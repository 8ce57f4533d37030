import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CONNACK_OK,
  connected,
  connectOf,
  DISCONNECT,
  LASTING,
  message,
  published,
  publishLive,
  SnHub,
  subscriber,
  subscribeTo,
} from "./harness.ts";

test("[SN12-6.4-1] [SN12-6.4-2] [SN12-6.4-3] WILLTOPICUPD and WILLMSGUPD change the will, and an empty WILLTOPICUPD takes it back", () => {
  const hub = new SnHub();
  const peer = subscriber(hub, "#");
  const device = hub.device();
  device.ask(connectOf("a", 0x0c, 10), message(0x07, [0], "will"), message(0x09, [], "gone"));
  assert.deepEqual(device.ask(message(0x1a, [0], "other")), ["031b00"]);
  assert.deepEqual(device.ask(message(0x1c, [], "left")), ["031d00"]);
  hub.advance(15_100);
  assert.deepEqual(published(peer), ["other left"]);
  device.take();
  device.ask(connectOf("a", 0x0c, 10), message(0x07, [0], "will"), message(0x09, [], "gone"));
  assert.deepEqual(device.ask("021a"), ["031b00"]);
  assert.deepEqual(device.ask(message(0x1c, [], "x")), ["031d03"]);
  hub.advance(15_100);
  assert.deepEqual(published(peer), []);
});

test("[SN12-6.3-2] [SN12-6.3-4] a device that connects again is not dead: its will stays, but for one of its own or a clean start", () => {
  const hub = new SnHub();
  const peer = subscriber(hub, "will");
  const device = hub.device();
  device.ask(connectOf("a", 0x08, 10), message(0x07, [0], "will"), message(0x09, [], "gone"));
  device.ask("04 18 000a");
  assert.deepEqual(device.ask(connectOf("a", 0x00, 10)), [CONNACK_OK]);
  assert.deepEqual(published(peer), []);
  hub.advance(15_100);
  assert.deepEqual(published(peer), ["will gone"]);
  device.ask(connectOf("a", 0x08, 10), message(0x07, [0], "will"), message(0x09, [], "gone"));
  device.send(connectOf("a", 0x04, 10));
  hub.settle();
  hub.advance(15_100);
  assert.deepEqual(published(peer), []);
});

/** The will of a client that is then lost; null = none went out. */
function willAfter(...messages: string[]): string | null {
  const hub = new SnHub();
  const peer = subscriber(hub, "#");
  const device = hub.device();
  for (const one of [connectOf("a", 0x08, 10), message(0x07, [0], "will"), message(0x09, [], "gone")]) device.send(one);
  device.send(subscribeTo("xy", 1));
  hub.settle();
  device.send("04 18 000a");
  for (const one of messages) {
    device.send(one);
    hub.settle();
  }
  hub.advance(15_100);
  const all = published(peer);
  assert.ok(all.length <= 1, String(all));
  return all[0] ?? null;
}

test("[SN12-6.3-1] [SN12-6.3-2] [SN12-6.3-3] [SN12-6.3-4] [SN12-6.3-5] what a CONNECT says of session and will", () => {
  const [neither, will, clean, both] = [0x00, 0x08, 0x04, 0x0c].map((flags) => connectOf("a", flags, 10)) as [
    string,
    string,
    string,
    string,
  ];
  const another = [message(0x07, [0], "will"), message(0x09, [], "other")];
  assert.equal(willAfter(neither), "will gone");
  assert.equal(willAfter(will, ...another), "will other");
  assert.equal(willAfter(will, "0207"), null, "no will any more, and the session stays");
  assert.equal(willAfter(clean), null);
  assert.equal(willAfter(both, ...another), "will other");
});

test("[SN12-6.3-1] [SN12-6.3-3] subscriptions go with a clean session, and stay with another", () => {
  for (const [flags, stays] of [
    [0x00, true],
    [0x04, false],
  ] as const) {
    const hub = new SnHub();
    const device = connected(hub, "a", LASTING);
    device.send(subscribeTo("xy", 0));
    hub.settle();
    device.send(DISCONNECT);
    device.send(connectOf("a", flags));
    hub.settle();
    device.take();
    publishLive(hub, "xy", "1");
    assert.equal(device.take().length, stays ? 1 : 0);
  }
});

test("[SN12-6.12-2] who says goodbye has no will", () => {
  assert.equal(willAfter(DISCONNECT), null);
});
