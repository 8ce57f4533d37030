import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../../src/base/counters.ts";
import { Publication } from "../../../src/core/publication.ts";
import { Retained } from "../../../src/core/retained.ts";
import { Route, RouteCache } from "../../../src/core/route-cache.ts";
import { clockOf } from "../../support/clock-of.ts";
import { MemoryStore } from "../../support/memory-store.ts";
import { Hub } from "../../support/mqtt-hub.ts";
import { SUBACK, subscribe } from "../../support/mqtt-packets.ts";

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
  assert.equal(retained.nodes, 0);
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
