import assert from "node:assert/strict";
import { test } from "node:test";
import { STEPS_PER_TURN } from "../../../../src/core/retained-feed.ts";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  ack,
  field,
  PUBACK,
  PUBLISH,
  packet,
  publish,
  readPublish,
  SUBACK,
  subscribe,
  UNSUBSCRIBE,
  u16,
} from "../../../support/mqtt-packets.ts";

/** Values that a few steps do not reach. */
const VALUES = 2 * STEPS_PER_TURN + 500;
const AT_ONCE_MAX = 32;

function hubWith(values: number, qos = 0): Hub {
  const hub = new Hub(undefined, { retainedMessages: 10_000 });
  const peer = hub.connect({ version: 4, clientId: "p" });
  for (let i = 0; i < values; i++) {
    const packetId = qos === 0 ? {} : { packetId: (i % 1000) + 1 };
    peer.send(publish(4, { topic: `r/${i}`, payload: "v", retain: true, qos, ...packetId }));
    if (qos > 0 && i % 500 === 0) hub.settle();
  }
  hub.settle();
  peer.drop();
  return hub;
}

function topicsOf(peer: HubPeer): string[] {
  return peer
    .take()
    .filter(({ type }) => type === PUBLISH)
    .map((found) => readPublish(4, found).topic);
}

test("a few retained values come with SUBACK", () => {
  const hub = hubWith(5);
  const peer = hub.connect({ version: 4, clientId: "s" });
  peer.take();
  peer.send(subscribe(4, 1, ["r/#", 0]));
  assert.deepEqual(
    peer.take().map(({ type }) => type),
    [SUBACK, PUBLISH, PUBLISH, PUBLISH, PUBLISH, PUBLISH],
  );
  assert.equal(hub.turn(), 0);
});

test("thousands come in slices, a turn each, every value once and in the order of the index", () => {
  const hub = hubWith(VALUES);
  const peer = hub.connect({ version: 4, clientId: "s" });
  peer.take();
  peer.send(subscribe(4, 1, ["#", 0]));
  const slices = [topicsOf(peer)];
  while (hub.turn() > 0) slices.push(topicsOf(peer));
  assert.equal(slices.length, 4);
  assert.ok((slices[0]?.length ?? 0) <= AT_ONCE_MAX);
  for (const slice of slices) assert.ok(slice.length <= STEPS_PER_TURN);
  assert.deepEqual(slices.flat(), Array.from({ length: VALUES }, (_, i) => `r/${i}`).sort());
});

test("SUBSCRIBE after SUBSCRIBE, and what drains meanwhile, does not make more of a turn", () => {
  const hub = hubWith(VALUES);
  const peer = hub.connect({ version: 4, clientId: "s" });
  peer.take();
  for (let i = 1; i <= 100; i++) {
    peer.send(subscribe(4, i, ["#", 0]), subscribe(4, 1000 + i, ["+/+", 0]));
    peer.handler.onDrain();
  }
  assert.ok(topicsOf(peer).length <= AT_ONCE_MAX);
  assert.equal(hub.turn(), 1);
  assert.ok(topicsOf(peer).length <= STEPS_PER_TURN);
});

test("an index that is looked through in vain takes turns, too", () => {
  const hub = hubWith(VALUES);
  const peer = hub.connect({ version: 4, clientId: "s" });
  peer.send(subscribe(4, 1, ["+/+/nothing", 0], ["nothing/#", 0], ["r/7", 0]));
  let turns = 0;
  peer.take();
  while (hub.turn() > 0) turns++;
  assert.equal(turns, 3);
  assert.deepEqual(topicsOf(peer), ["r/7"]);
});

test("what a peer does not read is not sent, and goes on in turns when it does", () => {
  const hub = hubWith(VALUES);
  const peer = hub.connect({ version: 4, clientId: "s" });
  peer.take();
  peer.send(subscribe(4, 1, ["#", 0]));
  const got = topicsOf(peer);
  peer.blocked = true;
  assert.equal(hub.turn(), 1);
  assert.deepEqual([hub.turn(), topicsOf(peer)], [0, []]);
  peer.blocked = false;
  peer.handler.onDrain();
  got.push(...topicsOf(peer));
  while (hub.turn() > 0) got.push(...topicsOf(peer));
  assert.equal(new Set(got).size, VALUES);
  assert.equal(got.length, VALUES);
});

test("at QoS 1 each acknowledgement brings the next, all of them once", () => {
  const hub = hubWith(300, 1);
  const peer = hub.connect({ version: 4, clientId: "s" });
  peer.take();
  peer.send(subscribe(4, 1, ["#", 1]));
  const got: string[] = [];
  for (let quiet = 0; quiet < 2; ) {
    const publishes = peer.take().filter(({ type }) => type === PUBLISH);
    for (const found of publishes) {
      const { topic, packetId } = readPublish(4, found);
      got.push(topic);
      peer.send(ack(PUBACK, packetId as number));
    }
    quiet = hub.turn() === 0 && publishes.length === 0 ? quiet + 1 : 0;
  }
  assert.equal(got.length, 300);
  assert.equal(new Set(got).size, 300);
});

test("a turn that comes after UNSUBSCRIBE, or after the connection's end, sends nothing", () => {
  const hub = hubWith(VALUES);
  const leaver = hub.connect({ version: 4, clientId: "a" });
  const gone = hub.connect({ version: 4, clientId: "b" });
  for (const peer of [leaver, gone]) peer.send(subscribe(4, 1, ["#", 0]));
  leaver.send(packet(UNSUBSCRIBE, 2, u16(2), field("#")));
  gone.drop();
  leaver.take();
  assert.equal(hub.turn(), 2);
  assert.deepEqual(topicsOf(leaver), []);
  assert.equal(hub.turn(), 0);
});
