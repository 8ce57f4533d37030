import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../../src/base/counters.ts";
import { Publication } from "../../../src/core/publication.ts";
import { budget, Retained } from "../../../src/core/retained.ts";
import { Route, RouteCache } from "../../../src/core/route-cache.ts";
import { clockOf } from "../../support/clock-of.ts";
import { MemoryStore } from "../../support/memory-store.ts";
import { Hub } from "../../support/mqtt-hub.ts";
import {
  ack,
  type Packet,
  PUBACK,
  PUBLISH,
  publish,
  readPublish,
  SUBACK,
  subscribe,
} from "../../support/mqtt-packets.ts";

test("topics of many levels fill the retained index with a few levels per value", () => {
  const store = new MemoryStore();
  const time = clockOf(() => 0);
  const retained = new Retained(
    store,
    time,
    { retainedMessages: 100, retainedBytes: 1e9, retainedPayloadBytes: 1e9 },
    new Counters(),
  );
  const p = new Publication();
  let taken = 0;
  for (let i = 0; i < 100; i++) {
    p.setParts(`${i}${"/a".repeat(150)}`, Buffer.from("v"), 0, true);
    if (!retained.takes(p)) break;
    p.kept = null;
    taken++;
    retained.put(new Hub().router.keep(p));
  }
  assert.ok(taken > 0 && taken < 10, `${taken}`);
  // What it has may still change, and make room by going.
  p.setParts(`0${"/a".repeat(150)}`, Buffer.from("w"), 0, true);
  assert.equal(retained.takes(p), true);
  for (let i = 0; i < taken; i++) {
    p.setParts(`${i}${"/a".repeat(150)}`, Buffer.alloc(0), 0, true);
    p.kept = null;
    retained.put(new Hub().router.keep(p));
  }
  assert.equal(retained.indexBytes, 0);
});

test("a filter of many levels takes more of the subscriptions' memory than one of few", () => {
  const hub = new Hub();
  const peer = hub.connect({ version: 4, clientId: "a" });
  peer.send(subscribe(4, 1, ["a/b/c", 0]));
  const shallow = hub.counters.get("session.subscription_bytes");
  peer.send(subscribe(4, 2, [`x${"/y".repeat(15)}`, 0]));
  const deep = hub.counters.get("session.subscription_bytes") - shallow;
  assert.equal(peer.take().filter(({ type }) => type === SUBACK).length, 2);
  assert.ok(deep > 10 * 200, `${deep}`);
});

test("the route cache keeps no key longer than its line of the bill allows", () => {
  const cache = new RouteCache();
  const topic = Buffer.alloc(60_000, 0x61);
  const built = new Route();
  built.clear();
  built.add(1, 0);
  assert.equal(cache.find(topic, 0, topic.length), null);
  assert.equal(cache.keep(cache.place, built, topic, 0, topic.length), built);
  assert.equal(cache.find(topic, 0, topic.length), null);
  assert.equal(cache.width, 0);
});

test("long names, times to live and names left over from longer topics count in the memory of the retained index", () => {
  const time = clockOf(() => 0);
  const limits = { retainedMessages: 1000, retainedBytes: 1e9, retainedPayloadBytes: 1e9 };
  const retained = new Retained(new MemoryStore(), time, limits, new Counters());
  const { router } = new Hub();
  const p = new Publication();
  const put = (topic: string, payload = "v", expirySeconds = -1): boolean => {
    p.setParts(topic, Buffer.from(payload), 0, true);
    p.kept = null;
    p.expirySeconds = expirySeconds;
    if (!retained.takes(p)) return false;
    retained.put(router.keep(p));
    return true;
  };
  const bytesMax = (budget(limits)[0] as { bytes: number }).bytes;
  let long = 0;
  while (put(`${long}-${"€".repeat(300)}`, "v", 60)) long++;
  assert.ok(long > 200 && long < 1000, `${long}`);
  assert.ok(retained.indexBytes <= bytesMax && retained.indexBytes > bytesMax * 0.95, `${retained.indexBytes}`);
  // Full, but what is there may change; a time to live is memory too.
  assert.ok(put(`0-${"€".repeat(300)}`, "other", 60));
  for (let i = 0; i < long; i++) assert.ok(put(`${i}-${"€".repeat(300)}`, ""));
  assert.equal(retained.indexBytes, 0);
  // Levels with one, a few and many others below them, and back.
  for (let i = 0; i < 40; i++) assert.ok(put(`hall/line-${i % 4}/value-${i}`, `${i}`));
  for (let i = 0; i < 30; i++) assert.ok(put(`hall/line-${i % 4}/value-${i}`, ""));
  const left = [...retained.match("hall/+/#")].filter((topic) => topic !== null).sort();
  assert.deepEqual(left, Array.from({ length: 10 }, (_, i) => `hall/line-${(i + 30) % 4}/value-${i + 30}`).sort());
  for (let i = 30; i < 40; i++) assert.ok(put(`hall/line-${i % 4}/value-${i}`, ""));
  assert.deepEqual([...retained.match("#")], []);
  assert.equal(retained.indexBytes, 0);
});

test("who leaves the oldest message unanswered takes of the memory of all rings, and waits when it is used up", () => {
  const hub = new Hub(1 << 20, { sessionQueueMessages: 10_000, inflight: 64 });
  const { ringMemory } = hub.registry;
  const publisher = hub.connect({ version: 5, clientId: "publisher" });
  const readers = Array.from({ length: 20 }, (_, i) => {
    const reader = hub.connect({ version: 5, clientId: `reader-${i}`, expirySeconds: 3600 });
    reader.send(subscribe(5, 1, ["t", 1]));
    return { reader, oldest: 0, got: 0 };
  });
  hub.settle();
  const send = (): void => publisher.send(publish(5, { topic: "t", payload: "x", qos: 1, packetId: 1 }));
  const answer = (all: boolean): void => {
    for (const each of readers)
      for (const { qos, packetId } of each.reader.take().filter(isPublish).map(asPublish)) {
        assert.equal(qos, 1);
        each.got++;
        if (each.oldest === 0) each.oldest = packetId as number;
        if (all || packetId !== each.oldest) each.reader.send(ack(PUBACK, packetId as number));
      }
  };
  for (let n = 0; n < 500; n++) {
    send();
    hub.settle();
    answer(false);
    publisher.take();
  }
  assert.ok(ringMemory.used <= ringMemory.bytesMax, `${ringMemory.used}`);
  assert.ok(ringMemory.used > ringMemory.bytesMax / 2, `${ringMemory.used}`);
  const least = Math.min(...readers.map(({ got }) => got));
  assert.ok(least >= 8 && least < 500, `${least}`);
  for (const { reader, oldest } of readers) reader.send(ack(PUBACK, oldest));
  for (let n = 0; n < 100; n++) {
    hub.settle();
    answer(true);
  }
  assert.deepEqual(new Set(readers.map(({ got }) => got)), new Set([500]));
  assert.ok(ringMemory.used <= ringMemory.bytesMax / 2, `${ringMemory.used}`);
  for (const i of readers.keys()) hub.connect({ version: 5, clientId: `reader-${i}`, clean: true });
  assert.equal(ringMemory.used, 0);
});

function isPublish({ type }: Packet): boolean {
  return type === PUBLISH;
}

function asPublish(packet: Packet): ReturnType<typeof readPublish> {
  return readPublish(5, packet);
}
