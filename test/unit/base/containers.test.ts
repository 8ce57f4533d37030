import assert from "node:assert/strict";
import { test } from "node:test";
import { BoundedMap } from "../../../src/base/bounded-map.ts";
import { IdSet } from "../../../src/base/id-set.ts";
import { BufferPool } from "../../../src/base/pool.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { RingBuffer } from "../../../src/base/ring-buffer.ts";

test("a ring keeps order while it grows and wraps, and says when it is full", () => {
  const ring = new RingBuffer<number>(20);
  const model: number[] = [];
  const random = seededRandom(1);
  for (let i = 0; i < 5000; i++) {
    if (random() < 0.55) {
      assert.equal(ring.push(i), model.length < 20);
      if (model.length < 20) model.push(i);
    } else {
      assert.equal(ring.shift(), model.shift());
    }
    assert.equal(ring.length, model.length);
    assert.equal(ring.peek(), model[0]);
    assert.equal(ring.at(model.length - 1), model.at(-1));
    assert.equal(ring.at(model.length), undefined);
    assert.equal(ring.at(-1), undefined);
  }
  ring.clear();
  assert.equal(ring.length, 0);
  assert.equal(ring.shift(), undefined);
  assert.equal(ring.push(1), true);
});

test("a ring of one holds one", () => {
  const ring = new RingBuffer<string>(1);
  assert.equal(ring.push("a"), true);
  assert.equal(ring.push("b"), false);
  assert.equal(ring.shift(), "a");
  assert.equal(ring.push("b"), true);
});

test("a pool gives out as many buffers as it may have, and the same ones again", () => {
  const pool = new BufferPool(64, 2);
  const first = pool.take();
  const second = pool.take();
  assert.ok(first !== null && second !== null && first !== second);
  assert.equal(pool.inUse, 2);
  assert.equal(pool.take(), null);
  pool.give(first);
  assert.equal(pool.take(), first);
  pool.give(first);
  pool.give(second);
  assert.equal(pool.inUse, 0);
  assert.throws(() => pool.give(second), /once/);
  assert.throws(() => pool.give(Buffer.alloc(65)), /pool/);
});

test("a bounded map refuses new keys when full, and takes new values for old ones", () => {
  const map = new BoundedMap<string, number>(2);
  assert.equal(map.set("a", 1), true);
  assert.equal(map.set("b", 2), true);
  assert.equal(map.set("c", 3), false);
  assert.equal(map.has("c"), false);
  assert.equal(map.set("a", 4), true);
  assert.deepEqual(
    [...map.entries()],
    [
      ["a", 4],
      ["b", 2],
    ],
  );
  assert.equal(map.delete("a"), true);
  assert.equal(map.set("c", 3), true);
  assert.equal(map.size, 2);
  map.clear();
  assert.equal(map.get("c"), undefined);
});

test("an id set behaves as a Set, below and above the size where it becomes a bitmap", () => {
  const ids = new IdSet();
  const model = new Set<number>();
  const random = seededRandom(2);
  for (let i = 0; i < 20_000; i++) {
    // Long stretches of mostly adding, then mostly deleting, over few ids.
    const id = Math.floor(random() * 100) * 661;
    if (random() < (i % 4000 < 2000 ? 0.7 : 0.2)) {
      assert.equal(ids.add(id), !model.has(id));
      model.add(id);
    } else {
      assert.equal(ids.delete(id), model.delete(id));
    }
    assert.equal(ids.size, model.size);
    assert.equal(ids.has(id), model.has(id));
  }
  assert.deepEqual([...ids].sort(), [...model].sort());
  ids.clear();
  assert.equal(ids.size, 0);
  assert.equal(ids.add(0), true);
  assert.equal(ids.add(65_535), true);
  assert.throws(() => ids.add(65_536), /16 bits/);
});
