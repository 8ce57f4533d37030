// The rules of QoS 1 and 2 exchanges and of order, one by one: sections 3.3 to 3.7 and 4.3 to 4.6.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  ack,
  DISCONNECT,
  type Packet,
  PINGRESP,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  packet,
  pingreq,
  publish,
  readAck,
  readPublish,
  SUBACK,
  subscribe,
  u16,
  u32,
  type Version,
} from "../../../support/mqtt-packets.ts";

const KEPT = { clean: false, expirySeconds: 6000 } as const;

function of(type: number, packets: readonly Packet[]): Packet[] {
  return packets.filter((found) => found.type === type);
}

/** [packet id, reason] of each answer of `type`. */
function answers(peer: HubPeer, type: number): [number, number][] {
  return of(type, peer.take()).map((found) => {
    const { packetId, reason } = readAck(found);
    return [packetId, reason];
  });
}

function payloads(peer: HubPeer, version: Version): string[] {
  return of(PUBLISH, peer.take()).map((found) => readPublish(version, found).payload);
}

function subscriber(hub: Hub, version: Version, qos: number, kept = true): HubPeer {
  const peer = hub.connect({ ...(kept ? KEPT : {}), version, clientId: "s" });
  peer.send(subscribe(version, 1, ["t", qos]));
  hub.settle();
  peer.take();
  return peer;
}

function send(peer: HubPeer, version: Version, qos: number, packetId: number, payload = "x", dup = false): void {
  peer.send(publish(version, { topic: "t", qos, packetId, payload, dup }));
}

for (const version of [4, 5] as const) {
  const id = version === 4 ? "MQTT311" : "MQTT5";
  const publisherOf = (hub: Hub): HubPeer => hub.connect({ ...KEPT, version, clientId: "p" });

  describe(`as a receiver, ${version === 4 ? "3.1.1" : "5.0"}`, () => {
    test(`[${id}-3.3.1-3] DUP of what goes out is its own, whatever it was on the way in`, () => {
      for (const receiving of [4, 5] as const) {
        const hub = new Hub();
        const peer = subscriber(hub, receiving, 2);
        const publisher = publisherOf(hub);
        for (const qos of [1, 2]) {
          send(publisher, version, qos, qos, "x", true);
          hub.settle();
          const [found] = of(PUBLISH, peer.take());
          assert.equal(readPublish(receiving, found as Packet).dup, false);
        }
      }
    });

    test(`[${version === 4 ? "MQTT311-4.3.2-2" : "MQTT5-4.3.2-5"}] after PUBACK a PUBLISH of the same id is a new one, DUP or not`, () => {
      const hub = new Hub();
      const peer = subscriber(hub, version, 1);
      const publisher = publisherOf(hub);
      for (const [payload, dup] of [
        ["1", false],
        ["2", false],
        ["3", true],
      ] as const) {
        send(publisher, version, 1, 7, payload, dup);
        hub.settle();
        assert.deepEqual(answers(publisher, PUBACK), [[7, 0]]);
      }
      assert.deepEqual(payloads(peer, version), ["1", "2", "3"]);
    });

    test("a QoS 1 id used again before its PUBACK: both are delivered, both are answered, in order", () => {
      const hub = new Hub();
      const peer = subscriber(hub, version, 1);
      const publisher = publisherOf(hub);
      send(publisher, version, 1, 7, "1");
      send(publisher, version, 1, 7, "2");
      hub.settle();
      assert.deepEqual(payloads(peer, version), ["1", "2"]);
      assert.deepEqual(answers(publisher, PUBACK), [
        [7, 0],
        [7, 0],
      ]);
    });

    test(`[${version === 4 ? "MQTT311-4.3.3-2" : "MQTT5-4.3.3-10"}] until PUBREL a PUBLISH of the same id is answered and not delivered, DUP or not`, () => {
      for (const kept of [true, false]) {
        const hub = new Hub();
        const peer = subscriber(hub, version, 2);
        const publisher = hub.connect({ ...(kept ? KEPT : {}), version, clientId: "p" });
        for (const dup of [false, true, false]) {
          send(publisher, version, 2, 7, "1", dup);
          hub.settle();
          assert.deepEqual(answers(publisher, PUBREC), [[7, 0]]);
        }
        assert.deepEqual(payloads(peer, version), ["1"]);
      }
    });

    test(`[${version === 4 ? "MQTT311-4.3.3-2" : "MQTT5-4.3.3-12"}] after PUBCOMP a PUBLISH of the same id is a new one`, () => {
      const hub = new Hub();
      const peer = subscriber(hub, version, 2);
      const publisher = publisherOf(hub);
      for (const dup of [false, true]) {
        send(publisher, version, 2, 7, "1", dup);
        hub.settle();
        publisher.send(ack(PUBREL, 7));
        hub.settle();
        assert.deepEqual(answers(publisher, PUBCOMP), [[7, 0]]);
      }
      assert.deepEqual(payloads(peer, version), ["1", "1"]);
    });

    test("DUP on an id that nobody knows is a new message", () => {
      const hub = new Hub();
      const peer = subscriber(hub, version, 2);
      send(publisherOf(hub), version, 2, 9, "first seen", true);
      hub.settle();
      assert.deepEqual(payloads(peer, version), ["first seen"]);
    });

    test("PUBREL of an unknown id is answered, in 5.0 with 0x92", () => {
      const hub = new Hub();
      const publisher = publisherOf(hub);
      publisher.send(ack(PUBREL, 99));
      hub.settle();
      assert.deepEqual(answers(publisher, PUBCOMP), [[99, version === 5 ? 0x92 : 0]]);
      assert.equal(publisher.closed, false);
    });

    test("PUBREL sent again after PUBCOMP is answered again", () => {
      const hub = new Hub();
      const publisher = publisherOf(hub);
      send(publisher, version, 2, 3);
      publisher.send(ack(PUBREL, 3), ack(PUBREL, 3));
      hub.settle();
      assert.deepEqual(answers(publisher, PUBCOMP), [
        [3, 0],
        [3, version === 5 ? 0x92 : 0],
      ]);
    });

    test("a PUBLISH that is not allowed reaches nobody: QoS 0 without a word, QoS 1 and 2 answered as the version can", () => {
      const hub = new Hub();
      const peer = hub.connect({ version, clientId: "s" });
      peer.send(subscribe(version, 1, ["$SYS/x", 2]));
      peer.take();
      const publisher = publisherOf(hub);
      publisher.take();
      for (const qos of [0, 1, 2]) publisher.send(publish(version, { topic: "$SYS/x", qos, packetId: qos }));
      const got = publisher.take();
      assert.deepEqual(
        got.map(({ type }) => type),
        [PUBACK, PUBREC],
      );
      assert.deepEqual(
        got.map((found) => readAck(found).reason),
        version === 5 ? [0x87, 0x87] : [0, 0],
      );
      assert.equal(publisher.closed, false);
      assert.deepEqual(payloads(peer, version), []);
      // The exchange of 3.1.1 goes on to its end.
      publisher.send(ack(PUBREL, 2));
      hub.settle();
      assert.deepEqual(answers(publisher, PUBCOMP), [[2, version === 5 ? 0x92 : 0]]);
    });

    test(`[${id}-4.6.0-2] [${id}-4.6.0-3] answers leave in the order of the PUBLISHes, whichever is ready first`, () => {
      const hub = new Hub();
      subscriber(hub, version, 2);
      const publisher = publisherOf(hub);
      publisher.take();
      // Nobody wants "other": its answer is ready at once, and waits for those before it.
      publisher.send(
        publish(version, { topic: "t", qos: 1, packetId: 1 }),
        publish(version, { topic: "other", qos: 1, packetId: 2 }),
        publish(version, { topic: "t", qos: 2, packetId: 3 }),
        publish(version, { topic: "other", qos: 1, packetId: 4 }),
      );
      assert.deepEqual(publisher.take(), []);
      hub.settle();
      assert.deepEqual(
        publisher.take().map((found) => [found.type, readAck(found).packetId]),
        [
          [PUBACK, 1],
          [PUBACK, 2],
          [PUBREC, 3],
          [PUBACK, 4],
        ],
      );
    });
  });

  describe(`as a sender, ${version === 4 ? "3.1.1" : "5.0"}`, () => {
    /** A subscriber that was sent QoS 2 messages "1" to "3"; gives their ids. */
    function sent(hub: Hub, qos: number): { peer: HubPeer; ids: number[] } {
      const peer = subscriber(hub, version, qos);
      const publisher = publisherOf(hub);
      for (const payload of ["1", "2", "3"]) send(publisher, version, qos, Number(payload), payload);
      hub.settle();
      const ids = of(PUBLISH, peer.take()).map((found) => readPublish(version, found).packetId);
      assert.equal(new Set(ids).size, 3);
      return { peer, ids };
    }

    test(`[${id}-4.6.0-4] PUBRELs leave in the order in which the PUBRECs came`, () => {
      const hub = new Hub();
      const { peer, ids } = sent(hub, 2);
      const order = [ids[2], ids[0], ids[1]] as number[];
      peer.send(...order.map((packetId) => ack(PUBREC, packetId)));
      hub.settle();
      assert.deepEqual(
        answers(peer, PUBREL),
        order.map((packetId) => [packetId, 0]),
      );
    });

    test(`[${id}-4.4.0-1] [${id}-4.6.0-1] nothing is sent again while the connection lasts; on the next one all is, in order, with its id and DUP`, () => {
      for (const qos of [1, 2]) {
        const hub = new Hub();
        const { peer, ids } = sent(hub, qos);
        hub.advance(3_000_000);
        hub.settle();
        const quiet = hub.connect({ ...KEPT, version, clientId: "s" });
        assert.deepEqual(of(PUBLISH, peer.take()), []);
        assert.deepEqual(
          of(PUBLISH, quiet.take()).map((found) => {
            const { payload, packetId, dup } = readPublish(version, found);
            return [payload, packetId, dup];
          }),
          [
            ["1", ids[0], true],
            ["2", ids[1], true],
            ["3", ids[2], true],
          ],
        );
      }
    });

    test(`[${version === 4 ? "MQTT311-4.3.3-1" : "MQTT5-4.3.3-6"}] after PUBREC only PUBREL is sent again, until PUBCOMP`, () => {
      const hub = new Hub();
      const { peer, ids } = sent(hub, 2);
      peer.send(ack(PUBREC, ids[0] as number));
      hub.settle();
      peer.drop();
      const again = hub.connect({ ...KEPT, version, clientId: "s" });
      hub.settle();
      const got = again.take();
      assert.deepEqual(
        of(PUBREL, got).map((found) => readAck(found).packetId),
        [ids[0]],
      );
      assert.deepEqual(
        of(PUBLISH, got).map((found) => readPublish(version, found).packetId),
        [ids[1], ids[2]],
      );
      again.send(ack(PUBCOMP, ids[0] as number));
      again.drop();
      const last = hub.connect({ ...KEPT, version, clientId: "s" });
      hub.settle();
      assert.deepEqual(of(PUBREL, last.take()), []);
    });

    test("PUBREC again is answered with PUBREL again; one for an unknown id with PUBREL, in 5.0 0x92", () => {
      const hub = new Hub();
      const { peer, ids } = sent(hub, 2);
      peer.send(ack(PUBREC, ids[0] as number), ack(PUBREC, ids[0] as number), ack(PUBREC, 999));
      hub.settle();
      const got = answers(peer, PUBREL);
      assert.deepEqual(got.toSorted(), [
        [ids[0], 0],
        [ids[0], 0],
        [999, version === 5 ? 0x92 : 0],
      ]);
    });

    test("an answer of the other QoS closes the connection, in 5.0 with 0x82, and the message is sent again", () => {
      for (const [qos, type] of [
        [2, PUBACK],
        [1, PUBREC],
        [1, PUBCOMP],
      ] as const) {
        const hub = new Hub();
        const { peer, ids } = sent(hub, qos);
        peer.send(ack(type, ids[0] as number));
        assert.equal(peer.closed, true);
        const [goodbye] = of(DISCONNECT, peer.take());
        assert.equal(goodbye?.body[0], version === 5 ? 0x82 : undefined);
        peer.drop();
        const again = hub.connect({ ...KEPT, version, clientId: "s" });
        hub.settle();
        assert.equal(of(PUBLISH, again.take()).length, 3);
      }
    });

    test("PUBACK and PUBCOMP for unknown ids are nothing", () => {
      const peer = publisherOf(new Hub());
      peer.take();
      peer.send(ack(PUBACK, 77), ack(PUBCOMP, 78));
      assert.equal(peer.closed, false);
      assert.deepEqual(peer.take(), []);
    });
  });
}

describe("5.0 alone", () => {
  test("[MQTT5-4.3.3-9] after a PUBREC that refused, a PUBLISH of the same id is a new one", () => {
    const hub = new Hub();
    const peer = subscriber(hub, 5, 2);
    const publisher = hub.connect({ ...KEPT, version: 5, clientId: "p" });
    hub.store.refusal = 0x97;
    send(publisher, 5, 2, 7, "refused");
    hub.store.refusal = 0;
    send(publisher, 5, 2, 7, "taken");
    hub.settle();
    assert.deepEqual(answers(publisher, PUBREC), [
      [7, 0x97],
      [7, 0],
    ]);
    assert.deepEqual(payloads(peer, 5), ["taken"]);
  });

  test("[MQTT5-4.3.3-13] the exchange goes on to its end when the message has expired meanwhile", () => {
    const hub = new Hub();
    subscriber(hub, 5, 2).drop();
    const publisher = hub.connect({ ...KEPT, version: 5, clientId: "p" });
    publisher.send(publish(5, { topic: "t", qos: 2, packetId: 7 }, 0x02, u32(1)));
    hub.settle();
    hub.advance(5000);
    publisher.send(ack(PUBREL, 7));
    hub.settle();
    assert.deepEqual(answers(publisher, PUBCOMP), [[7, 0]]);
  });

  test("[MQTT5-4.4.0-2] a PUBACK or PUBREC that refuses ends the exchange: nothing is sent again", () => {
    for (const [qos, type] of [
      [1, PUBACK],
      [2, PUBREC],
    ] as const) {
      const hub = new Hub();
      const peer = subscriber(hub, 5, qos);
      send(hub.connect({ version: 5, clientId: "p" }), 5, qos, 1);
      hub.settle();
      const [found] = of(PUBLISH, peer.take());
      peer.send(packet(type, 0, u16(readPublish(5, found as Packet).packetId), 0x80));
      hub.settle();
      assert.deepEqual(of(PUBREL, peer.take()), []);
      peer.drop();
      const again = hub.connect({ ...KEPT, version: 5, clientId: "s" });
      hub.settle();
      assert.deepEqual(of(PUBLISH, again.take()), []);
    }
  });

  test("[MQTT5-3.3.4-10] a full window holds back QoS 1 and 2 alone", () => {
    const hub = new Hub();
    const peer = hub.connect({ version: 5, clientId: "s", properties: [0x21, 0, 1] });
    peer.send(subscribe(5, 1, ["t", 2]));
    const publisher = hub.connect({ version: 5, clientId: "p" });
    send(publisher, 5, 1, 1, "first");
    send(publisher, 5, 1, 2, "waits");
    send(publisher, 5, 0, 0, "passes");
    peer.send(pingreq(), subscribe(5, 2, ["u", 0]), publish(5, { topic: "v", qos: 1, packetId: 3 }));
    const got = peer.take();
    assert.deepEqual(
      of(PUBLISH, got).map((found) => readPublish(5, found).payload),
      ["first", "passes"],
    );
    for (const type of [PINGRESP, PUBACK]) assert.equal(of(type, got).length, 1);
    assert.equal(of(SUBACK, got).length, 2);
  });

  test("[MQTT5-3.3.2-12] every alias from 1 to the maximum is taken", () => {
    const hub = new Hub();
    const peer = subscriber(hub, 5, 0);
    const publisher = hub.connect({ version: 5, clientId: "p" });
    for (let alias = 1; alias <= 16; alias++) publisher.send(publish(5, { topic: "t" }, 0x23, u16(alias)));
    for (let alias = 1; alias <= 16; alias++)
      publisher.send(publish(5, { topic: "", payload: `${alias}` }, 0x23, u16(alias)));
    assert.equal(payloads(peer, 5).length, 32);
  });

  test("a repeated QoS 2 PUBLISH is acknowledged even when it would be refused now: the message was delivered", () => {
    const hub = new Hub(16 << 20, { validateUtf8Payload: true });
    const publisher = hub.connect({ ...KEPT, version: 5, clientId: "p" });
    send(publisher, 5, 2, 7);
    hub.settle();
    publisher.take();
    publisher.send(publish(5, { topic: "$SYS/x", qos: 2, packetId: 7, dup: true }));
    hub.settle();
    assert.deepEqual(answers(publisher, PUBREC), [[7, 0]]);
  });

  test("both answers to a PUBLISH that came twice say that its only copy was lost", () => {
    for (const kept of [KEPT, {}]) {
      const hub = new Hub();
      subscriber(hub, 5, 2).drop();
      const publisher = hub.connect({ ...kept, version: 5, clientId: "p" });
      send(publisher, 5, 2, 7);
      send(publisher, 5, 2, 7, "x", true);
      hub.store.withdraw();
      hub.settle();
      assert.deepEqual(answers(publisher, PUBREC), [
        [7, 0x97],
        [7, 0x97],
      ]);
    }
  });
});

test("a held packet of 3.1.1 is counted once, when it is taken", () => {
  const hub = new Hub();
  subscriber(hub, 4, 1).drop();
  const publisher = hub.connect({ version: 4, clientId: "p" });
  hub.store.refusal = 0x97;
  send(publisher, 4, 1, 1);
  for (let i = 0; i < 10; i++) hub.advance(200);
  assert.equal(hub.counters.counter("mqtt.publish.received").value, 0);
  hub.store.refusal = 0;
  hub.advance(200);
  assert.equal(hub.counters.counter("mqtt.publish.received").value, 1);
});

describe("QoS 2 ids that are not released, when there is no memory for more", () => {
  function fullHub(): Hub {
    const hub = new Hub();
    const { inboundMemory } = hub.registry;
    inboundMemory.takeAnyway(inboundMemory.bytesMax - inboundMemory.used - 4096);
    return hub;
  }

  test("the 33rd is refused with 0x97 on PUBREC; released ones make room", () => {
    const hub = fullHub();
    const peer = hub.connect({ version: 5, clientId: "p" });
    for (let packetId = 1; packetId <= 33; packetId++) send(peer, 5, 2, packetId);
    const got = answers(peer, PUBREC);
    assert.deepEqual(
      got.filter(([, reason]) => reason !== 0x10),
      [[33, 0x97]],
    );
    assert.equal(hub.counters.counter("mqtt.inbound_full").value, 1);
    peer.send(ack(PUBREL, 1));
    send(peer, 5, 2, 33);
    assert.deepEqual(answers(peer, PUBREC), [[33, 0x10]]);
  });

  test("before 5.0 it is held, and taken when there is memory", () => {
    const hub = fullHub();
    const peer = hub.connect({ version: 4, clientId: "p" });
    for (let packetId = 1; packetId <= 33; packetId++) send(peer, 4, 2, packetId);
    assert.equal(answers(peer, PUBREC).length, 32);
    assert.equal(peer.paused, true);
    hub.registry.inboundMemory.give(1 << 20);
    hub.advance(200);
    assert.deepEqual(answers(peer, PUBREC), [[33, 0]]);
    assert.equal(peer.paused, false);
  });
});
