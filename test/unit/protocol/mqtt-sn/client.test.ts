import assert from "node:assert/strict";
import { test } from "node:test";
import { connected, DISCONNECT, message, publishLive, SnHub, subscribeTo } from "./harness.ts";

test("what came to an end gives its memory back", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("#", 1), message(0x0a, [0, 0, 0, 1], "a/b"));
  for (let i = 0; i < 10; i++) publishLive(hub, `t/${i}`, "x", i % 3);
  assert.ok(hub.sn.held.used > 0 && hub.sn.names.used > 0);
  device.send(DISCONNECT);
  assert.deepEqual([hub.sn.held.used, hub.sn.names.used, hub.clientCount], [0, 0, 0]);
  assert.equal(hub.registry.count, 0);
});
