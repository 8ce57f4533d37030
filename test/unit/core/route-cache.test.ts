import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../src/base/random.ts";
import { ROUTE_WIDTH_MAX, RouteCache } from "../../../src/core/route-cache.ts";

/** Looks `topic` up; on a miss the route is filled with `receivers` slots. */
function look(cache: RouteCache, topic: string, receivers: number, ids: number[] | null = null): readonly number[] {
  const key = Buffer.from(topic);
  const route = cache.find(key, 0, key.length);
  if (cache.hit) return route.slots;
  for (let slot = 0; slot < receivers; slot++) {
    route.slots.push(slot);
    route.grants.push(0);
    route.subscriptionIds.push(ids);
  }
  return cache.keep(key, 0, key.length).slots;
}

test("routes are kept until their receivers take all places, exactly; then the oldest entry makes way", () => {
  const cache = new RouteCache();
  look(cache, "a", ROUTE_WIDTH_MAX - 4);
  look(cache, "b", 1, [7]);
  assert.equal(cache.width, ROUTE_WIDTH_MAX, "an identifier takes a place, its list two");
  look(cache, "a", 0);
  assert.ok(cache.hit);
  assert.equal(look(cache, "c", 1).length, 1);
  assert.ok(cache.width < ROUTE_WIDTH_MAX);
  look(cache, "c", 0);
  assert.ok(cache.hit);
});

test("a route that is wider than all places serves, and is not kept", () => {
  const cache = new RouteCache();
  look(cache, "narrow", 1);
  for (let times = 1; times <= 2; times++) {
    assert.equal(look(cache, "wide", ROUTE_WIDTH_MAX + 1).length, ROUTE_WIDTH_MAX + 1);
    assert.equal(cache.misses, 1 + times);
  }
  assert.equal(cache.width, 1);
  assert.equal(look(cache, "max", ROUTE_WIDTH_MAX).length, ROUTE_WIDTH_MAX);
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
    assert.equal(look(cache, topic, width).length, width);
    assert.ok(cache.width <= ROUTE_WIDTH_MAX);
  }
});
