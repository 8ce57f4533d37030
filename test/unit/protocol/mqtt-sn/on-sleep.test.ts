import assert from "node:assert/strict";
import { test } from "node:test";
import { toleratedMs } from "../../../../src/protocol/mqtt-sn/limits.ts";
import {
  CONNACK_OK,
  connected,
  connectOf,
  type Device,
  DISCONNECT,
  LASTING,
  message,
  PINGRESP,
  publishLive,
  SnHub,
  subscribeTo,
} from "./harness.ts";

/** A client with a session that stays, and a subscription of QoS 1. */
function lasting(hub: SnHub, filter: string): Device {
  const device = connected(hub, "a", LASTING);
  device.send(subscribeTo(filter, 1));
  hub.settle();
  device.take();
  return device;
}

test("[SN12-6.14-1] [SN12-6.14-2] [SN12-6.14-4] [SN12-6.14-5] [SN12-6.14-3] a sleeping client gets what waits after PINGREQ, then PINGRESP, and sleeps again", () => {
  const hub = new SnHub();
  const device = lasting(hub, "xy");
  assert.deepEqual(device.ask("04 18 003c"), ["0218"]);
  publishLive(hub, "xy", "live");
  publishLive(hub, "xy", "one", 1);
  publishLive(hub, "xy", "two", 1);
  hub.settle();
  hub.advance(30_000);
  assert.deepEqual(device.take(), []);
  assert.deepEqual(device.ask(message(0x16, [], "a")), [
    message(0x0c, [0x00, 0, 1, 0, 0], "live"),
    message(0x0c, [0x20, 0, 1, 0, 1], "one"),
  ]);
  assert.deepEqual(device.ask("07 0d 0001 0001 00"), [message(0x0c, [0x20, 0, 1, 0, 2], "two")]);
  assert.deepEqual(device.ask("07 0d 0001 0002 00"), [PINGRESP]);
  publishLive(hub, "xy", "later");
  assert.deepEqual(device.take(), []);
  hub.advance(80_000);
  assert.deepEqual(device.take(), [], "PINGREQ has begun its sleep anew");
  hub.advance(20_000);
  assert.deepEqual(device.take(), [DISCONNECT]);
});

test("[SN12-6.14-7] CONNECT ends the sleep; what was registered stays", () => {
  const hub = new SnHub();
  const device = lasting(hub, "a/b");
  device.ask("04 18 003c");
  publishLive(hub, "a/b", "one", 1);
  hub.settle();
  assert.deepEqual(device.ask(connectOf("a", LASTING)), [CONNACK_OK, message(0x0c, [0xa0, 0, 1, 0, 1], "one")]);
});

test("publishers do not wait for a client that sleeps", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("xy", 1));
  for (let i = 0; i < 30; i++) publishLive(hub, "qq", "x");
  device.ask("04 18 003c");
  for (let i = 0; i < 30; i++) publishLive(hub, "xy", "x");
  publishLive(hub, "xy", "x", 1);
  assert.equal(hub.router.slowReceiver, null);
});

test("what a sleeping client is kept at QoS 0 is bounded", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("xy", 1), "04 18 003c");
  for (let i = 0; i < 50; i++) publishLive(hub, "xy", "x");
  assert.equal(device.ask(message(0x16, [], "a")).length, 33, "32 of 50, and PINGRESP");
});

test("[SN12-6.11-1] [SN12-6.11-2] PINGREQ is answered, and keeps a client that is awake", () => {
  const hub = new SnHub();
  const device = connected(hub);
  for (let i = 0; i < 5; i++) {
    hub.advance(50_000);
    assert.deepEqual(device.ask("0216"), [PINGRESP]);
  }
  hub.advance(91_000);
  assert.deepEqual(device.take(), [DISCONNECT]);
});

test("[SN12-6.14-4] a client that wakes up at another address is known by its client id", () => {
  const hub = new SnHub();
  const device = lasting(hub, "a/b");
  device.ask("04 18 003c");
  publishLive(hub, "a/b", "night", 1);
  hub.settle();
  const moved = hub.device(5000);
  assert.deepEqual(moved.ask(message(0x16, [], "a")), [message(0x0c, [0x20, 0, 1, 0, 1], "night")]);
  assert.deepEqual(moved.ask("07 0d 0001 0001 00"), [PINGRESP]);
  assert.deepEqual(device.ask("0216"), [DISCONNECT], "nobody is connected there any more");
  assert.deepEqual([hub.clientCount, hub.counter("mqtt_sn.moved"), hub.counter("mqtt_sn.sleeping")], [1, 1, 1]);
  hub.advance(91_000);
  assert.deepEqual(moved.take(), [DISCONNECT]);
  assert.deepEqual([hub.clientCount, hub.counter("mqtt_sn.sleeping")], [0, 0]);
});

test("[SN12-5.4.21-3] where somebody else was, he makes place; without a known id there is DISCONNECT", () => {
  const hub = new SnHub();
  connected(hub, "a", LASTING).ask("04 18 003c");
  const other = connected(hub, "b", LASTING, 4001);
  assert.deepEqual(other.ask(message(0x16, [], "a")), [PINGRESP]);
  assert.equal(hub.clientCount, 1);
  assert.deepEqual(other.ask(message(0x16, [], "nobody")), [DISCONNECT]);
  assert.deepEqual(hub.device(4002).ask(message(0x16, [], "b")), [DISCONNECT]);
});

test("who was let in on this machine is not followed to another", () => {
  const hub = new SnHub();
  connected(hub, "a", LASTING).ask("04 18 003c");
  assert.deepEqual(hub.device(4000, "10.0.0.7").ask(message(0x16, [], "a")), [DISCONNECT]);
  assert.notEqual(hub.sn.clients.at("127.0.0.1 4000"), null);
});

test("a client whose CONNECT is under way stays where it is", () => {
  const hub = new SnHub();
  const device = connected(hub, "a", LASTING);
  assert.deepEqual(device.ask(connectOf("a", 0x08)), ["0206"]);
  assert.deepEqual(hub.device(5000).ask(message(0x16, [], "a")), [DISCONNECT]);
  assert.deepEqual(device.ask("0207"), [CONNACK_OK]);
  assert.equal(hub.clientCount, 1);
});

test("[SN12-7.2-3] a minute is tolerated for half of it more, an hour for a tenth, and no longer time for less", () => {
  assert.deepEqual(
    [1_000, 60_000, 61_000, 90_000, 3_600_000].map(toleratedMs),
    [1_500, 90_000, 90_000, 99_000, 3_960_000],
  );
});

test("a PINGREQ without an id wakes a client that sleeps, too", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("xy"), "04 18 003c");
  publishLive(hub, "xy", "1");
  assert.deepEqual(device.ask("0216"), [message(0x0c, [0, 0, 1, 0, 0], "1"), PINGRESP]);
});

test("[SN12-6.14-6] without messages PINGRESP comes at once", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask("04 18 003c");
  assert.deepEqual(device.ask(message(0x16, [], "a")), [PINGRESP]);
});

test("[SN12-6.14-7] [SN12-6.12-1] [SN12-5.4.21-2] another DISCONNECT changes how long it sleeps, one without a duration ends it", () => {
  const hub = new SnHub();
  const device = connected(hub);
  assert.deepEqual(device.ask("04 18 003c", "04 18 0e10"), [DISCONNECT, DISCONNECT]);
  hub.advance(3_500_000);
  assert.deepEqual(device.take(), []);
  assert.equal(hub.counter("mqtt_sn.sleeping"), 1);
  assert.deepEqual(device.ask(DISCONNECT), [DISCONNECT]);
  assert.deepEqual([hub.clientCount, hub.counter("mqtt_sn.sleeping")], [0, 0]);
});

test("[SN12-6.14-5] a client that is awake and answers slowly is not lost by its sleep's time", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("xy", 1), "04 18 0005");
  publishLive(hub, "xy", "1", 1);
  assert.equal(device.ask(message(0x16, [], "a")).length, 1);
  hub.advance(9_000);
  assert.deepEqual(device.ask("07 0d 0001 0001 00"), [PINGRESP]);
});

for (const [kind, flags] of [
  ["lasting", LASTING],
  ["clean", 0x04],
] as const) {
  for (const [whenFull, left] of [
    ["drop-newest", "012"],
    ["drop-oldest", "034"],
  ] as const) {
    test(`a sleeper's ${kind} session is kept what one that is away is: with ${whenFull} the rest is dropped or refused, counted`, () => {
      const hub = new SnHub({}, { sessionQueueMessages: 3, sessionWhenFull: whenFull });
      const device = connected(hub, "a", flags);
      device.send(subscribeTo("xy", 1));
      hub.settle();
      device.ask("04 18 003c");
      for (let i = 0; i < 5; i++) publishLive(hub, "xy", `${i}`, 1);
      hub.settle();
      // What no durable receiver can take is refused to its publisher.
      assert.equal(hub.counter("drops.queue-full") + hub.counter("router.refused"), 2);
      const got = device.ask(message(0x16, [], "a"));
      for (let i = 0; i < 5 && got.at(-1) !== PINGRESP; i++) {
        device.send(`07 0d 0001 ${got.at(-1)?.slice(10, 14)} 00`);
        hub.settle();
        hub.advance(1_100);
        got.push(...device.take());
      }
      const payloads = got.map((hex) => Buffer.from(hex.slice(14), "hex").toString());
      assert.equal(payloads.join(""), left);
    });
  }
}
