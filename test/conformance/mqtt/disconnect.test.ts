// 3.14 DISCONNECT, 4.13 (3.1.1: 4.8) errors, 3.15 AUTH without a method.
import assert from "node:assert/strict";
import {
  AUTH,
  bytes,
  CONNACK,
  connect,
  DISCONNECT,
  disconnect,
  field,
  type Packet,
  PUBACK,
  PUBLISH,
  packet,
  pingreq,
  properties,
  publish,
  readProperties,
  subscribe,
  u16,
  u32,
  type Version,
} from "../../support/mqtt-packets.ts";
import { assertClosed, assertEachCloses, forVersions, product, unique, untilNow } from "./harness.ts";

const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;
const SERVER_SHUTTING_DOWN = 0x8b;
/** Of MQTT 5.0 table 3-13: those that a server sends. */
const DISCONNECT_REASONS = [
  0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
  0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
];
const SESSION_EXPIRY_INTERVAL = 0x11;

/** A message that one session cannot take is refused, and tried again for as little as may be configured. */
const sluice = product({
  limits: { session_queue_messages: 1, session_when_full: "refuse", refusal_hold: "100ms" },
});

/** Breaks of the protocol, each with the reason that 5.0 is told. */
function breaks(version: Version): (readonly [what: string, bytes: Buffer, reason: number])[] {
  const common: (readonly [string, Buffer, number])[] = [
    ["packet type 0", packet(0, 0), MALFORMED],
    ["a second CONNECT", connect({ version, clientId: "again" }), PROTOCOL_ERROR],
    ["CONNACK from a client", packet(CONNACK, 0, 0, 0), PROTOCOL_ERROR],
    ["a Remaining Length of five bytes", bytes([0x30, 0xff, 0xff, 0xff, 0xff, 0x01]), MALFORMED],
    ["QoS 3", packet(PUBLISH, 6, field("a"), u16(1), properties(version)), MALFORMED],
    ["a SUBSCRIBE without filters", subscribe(version, 1), PROTOCOL_ERROR],
    ["a wildcard in a topic", publish(version, { topic: "a/#" }), 0x90],
    ["a filter that is none", subscribe(version, 1, ["a#", 0]), 0x8f],
    ["a packet larger than announced", packet(PUBLISH, 0, field("a"), Buffer.alloc(300_000)), 0x95],
  ];
  if (version === 4) return common;
  return [
    ...common,
    ["a property twice", publish(5, { topic: "a" }, bytes(0x01, 0), bytes(0x01, 0)), PROTOCOL_ERROR],
    ["a property of another packet", publish(5, { topic: "a" }, bytes(0x12, field("x"))), MALFORMED],
    ["a property that does not exist", publish(5, { topic: "a" }, bytes(0x7e, 0)), MALFORMED],
    ["topic alias 0", publish(5, { topic: "a" }, bytes(0x23, u16(0))), 0x94],
  ];
}

forVersions(
  { 4: ["4.8.0-1"], 5: ["4.13.1-1", "4.13.2-1", "3.14.2-1", "3.14.2-2", "3.14.4-1", "3.14.4-2"] },
  "a break of the protocol closes: 5.0 is told a listed reason in a DISCONNECT, without Session Expiry and as the last packet",
  async (version, t) => {
    for (const [what, wrong, reason] of breaks(version)) {
      const client = await sluice.connected(t, version, { expirySeconds: 1 });
      client.send(wrong, pingreq(), publish(version, { topic: "a", qos: 1, packetId: 1 }));
      await client.end();
      if (version === 4) {
        assert.deepEqual(client.packets, [], what);
        continue;
      }
      assert.equal(client.packets.length, 1, what);
      const { type, body } = client.packets[0] as Packet;
      assert.deepEqual([type, body[0]], [DISCONNECT, reason], what);
      assert.equal(DISCONNECT_REASONS.includes(reason), true);
      const sent = body.length > 1 ? readProperties(body, 1) : [];
      assert.deepEqual(
        sent.filter(([id]) => id === SESSION_EXPIRY_INTERVAL),
        [],
      );
    }
  },
);

forVersions({ 4: ["4.8.0-1"], 5: ["4.13.1-1"] }, "another connection notices nothing of it", async (version, t) => {
  const other = await sluice.connected(t, version);
  const topic = unique("other");
  await other.subscribe(version, topic, 1);
  for (const [, wrong] of breaks(version)) {
    const client = await sluice.connected(t, version);
    client.send(wrong);
    await client.end();
  }
  other.send(publish(version, { topic, payload: "still here" }));
  assert.equal((await untilNow(other)).length, 1);
});

forVersions(
  { 4: ["4.8.0-2"] },
  "a message that cannot be taken now closes its connection without PUBACK, and nobody else's",
  async (version, t) => {
    const topic = unique("full");
    const sleeper = await sluice.connected(t, version, { clean: false });
    await sleeper.subscribe(version, topic, 1);
    sleeper.send(disconnect());
    await sleeper.end();
    const other = await sluice.connected(t, version);
    const publisher = await sluice.connected(t, version);
    publisher.send(publish(version, { topic, qos: 1, packetId: 1 }));
    assert.equal((await publisher.next()).type, PUBACK);
    publisher.send(publish(version, { topic, qos: 1, packetId: 2 }));
    await publisher.end();
    assert.deepEqual(publisher.packets, []);
    assert.deepEqual(await untilNow(other), []);
  },
);

forVersions({ 5: ["3.14.0-1"] }, "before an accepting CONNACK there is no DISCONNECT", async (version, t) => {
  for (const wrong of [
    packet(0, 0),
    pingreq(),
    packet(AUTH, 0),
    connect({ version, clientId: "x".repeat(2000) }),
    packet(1, 0, field("MQTT"), 5, 3, u16(60), 0, field("c")),
  ]) {
    const client = await sluice.open(t);
    client.send(wrong);
    await client.end();
    assert.equal(
      client.packets.some(({ type }) => type === DISCONNECT),
      false,
    );
  }
});

forVersions(
  { 4: ["3.14.1-1"], 5: ["3.14.1-1"] },
  "DISCONNECT with any flag closes as malformed, and leaves the will",
  async (version, t) => {
    const topic = unique("will");
    const watcher = await sluice.connected(t, version);
    await watcher.subscribe(version, topic, 0);
    for (let flags = 1; flags < 16; flags++) {
      const client = await sluice.connected(t, version, { will: { topic, payload: "", qos: 0, retain: false } });
      client.send(packet(DISCONNECT, flags));
      await assertClosed(client, version, MALFORMED);
      assert.equal((await watcher.next()).type, PUBLISH);
    }
  },
);

forVersions({ 4: ["4.8.0-1"] }, "DISCONNECT with a body is a break of the protocol", async (version, t) => {
  await assertEachCloses(sluice, t, version, MALFORMED, [packet(DISCONNECT, 0, 0)]);
});

forVersions({ 5: ["3.14.2-1"] }, "a client's DISCONNECT with a reason that does not exist is refused", async (v, t) => {
  for (const reason of [0x01, 0x10, 0x7f]) {
    const client = await sluice.connected(t, v);
    client.send(packet(DISCONNECT, 0, reason));
    assert.equal(await client.end(), PROTOCOL_ERROR);
  }
});

forVersions(
  { 5: ["3.14.2-2"] },
  "a client that had no session expiry cannot ask for one when it leaves",
  async (v, t) => {
    const client = await sluice.connected(t, v);
    client.send(packet(DISCONNECT, 0, 0, properties(5, SESSION_EXPIRY_INTERVAL, u32(10))));
    await assertClosed(client, v, PROTOCOL_ERROR);
  },
);

forVersions(
  { 4: ["3.14.4-1"], 5: ["3.14.4-2"] },
  "after a client's DISCONNECT the gateway closes too, and answers nothing that follows it",
  async (version, t) => {
    const client = await sluice.connected(t, version);
    client.send(disconnect(), pingreq());
    await client.end();
    assert.deepEqual(client.packets, []);
  },
);

forVersions(
  { 5: ["4.12.0-6", "4.12.0-7"] },
  "a client without a method that sends AUTH is disconnected, and never gets one",
  async (version, t) => {
    for (const auth of [packet(AUTH, 0), packet(AUTH, 0, 0x19, properties(5, 0x15, field("SCRAM-SHA-256")))]) {
      const client = await sluice.connected(t, version);
      client.send(auth);
      await assertClosed(client, version, PROTOCOL_ERROR);
      assert.equal(
        client.packets.some(({ type }) => type === AUTH),
        false,
      );
    }
  },
);

forVersions(
  { 5: ["3.14.2-1", "3.14.4-2"] },
  "a gateway that stops says so, and its clients of 3.1.1 see the close",
  async (version, t) => {
    const young = await sluice.connected(t, version);
    const old = await sluice.connected(t, 4);
    await sluice.gateway.end("SIGTERM");
    await assertClosed(young, version, SERVER_SHUTTING_DOWN);
    await assertClosed(old, 4, SERVER_SHUTTING_DOWN);
  },
);
