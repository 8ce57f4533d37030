import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  ack,
  DISCONNECT,
  type Packet,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  publish,
  readAck,
  readConnack,
  readPublish,
  subscribe,
  type Version,
} from "../../../support/mqtt-packets.ts";

const KEPT = { clean: false, expirySeconds: 600 } as const;
const MEMORY = 16 << 20;

function of(type: number, packets: readonly Packet[]): Packet[] {
  return packets.filter((found) => found.type === type);
}

/** Announces `receiveMaximum`; somebody who is away keeps what is sent to t, so that answers wait for the store. */
function hubOf(receiveMaximum: number): Hub {
  const hub = new Hub(MEMORY, { receiveMaximum });
  const away = hub.connect({ ...KEPT, version: 5, clientId: "away" });
  away.send(subscribe(5, 1, ["t", 2]));
  hub.settle();
  away.drop();
  return hub;
}

function send(peer: HubPeer, qos: number, packetId: number, version: Version = 5, dup = false): void {
  peer.send(publish(version, { topic: "t", qos, packetId, dup }));
}

/** The reason of the DISCONNECT it got; -1 when it got none. */
function goodbye(peer: HubPeer): number {
  const found = of(DISCONNECT, peer.take())[0];
  return found === undefined ? -1 : (found.body[0] as number);
}

describe("the Receive Maximum that we announce", () => {
  test("stands in CONNACK, unless it is what absence means", () => {
    for (const [receiveMaximum, announced] of [
      [1, true],
      [1024, true],
      [65_534, true],
      [65_535, false],
    ] as const) {
      const peer = new Hub(MEMORY, { receiveMaximum }).connect({ version: 5, clientId: "a" });
      const found = readConnack(peer.take()[0] as Packet).properties.find(([id]) => id === 0x21);
      assert.deepEqual(found, announced ? [0x21, receiveMaximum] : undefined);
    }
  });

  for (const qos of [1, 2]) {
    test(`[MQTT5-3.3.4-7] QoS ${qos}: as many as announced may be unanswered, one more is disconnected with 0x93`, () => {
      const hub = hubOf(10);
      const peer = hub.connect({ ...KEPT, version: 5, clientId: "p" });
      for (let id = 1; id <= 10; id++) send(peer, qos, id);
      assert.equal(peer.closed, false);
      send(peer, qos, 11);
      assert.equal(peer.closed, true);
      assert.equal(goodbye(peer), 0x93);
      assert.equal(hub.counters.counter("mqtt.closed.receive-maximum-exceeded").value, 1);
    });
  }

  test("[MQTT5-4.9.0-2] QoS 1 counts until PUBACK is written", () => {
    const hub = hubOf(2);
    const peer = hub.connect({ ...KEPT, version: 5, clientId: "p" });
    for (let round = 0; round < 5; round++) {
      send(peer, 1, 1);
      send(peer, 1, 2);
      hub.settle();
      assert.equal(of(PUBACK, peer.take()).length, 2);
    }
    assert.equal(peer.closed, false);
  });

  test("[MQTT5-4.9.0-2] QoS 2 counts until PUBCOMP is written, not only until PUBREC", () => {
    const hub = hubOf(2);
    const peer = hub.connect({ ...KEPT, version: 5, clientId: "p" });
    send(peer, 2, 1);
    send(peer, 2, 2);
    hub.settle();
    assert.equal(of(PUBREC, peer.take()).length, 2);
    peer.send(ack(PUBREL, 1));
    hub.settle();
    assert.equal(of(PUBCOMP, peer.take()).length, 1);
    send(peer, 2, 3);
    assert.equal(peer.closed, false);
    send(peer, 2, 4);
    assert.equal(goodbye(peer), 0x93);
  });

  test("[MQTT5-4.9.0-2] a PUBREC that refuses frees the place at once", () => {
    const hub = hubOf(1);
    const peer = hub.connect({ ...KEPT, version: 5, clientId: "p" });
    hub.store.refusal = 0x97;
    for (let id = 1; id <= 5; id++) {
      send(peer, 2, id);
      assert.deepEqual(readAck(of(PUBREC, peer.take())[0] as Packet), { packetId: id, reason: 0x97 });
    }
    assert.equal(peer.closed, false);
  });

  test("QoS 1 and 2 are counted together, QoS 0 is not", () => {
    const hub = hubOf(2);
    const peer = hub.connect({ ...KEPT, version: 5, clientId: "p" });
    send(peer, 1, 1);
    send(peer, 2, 2);
    send(peer, 0, 0);
    assert.equal(peer.closed, false);
    send(peer, 1, 3);
    assert.equal(goodbye(peer), 0x93);
  });

  test("ids that an earlier connection left behind do not count, until they are sent again", () => {
    const hub = hubOf(2);
    const first = hub.connect({ ...KEPT, version: 5, clientId: "p" });
    send(first, 2, 1);
    send(first, 2, 2);
    hub.settle();
    first.drop();
    const peer = hub.connect({ ...KEPT, version: 5, clientId: "p" });
    send(peer, 2, 3);
    send(peer, 2, 4);
    hub.settle();
    assert.equal(peer.closed, false);
    // Releasing an old one frees no place.
    peer.send(ack(PUBREL, 1));
    hub.settle();
    assert.equal(of(PUBCOMP, peer.take()).length, 1);
    send(peer, 2, 2, 5, true);
    assert.equal(goodbye(peer), 0x93);
  });

  test("a PUBLISH sent again under an id that counts already does not count twice", () => {
    const hub = hubOf(2);
    const peer = hub.connect({ ...KEPT, version: 5, clientId: "p" });
    send(peer, 2, 1);
    send(peer, 2, 2);
    for (let i = 0; i < 5; i++) {
      send(peer, 2, 1, 5, true);
      hub.settle();
    }
    assert.equal(peer.closed, false);
    peer.send(ack(PUBREL, 1), ack(PUBREL, 2));
    hub.settle();
    for (let i = 0; i < 5; i++) send(peer, 1, 9, 5, true);
    assert.equal(peer.closed, false);
    for (let i = 0; i < 5; i++) hub.settle();
    assert.equal(of(PUBACK, peer.take()).length, 5);
    assert.equal(peer.paused, false);
  });

  test("before 5.0, where it cannot be announced, reading pauses instead", () => {
    const hub = hubOf(4);
    const peer = hub.connect({ ...KEPT, version: 4, clientId: "p" });
    for (let id = 1; id <= 20; id++) send(peer, 1, id, 4);
    assert.equal(peer.paused, true);
    assert.equal(peer.closed, false);
    for (let i = 0; i < 20; i++) hub.settle();
    assert.deepEqual(
      of(PUBACK, peer.take()).map((found) => readAck(found).packetId),
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
    assert.equal(peer.paused, false);
  });

  test("a refused PUBLISH counts until its answer has left, in its turn", () => {
    const hub = hubOf(2);
    const peer = hub.connect({ ...KEPT, version: 5, clientId: "p" });
    send(peer, 1, 1);
    peer.send(publish(5, { topic: "$SYS/x", qos: 1, packetId: 2 }));
    assert.equal(of(PUBACK, peer.take()).length, 0);
    peer.send(publish(5, { topic: "$SYS/x", qos: 1, packetId: 3 }));
    assert.equal(goodbye(peer), 0x93);
  });
});

describe("memory of acknowledgements owed", () => {
  test("when it is used up, who owes many is read more slowly and loses nothing", () => {
    const hub = new Hub();
    const { ackMemory } = hub.server;
    const taken = ackMemory.bytesMax - 200;
    ackMemory.takeAnyway(taken);
    const keeper = hub.connect({ ...KEPT, version: 5, clientId: "away" });
    keeper.send(subscribe(5, 1, ["t", 1]));
    hub.settle();
    keeper.drop();
    const peers = [1, 2, 3].map((i) => hub.connect({ ...KEPT, version: 5, clientId: `p${i}` }));
    for (let id = 1; id <= 40; id++) for (const peer of peers) send(peer, 1, id);
    assert.ok(ackMemory.used <= ackMemory.bytesMax);
    assert.ok(hub.counters.counter("mqtt.acks_full").value > 0);
    for (let i = 0; i < 40; i++) hub.settle();
    for (const peer of peers) {
      assert.deepEqual(
        of(PUBACK, peer.take()).map((found) => readAck(found).packetId),
        Array.from({ length: 40 }, (_, i) => i + 1),
      );
      peer.drop();
    }
    assert.equal(ackMemory.used, taken);
  });

  test("a ring that is empty gives its memory back while memory is short", () => {
    const hub = new Hub();
    const { ackMemory } = hub.server;
    const taken = ackMemory.bytesMax - 200;
    ackMemory.takeAnyway(taken);
    const keeper = hub.connect({ ...KEPT, version: 5, clientId: "away" });
    keeper.send(subscribe(5, 1, ["t", 1]));
    hub.settle();
    keeper.drop();
    const peer = hub.connect({ version: 5, clientId: "p" });
    for (let id = 1; id <= 12; id++) send(peer, 1, id);
    assert.equal(ackMemory.used, taken + 128);
    hub.settle();
    assert.equal(ackMemory.used, taken);
  });
});

test("[MQTT5-4.3.3-10] a repeated PUBLISH whose answer the store fails keeps its id: the message was delivered", () => {
  const hub = hubOf(10);
  const first = hub.connect({ ...KEPT, version: 5, clientId: "p" });
  send(first, 2, 7);
  hub.settle();
  first.drop();
  const peer = hub.connect({ ...KEPT, version: 5, clientId: "p" });
  send(peer, 2, 7, 5, true);
  hub.store.fail();
  assert.deepEqual(of(PUBREC, peer.take()), []);
  assert.equal(peer.closed, true);
  const again = hub.connect({ ...KEPT, version: 5, clientId: "p" });
  send(again, 2, 7, 5, true);
  hub.settle();
  assert.deepEqual(readAck(of(PUBREC, again.take())[0] as Packet), { packetId: 7, reason: 0 });
  assert.equal(hub.store.rows.length, 1);
});

describe("the peer's Receive Maximum", () => {
  for (const qos of [1, 2])
    for (const live of [true, false])
      test(`[MQTT5-3.3.4-9] QoS ${qos}, ${live ? "live" : "kept"}: no more than it announced is in flight`, () => {
        const hub = new Hub();
        const fields = { version: 5, clientId: "s", properties: [0x21, 0, 3] } as const;
        const kept = live ? {} : KEPT;
        const peer = hub.connect({ ...fields, ...kept });
        peer.send(subscribe(5, 1, ["t", 2]));
        const publisher = hub.connect({ version: 5, clientId: "p" });
        for (let id = 1; id <= 3; id++) send(publisher, qos, id);
        hub.settle();
        const ids = of(PUBLISH, peer.take()).map((found) => readPublish(5, found).packetId);
        assert.equal(ids.length, 3);
        for (let id = 4; id <= 8; id++) send(publisher, qos, id);
        hub.settle();
        assert.equal(of(PUBLISH, peer.take()).length, 0);
        // One answer to its end, one more message.
        peer.send(ack(qos === 1 ? PUBACK : PUBREC, ids[0] as number));
        hub.settle();
        const after = peer.take();
        if (qos === 2) {
          assert.deepEqual(of(PUBLISH, after), [], "PUBREC alone frees nothing");
          peer.send(ack(PUBCOMP, ids[0] as number));
          hub.settle();
        }
        assert.equal(of(PUBLISH, qos === 1 ? after : peer.take()).length, 1);
      });
});
