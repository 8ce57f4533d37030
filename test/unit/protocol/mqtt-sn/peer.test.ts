import assert from "node:assert/strict";
import { test } from "node:test";
import { CONNACK_OK, connectOf, DISCONNECT, message, PINGRESP, publishLive, SnHub, subscribeTo } from "./harness.ts";

test("[SN12-5.5-2] nodes behind one forwarder are clients of their own, and hear in envelopes", () => {
  const hub = new SnHub();
  const [one, two, forwarder] = [hub.node("aabb"), hub.node("01"), hub.device()];
  assert.deepEqual(one.ask(connectOf("one")), [CONNACK_OK]);
  assert.deepEqual(two.ask(connectOf("two")), [CONNACK_OK]);
  assert.deepEqual(forwarder.ask(connectOf("itself")), [CONNACK_OK]);
  assert.equal(hub.clientCount, 3);
  one.ask(subscribeTo("xy"));
  publishLive(hub, "xy", "1");
  assert.deepEqual(one.take(), [message(0x0c, [0x00, 0, 1, 0, 0], "1")]);
  assert.deepEqual([two.take(), forwarder.take()], [[], []]);
  assert.deepEqual(one.ask(DISCONNECT), [DISCONNECT]);
  assert.deepEqual(two.ask("0216"), [PINGRESP]);
  assert.equal(hub.counter("mqtt_sn.encapsulated"), 5);
});

test("[SN12-5.5-1] an envelope without a node, with too long a one, with nothing or an envelope inside is malformed", () => {
  const hub = new SnHub();
  const device = hub.device();
  const bad = ["03fe00 0216", message(0xfe, [0], "x".repeat(17)) + "0216", "04fe00aa", "04fe00aa 04fe00aa0216"];
  assert.deepEqual(device.ask(...bad), []);
  assert.equal(hub.counter("mqtt_sn.malformed"), bad.length);
  device.send(`${message(0xfe, [0], "x".repeat(16))}0216`);
  assert.equal(hub.datagrams.sent.length, 1);
});
