import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  DISCONNECT,
  field,
  type Packet,
  type Part,
  PUBACK,
  PUBLISH,
  publish,
  readAck,
  readConnack,
  readPublish,
  readPublishProperties,
  subscribe,
  u16,
} from "../../../support/mqtt-packets.ts";

const MEMORY = 16 << 20;
const KEPT = { clean: false, expirySeconds: 600 } as const;

function of(type: number, packets: readonly Packet[]): Packet[] {
  return packets.filter((found) => found.type === type);
}

function alias(value: number): Part[] {
  return [0x23, u16(value)];
}

/** The reason of the DISCONNECT it got; -1 when it got none. */
function goodbye(peer: HubPeer): number {
  const found = of(DISCONNECT, peer.take())[0];
  return found === undefined ? -1 : (found.body[0] as number);
}

function subscriber(hub: Hub, version: 4 | 5, filter = "#", qos = 0): HubPeer {
  const peer = hub.connect({ version, clientId: `s${version}` });
  peer.send(subscribe(version, 1, [filter, qos]));
  peer.take();
  return peer;
}

describe("topic aliases of a client", () => {
  test("[MQTT5-3.2.2-17] Topic Alias Maximum stands in CONNACK, and not when there are none", () => {
    for (const topicAliases of [0, 1, 16, 65_535]) {
      const { properties } = readConnack(
        new Hub(MEMORY, { topicAliases }).connect({ version: 5, clientId: "a" }).take()[0] as Packet,
      );
      assert.deepEqual(
        properties.find(([id]) => id === 0x22),
        topicAliases === 0 ? undefined : [0x22, topicAliases],
      );
    }
  });

  test("an alias stands for its topic, for receivers of both versions, and is seen by none", () => {
    const hub = new Hub();
    const four = subscriber(hub, 4);
    const five = subscriber(hub, 5);
    const peer = hub.connect({ version: 5, clientId: "p" });
    peer.send(publish(5, { topic: "a/b", payload: "1" }, ...alias(3)));
    peer.send(publish(5, { topic: "", payload: "2" }, ...alias(3)));
    for (const [version, receiver] of [
      [4, four],
      [5, five],
    ] as const) {
      const got = of(PUBLISH, receiver.take());
      assert.deepEqual(
        got.map((found) => [readPublish(version, found).topic, readPublish(version, found).payload]),
        [
          ["a/b", "1"],
          ["a/b", "2"],
        ],
      );
      if (version === 5) for (const found of got) assert.deepEqual(readPublishProperties(found), []);
    }
  });

  for (const qos of [0, 1, 2])
    test(`the other properties of a QoS ${qos} PUBLISH stay, in order, wherever the alias stood between them`, () => {
      const hub = new Hub();
      const receiver = subscriber(hub, 5, "#", qos);
      const peer = hub.connect({ version: 5, clientId: "p" });
      peer.send(publish(5, { topic: "täglich/b" }, ...alias(1)));
      receiver.take();
      const user = (name: string): Part[] => [0x26, field(name), field("v")];
      const orders: Part[][] = [
        [...alias(1), ...user("x"), 0x03, field("text"), ...user("y")],
        [...user("x"), ...alias(1), 0x03, field("text"), ...user("y")],
        [...user("x"), 0x03, field("text"), ...user("y"), ...alias(1)],
      ];
      for (const [i, block] of orders.entries()) {
        const payload = "x".repeat(i * 100);
        peer.send(publish(5, { topic: "", qos, packetId: 7 + i, payload }, ...block));
        const got = of(PUBLISH, receiver.take())[0] as Packet;
        assert.deepEqual(readPublishProperties(got), [
          [0x26, ["x", "v"]],
          [0x03, "text"],
          [0x26, ["y", "v"]],
        ]);
        assert.equal(readPublish(5, got).topic, "täglich/b");
        assert.equal(readPublish(5, got).payload, payload);
        assert.equal(readPublish(5, got).qos, qos);
      }
    });

  test("an alias can be given another topic", () => {
    const hub = new Hub();
    const receiver = subscriber(hub, 5);
    const peer = hub.connect({ version: 5, clientId: "p" });
    peer.send(publish(5, { topic: "one" }, ...alias(1)), publish(5, { topic: "twofold" }, ...alias(1)));
    peer.send(publish(5, { topic: "" }, ...alias(1)));
    assert.deepEqual(
      of(PUBLISH, receiver.take()).map((found) => readPublish(5, found).topic),
      ["one", "twofold", "twofold"],
    );
    assert.ok(hub.server.aliasMemory.used > 0);
    peer.drop();
    assert.equal(hub.server.aliasMemory.used, 0);
  });

  test("[MQTT5-3.3.2-7] aliases end with the connection", () => {
    const hub = new Hub();
    const first = hub.connect({ ...KEPT, version: 5, clientId: "p" });
    first.send(publish(5, { topic: "a" }, ...alias(1)));
    first.drop();
    const again = hub.connect({ ...KEPT, version: 5, clientId: "p" });
    again.send(publish(5, { topic: "" }, ...alias(1)));
    assert.equal(goodbye(again), 0x82);
  });

  test("[MQTT5-3.3.2-9] the highest alias announced works, one more closes with 0x94", () => {
    const hub = new Hub(MEMORY, { topicAliases: 16 });
    const peer = hub.connect({ version: 5, clientId: "p" });
    peer.send(publish(5, { topic: "a" }, ...alias(16)));
    assert.equal(peer.closed, false);
    peer.send(publish(5, { topic: "a" }, ...alias(17)));
    assert.equal(goodbye(peer), 0x94);
  });

  test("[MQTT5-3.3.2-8] a topic alias of 0 closes with 0x94", () => {
    const peer = new Hub().connect({ version: 5, clientId: "p" });
    peer.send(publish(5, { topic: "a" }, ...alias(0)));
    assert.equal(goodbye(peer), 0x94);
  });

  test("with none announced every alias closes with 0x94", () => {
    const peer = new Hub(MEMORY, { topicAliases: 0 }).connect({ version: 5, clientId: "p" });
    peer.send(publish(5, { topic: "a" }, ...alias(1)));
    assert.equal(goodbye(peer), 0x94);
  });

  test("an alias that was never set closes with 0x82", () => {
    const peer = new Hub().connect({ version: 5, clientId: "p" });
    peer.send(publish(5, { topic: "" }, ...alias(5)));
    assert.equal(goodbye(peer), 0x82);
  });

  test("what is kept has no alias: queue and retained value", () => {
    const hub = new Hub();
    const away = hub.connect({ ...KEPT, version: 5, clientId: "away" });
    away.send(subscribe(5, 1, ["#", 1]));
    hub.settle();
    away.drop();
    const peer = hub.connect({ version: 5, clientId: "p" });
    peer.send(publish(5, { topic: "a/b", qos: 1, packetId: 1 }, ...alias(1)));
    peer.send(publish(5, { topic: "", qos: 1, packetId: 2, retain: true, payload: "kept" }, ...alias(1), 0x01, 1));
    hub.settle();
    const got = of(PUBLISH, hub.connect({ ...KEPT, version: 5, clientId: "away" }).take());
    assert.deepEqual(
      got.map((found) => [readPublish(5, found).topic, readPublishProperties(found)]),
      [
        ["a/b", []],
        ["a/b", [[0x01, 1]]],
      ],
    );
    const fresh = of(PUBLISH, subscriberOfAll(hub).take());
    assert.deepEqual(readPublishProperties(fresh[0] as Packet), [[0x01, 1]]);
    assert.equal(hub.retained.get("a/b")?.payload.toString(), "kept");
  });

  test("limits and rights are those of the topic", () => {
    const hub = new Hub();
    const peer = hub.connect({ version: 5, clientId: "p" });
    peer.send(publish(5, { topic: "$SYS/a", qos: 1, packetId: 1 }, ...alias(1)));
    peer.send(publish(5, { topic: "", qos: 1, packetId: 2 }, ...alias(1)));
    assert.deepEqual(
      of(PUBACK, peer.take()).map((found) => readAck(found).reason),
      [0x87, 0x87],
    );
    peer.send(publish(5, { topic: "a/".repeat(30) }, ...alias(2)));
    assert.equal(goodbye(peer), 0x90);
  });

  test("a frame of any size comes through: shared buffer, and beyond it", () => {
    const hub = new Hub();
    const receiver = subscriber(hub, 5);
    const peer = hub.connect({ version: 5, clientId: "p" });
    peer.send(publish(5, { topic: "a/b" }, ...alias(1)));
    receiver.take();
    for (const length of [0, 100, 4080, 4090, 4096, 5000, 200_000]) {
      peer.send(publish(5, { topic: "", payload: "x".repeat(length) }, ...alias(1)));
      const got = readPublish(5, of(PUBLISH, receiver.take())[0] as Packet);
      assert.equal(got.topic, "a/b");
      assert.equal(got.payload.length, length);
    }
  });

  test("a frame that is put together takes room as a held one does: without any left it closes with 0x97", () => {
    const hub = new Hub();
    const receiver = subscriber(hub, 5);
    const peer = hub.connect({ version: 5, clientId: "p" });
    peer.send(publish(5, { topic: "a/b" }, ...alias(1)));
    receiver.take();
    hub.server.input.take(300 * 1024, hub.nowMs);
    peer.send(publish(5, { topic: "", payload: "x".repeat(4000) }, ...alias(1)));
    assert.equal(of(PUBLISH, receiver.take()).length, 1);
    peer.send(publish(5, { topic: "", payload: "x".repeat(100_000) }, ...alias(1)));
    assert.equal(goodbye(peer), 0x97);
    assert.equal(hub.counters.counter("mqtt.input_full").value, 1);
  });

  test("when the memory of all aliases is used up, who sets one is disconnected with 0x97, and newcomers get none", () => {
    const hub = new Hub();
    const { aliasMemory, aliasesFull } = hub.server;
    const peer = hub.connect({ version: 5, clientId: "p" });
    peer.take();
    aliasMemory.takeAnyway(aliasMemory.bytesMax - 200);
    peer.send(publish(5, { topic: "a" }, ...alias(1)));
    assert.equal(peer.closed, false);
    const newcomer = hub.connect({ version: 5, clientId: "n" });
    const { properties } = readConnack(newcomer.take()[0] as Packet);
    assert.equal(
      properties.find(([id]) => id === 0x22),
      undefined,
    );
    peer.send(publish(5, { topic: "a".repeat(200) }, ...alias(2)));
    assert.equal(goodbye(peer), 0x97);
    assert.equal(aliasesFull.value, 1);
    assert.equal(aliasMemory.used, aliasMemory.bytesMax - 200);
  });
});

function subscriberOfAll(hub: Hub): HubPeer {
  const peer = hub.connect({ version: 5, clientId: "fresh" });
  peer.send(subscribe(5, 1, ["#", 1]));
  return peer;
}
