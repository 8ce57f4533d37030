import assert from "node:assert/strict";
import { test } from "node:test";
import { type MapRule, qosOf, TABLE_SLOTS, TABLE_TOPIC_BYTES_MAX, TopicMap } from "../../../src/uplink/topic-map.ts";

const NAMES = { node: "gw-17", client: "gw-17-up" };

function rule(match: string, to: string, qos: MapRule["qos"] = 1): MapRule {
  return { match, to, qos, retain: "keep" };
}

/** Topics that `topic` is sent to. */
function mapped(map: TopicMap, topic: string): string[] {
  const bytes = Buffer.from(`--${topic}--`);
  return map.targets(bytes, 2, bytes.length - 2).map((target) => target.topic.toString());
}

const TABLE: readonly [match: string, to: string, topic: string, expected: string[]][] = [
  ["sensors/#", "site/17/{topic}", "sensors/a/b", ["site/17/sensors/a/b"]],
  ["sensors/#", "site/{rest}", "sensors/a/b", ["site/a/b"]],
  ["sensors/#", "site/{rest}", "sensors/", ["site/"]],
  ["sensors/#", "site/{rest}", "sensors", ["site"]],
  ["sensors/#", "{rest}/x", "sensors/a", ["a/x"]],
  ["#", "all/{rest}", "a/b", ["all/a/b"]],
  ["#", "all/{rest}", "$SYS/a", []],
  ["+/+/c/+", "{3}/{2}/{1}", "a/b/c/d", ["d/b/a"]],
  ["+/+/c/+", "x/{4}", "a/b/c/d", ["x/"]],
  ["+/#", "{1}|{rest}|{topic}|{node}", "a/b/c", ["a|b/c|a/b/c|gw-17"]],
  ["a/#", "devices/{client}/messages/{rest}", "a/b", ["devices/gw-17-up/messages/b"]],
  ["a/+", "{1}", "a/ä€😀", ["ä€😀"]],
  ["a/b", "fixed", "a/b", ["fixed"]],
  ["a/b", "fixed", "a/b/c", []],
  ["$share/g/a/+", "l/{1}", "a/b", ["l/b"]],
  ["a/{b}", "{node}/{node}", "a/{b}", ["gw-17/gw-17"]],
];

for (const [match, to, topic, expected] of TABLE) {
  test(`${match} to ${to} makes of ${topic}: ${expected.join(", ") || "nothing"}`, () => {
    assert.deepEqual(mapped(new TopicMap([rule(match, to)], NAMES), topic), expected);
  });
}

test("what comes in leads nowhere under $SYS, whatever rule and topic make of it; what goes out is the server's", () => {
  const rules = [rule("#", "{topic}"), rule("in/#", "{rest}"), rule("+/+", "{1}/x"), rule("$SYS/#", "{topic}")];
  for (const topic of ["$SYS/broker/uptime", "in/$SYS/a", "$SYS"]) {
    assert.deepEqual(
      mapped(new TopicMap(rules, NAMES, true), topic).filter((name) => name.startsWith("$SYS")),
      [],
      topic,
    );
  }
  assert.deepEqual(mapped(new TopicMap(rules, NAMES, true), "in/$SYS/a"), ["in/$SYS/a"]);
  assert.deepEqual(mapped(new TopicMap(rules, NAMES, true), "in/$other"), ["in/$other", "$other", "in/x"]);
  assert.deepEqual(mapped(new TopicMap(rules, NAMES), "$SYS/a"), ["$SYS/a"]);
});

test("every rule that matches applies, in order", () => {
  const map = new TopicMap([rule("a/#", "one/{topic}"), rule("b", "two"), rule("a/+", "three/{1}")], NAMES);
  assert.deepEqual(mapped(map, "a/x"), ["one/a/x", "three/x"]);
});

test("two rules that give the same topic are one target with the higher QoS", () => {
  const map = new TopicMap([rule("a/#", "t", 0), rule("a/+", "t", 2), rule("+/b", "t", 1)], NAMES);
  const bytes = Buffer.from("a/b");
  const targets = map.targets(bytes, 0, bytes.length);
  assert.equal(targets.length, 1);
  assert.equal(qosOf(targets[0]!, 0), 2);
});

test("keep gives the publisher's QoS, and the higher of both beside a rule that sets one", () => {
  const kept = new TopicMap([rule("k", "t", "keep")], NAMES);
  const both = new TopicMap([rule("k", "t", "keep"), rule("k", "t", 1)], NAMES);
  const k = Buffer.from("k");
  assert.deepEqual(
    [0, 1, 2].map((qos) => qosOf(kept.targets(k, 0, 1)[0]!, qos)),
    [0, 1, 2],
  );
  assert.deepEqual(
    [0, 1, 2].map((qos) => qosOf(both.targets(k, 0, 1)[0]!, qos)),
    [1, 1, 2],
  );
});

test("a rule that makes an empty or too long topic has no target, and is counted", () => {
  const map = new TopicMap([rule("a/#", "{rest}"), rule("a/#", "ok/{rest}"), rule("a", "x".repeat(65_536))], NAMES);
  assert.deepEqual(mapped(map, "a"), ["ok"]);
  assert.equal(map.invalid, 2);
});

test("targets are remembered per topic; more topics than slots stay right", () => {
  const map = new TopicMap([rule("n/+", "m/{1}")], NAMES);
  const bytes = Buffer.from("n/1");
  assert.equal(map.targets(bytes, 0, 3), map.targets(Buffer.from("xn/1"), 1, 4));
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 4 * TABLE_SLOTS; i++) assert.deepEqual(mapped(map, `n/${i}`), [`m/${i}`]);
  }
});

test("a topic longer than the table takes is mapped all the same, on both sides of the bound", () => {
  const map = new TopicMap([rule("#", "{topic}")], NAMES);
  for (const length of [TABLE_TOPIC_BYTES_MAX - 1, TABLE_TOPIC_BYTES_MAX, TABLE_TOPIC_BYTES_MAX + 1]) {
    const topic = "t".repeat(length);
    assert.deepEqual(mapped(map, topic), [topic]);
    assert.deepEqual(mapped(map, topic), [topic]);
  }
});
