import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../src/base/random.ts";
import { LevelNames, NONE } from "../../../src/core/level-names.ts";

function numbersOf(names: LevelNames, topic: string, room: number): { levels: number; numbers: number[] } {
  const bytes = Buffer.from(`/${topic}/`);
  const into = new Int32Array(room);
  const levels = names.read(bytes, 1, bytes.length - 1, into);
  return { levels, numbers: [...into.subarray(0, Math.min(levels, room))] };
}

test("a topic is read into the numbers of its levels, as many as there is room for, and one more is counted", () => {
  const names = new LevelNames();
  const [a, empty, umlaut] = ["a", "", "ü"].map((name) => names.take(Buffer.from(name))) as [number, number, number];
  assert.deepEqual(numbersOf(names, "a//ü", 3), { levels: 3, numbers: [a, empty, umlaut] });
  assert.deepEqual(numbersOf(names, "a//ü", 9), { levels: 3, numbers: [a, empty, umlaut] });
  assert.deepEqual(numbersOf(names, "a//ü", 2), { levels: 3, numbers: [a, empty] });
  assert.deepEqual(numbersOf(names, "a//ü", 0), { levels: 1, numbers: [] });
  assert.deepEqual(numbersOf(names, "aa/x/", 3), { levels: 3, numbers: [NONE, NONE, empty] });
});

test("names that are taken and released at random keep their numbers while they are used, and no other name has them", () => {
  const random = seededRandom(3);
  const names = new LevelNames();
  const held = new Map<string, { number: number; uses: number }>();
  for (let step = 0; step < 40_000; step++) {
    const name = "n".repeat(Math.floor(random() ** 4 * 40)) + Math.floor(random() * 700);
    const bytes = Buffer.from(name);
    const entry = held.get(name);
    assert.equal(names.find(bytes), entry?.number ?? NONE);
    // Many come for a while, then many go.
    if (random() < (Math.floor(step / 5_000) % 2 === 0 ? 0.7 : 0.2)) {
      const number = names.take(bytes);
      if (entry === undefined) held.set(name, { number, uses: 1 });
      else entry.uses++;
      assert.equal(number, held.get(name)?.number);
    } else if (entry !== undefined) {
      names.release(entry.number);
      if (--entry.uses === 0) held.delete(name);
    }
    assert.equal(names.count, held.size);
  }
  assert.equal(new Set([...held.values()].map(({ number }) => number)).size, held.size);
  for (const [name, { number, uses }] of held) {
    assert.equal(names.find(Buffer.from(name)), number, name);
    for (let use = 0; use < uses; use++) names.release(number);
  }
  assert.equal(names.count, 0);
});
