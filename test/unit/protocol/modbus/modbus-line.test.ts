import assert from "node:assert/strict";
import { test } from "node:test";
import { STORED_LATER } from "../../../../src/core/router.ts";
import { budget } from "../../../../src/protocol/modbus/modbus-line.ts";
import { planReads } from "../../../../src/protocol/modbus/poll-plan.ts";
import { Harness, modbusOf, registers, slave } from "./harness.ts";

const QUEUE_FULL = 0x97;

function reads(points: Record<string, unknown>[], maxGap = 0): string[] {
  const group = modbusOf({
    slaves: [
      slave(
        1,
        points.map((point, i) => ({ name: `p${i}`, ...point })),
      ),
    ],
  }).slaves[0]?.groups[0];
  assert.ok(group !== undefined);
  return planReads(group, maxGap).map(({ functionCode, address, count }) => `${functionCode}:${address}+${count}`);
}

// ---- requests ------------------------------------------------------------------------------------------------

test("neighbours are read together, tables apart, and a gap only as far as max_gap", () => {
  const points = [
    { address: 10, type: "float32" },
    { address: 12 },
    { address: 15 },
    { address: 10, bit: 3, type: "bool" },
    { address: 10, table: "input" },
    { address: 0, table: "coil" },
    { address: 1, table: "coil" },
  ];
  assert.deepEqual(reads(points), ["1:0+2", "3:10+3", "3:15+1", "4:10+1"]);
  assert.deepEqual(reads(points, 2), ["1:0+2", "3:10+6", "4:10+1"]);
});

test("a request asks for 125 registers at most, 2,000 bits at most, and cuts no value in two", () => {
  const many = (count: number, point: Record<string, unknown>, step = 1) =>
    Array.from({ length: count }, (_, i) => ({ ...point, address: i * step }));
  assert.deepEqual(reads(many(126, {})), ["3:0+125", "3:125+1"]);
  assert.deepEqual(reads(many(63, { type: "uint32" }, 2)), ["3:0+124", "3:124+2"]);
  assert.deepEqual(reads(many(1000, { table: "discrete" }, 3), 2), ["2:0+1999", "2:2001+997"]);
});

// ---- values --------------------------------------------------------------------------------------------------

test("values are scaled, published when they change by more than the deadband, as number or JSON", () => {
  const values = [2301, 0xffff, 0x41aa, 0x6666, 0x534e, 0x3432, 0b100];
  const h = new Harness({
    slaves: [
      slave(1, [
        { name: "voltage", address: 0, scale: 0.1, unit: "V", deadband: 0.5, payload: "json" },
        { name: "current", address: 1, type: "int16" },
        { name: "temperature", address: 2, type: "float32", topic: "t/{line}/{slave}/{point}" },
        { name: "serial", address: 4, type: "text", length: 2 },
        { name: "door", address: 6, type: "bool", bit: 2 },
      ]),
    ],
  });
  h.bus.slaves.set(1, registers(values));
  h.bus.open();
  h.advance(10);
  const [voltage, ...others] = h.taken();
  assert.match(voltage as string, /^serial\/bus\/s1\/voltage \{"value":230\.1,"unit":"V","time":"[^"]+Z"\}$/);
  assert.deepEqual(others, [
    "serial/bus/s1/current -1",
    "t/bus/s1/temperature 21.3",
    "serial/bus/s1/serial SN42",
    "serial/bus/s1/door true",
  ]);
  values[0] = 2305;
  values[1] = 7;
  h.advance(1000);
  assert.deepEqual(h.taken(), ["serial/bus/s1/current 7"]);
  values[0] = 2307;
  h.advance(1000);
  assert.equal(h.taken().length, 1);
  assert.deepEqual([...new Set(h.bus.asked)], ["1:0300000007"]);
});

test("publish: always publishes each poll, repeat what is old; a value that is no number is counted", () => {
  const values = [1, 2, 0x7fc0, 0];
  const points = [
    { name: "a", address: 0, publish: "always" },
    { name: "b", address: 1, repeat: "3s" },
    { name: "c", address: 2, type: "float32" },
  ];
  const h = new Harness({ slaves: [slave(1, points)] });
  h.bus.slaves.set(1, registers(values));
  h.bus.open();
  h.advance(3500);
  assert.deepEqual(
    h.taken(),
    [1, 2, 1, 1, 1, 2].map((value) => `serial/bus/s1/${value === 1 ? "a" : "b"} ${value}`),
  );
  assert.equal(h.counters.get("modbus.values_not_finite"), 4);
});

test("a deadband in percent is of the value published last; 64-bit numbers that differ by one are different", () => {
  const values = [1000, 0, 0x20, 0, 0, 1];
  const points = [
    { name: "a", address: 0, deadband: "2%" },
    { name: "b", address: 2, type: "uint64" },
  ];
  const h = new Harness({ slaves: [slave(1, points)] });
  h.bus.slaves.set(1, registers(values));
  h.bus.open();
  h.advance(10);
  h.taken();
  const next = (value: number): string[] => {
    values[0] = value;
    h.advance(1000);
    return h.taken().map((line) => line.slice("serial/bus/s1/".length));
  };
  assert.deepEqual(next(1020), []);
  assert.deepEqual(next(1021), ["a 1021"]);
  assert.deepEqual(next(1001), []);
  values[5] = 2;
  assert.deepEqual(next(1000), ["a 1000", "b 9007199254740994"]);
});

test("a value that is refused, at once or by the store later, comes again with the next poll", () => {
  const h = new Harness({ slaves: [slave(1, [{ name: "a", address: 0 }])] });
  h.bus.slaves.set(1, registers([5]));
  h.outcome = QUEUE_FULL;
  h.bus.open();
  h.advance(10);
  assert.equal(h.taken().length, 1);
  h.outcome = STORED_LATER;
  h.advance(1000);
  assert.equal(h.taken().length, 1);
  for (const { waiter, token } of h.waiting.splice(0)) waiter.onStored(token, QUEUE_FULL);
  h.advance(1000);
  assert.equal(h.taken().length, 1);
  for (const { waiter, token } of h.waiting.splice(0)) waiter.onStored(token, 0);
  h.advance(2000);
  assert.deepEqual(h.taken(), []);
  assert.equal(h.counters.get("modbus.values_refused"), 2);
});

// ---- the bus -------------------------------------------------------------------------------------------------

test("a dead slave costs the others a timeout at the end of each backoff, and is told of once", () => {
  const points = [{ name: "a", address: 0, publish: "always" }];
  const h = new Harness({
    timeout: "200ms",
    retries: 1,
    backoff: { min: "1s", max: "16s" },
    slaves: [slave(1, points), slave(2, points, { interval: "100ms" }), slave(3, points, { interval: "50ms" })],
  });
  for (const unit of [2, 3]) h.bus.slaves.set(unit, registers([1]));
  h.bus.open();
  h.advance(100_000);
  const asked = (unit: number): number => h.bus.asked.filter((request) => request.startsWith(`${unit}:`)).length;
  assert.ok(asked(1) <= 12, `${asked(1)} requests to the dead one`);
  assert.ok(asked(2) > 960, `${asked(2)} of 1000`);
  assert.ok(asked(3) > 1900, `${asked(3)} of 2000`);
  assert.equal(h.logged.filter((line) => line.includes("modbus-slave-away")).length, 1);
  assert.equal(h.counters.get("modbus.bus.slaves_silent"), 1);
  assert.equal(h.counters.get("modbus.bus.s1.answers"), 0);
  h.bus.slaves.set(1, registers([1]));
  h.advance(20_000);
  assert.equal(h.logged.filter((line) => line.includes("modbus-slave-back")).length, 1);
  assert.equal(h.counters.get("modbus.bus.slaves_silent"), 0);
});

test("a read that the slave refuses backs off by itself; busy, and a gateway without its target, the slave as a whole", () => {
  const points = [
    { name: "a", address: 0, publish: "always" },
    { name: "b", address: 100 },
  ];
  const h = new Harness({ backoff: { min: "2s", max: "60s" }, slaves: [slave(1, points)] });
  h.bus.slaves.set(1, registers([1]));
  h.bus.open();
  h.advance(60_500);
  assert.equal(h.taken().length, 61);
  const refused = h.counters.get("modbus.exceptions");
  assert.ok(refused <= 7, `${refused} refusals`);
  assert.equal(h.logged.filter((line) => line.includes("modbus-read-refused")).length, 1);
  for (const code of [6, 10, 11]) {
    const other = new Harness({ slaves: [slave(1, points)] });
    other.bus.slaves.set(1, () => Buffer.of(0x83, code));
    other.bus.open();
    other.advance(10);
    assert.equal(other.bus.asked.length, 1, `${code}`);
    assert.equal(other.counters.get("modbus.bus.slaves_silent"), 1);
  }
});

test("the log says what is most likely wrong: a number of a data sheet, a slave that has never answered", () => {
  const points = [
    { name: "a", address: 40_002 },
    { name: "b", table: "input", address: 30_001 },
    { name: "c", address: 7 },
  ];
  const h = new Harness({ slaves: [slave(1, points), slave(2, [{ address: 0 }])] });
  h.bus.slaves.set(1, (pdu) => Buffer.of((pdu[0] as number) | 0x80, 2));
  h.bus.open();
  h.advance(20_000);
  const refused = h.logged.filter((line) => line.includes("modbus-read-refused"));
  assert.equal(refused.length, 3);
  for (const [address, wire] of [
    [40_002, 1],
    [30_001, 0],
  ]) {
    const advice = `advice="if ${address} is a number of a data sheet, its address is ${wire}"`;
    assert.ok(
      refused.some((line) => line.includes(`address=${address} `) && line.includes(advice)),
      refused.join("\n"),
    );
  }
  assert.ok(!refused.some((line) => line.includes("address=7 ") && line.includes("advice=")));
  const away = () => h.logged.filter((line) => line.includes("modbus-slave-away"));
  assert.match(away().join(), /slave=s2 .*advice="it has not answered yet: are unit, transport/);
  h.bus.slaves.set(2, registers([1]));
  h.advance(60_000);
  h.bus.slaves.delete(2);
  h.advance(20_000);
  assert.equal(away().length, 2);
  assert.doesNotMatch(away()[1] ?? "", /advice/);
});

test("a read that a slave does not have all of is split until only what is not there is refused; commands go on", () => {
  const points = Array.from({ length: 20 }, (_, i) => ({ name: `p${i}`, address: i, write: i === 3 }));
  const h = new Harness({ backoff: { min: "10s", max: "60s" }, slaves: [slave(1, points)] });
  const values = Array.from({ length: 20 }, (_, i) => 100 + i);
  const answer = registers(values);
  // Register 7 is not there, and more than eight at a time are too many.
  h.bus.slaves.set(1, (pdu) => {
    const [address, count] = [pdu.readUInt16BE(1), pdu.readUInt16BE(3)];
    if (pdu[0] === 3 && count > 8) return Buffer.of(0x83, 3);
    return pdu[0] === 3 && address <= 7 && 7 < address + count ? Buffer.of(0x83, 2) : answer(pdu);
  });
  h.bus.open();
  h.advance(900);
  assert.deepEqual(
    h.taken().sort(),
    values.flatMap((value, i) => (i === 7 ? [] : [`serial/bus/s1/p${i} ${value}`])).sort(),
  );
  assert.equal(h.logged.filter((line) => line.includes("modbus-read-refused")).length, 1);
  assert.ok(
    h.logged.some((line) => line.includes("address=7 count=1")),
    h.logged.join("\n"),
  );
  h.bus.asked.length = 0;
  h.advance(1000);
  assert.deepEqual(h.bus.asked.map((asked) => asked.slice(4)).sort(), [
    "00000005",
    "00050002",
    "00080002",
    "000a0005",
    "000f0005",
  ]);
  h.deliver("serial/bus/s1/p3/set", "5", 1);
  h.advance(10);
  assert.ok(h.taken().includes("serial/bus/s1/p3 5"));
  assert.equal(h.line.status().pollsWantedPerSecond, 6);
});

test("an answer that was lost is asked for again; a slave that was silent before is not", () => {
  const h = new Harness({ timeout: "100ms", retries: 2, slaves: [slave(1, [{ name: "a", address: 0 }])] });
  let lost = 2;
  const answer = registers([1]);
  h.bus.slaves.set(1, (pdu) => (lost-- > 0 ? null : answer(pdu)));
  h.bus.open();
  h.advance(900);
  assert.equal(h.bus.asked.length, 3);
  assert.deepEqual(h.taken(), ["serial/bus/s1/a 1"]);
  assert.equal(h.counters.get("modbus.timeouts"), 2);
});

test("an answer that comes after its timeout is not taken for that to the slave's next request, which looks the same", () => {
  const points = [
    { name: "a", address: 0, publish: "always" },
    { name: "b", address: 10, publish: "always" },
  ];
  const values = [...Array(10).fill(1), 2];
  const h = new Harness({
    timeout: "100ms",
    retries: 1,
    slaves: [slave(1, points), slave(2, [{ name: "c", address: 0, publish: "always" }], { interval: "20ms" })],
  });
  const answer = registers(values);
  h.bus.slaves.set(2, registers([3]));
  h.bus.open();
  // Slave 1 answers its first request so late that it was asked again: two answers of `a` come, the second by itself.
  const late: Buffer[] = [];
  h.bus.slaves.set(1, (pdu) => {
    late.push(answer(pdu) as Buffer);
    return null;
  });
  h.advance(150);
  assert.equal(late.length, 2);
  h.bus.slaves.set(1, answer);
  h.bus.say(1, late[0] as Buffer);
  h.advance(50);
  h.bus.say(1, late[1] as Buffer);
  const early = h.taken();
  assert.equal(early.filter((line) => line.startsWith("serial/bus/s1/")).join(), "serial/bus/s1/a 1");
  assert.ok(early.length > 1, "the other slave is asked meanwhile");
  h.advance(2000);
  const told = h.taken().filter((line) => line.startsWith("serial/bus/s1/"));
  assert.ok(told.length >= 3);
  assert.ok(
    told.every((line) => line === "serial/bus/s1/a 1" || line === "serial/bus/s1/b 2"),
    told.join(),
  );
});

test("a slow slave has a timeout of its own, which the others do not wait for when they are silent", () => {
  const points = [{ name: "a", address: 0 }];
  const slow = { ...slave(2, points), timeout: "2s", retries: 0 };
  const h = new Harness({ timeout: "50ms", retries: 2, slaves: [slave(1, points), slow] });
  h.bus.open();
  h.advance(140);
  assert.deepEqual(
    h.bus.asked.map((asked) => asked[0]),
    ["1", "1", "1"],
  );
  h.advance(1900);
  assert.equal(h.bus.asked.filter((asked) => asked.startsWith("2:")).length, 1);
  h.bus.say(2, Buffer.of(3, 2, 0, 9));
  assert.deepEqual(h.taken(), ["serial/bus/s2/a 9"]);
  assert.equal(h.counters.get("modbus.timeouts"), 3);
});

test("between an answer and the next request there are 3.5 characters, or gap if it is longer", () => {
  for (const [gap, perSecond] of [
    ["0ms", 200],
    ["20ms", 50],
  ] as const) {
    const points = [{ name: "a", address: 0 }];
    const h = new Harness(
      { gap, slaves: [slave(1, points, { interval: "10ms" }), slave(2, points, { interval: "10ms" })] },
      9600,
    );
    for (const unit of [1, 2]) h.bus.slaves.set(unit, registers([1]));
    h.bus.open();
    h.advance(10_000);
    const asked = h.bus.asked.length / 10;
    assert.ok(Math.abs(asked - perSecond) < 0.1 * perSecond, `${asked} a second`);
  }
});

test("a bus that has no time for all shows it: achieved against wanted, missed polls, how much it is used", () => {
  const points = [{ name: "a", address: 0 }];
  const h = new Harness({ gap: "20ms", slaves: [1, 2, 3, 4].map((unit) => slave(unit, points, { interval: "50ms" })) });
  for (const unit of [1, 2, 3, 4]) h.bus.slaves.set(unit, registers([1]));
  h.bus.open();
  h.advance(20_000);
  assert.equal(h.counters.get("modbus.bus.polls_wanted_per_second"), 80);
  const achieved = h.counters.get("modbus.bus.polls_per_second");
  assert.ok(achieved > 45 && achieved <= 50.5, `${achieved}`);
  for (const unit of [1, 2, 3, 4]) {
    const share = h.counters.get(`modbus.bus.s${unit}.polls_per_second`);
    assert.ok(share > 10 && share < 15, `slave ${unit}: ${share}`);
  }
  assert.equal(h.counters.get("modbus.bus.bus_used_percent"), 100);
  assert.ok(h.counters.get("modbus.polls_missed") > 500);
});

test("the status says what the bus has time for, and of each slave what it does and what went wrong last", () => {
  const points = [{ name: "a", address: 0 }];
  const h = new Harness({
    timeout: "100ms",
    retries: 0,
    backoff: { min: "4s", max: "4s" },
    slaves: [slave(1, points), slave(2, points, { interval: "500ms" }), slave(3, points)],
  });
  h.bus.slaves.set(1, registers([1]));
  h.bus.slaves.set(3, () => Buffer.of(0x83, 2));
  h.bus.open();
  h.advance(3000);
  h.bus.handler?.onData(Buffer.from("noise"));
  const { slaves, ...bus } = h.line.status();
  assert.deepEqual(bus, {
    busUsedPercent: 4,
    pollsWantedPerSecond: 4,
    pollsPerSecond: 1.33,
    badFrames: 0,
    strayBytes: 5,
    echoes: 0,
  });
  const common = { pollsMissed: 0, timeouts: 0, exceptions: 0, lastError: null, nextTryMs: 0 };
  assert.deepEqual(slaves, [
    { ...common, name: "s1", unit: 1, state: "answers", pollsWantedPerSecond: 1, pollsPerSecond: 1.33 },
    {
      ...common,
      name: "s2",
      unit: 2,
      state: "silent",
      nextTryMs: 1104,
      pollsWantedPerSecond: 2,
      pollsPerSecond: 0,
      timeouts: 1,
      lastError: "no answer",
    },
    {
      ...common,
      name: "s3",
      unit: 3,
      state: "answers",
      pollsWantedPerSecond: 1,
      pollsPerSecond: 0,
      exceptions: 1,
      lastError: "illegal data address",
    },
  ]);
});

test("what a silent slave, or a port that is away, did not answer was not missed for want of time", () => {
  const points = [{ name: "a", address: 0 }];
  const h = new Harness({ timeout: "100ms", slaves: [slave(1, points), slave(2, points)] });
  h.bus.slaves.set(1, registers([1]));
  h.bus.open();
  h.advance(60_000);
  h.bus.away();
  h.advance(60_000);
  h.bus.slaves.set(2, registers([1]));
  h.bus.open();
  h.advance(60_000);
  assert.equal(h.counters.get("modbus.polls_missed"), 0);
  assert.equal(h.counters.get("modbus.bus.slaves_silent"), 0);
});

test("while the port is away nobody is asked and no slave is blamed", () => {
  const h = new Harness({ slaves: [slave(1, [{ name: "a", address: 0, publish: "always" }])] });
  h.bus.slaves.set(1, registers([1]));
  h.bus.open();
  h.advance(1500);
  h.bus.away();
  h.advance(60_000);
  assert.equal(h.bus.asked.length, 2);
  h.bus.open();
  h.advance(100);
  assert.equal(h.bus.asked.length, 3);
  assert.equal(h.counters.get("modbus.timeouts"), 0);
});

test("the bill names a line by its slaves and points; none costs nothing", () => {
  assert.deepEqual(budget([]), []);
  const points = [{ address: 0 }, { address: 1, write: true }];
  const one = budget([modbusOf({ slaves: [slave(1, points)] })])[0]?.bytes ?? 0;
  const two = budget([modbusOf({ slaves: [slave(1, points), slave(2, points)] })])[0]?.bytes ?? 0;
  assert.ok(two > one && one > 64 * 1024 && one < 256 * 1024, `${one}, ${two}`);
});
