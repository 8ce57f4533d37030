import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../src/base/random.ts";
import { ROUTE_WIDTH_MAX, Route, RouteCache } from "../../../src/core/route-cache.ts";

/** What the last `look` found. */
let hit = false;

/** Looks `topic` up; on a miss its route is one to `receivers` slots. */
function look(cache: RouteCache, topic: string, receivers: number, ids: number[] | null = null): Route {
  const key = Buffer.from(topic);
  const found = cache.find(key, 0, key.length);
  hit = found !== null;
  if (found !== null) return found;
  const built = new Route();
  built.clear();
  for (let slot = 0; slot < receivers; slot++) built.subscriptionIds[built.add(slot, 0)] = ids;
  return cache.keep(cache.place, built, key, 0, key.length);
}

/** Looks up each of `topics` in turn, `rounds` times. @returns the share of hits in the last round */
function hitsOf(cache: RouteCache, topics: readonly string[], rounds: number): number {
  let hits = 0;
  for (let round = 1; round <= rounds; round++) {
    hits = 0;
    for (const topic of topics) {
      look(cache, topic, 1);
      if (hit) hits++;
    }
  }
  return hits / topics.length;
}

function topicsOf(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}/${i}`);
}

test("routes are kept until their receivers take all places, exactly; then the oldest entry makes way", () => {
  const cache = new RouteCache();
  look(cache, "a", ROUTE_WIDTH_MAX - 4);
  look(cache, "b", 1, [7]);
  assert.equal(cache.width, ROUTE_WIDTH_MAX, "an identifier takes a place, its list two");
  look(cache, "a", 0);
  assert.ok(hit);
  assert.equal(look(cache, "c", 1).count, 1);
  assert.ok(cache.width < ROUTE_WIDTH_MAX);
  look(cache, "c", 0);
  assert.ok(hit);
});

test("a route that is wider than all places serves, and is not kept", () => {
  const cache = new RouteCache();
  look(cache, "narrow", 1);
  for (let times = 1; times <= 2; times++) {
    assert.equal(look(cache, "wide", ROUTE_WIDTH_MAX + 1).count, ROUTE_WIDTH_MAX + 1);
    assert.equal(cache.misses, 1 + times);
  }
  assert.equal(cache.width, 1);
  assert.equal(look(cache, "max", ROUTE_WIDTH_MAX).count, ROUTE_WIDTH_MAX);
  assert.equal(cache.width, ROUTE_WIDTH_MAX);
});

test("whatever is looked up and changed in any order: every answer is right, and the places never exceed the limit", () => {
  const cache = new RouteCache();
  const random = seededRandom(1);
  const widths = new Map<string, number>();
  for (let step = 0; step < 50_000; step++) {
    const topic = `t${Math.floor(random() * 2_000)}`.padEnd(random() < 0.05 ? 129 : 1, "x");
    if (random() < 0.1) {
      widths.set(topic, Math.floor(random() ** 8 * 1.2 * ROUTE_WIDTH_MAX));
      if (random() < 0.02) cache.generation++;
      else cache.forget(Buffer.from(topic));
    }
    const width = widths.get(topic) ?? 1;
    const route = look(cache, topic, width);
    assert.equal(route.count, width);
    assert.ok(width === 0 || route.slotAt(width - 1) === width - 1);
    assert.ok(cache.width <= ROUTE_WIDTH_MAX);
  }
});

test("where every topic is new, nearly all of those that were there stay", () => {
  const cache = new RouteCache();
  const kept = topicsOf("kept", 200);
  const before = hitsOf(cache, kept, 3);
  for (const topic of topicsOf("new", 2_000)) look(cache, topic, 1);
  assert.ok(hitsOf(cache, kept, 1) > before - 0.1);
});

test("topics that come again take the places of those that do not, as many as there are", () => {
  for (const count of [1, 100, 300, 500, 1_000]) {
    const cache = new RouteCache();
    hitsOf(cache, topicsOf("old", 2_000), 3);
    const fresh = topicsOf("fresh", count);
    const expected = hitsOf(new RouteCache(), fresh, 100) - 0.02;
    assert.ok(hitsOf(cache, fresh, 100) >= expected, `${count}`);
    assert.ok(expected > 0.95 - count / 1_500, `${expected} of ${count}`);
  }
});

test("a topic that comes often is kept among others that are all new", () => {
  const cache = new RouteCache();
  hitsOf(cache, topicsOf("old", 2_000), 2);
  let hits = 0;
  for (let i = 0; i < 10_000; i++) {
    look(cache, `new/${i}`, 1);
    if (i % 100 > 0) continue;
    look(cache, "often", 1);
    if (hit) hits++;
  }
  assert.ok(hits >= 90, `${hits} of 100`);
});
