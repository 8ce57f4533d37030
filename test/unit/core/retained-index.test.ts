import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../src/base/random.ts";
import { RetainedIndex } from "../../../src/core/retained-index.ts";
import { filterMatches } from "../../../src/core/topic.ts";

const FILTERS = ["#", "+/#", "a/#", "+/b/+", "a/b/c", "+", "a/+/#", "/+", "$x/#"];

function topicsOf(index: RetainedIndex, filter: string, place = ""): string[] {
  return [...index.match(filter, { place })].filter((topic) => topic !== null);
}

test("a walk that is left at any topic and taken up behind it later finds the rest, whatever came and went meanwhile", () => {
  const random = seededRandom(7);
  const pick = (names: readonly string[]): string => names[Math.floor(random() * names.length)] as string;
  const randomTopic = (): string =>
    Array.from({ length: 1 + Math.floor(random() * 4) }, () => pick(["", "a", "b", "c", "é", "zz", "$x", "a b"])).join(
      "/",
    ) || "a";
  for (let round = 0; round < 200; round++) {
    const index = new RetainedIndex(() => false);
    const topics = new Set<string>();
    const change = (): void => {
      const topic = randomTopic();
      if (random() < 0.7) {
        index.set(topic, 10, null);
        topics.add(topic);
      } else {
        index.delete(topic);
        topics.delete(topic);
      }
    };
    for (let n = 0; n < 60; n++) change();
    const filter = pick(FILTERS);
    const all = topicsOf(index, filter);
    assert.deepEqual([...all].sort(), [...topics].filter((topic) => filterMatches(filter, topic)).sort(), filter);
    for (const [i, topic] of all.entries())
      assert.deepEqual(topicsOf(index, filter, `${topic}/`), all.slice(i + 1), `${filter} after ${topic}`);
    // With changes between any two: each topic that was there all the time comes once, and none twice.
    const stayed = new Set(all);
    const found: string[] = [];
    const walk = { place: "" };
    for (;;) {
      const next = index.match(filter, walk).next();
      if (next.done === true) break;
      if (next.value !== null) found.push(next.value);
      change();
      for (const topic of stayed) if (!topics.has(topic)) stayed.delete(topic);
    }
    assert.equal(new Set(found).size, found.length);
    for (const topic of stayed) assert.ok(found.includes(topic), `${filter}: ${topic}`);
    for (const topic of topics) index.delete(topic);
    assert.deepEqual([index.count, index.valueBytes, index.bytes], [0, 0, 0]);
  }
});

test("a walk goes on where it is when topics come and go around it", () => {
  const index = new RetainedIndex(() => false);
  for (const topic of ["a", "b", "c", "d", "e"]) index.set(topic, 1, null);
  const found: string[] = [];
  for (const topic of index.match("#")) {
    if (topic === null) continue;
    found.push(topic);
    if (topic === "b") for (const gone of ["a", "b", "d"]) index.delete(gone);
    if (topic === "c") index.set("cc", 1, null);
  }
  assert.deepEqual(found, ["a", "b", "c", "cc", "e"]);
});
