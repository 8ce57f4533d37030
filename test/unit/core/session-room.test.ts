// What a flood of client ids with sessions that stay does to those who come after.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub, type HubPeer } from "../../support/mqtt-hub.ts";
import { disconnect, publish, readConnack, subscribe } from "../../support/mqtt-packets.ts";

const SESSIONS_MAX = 16;
const QUOTA_EXCEEDED = 0x97;

function hubOf(maxSessions = SESSIONS_MAX): Hub {
  return new Hub(undefined, { maxSessions });
}

/** @returns the reason of its CONNACK */
function reasonOf(peer: HubPeer): number {
  return readConnack(peer.take()[0]!).reason;
}

function stays(hub: Hub, clientId: string): HubPeer {
  return hub.connect({ version: 5, clientId, clean: false, expirySeconds: 3_600 });
}

/** Connects, subscribes when it is to hold something, and goes. */
function comesAndGoes(hub: Hub, clientId: string, holds: boolean): void {
  const peer = stays(hub, clientId);
  assert.equal(reasonOf(peer), 0, clientId);
  if (holds) peer.send(subscribe(5, 1, [`for/${clientId}`, 1]));
  hub.settle();
  peer.send(disconnect());
  peer.drop();
}

describe("a flood of sessions that stay", () => {
  test("is refused with 0x97 once all of them hold something, counted, and told in the log once", () => {
    const hub = hubOf();
    for (let i = 0; i < SESSIONS_MAX; i++) comesAndGoes(hub, `flood-${i}`, true);
    for (let i = 0; i < 5; i++) assert.equal(reasonOf(stays(hub, `late-${i}`)), QUOTA_EXCEEDED);
    assert.equal(hub.counters.get("session.refused"), 5);
    assert.equal(hub.counters.get("session.staying"), SESSIONS_MAX);
    assert.equal(hub.logged.filter((line) => line.includes("sessions-at-limit")).length, 1);
  });

  test("leaves room for clients whose session ends with their connection, and its own come back", () => {
    const hub = hubOf();
    for (let i = 0; i < SESSIONS_MAX; i++) comesAndGoes(hub, `flood-${i}`, true);
    const back = stays(hub, "flood-3");
    assert.deepEqual([readConnack(back.take()[0]!).sessionPresent, back.closed], [true, false]);
    const clean = [0, 1].map((i) => hub.connect({ version: 4, clientId: `clean-${i}` }));
    assert.deepEqual(clean.map(reasonOf), [0, 0]);
    assert.equal(reasonOf(hub.connect({ version: 5, clientId: "one too many" })), QUOTA_EXCEEDED);
    clean[0]!.send(disconnect());
    clean[0]!.drop();
    assert.equal(reasonOf(hub.connect({ version: 4, clientId: "clean-2" })), 0);
  });

  test("makes way when it holds nothing: a thousand ids come and go, and each newcomer is let in", () => {
    const hub = hubOf();
    comesAndGoes(hub, "holds", true);
    for (let i = 0; i < 1_000; i++) comesAndGoes(hub, `flood-${i}`, false);
    assert.equal(hub.counters.get("session.refused"), 0);
    assert.equal(hub.counters.get("session.made_way"), 1_001 - SESSIONS_MAX);
    const { sessionPresent } = readConnack(stays(hub, "holds").take()[0]!);
    assert.equal(sessionPresent, true, "who holds something stays");
  });

  test("makes way after a restart too", () => {
    const before = hubOf();
    for (let i = 0; i < SESSIONS_MAX; i++) comesAndGoes(before, `flood-${i}`, i === 0);
    const hub = new Hub(undefined, { maxSessions: SESSIONS_MAX }, before.store.crash());
    for (let i = 0; i < 20; i++) comesAndGoes(hub, `newcomer-${i}`, false);
    const [back, gone] = ["flood-0", "flood-1"].map((id) => readConnack(stays(hub, id).take()[0]!).sessionPresent);
    assert.deepEqual([back, gone], [true, false]);
  });

  test("one that is back does not make way, and may again when it has left", () => {
    const hub = hubOf(1);
    const first = stays(hub, "first");
    first.send(disconnect());
    first.drop();
    const back = stays(hub, "first");
    assert.equal(reasonOf(stays(hub, "second")), QUOTA_EXCEEDED);
    back.drop();
    assert.equal(reasonOf(stays(hub, "second")), 0);
  });

  test("ends with its expiry, and the log says that there is room again", () => {
    const hub = hubOf();
    for (let i = 0; i < SESSIONS_MAX; i++) comesAndGoes(hub, `flood-${i}`, true);
    assert.equal(reasonOf(stays(hub, "early")), QUOTA_EXCEEDED);
    hub.advance(3_600_000 + 1_000);
    assert.equal(reasonOf(stays(hub, "late")), 0);
    assert.equal(hub.counters.get("session.staying"), 1);
    assert.equal(hub.logged.filter((line) => line.includes("sessions-below-limit")).length, 1);
  });
});

test("a session with a message, a QoS 2 id, or a will that is due does not make way", () => {
  const hub = hubOf(7);
  const waiting = stays(hub, "gets a message");
  waiting.send(subscribe(5, 1, ["news", 1]));
  hub.settle();
  waiting.drop();
  const sender = stays(hub, "has sent at QoS 2");
  sender.send(publish(5, { topic: "x", payload: "y", qos: 2, packetId: 9 }));
  hub.settle();
  sender.drop();
  const will = { topic: "dead", payload: "", qos: 1, retain: false, properties: [0x18, 0, 0, 1, 0] };
  hub.connect({ version: 5, clientId: "its will waits", clean: false, expirySeconds: 3_600, will }).drop();
  for (let i = 0; i < 4; i++) comesAndGoes(hub, `holds-${i}`, true);
  assert.equal(reasonOf(stays(hub, "newcomer")), QUOTA_EXCEEDED);
  for (const clientId of ["gets a message", "has sent at QoS 2", "its will waits"])
    assert.equal(readConnack(stays(hub, clientId).take()[0]!).sessionPresent, true, clientId);
});
