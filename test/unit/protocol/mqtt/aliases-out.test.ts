import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ALIASED_TOPIC_BYTES_MAX } from "../../../../src/protocol/mqtt/aliases-out.ts";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  ack,
  type Packet,
  PUBACK,
  PUBLISH,
  publish,
  readPublish,
  readPublishProperties,
  subscribe,
  u16,
} from "../../../support/mqtt-packets.ts";

const MEMORY = 16 << 20;
const KEPT = { clean: false, expirySeconds: 600 } as const;

/** Topic and alias (0 = none) of each PUBLISH that came. */
function aliased(peer: HubPeer): [topic: string, alias: number][] {
  return peer
    .take()
    .filter(({ type }) => type === PUBLISH)
    .map((found) => [readPublish(5, found).topic, aliasOf(found)]);
}

function aliasOf(found: Packet): number {
  const property = readPublishProperties(found).find(([id]) => id === 0x23);
  return property === undefined ? 0 : (property[1] as number);
}

/** A peer of 5.0 with this Topic Alias Maximum, subscribed to all. */
function receiver(hub: Hub, aliasMaximum: number, qos = 0, clientId = "s"): HubPeer {
  const peer = hub.connect({ version: 5, clientId, properties: [0x22, u16(aliasMaximum)] });
  peer.send(subscribe(5, 1, ["#", qos]));
  peer.take();
  return peer;
}

describe("topic aliases of the gateway", () => {
  test("the first message has topic and alias, the next ones the alias alone", () => {
    const hub = new Hub();
    const peer = receiver(hub, 10);
    const publisher = hub.connect({ version: 5, clientId: "p" });
    for (let i = 0; i < 3; i++) publisher.send(publish(5, { topic: "room/1", payload: `${i}` }));
    const got = peer.take();
    const alias = aliasOf(got[0] as Packet);
    assert.ok(alias >= 1 && alias <= 10);
    assert.deepEqual([...(got[0] as Packet).body], [0, 6, ...Buffer.from("room/1"), 3, 0x23, 0, alias, 0x30]);
    assert.deepEqual([...(got[1] as Packet).body], [0, 0, 3, 0x23, 0, alias, 0x31]);
    assert.deepEqual([...(got[2] as Packet).body], [0, 0, 3, 0x23, 0, alias, 0x32]);
  });

  test("[MQTT5-3.1.2-26] none is higher than the peer's maximum, nor than ours", () => {
    for (const [theirs, ours, highest] of [
      [1, 16, 1],
      [5, 16, 5],
      [65_535, 16, 16],
      [16, 2, 2],
    ] as const) {
      const hub = new Hub(MEMORY, { topicAliases: ours });
      const peer = receiver(hub, theirs);
      const publisher = hub.connect({ version: 5, clientId: "p" });
      for (let i = 0; i < 400; i++) publisher.send(publish(5, { topic: `topic/${i % 200}` }));
      const aliases = aliased(peer).map(([, alias]) => alias);
      assert.equal(Math.max(...aliases), highest);
    }
  });

  test("[MQTT5-3.1.2-27] a peer that announced none, or 0, or is of 3.1.1, gets none; nor does anybody with topic_aliases 0", () => {
    const hub = new Hub();
    const zero = receiver(hub, 0, 0, "zero");
    const absent = hub.connect({ version: 5, clientId: "absent" });
    const four = hub.connect({ version: 4, clientId: "four" });
    absent.send(subscribe(5, 1, ["#", 0]));
    four.send(subscribe(4, 1, ["#", 0]));
    const off = new Hub(MEMORY, { topicAliases: 0 });
    const offered = receiver(off, 10);
    for (const each of [hub, off]) {
      const publisher = each.connect({ version: 5, clientId: "p" });
      for (let i = 0; i < 2; i++) publisher.send(publish(5, { topic: "room/1" }));
    }
    for (const peer of [zero, absent, offered])
      assert.deepEqual(aliased(peer), [
        ["room/1", 0],
        ["room/1", 0],
      ]);
    assert.equal(four.take().filter(({ type }) => type === PUBLISH).length, 2);
    assert.equal(hub.server.aliasMemory.used, 0);
  });

  test("every receiver can tell the topic of every message, whatever the mix of topics", () => {
    const hub = new Hub();
    const peer = receiver(hub, 8);
    const publisher = hub.connect({ version: 5, clientId: "p" });
    const topics = new Map<number, string>();
    let seed = 7;
    let short = 0;
    for (let i = 0; i < 3000; i++) {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      const topic = `devices/${(seed >> 8) % ((seed >> 16) % 2 === 0 ? 4 : 300)}/state`;
      publisher.send(publish(5, { topic }));
      const [sent, alias] = aliased(peer)[0] as [string, number];
      if (sent !== "" && alias !== 0) topics.set(alias, sent);
      assert.equal(sent === "" ? topics.get(alias) : sent, topic);
      if (sent === "") short++;
    }
    assert.ok(short > 1000, `${short} of 3000 without topic`);
  });

  test("a stream of topics that never come again pays for an alias with at most every fourth message", () => {
    const hub = new Hub();
    const peer = receiver(hub, 4);
    const publisher = hub.connect({ version: 5, clientId: "p" });
    for (let i = 0; i < 1000; i++) publisher.send(publish(5, { topic: `once/${i}` }));
    const paid = aliased(peer).filter(([, alias]) => alias !== 0).length;
    assert.ok(paid <= 254, `${paid}`);
  });

  test("topics too short to gain by it, or too long for the table, have none", () => {
    const hub = new Hub();
    const peer = receiver(hub, 8);
    const publisher = hub.connect({ version: 5, clientId: "p" });
    for (const [length, has] of [
      [3, false],
      [4, true],
      [ALIASED_TOPIC_BYTES_MAX, true],
      [ALIASED_TOPIC_BYTES_MAX + 1, false],
    ] as const) {
      const topic = "x".repeat(length);
      // Twice four times: whoever holds the slot gives way.
      for (let i = 0; i < 8; i++) publisher.send(publish(5, { topic }));
      assert.equal(
        aliased(peer).some(([, alias]) => alias !== 0),
        has,
        `${length}`,
      );
    }
  });

  test("messages of all kinds have them: retained, QoS 1, with Subscription Identifiers, sent again; QoS 2 has none", () => {
    const hub = new Hub();
    const publisher = hub.connect({ version: 5, clientId: "p" });
    const fields = { ...KEPT, version: 5, clientId: "s", properties: [0x22, 0, 10] } as const;
    publisher.send(publish(5, { topic: "room/1", payload: "kept", retain: true }));
    let peer = hub.connect(fields);
    const filter: Buffer = subscribe(5, 1, ["#", 2]);
    // Subscription Identifier 300.
    const identified = Buffer.concat([
      Buffer.from([filter[0] as number, (filter[1] as number) + 3]),
      filter.subarray(2, 4),
      Buffer.from([3, 0x0b, 0xac, 0x02]),
      filter.subarray(5),
    ]);
    peer.send(identified);
    hub.settle();
    const first = peer.take().filter(({ type }) => type === PUBLISH);
    assert.equal(readPublish(5, first[0] as Packet).topic, "room/1");
    const alias = aliasOf(first[0] as Packet);
    for (const qos of [0, 1, 2]) {
      publisher.send(publish(5, { topic: "room/1", qos, packetId: 9 + qos, payload: "live" }, 0x01, 1));
      hub.settle();
      const found = peer.take().filter(({ type }) => type === PUBLISH)[0] as Packet;
      const aliases = qos === 2 ? [] : [[0x23, alias]];
      assert.deepEqual(readPublishProperties(found), [...aliases, [0x0b, 300], [0x01, 1]]);
      const read = readPublish(5, found);
      assert.deepEqual([read.topic, read.payload, read.qos], [qos === 2 ? "room/1" : "", "live", qos]);
    }
    // On another connection the alias is unknown again, and comes with the first message that is sent again.
    peer.drop();
    peer = hub.connect(fields);
    const again = peer.take().filter(({ type }) => type === PUBLISH);
    assert.deepEqual(
      again.map((found) => [readPublish(5, found).topic, readPublish(5, found).dup, aliasOf(found)]),
      [
        ["room/1", true, alias],
        ["room/1", true, 0],
      ],
    );
    peer.send(ack(PUBACK, readPublish(5, again[0] as Packet).packetId));
    assert.equal(peer.closed, false);
  });

  test("they take no more than half of the memory, so that clients may use what they were promised", () => {
    const hub = new Hub();
    const { aliasMemory } = hub.server;
    const peers = Array.from({ length: 80 }, (_, i) => receiver(hub, 16, 0, `s${i}`));
    const publisher = hub.connect({ version: 5, clientId: "p" });
    for (let i = 0; i < 2; i++) publisher.send(publish(5, { topic: "room/1" }, 0x23, u16(1)));
    assert.ok(aliasMemory.used <= aliasMemory.bytesMax / 2 + 100, `${aliasMemory.used} of ${aliasMemory.bytesMax}`);
    const withAliases = peers.filter((peer) => aliased(peer).some(([, alias]) => alias > 0)).length;
    assert.equal(withAliases, Math.floor(aliasMemory.bytesMax / 2 / (16 * 128)));
    assert.equal(publisher.closed, false);
  });

  test("without memory left there are none, and all else is as before; what a connection took goes back", () => {
    const hub = new Hub();
    const { aliasMemory } = hub.server;
    const first = receiver(hub, 4, 0, "first");
    const publisher = hub.connect({ version: 5, clientId: "p" });
    publisher.send(publish(5, { topic: "room/1" }));
    assert.equal(aliasMemory.used, 4 * 128);
    const rest = aliasMemory.bytesMax - aliasMemory.used;
    aliasMemory.takeAnyway(rest);
    const second = receiver(hub, 4, 0, "second");
    for (let i = 0; i < 2; i++) publisher.send(publish(5, { topic: "room/1" }));
    assert.deepEqual(aliased(second), [
      ["room/1", 0],
      ["room/1", 0],
    ]);
    assert.equal(aliased(first).length, 3);
    first.drop();
    second.drop();
    assert.equal(aliasMemory.used, rest);
  });
});
