import assert from "node:assert/strict";
import { test } from "node:test";
import { CONNECT_MS } from "../../../../src/protocol/mqtt-sn/limits.ts";
import { OPEN_TO_ALL } from "../../../support/mqtt-hub.ts";
import {
  CONNACK_OK,
  connected,
  connectOf,
  DISCONNECT,
  LASTING,
  message,
  published,
  SnHub,
  subscriber,
} from "./harness.ts";

test("[SN12-6.2-2] CONNECT without a will is answered with CONNACK", () => {
  const hub = new SnHub();
  connected(hub);
  assert.equal(hub.registry.connectedCount, 1);
});

test("[SN12-5.4.4-2] [SN12-6.2-3] another protocol id is not supported, and leaves nothing behind", () => {
  const hub = new SnHub();
  assert.deepEqual(hub.device().ask("07 04 04 02 003c 61"), ["030503"]);
  assert.equal(hub.clientCount, 0);
});

test("[SN12-6.2-1] [SN12-6.11-2] the will is asked for, and goes out when the client is lost", () => {
  const hub = new SnHub();
  const peer = subscriber(hub, "will");
  const device = hub.device();
  assert.deepEqual(device.ask(connectOf("a", 0x0c, 10)), ["0206"]);
  assert.deepEqual(device.ask(message(0x07, [0x20], "will")), ["0208"]);
  assert.deepEqual(device.ask(message(0x09, [], "gone")), [CONNACK_OK]);
  hub.advance(14_000);
  assert.deepEqual(device.take(), []);
  hub.advance(1_100);
  assert.deepEqual(device.take(), [DISCONNECT]);
  assert.deepEqual(published(peer), ["will gone"]);
});

test("[SN12-5.4.7-2] an empty WILLTOPIC means no will; a repeated CONNECT is asked again; who does not answer is forgotten", () => {
  const hub = new SnHub();
  const device = hub.device();
  assert.deepEqual(device.ask(connectOf("a", 0x0c)), ["0206"]);
  assert.deepEqual(device.ask(connectOf("a", 0x0c)), ["0206"]);
  assert.deepEqual(device.ask("0207"), [CONNACK_OK]);
  const other = hub.device(4001);
  other.send(connectOf("b", 0x0c));
  hub.advance(CONNECT_MS + 100);
  assert.deepEqual(other.take(), ["0206"], "one answer to one question");
  assert.equal(hub.sn.clients.at("127.0.0.1 4001"), null);
});

test("a CONNECT that asks for something else, while the will is waited for, is one of its own", () => {
  const hub = new SnHub();
  const device = hub.device();
  assert.deepEqual(device.ask(connectOf("a", 0x0c)), ["0206"]);
  assert.deepEqual(device.ask(connectOf("a", 0x04)), [CONNACK_OK], "without a will");
  assert.deepEqual(device.ask(connectOf("a", 0x0c)), ["0206"], "the same device, connected until now");
  assert.deepEqual(device.ask(connectOf("a", 0x00)), [CONNACK_OK], "lasting");
  assert.equal(hub.clientCount, 1);
  hub.advance(CONNECT_MS + 100);
  assert.equal(hub.sn.clients.count, 1, "nothing is left that runs out");
  device.ask("0218");
  assert.equal(hub.sn.clients.count, 0);
});

test("who is refused a login is told so and leaves nothing behind", () => {
  const rights = {
    ...OPEN_TO_ALL,
    authenticate: (_: unknown, waiter: { onLogin(p: null, r: number): void }) => waiter.onLogin(null, 0x87),
  };
  const hub = new SnHub({}, {}, undefined, rights);
  assert.deepEqual(hub.device().ask(connectOf("a")), ["030503"]);
  assert.equal(hub.clientCount, 0);
});

test("an MQTT client with the same client id takes the session over, and the device is told", () => {
  const hub = new SnHub();
  const device = connected(hub, "same", LASTING);
  hub.connect({ version: 4, clientId: "same", clean: false });
  assert.deepEqual(device.take(), [DISCONNECT]);
  assert.equal(hub.clientCount, 0);
});

test("a client that connects from elsewhere takes its session along", () => {
  const hub = new SnHub();
  const device = connected(hub, "same", LASTING, 4000);
  connected(hub, "same", LASTING, 4001);
  assert.deepEqual(device.take(), [DISCONNECT]);
  assert.equal(hub.clientCount, 1);
});

test("[SN12-6.13-2] each message of a CONNECT with a will may be lost, and is repeated by its client", () => {
  const hub = new SnHub();
  const peer = subscriber(hub, "will");
  const device = hub.device();
  const [willTopic, willMsg] = [message(0x07, [0x20], "will"), message(0x09, [], "gone")];
  for (let i = 0; i < 3; i++) assert.deepEqual(device.ask(connectOf("a", 0x0c, 10)), ["0206"]);
  for (let i = 0; i < 3; i++) assert.deepEqual(device.ask(willTopic), ["0208"]);
  for (let i = 0; i < 3; i++) assert.deepEqual(device.ask(willMsg), [CONNACK_OK]);
  const other = hub.device(4001);
  other.ask(connectOf("b", 0x0c, 10));
  for (let i = 0; i < 3; i++) assert.deepEqual(other.ask("0207"), [CONNACK_OK]);
  assert.equal(hub.clientCount, 2);
  hub.advance(15_100);
  assert.deepEqual(published(peer), ["will gone"]);
});
