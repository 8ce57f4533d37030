import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../src/base/random.ts";
import { filterMatches, isTopicFilter, isTopicName } from "../../../src/core/topic.ts";
import { TopicTree } from "../../../src/core/topic-tree.ts";

function slots(tree: TopicTree, topic: string): number[] {
  const found: number[] = [];
  const bytes = Buffer.from(`<${topic}>`);
  tree.match(bytes, 1, bytes.length - 1, ({ slot }) => found.push(slot));
  return found.sort((a, b) => a - b);
}

const MATCHES: [filter: string, topic: string, matches: boolean][] = [
  ["sport/tennis/player1/#", "sport/tennis/player1", true],
  ["sport/tennis/player1/#", "sport/tennis/player1/ranking", true],
  ["sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true],
  ["sport/#", "sport", true],
  ["#", "a/b/c", true],
  ["sport/tennis/+", "sport/tennis/player1", true],
  ["sport/tennis/+", "sport/tennis/player1/ranking", false],
  ["sport/+", "sport", false],
  ["sport/+", "sport/", true],
  ["+/+", "/finance", true],
  ["/+", "/finance", true],
  ["+", "/finance", false],
  ["#", "$SYS/uptime", false],
  ["+/monitor/Clients", "$SYS/monitor/Clients", false],
  ["$SYS/#", "$SYS/uptime", true],
  ["$SYS/monitor/+", "$SYS/monitor/Clients", true],
  ["a//b", "a//b", true],
  ["a/+/b", "a//b", true],
  ["a/b", "a/B", false],
];

for (const [filter, topic, matches] of MATCHES) {
  test(`[MQTT5-4.7] ${filter} ${matches ? "matches" : "does not match"} ${topic}`, () => {
    const tree = new TopicTree();
    tree.add(filter, { slot: 1, options: 0, subscriptionId: 0 });
    assert.deepEqual(slots(tree, topic), matches ? [1] : []);
    assert.equal(filterMatches(filter, topic), matches);
  });
}

test("[MQTT5-4.7.1-1] [MQTT5-4.7.1-2] wildcards stand alone in their level, # in the last", () => {
  for (const filter of ["a/#/b", "a#", "a/b#", "+a", "a/+b/c", "", "a\0b", "#/a"])
    assert.equal(isTopicFilter(filter), false, filter);
  for (const filter of ["#", "+", "a/+/#", "/", "+/+", "a//b"]) assert.equal(isTopicFilter(filter), true, filter);
  for (const topic of ["", "a/+", "#", "a\0", "\ud800"]) assert.equal(isTopicName(topic), false, topic);
});

test("the tree knows whether any filter leads below a first level", () => {
  const tree = new TopicTree();
  const subscription = { slot: 1, options: 0, subscriptionId: 0 };
  for (const filter of ["#", "+/#", "a/$SYS/#", "$SYSTEM/#"]) tree.add(filter, subscription);
  assert.equal(tree.hasUnder("$SYS"), false);
  for (const filter of ["$SYS/#", "$SYS", "$SYS/+/a"]) {
    tree.add(filter, subscription);
    assert.equal(tree.hasUnder("$SYS"), true, filter);
    tree.remove(filter, 1);
    assert.equal(tree.hasUnder("$SYS"), false, filter);
  }
});

test("the tree agrees with the plain comparison over random filters and topics, and is empty after all are removed", () => {
  const random = seededRandom(7);
  const pick = (from: readonly string[]): string => from[Math.floor(random() * from.length)] as string;
  const tree = new TopicTree();
  const entered = new Map<string, Set<number>>();
  for (let step = 0; step < 3000; step++) {
    const depth = 1 + Math.floor(random() * 4);
    const levels = Array.from({ length: depth }, () => pick(["a", "b", "", "+", "$x"]));
    if (random() < 0.2) levels[depth - 1] = "#";
    const filter = levels.join("/") || "a";
    const slot = Math.floor(random() * 20);
    const slotsOf = entered.get(filter) ?? new Set();
    if (random() < 0.5) {
      assert.equal(tree.add(filter, { slot, options: 0, subscriptionId: 0 }), !slotsOf.has(slot));
      entered.set(filter, slotsOf.add(slot));
    } else {
      assert.equal(tree.remove(filter, slot), slotsOf.delete(slot));
    }
    const topic =
      Array.from({ length: 1 + Math.floor(random() * 4) }, () => pick(["a", "b", "", "$x"])).join("/") || "b";
    const expected: number[] = [];
    for (const [f, s] of entered) if (filterMatches(f, topic)) expected.push(...s);
    assert.deepEqual(
      slots(tree, topic),
      expected.sort((a, b) => a - b),
    );
  }
  for (const [filter, set] of entered) for (const slot of set) assert.equal(tree.remove(filter, slot), true);
  assert.equal(tree.count, 0);
  assert.deepEqual(slots(tree, "a"), []);
});
