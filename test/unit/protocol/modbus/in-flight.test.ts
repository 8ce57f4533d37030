import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness, registers, slave } from "./harness.ts";

const POINTS = Array.from({ length: 6 }, (_, i) => ({ name: `p${i}`, address: 10 * i, write: i === 0 }));
const VALUES = Array.from({ length: 60 }, (_, i) => i);

function harness(modbus: Record<string, unknown> = {}): Harness {
  const h = new Harness({ transport: "tcp", in_flight: 4, timeout: "100ms", slaves: [slave(1, POINTS)], ...modbus });
  h.bus.slaves.set(1, registers([...VALUES]));
  h.bus.open();
  h.advance(0);
  return h;
}

test("Modbus TCP: in_flight requests go out in one write, once their slave is known to be there", () => {
  const h = harness();
  assert.equal(h.bus.asked.length, 1);
  h.bus.handler?.onData(h.bus.unsaid.pop() as Buffer);
  h.advance(0);
  assert.equal(h.bus.asked.length, 5);
  assert.equal(h.bus.unsaid.length, 4);
});

test("Modbus TCP: answers in any order, twice, or in one piece go to their own requests", () => {
  const h = harness();
  h.bus.handler?.onData(h.bus.unsaid.pop() as Buffer);
  h.advance(0);
  const [first, second, third, fourth] = h.bus.unsaid.splice(0) as [Buffer, Buffer, Buffer, Buffer];
  h.bus.handler?.onData(Buffer.concat([third, third, first]));
  h.bus.handler?.onData(second.subarray(0, 5));
  h.bus.handler?.onData(Buffer.concat([second.subarray(5), fourth]));
  h.advance(0);
  h.bus.handler?.onData(Buffer.concat(h.bus.unsaid.splice(0)));
  h.advance(0);
  assert.deepEqual(
    h.taken().sort(),
    [0, 10, 20, 30, 40, 50].map((value, i) => `serial/bus/s1/p${i} ${value}`),
  );
  assert.equal(h.counters.get("modbus.stray_bytes"), third.length);
  assert.equal(h.bus.asked.length, 6);
});

test("Modbus TCP: an answer after its timeout is not taken for that of the repeated request", () => {
  const h = harness({ retries: 1 });
  const late = h.bus.unsaid.pop() as Buffer;
  late.writeUInt16BE(4711, late.length - 2);
  h.advance(150);
  assert.equal(h.bus.asked.length, 2);
  h.bus.handler?.onData(late);
  h.advance(0);
  assert.deepEqual(h.taken(), []);
  h.bus.handler?.onData(h.bus.unsaid.pop() as Buffer);
  h.advance(0);
  assert.deepEqual(h.taken(), ["serial/bus/s1/p0 0"]);
  assert.equal(h.counters.get("modbus.timeouts"), 1);
  assert.equal(h.counters.get("modbus.stray_bytes"), late.length);
});

test("Modbus TCP: a read that is not answered is not asked again while it is under way, and a silent slave one at a time", () => {
  const h = harness({
    timeout: "5s",
    retries: 0,
    slaves: [
      slave(1, POINTS),
      slave(
        2,
        POINTS.map((p) => ({ ...p, write: false })),
      ),
    ],
  });
  h.bus.handler?.onData(h.bus.unsaid.pop() as Buffer);
  h.advance(4000);
  assert.deepEqual(h.bus.asked.filter((asked) => asked.startsWith("2:")).length, 1);
  assert.equal(h.bus.asked.length, 5);
});

test("Modbus TCP: commands go one at a time, in order, beside polls", () => {
  const h = harness({ slaves: [slave(1, POINTS, { interval: "1h" })] });
  const answerAll = (): void => {
    for (let turns = 0; turns < 20; turns++) {
      for (const answer of h.bus.unsaid.splice(0).reverse()) h.bus.handler?.onData(answer);
      h.advance(0);
    }
  };
  answerAll();
  h.bus.asked.length = 0;
  for (const value of [1, 2, 3]) h.deliver("serial/bus/s1/p0/set", `${value}`, 1);
  answerAll();
  const writes = h.bus.asked.filter((asked) => asked.startsWith("1:06"));
  assert.deepEqual(writes, ["1:0600000001", "1:0600000002", "1:0600000003"]);
  assert.equal(h.queue.count, 0);
});

test("Modbus TCP: when the connection goes away nothing of what was under way is left", () => {
  const h = harness();
  h.bus.handler?.onData(h.bus.unsaid.pop() as Buffer);
  h.advance(0);
  const late = h.bus.unsaid.splice(0);
  h.bus.away();
  h.bus.open();
  h.advance(0);
  for (const answer of late) h.bus.handler?.onData(answer);
  h.advance(0);
  assert.deepEqual(h.taken(), ["serial/bus/s1/p0 0"]);
  while (h.bus.unsaid.length > 0) {
    h.bus.handler?.onData(Buffer.concat(h.bus.unsaid.splice(0)));
    h.advance(0);
  }
  assert.equal(h.taken().length, 5);
  assert.equal(h.counters.get("modbus.timeouts"), 0);
});

for (const [what, bytes] of [
  ["a frame that never ends", "0001 0000 00ff 01 03"],
  ["no header", "4854 5450 2f31 2e31"],
] as const) {
  test(`Modbus TCP: after ${what} the connection is opened anew once nobody asks again, and values come`, () => {
    const h = harness({ in_flight: 1, retries: 1, backoff: { min: "100ms", max: "1s" } });
    h.bus.unsaid.length = 0;
    const garbage = Buffer.from(bytes.replaceAll(" ", ""), "hex");
    h.bus.handler?.onData(garbage);
    h.advance(150);
    assert.equal(h.bus.asked.length, 2, "asked again on the same connection");
    assert.deepEqual(h.bus.hungUp, []);
    h.bus.handler?.onData(garbage);
    h.advance(100);
    assert.deepEqual(h.bus.hungUp, ["what came ends within a frame, or is no Modbus TCP"]);
    assert.equal(h.bus.isOpen, false);
    h.bus.unsaid.length = 0;
    h.bus.open();
    h.advance(150);
    h.bus.handler?.onData(h.bus.unsaid.pop() as Buffer);
    assert.deepEqual(h.taken(), ["serial/bus/s1/p1 10"], "the one that went longest ago");
  });
}

test("Modbus TCP: a connection that is out of step again and again is opened anew every half minute", () => {
  const h = harness({ in_flight: 1, retries: 0, backoff: { min: "100ms", max: "1s" } });
  let answered = false;
  for (let ms = 0; ms < 61_000; ms += 50) {
    if (!h.bus.isOpen) {
      h.bus.open();
      answered = false;
    }
    const answer = h.bus.unsaid.pop();
    if (answer !== undefined) h.bus.handler?.onData(answered ? Buffer.from("HTTP/1.1 400") : answer);
    answered ||= answer !== undefined;
    h.advance(50);
  }
  assert.ok(h.bus.hungUp.length >= 2 && h.bus.hungUp.length <= 3, `${h.bus.hungUp.length} times`);
  const away = h.logged.filter((line) => line.includes("modbus-slave-away")).length;
  assert.ok(away <= h.bus.hungUp.length + 1, `${away} times silent`);
});

test("Modbus TCP: a slave that says nothing at all is no reason to open the connection anew", () => {
  const h = harness({ backoff: { min: "100ms", max: "1s" } });
  h.bus.slaves.delete(1);
  h.advance(20_000);
  assert.deepEqual(h.bus.hungUp, []);
});
