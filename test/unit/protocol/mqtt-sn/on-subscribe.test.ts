import assert from "node:assert/strict";
import { test } from "node:test";
import { connected, message, publishLive, SnHub, subscribeTo } from "./harness.ts";

test("[SN12-6.5-1] [SN12-6.5-2] REGISTER gives a name an id, and the same again; none to a wildcard", () => {
  const hub = new SnHub();
  const device = connected(hub);
  assert.deepEqual(device.ask(message(0x0a, [0, 0, 0, 9], "a/b")), ["070b0001000900"]);
  assert.deepEqual(device.ask(message(0x0a, [0, 0, 0, 10], "a/b")), ["070b0001000a00"]);
  assert.deepEqual(device.ask(message(0x0a, [0, 0, 0, 11], "a/+")), ["070b0000000b03"]);
});

test("[SN12-6.9-1] [SN12-6.9-5] [SN12-6.10-1] SUBSCRIBE to a name brings its id, and PUBLISHes say it", () => {
  const hub = new SnHub();
  const device = connected(hub);
  assert.deepEqual(device.ask(subscribeTo("a/b", 1, 2)), ["0813200001000200"]);
  publishLive(hub, "a/b", "hi");
  assert.deepEqual(device.take(), [message(0x0c, [0x00, 0, 1, 0, 0], "hi")]);
  assert.deepEqual(device.ask(message(0x14, [0, 0, 3], "a/b")), ["04150003"]);
  publishLive(hub, "a/b", "hi");
  assert.deepEqual(device.take(), []);
});

test("[SN12-6.9-4] [SN12-6.7-4] [SN12-5.4.16-2] SUBSCRIBE by predefined id and short name; PUBLISHes come back by those", () => {
  const hub = new SnHub({ predefined: new Map([[5, "pre/defined"]]) });
  const device = connected(hub);
  assert.deepEqual(device.ask("07 12 01 0001 0005"), ["0813000005000100"]);
  assert.deepEqual(device.ask("07 12 02 0002 7879"), ["0813000000000200"]);
  assert.deepEqual(device.ask("07 12 01 0003 0006"), ["0813000000000302"]);
  publishLive(hub, "pre/defined", "1");
  publishLive(hub, "xy", "2");
  assert.deepEqual(device.take(), [
    message(0x0c, [0x01, 0, 5, 0, 0], "1"),
    message(0x0c, [0x02, 0x78, 0x79, 0, 0], "2"),
  ]);
});

test("[SN12-6.9-2] a shared subscription, a filter that is none and one too deep are rejected", () => {
  const hub = new SnHub();
  const device = connected(hub);
  for (const filter of ["$share/g/a", "a/#/b", "a".repeat(1025), "/".repeat(201)])
    assert.match(device.ask(longSubscribe(filter))[0] as string, /03$/, filter.slice(0, 20));
  assert.equal(hub.registry.sessions().next().value?.subscriptions.size, 0);
});

/** SUBSCRIBE with a Length of three bytes. */
function longSubscribe(filter: string): string {
  const body = Buffer.concat([Buffer.from([0x12, 0x20, 0, 1]), Buffer.from(filter)]);
  const head = Buffer.from([1, 0, 0]);
  head.writeUInt16BE(3 + body.length, 1);
  return Buffer.concat([head, body]).toString("hex");
}
