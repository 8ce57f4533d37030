import assert from "node:assert/strict";
import { test } from "node:test";
import { Hub, type HubPeer } from "../../support/mqtt-hub.ts";
import { ack, PUBACK, PUBLISH, publish, readPublish, subscribe, unsubscribe } from "../../support/mqtt-packets.ts";

const VALUES = 100;

function hubWithValues(): Hub {
  const hub = new Hub();
  const publisher = hub.connect({ version: 5, clientId: "publisher" });
  for (let n = 0; n < VALUES; n++)
    publisher.send(publish(5, { topic: `v/${n}`, payload: "x", qos: 1, packetId: 1 + n, retain: true }));
  hub.settle();
  return hub;
}

/** Topics of the PUBLISHes that came since the last call, acknowledged unless told otherwise. */
function take(peer: HubPeer, acknowledges = true): string[] {
  const came = peer
    .take()
    .filter(({ type }) => type === PUBLISH)
    .map((packet) => readPublish(5, packet));
  if (acknowledges) for (const { qos, packetId } of came) if (qos === 1) peer.send(ack(PUBACK, packetId));
  return came.map(({ topic }) => topic);
}

for (const qos of [0, 1]) {
  test(`retained values at QoS ${qos} come once each however often the client stops taking them, and one topic is kept`, () => {
    const hub = hubWithValues();
    const peer = hub.connect({ version: 5, clientId: "reader" });
    peer.take();
    peer.blocked = qos === 0;
    peer.send(subscribe(5, 1, ["v/#", qos]));
    const topics: string[] = [];
    for (let round = 0; topics.length < VALUES && round < VALUES; round++) {
      assert.ok(hub.waitingMemory.used < 40 * 200, `${hub.waitingMemory.used}`);
      peer.blocked = false;
      peer.handler.onDrain();
      topics.push(...take(peer));
      hub.settle();
    }
    assert.equal(topics.length, VALUES);
    assert.equal(new Set(topics).size, VALUES);
    assert.equal(hub.waitingMemory.used, 0);
  });
}

test("a topic that a replay stopped at is given back with the subscription and with the connection", () => {
  for (const leave of [(peer: HubPeer) => peer.send(unsubscribe(5, 2, "v/#")), (peer: HubPeer) => peer.drop()]) {
    const hub = hubWithValues();
    const peer = hub.connect({ version: 5, clientId: "reader" });
    peer.send(subscribe(5, 1, ["v/#", 1]));
    take(peer, false);
    assert.ok(hub.waitingMemory.used > 0);
    leave(peer);
    assert.equal(hub.waitingMemory.used, 0);
  }
});
