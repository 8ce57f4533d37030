import assert from "node:assert/strict";
import { test } from "node:test";
import { STORED_LATER } from "../../../../src/core/router.ts";
import { Harness, registers, slave } from "./harness.ts";

const POINTS = [
  { name: "a", address: 0, deadband: 5 },
  { name: "b", address: 1, type: "bool", bit: 0 },
  { name: "c", address: 20, type: "float32" },
];
const GROUP = { name: "fast", message: "group" };

function valuesIn(lines: readonly string[], topic = "serial/bus/s1/fast"): unknown[] {
  return lines.map((line) => {
    assert.ok(line.startsWith(`${topic} {"time":"20`) || line.startsWith(`${topic} {"time":"19`), line);
    return (JSON.parse(line.slice(topic.length)) as { values: unknown }).values;
  });
}

function harness(values: number[]): Harness {
  const h = new Harness({ slaves: [slave(1, POINTS, GROUP)] });
  h.bus.slaves.set(1, registers(values));
  h.bus.open();
  h.advance(10);
  return h;
}

test("message: group has all values of a group in one message, when all its reads have ended and one value is news", () => {
  const values = Array(22).fill(0);
  const h = harness(values);
  assert.deepEqual(valuesIn(h.taken()), [{ a: 0, b: false, c: 0 }]);
  values[0] = 5;
  h.advance(1000);
  assert.deepEqual(h.taken(), []);
  values[1] = 1;
  values[20] = 0x41aa;
  h.advance(1000);
  assert.deepEqual(valuesIn(h.taken()), [{ a: 5, b: true, c: 21.25 }]);
  values[0] = 10;
  h.advance(1000);
  assert.deepEqual(h.taken(), [], "5 from the value published last");
  assert.equal(h.counters.get("modbus.values_published"), 2);
});

test("what could not be read, or is no number, is left out; the others go on", () => {
  const values = Array(22).fill(0);
  const h = harness(values);
  h.taken();
  values[20] = 0x7fc0;
  values[0] = 10;
  h.advance(1000);
  assert.deepEqual(valuesIn(h.taken()), [{ a: 10, b: false }]);
  values.length = 20; // the second read is refused from now on
  values[0] = 20;
  h.advance(1000);
  values[0] = 30;
  h.advance(3000);
  assert.deepEqual(valuesIn(h.taken()), [
    { a: 20, b: false },
    { a: 30, b: false },
  ]);
});

test("a message that the store would not have comes again with the next round", () => {
  const h = harness(Array(22).fill(0));
  h.taken();
  h.outcome = STORED_LATER;
  h.bus.slaves.set(1, registers(Array(22).fill(9)));
  h.advance(1000);
  assert.equal(h.taken().length, 1);
  for (const { waiter, token } of h.waiting.splice(0)) waiter.onStored(token, 0x97);
  h.advance(1000);
  assert.equal(h.taken().length, 1);
  assert.equal(h.counters.get("modbus.values_refused"), 1);
});

test("state: a slave that answers is online, one that does not, or whose port is away, offline; retained, once each", () => {
  const points = [{ name: "a", address: 0, publish: "always" }];
  const h = new Harness({
    timeout: "100ms",
    state: "state/{line}/{slave}",
    slaves: [slave(1, points), { ...slave(2, points), state: "off" }],
  });
  const states = (): string[] => h.taken().filter((line) => line.startsWith("state/"));
  assert.deepEqual(states(), ["state/bus/s1 offline"]);
  h.bus.slaves.set(1, registers([1]));
  h.bus.slaves.set(2, registers([1]));
  h.bus.open();
  h.advance(3000);
  assert.deepEqual(states(), ["state/bus/s1 online"]);
  h.bus.slaves.clear();
  h.advance(20_000);
  assert.deepEqual(states(), ["state/bus/s1 offline"]);
  h.bus.slaves.set(1, registers([1]));
  h.advance(60_000);
  assert.deepEqual(states(), ["state/bus/s1 online"]);
  h.bus.away();
  assert.deepEqual(states(), ["state/bus/s1 offline"]);
  h.bus.open();
  h.advance(1000);
  assert.deepEqual(states(), ["state/bus/s1 online"]);
});
