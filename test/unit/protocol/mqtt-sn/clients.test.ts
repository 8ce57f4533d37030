import assert from "node:assert/strict";
import { test } from "node:test";
import { SILENT_MS } from "../../../../src/protocol/mqtt-sn/limits.ts";
import { CONNACK_OK, connected, connectOf, DISCONNECT, PINGRESP, SnHub } from "./harness.ts";

test("[SN12-6.2-3] max_clients: one more is told of congestion, and comes in when another leaves", () => {
  const hub = new SnHub({ clientsMax: 2 });
  connected(hub, "a", 4, 4000);
  const second = connected(hub, "b", 4, 4001);
  const third = hub.device(4002);
  assert.deepEqual(third.ask(connectOf("c")), ["030501"]);
  assert.equal(hub.counter("mqtt_sn.congestion"), 1);
  assert.deepEqual(second.ask(DISCONNECT), [DISCONNECT]);
  assert.deepEqual(third.ask(connectOf("c")), [CONNACK_OK]);
});

test("limits.max_sessions full is congestion", () => {
  const hub = new SnHub({}, { maxSessions: 1 });
  connected(hub);
  assert.deepEqual(hub.device(4001).ask(connectOf("b")), ["030501"]);
  assert.equal(hub.clientCount, 1);
});

test("max_clients bounds the nodes of a forwarder, too", () => {
  const hub = new SnHub({ clientsMax: 2 });
  for (const [node, answer] of [
    ["01", CONNACK_OK],
    ["02", CONNACK_OK],
    ["03", "030501"],
  ] as const)
    assert.deepEqual(hub.node(node).ask(connectOf(node)), [answer]);
});

test("forged addresses take no place for long: who was silent since its CONNECT makes room, who spoke does not", () => {
  const hub = new SnHub({ clientsMax: 4 });
  const real = connected(hub, "real");
  assert.deepEqual(real.ask("0216"), [PINGRESP]);
  for (let i = 1; i < 4; i++) connected(hub, `forged${i}`, 0x04, 5000 + i);
  const late = hub.device(4001);
  assert.deepEqual(late.ask(connectOf("late")), ["030501"], "they may yet speak");
  hub.advance(SILENT_MS + 100);
  assert.deepEqual(late.ask(connectOf("late")), [CONNACK_OK]);
  assert.deepEqual(hub.device(5001).take(), [DISCONNECT]);
  assert.deepEqual(real.ask("0216"), [PINGRESP]);
  for (let i = 0; i < 20; i++) hub.device(6000 + i).send(connectOf(`more${i}`));
  assert.deepEqual(real.ask("0216"), [PINGRESP]);
  assert.equal(hub.clientCount, 4);
});

test("who connects again has one place, and makes room for nobody with the one that it had", () => {
  const hub = new SnHub({ clientsMax: 1 });
  const device = connected(hub, "a");
  hub.advance(SILENT_MS + 100);
  assert.deepEqual(device.ask(connectOf("a", 0x0c)), ["0206"]);
  assert.deepEqual(hub.device(4001).ask(connectOf("b")), ["030501"]);
  assert.deepEqual(device.ask("0207"), [CONNACK_OK]);
  assert.equal(hub.clientCount, 1);
});
