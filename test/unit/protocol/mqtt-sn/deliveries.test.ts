import assert from "node:assert/strict";
import { test } from "node:test";
import { RETRIES_MAX, RETRY_MS } from "../../../../src/protocol/mqtt-sn/limits.ts";
import {
  CONNACK_OK,
  connected,
  connectOf,
  DISCONNECT,
  LASTING,
  message,
  publishLive,
  SnHub,
  subscribeTo,
} from "./harness.ts";

test("[SN12-6.9-3] [SN12-6.10-2] [SN12-6.10-3] [SN12-6.5-3] a wildcard: REGISTER goes before the PUBLISH, once, and what comes meanwhile waits", () => {
  const hub = new SnHub();
  const device = connected(hub);
  assert.deepEqual(device.ask(subscribeTo("a/#", 1)), ["0813200000000100"]);
  publishLive(hub, "a/b", "1");
  publishLive(hub, "a/b", "2", 1);
  assert.deepEqual(device.take(), [message(0x0a, [0, 1, 0, 1], "a/b")]);
  assert.deepEqual(device.ask("07 0b 0001 0001 00"), [
    message(0x0c, [0x00, 0, 1, 0, 0], "1"),
    message(0x0c, [0x20, 0, 1, 0, 1], "2"),
  ]);
  assert.deepEqual(device.ask("07 0d 0001 0001 00"), []);
  publishLive(hub, "a/b", "3");
  assert.deepEqual(device.take(), [message(0x0c, [0x00, 0, 1, 0, 0], "3")]);
});

test("[SN12-6.10-4] a REGISTER that is refused gives its message up, and the next one goes on", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("#", 1));
  publishLive(hub, "a/b", "1", 1);
  publishLive(hub, "xy", "2", 1);
  assert.deepEqual(device.take(), [message(0x0a, [0, 1, 0, 1], "a/b")]);
  assert.deepEqual(device.ask("07 0b 0001 0001 03"), [message(0x0c, [0x22, 0x78, 0x79, 0, 2], "2")]);
  assert.equal(hub.counter("mqtt_sn.undeliverable"), 1);
});

test("[SN12-7.2-2] [SN12-6.6-4] an unanswered PUBLISH is repeated with DUP, one at a time; then the client is lost and keeps its session", () => {
  const hub = new SnHub();
  const device = connected(hub, "a", LASTING);
  device.send(subscribeTo("xy", 1));
  hub.settle();
  device.take();
  publishLive(hub, "xy", "1", 1);
  publishLive(hub, "xy", "2", 1);
  hub.settle();
  assert.deepEqual(device.take(), [message(0x0c, [0x20, 0, 1, 0, 1], "1")]);
  for (let i = 0; i < RETRIES_MAX; i++) {
    hub.advance(RETRY_MS + 100);
    assert.deepEqual(device.take(), [message(0x0c, [0xa0, 0, 1, 0, 1], "1")]);
  }
  hub.advance(RETRY_MS + 100);
  assert.deepEqual(device.take(), [DISCONNECT]);
  device.send(connectOf("a", LASTING));
  hub.settle();
  const [connack, publish] = device.take();
  assert.equal(connack, CONNACK_OK);
  // A short name needs no REGISTER, and nothing is registered any more.
  assert.equal(publish, message(0x0c, [0xa2, 0x78, 0x79, 0, 1], "1"));
  assert.equal(hub.registry.connectedCount, 1);
});

test("[SN12-6.10-5] a PUBACK that does not know the topic id has the topic registered again", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("a/b", 1));
  publishLive(hub, "a/b", "1", 1);
  assert.deepEqual(device.take(), [message(0x0c, [0x20, 0, 1, 0, 1], "1")]);
  assert.deepEqual(device.ask("07 0d 0001 0001 02"), [message(0x0a, [0, 2, 0, 1], "a/b")]);
  assert.deepEqual(device.ask("07 0b 0002 0001 00"), [message(0x0c, [0x20, 0, 2, 0, 1], "1")]);
});

test("[SN12-6.6-4] QoS 2 to a client: PUBREC, PUBREL, PUBCOMP, and the next", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("xy", 2));
  publishLive(hub, "xy", "1", 2);
  publishLive(hub, "xy", "2", 2);
  assert.deepEqual(device.take(), [message(0x0c, [0x40, 0, 1, 0, 1], "1")]);
  const more = device.ask("04 0f 0001");
  assert.ok(more.includes("04100001"), String(more));
  hub.advance(RETRY_MS + 100);
  device.take();
  const rest = device.ask("04 0e 0001");
  assert.ok(
    more.concat(rest).some((hex) => hex.startsWith("080c")),
    String(rest),
  );
});

test("[SN12-6.10-2] [SN12-6.10-4] who refuses a REGISTER has unsubscribed from that topic, and not from a wildcard", () => {
  const hub = new SnHub();
  const device = connected(hub, "a", LASTING);
  device.send(subscribeTo("a/b", 1), subscribeTo("c/#", 1, 2));
  hub.settle();
  device.send(DISCONNECT, connectOf("a", LASTING));
  hub.settle();
  device.take();
  publishLive(hub, "a/b", "1", 1);
  hub.settle();
  assert.deepEqual(device.take(), [message(0x0a, [0, 0x81, 0, 1], "a/b")]);
  device.ask("07 0b 0081 0001 03");
  publishLive(hub, "c/d", "2");
  assert.deepEqual(device.take(), [message(0x0a, [0, 0x82, 0, 2], "c/d")]);
  device.ask("07 0b 0082 0002 03");
  publishLive(hub, "a/b", "3");
  publishLive(hub, "c/e", "4");
  assert.deepEqual(device.take(), [message(0x0a, [0, 0x83, 0, 3], "c/e")]);
});

test("[SN12-6.10-6] [SN12-5.2.1-2] what is longer than a message may be is given up without a word, and counted", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("#", 1));
  publishLive(hub, "a/b", "x".repeat(65_507), 0);
  publishLive(hub, "a/b", "x".repeat(65_507), 1);
  publishLive(hub, "xy", "short", 1);
  assert.deepEqual(device.take(), [message(0x0c, [0x22, 0x78, 0x79, 0, 2], "short")]);
  assert.equal(hub.counter("mqtt_sn.undeliverable"), 2);
});

test("retained values come to who subscribes, with the Retain flag, and a REGISTER before one of a wildcard", () => {
  const hub = new SnHub();
  publishLive(hub, "a/b", "kept", 1, true);
  publishLive(hub, "xy", "short", 0, true);
  hub.settle();
  const device = connected(hub);
  device.send(subscribeTo("xy", 1));
  hub.settle();
  assert.deepEqual(device.take(), ["0813200001000100", message(0x0c, [0x10, 0, 1, 0, 0], "short")]);
  device.send(subscribeTo("a/#", 1, 2));
  hub.settle();
  assert.deepEqual(device.take(), ["0813200000000200", message(0x0a, [0, 2, 0, 1], "a/b")]);
  device.send("07 0b 0002 0001 00");
  assert.deepEqual(device.take(), [message(0x0c, [0x30, 0, 2, 0, 1], "kept")]);
});

test("a client that knows none of the ids it is told is not told for ever", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("a/b", 1), subscribeTo("xy", 1, 2));
  publishLive(hub, "a/b", "1", 1);
  publishLive(hub, "xy", "2", 1);
  device.take();
  assert.deepEqual(device.ask("07 0d 0001 0001 02"), [message(0x0a, [0, 3, 0, 1], "a/b")]);
  assert.deepEqual(device.ask("07 0b 0003 0001 00"), [message(0x0c, [0x20, 0, 3, 0, 1], "1")]);
  assert.deepEqual(device.ask("07 0d 0003 0001 02"), [message(0x0c, [0x20, 0, 2, 0, 2], "2")], "the next one");
  assert.equal(hub.counter("drops.refused"), 1);
});

test("congestion in a REGACK is an answer: it is asked again, and not lost", () => {
  const hub = new SnHub();
  const device = connected(hub, "a", 0x04);
  device.ask(subscribeTo("#", 1));
  publishLive(hub, "a/b", "1", 1);
  const register = message(0x0a, [0, 1, 0, 1], "a/b");
  assert.deepEqual(device.take(), [register]);
  for (let i = 0; i < 2 * RETRIES_MAX; i++) {
    assert.deepEqual(device.ask("07 0b 0001 0001 01"), []);
    hub.advance(RETRY_MS + 100);
    assert.deepEqual(device.take(), [register]);
  }
  assert.deepEqual(device.ask("07 0b 0001 0001 00"), [message(0x0c, [0x20, 0, 1, 0, 1], "1")]);
});

test("[SN12-6.10-3] QoS 0 waits for the REGACK of its topic, too", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("#", 0));
  publishLive(hub, "a/b", "1");
  publishLive(hub, "a/b", "2");
  assert.deepEqual(device.take(), [message(0x0a, [0, 1, 0, 1], "a/b")]);
  const [one, two] = ["1", "2"].map((payload) => message(0x0c, [0, 0, 1, 0, 0], payload));
  assert.deepEqual(device.ask("07 0b 0001 0001 00"), [one, two]);
});

test("[SN12-6.10-2] an id whose REGISTER was not acknowledged stands for nothing after the next CONNECT", () => {
  const hub = new SnHub();
  const device = connected(hub, "a", LASTING);
  device.send(subscribeTo("#", 1));
  hub.settle();
  device.take();
  publishLive(hub, "a/b", "1", 1);
  hub.settle();
  assert.deepEqual(device.take(), [message(0x0a, [0, 1, 0, 1], "a/b")]);
  assert.deepEqual(device.ask(connectOf("a", LASTING)), [CONNACK_OK, message(0x0a, [0, 2, 0, 1], "a/b")]);
});
