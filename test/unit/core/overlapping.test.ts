import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub, type HubPeer } from "../../support/mqtt-hub.ts";
import {
  ack,
  field,
  PUBACK,
  PUBLISH,
  PUBREC,
  packet,
  properties,
  publish,
  readPublish,
  SUBSCRIBE,
  u16,
} from "../../support/mqtt-packets.ts";

const KEPT = { version: 5, clean: false, expirySeconds: 600, clientId: "s" } as const;
const SUBSCRIPTION_IDENTIFIER = 0x0b;

function subscribe(peer: HubPeer, filter: string, options: number, identifier: number): void {
  const block = properties(5, SUBSCRIPTION_IDENTIFIER, identifier);
  peer.send(packet(SUBSCRIBE, 2, u16(identifier), block, field(filter), options));
}

/** Each delivery: QoS, RETAIN, and the Subscription Identifiers in ascending order (all below 128). */
function deliveries(peer: HubPeer): { qos: number; retain: boolean; ids: number[]; dup: boolean; packetId: number }[] {
  return peer
    .take()
    .filter(({ type }) => type === PUBLISH)
    .map((found) => {
      const { qos, retain, dup, packetId, topic } = readPublish(5, found);
      const at = 2 + topic.length + (qos > 0 ? 2 : 0);
      const block = found.body.subarray(at + 1, at + 1 + (found.body[at] ?? 0));
      const ids: number[] = [];
      for (let i = 0; i < block.length; i += 2) ids.push(block[i + 1] ?? 0);
      return { qos, retain, ids: ids.toSorted((a, b) => a - b), dup, packetId };
    });
}

describe("[MQTT5-3.3.4-2] overlapping subscriptions of one session: one copy, all identifiers, the highest QoS", () => {
  /** A session with three filters that match a/b, and one that does not. */
  function overlapping(hub: Hub): HubPeer {
    const peer = hub.connect(KEPT);
    subscribe(peer, "a/#", 1, 1);
    subscribe(peer, "a/b", 2, 2);
    subscribe(peer, "+/b", 0x08 | 0, 3);
    subscribe(peer, "a/c", 2, 4);
    hub.settle();
    peer.take();
    return peer;
  }

  function send(hub: Hub, qos: number): void {
    hub
      .connect({ version: 5, clientId: "p" })
      .send(publish(5, { topic: "a/b", qos, packetId: 1, payload: "x", retain: true }));
    for (let i = 0; i < 3; i++) hub.settle();
  }

  for (const qos of [0, 1, 2])
    test(`QoS ${qos} while connected`, () => {
      const hub = new Hub();
      const peer = overlapping(hub);
      send(hub, qos);
      const [one, ...more] = deliveries(peer);
      assert.deepEqual([one?.qos, one?.retain, one?.ids, more.length], [qos, true, [1, 2, 3], 0]);
    });

  for (const qos of [1, 2])
    test(`QoS ${qos} for a session that was away`, () => {
      const hub = new Hub();
      overlapping(hub).drop();
      send(hub, qos);
      const [one, ...more] = deliveries(hub.connect(KEPT));
      assert.deepEqual([one?.qos, one?.retain, one?.ids, one?.dup, more.length], [qos, true, [1, 2, 3], false, 0]);
    });

  for (const qos of [1, 2])
    test(`QoS ${qos}, unanswered when the connection broke: again as it was, with DUP and its packet id`, () => {
      const hub = new Hub();
      const peer = overlapping(hub);
      send(hub, qos);
      const [first] = deliveries(peer);
      peer.drop();
      const again = hub.connect(KEPT);
      const [second, ...more] = deliveries(again);
      assert.deepEqual(second, { ...first, dup: true });
      assert.equal(more.length, 0);
      again.send(ack(qos === 1 ? PUBACK : PUBREC, second?.packetId ?? 0));
      for (let i = 0; i < 3; i++) hub.settle();
      assert.equal(hub.registry.inFlight, qos === 1 ? 0 : 1);
    });

  for (const qos of [1, 2])
    test(`QoS ${qos} after a restart: what was stored before it, and what comes after it`, () => {
      const hub = new Hub();
      overlapping(hub).drop();
      send(hub, qos);
      const next = new Hub(undefined, undefined, hub.store.crash());
      const peer = next.connect(KEPT);
      assert.deepEqual(
        deliveries(peer).map(({ qos, ids }) => [qos, ids]),
        [[qos, [1, 2, 3]]],
      );
      send(next, qos);
      assert.deepEqual(
        deliveries(peer).map(({ qos, ids }) => [qos, ids]),
        [[qos, [1, 2, 3]]],
      );
    });

  test("a filter that is unsubscribed takes its identifier and its QoS with it", () => {
    const hub = new Hub();
    const peer = overlapping(hub);
    peer.send(packet(10, 2, u16(9), properties(5), field("a/b")));
    send(hub, 2);
    assert.deepEqual(
      deliveries(peer).map(({ qos, ids }) => [qos, ids]),
      [[1, [1, 3]]],
    );
  });
});
