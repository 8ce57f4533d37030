import assert from "node:assert/strict";
import { test } from "node:test";
import { STORED_LATER } from "../../../../src/core/router.ts";
import { COMMANDS_MAX } from "../../../../src/protocol/modbus/commands.ts";
import { budget } from "../../../../src/protocol/modbus/modbus-line.ts";
import { planReads } from "../../../../src/protocol/modbus/poll-plan.ts";
import { Harness, modbusOf, registers } from "./harness.ts";

const QUEUE_FULL = 0x97;

function slave(unit: number, points: Record<string, unknown>[], group: Record<string, unknown> = {}) {
  return { name: `s${unit}`, unit, groups: [{ interval: "1s", points, ...group }] };
}

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

// ---- commands ------------------------------------------------------------------------------------------------

const WRITABLE = [
  { name: "setpoint", address: 0, type: "int16", scale: 0.1, min: -20, max: 90, write: true },
  { name: "relay", address: 0, table: "coil", write: true },
  { name: "total", address: 1, type: "uint32", write: true },
  { name: "label", address: 3, type: "text", length: 2, write: true },
];

test("a command is written, its result is published, the value read back at once, and the message acknowledged", () => {
  const values = [0, 0, 0, 0, 0];
  const coils = [false];
  const h = new Harness({ slaves: [slave(1, WRITABLE, { interval: "1h" })] });
  h.bus.slaves.set(1, registers(values, coils));
  h.bus.open();
  h.advance(10);
  h.taken();
  h.deliver("serial/bus/s1/setpoint/set", "-21.5e0", 1);
  h.deliver("serial/bus/s1/setpoint/set", "21.5", 1);
  h.deliver("serial/bus/s1/relay/set", "on", 0);
  h.deliver("serial/bus/s1/total/set", '{"value": 70000}', 1);
  h.deliver("serial/bus/s1/label/set", "SN42", 1);
  h.advance(50);
  assert.deepEqual(values, [215, 1, 4464, 0x534e, 0x3432]);
  assert.deepEqual(coils, [true]);
  const told = h.taken();
  const of = (name: string) =>
    told.filter((line) => line.startsWith(`serial/bus/s1/${name}`)).map((line) => line.slice(14));
  assert.deepEqual(of("setpoint"), [
    'setpoint/set/result {"ok":false,"error":"out of range: from -20 to 90"}',
    'setpoint/set/result {"ok":true,"value":21.5}',
    "setpoint 21.5",
  ]);
  assert.deepEqual(of("relay"), ['relay/set/result {"ok":true,"value":true}', "relay true"]);
  assert.ok(of("total").includes("total 70000") && of("label").includes("label SN42"));
  assert.equal(h.queue.count, 0);
  assert.equal(h.counters.get("modbus.writes_done"), 4);
  assert.equal(h.counters.get("modbus.writes_invalid"), 1);
  assert.equal(h.ledger.entries().length, 1);
});

test("payloads that are no value of the point are refused in words, and nothing is written", () => {
  const h = new Harness({ write_qos: 0, slaves: [slave(1, WRITABLE, { interval: "1h" })] });
  h.bus.slaves.set(1, registers([0, 0, 0, 0, 0]));
  h.bus.open();
  h.advance(10);
  const asked = h.bus.asked.length;
  const errors = (topic: string, ...payloads: string[]): string[] => {
    h.taken();
    for (const payload of payloads) h.deliver(`serial/bus/s1/${topic}/set`, payload, 0);
    h.advance(100);
    return h.taken().map((line) => (JSON.parse(line.slice(line.indexOf("{"))) as { error: string }).error);
  };
  assert.deepEqual(errors("setpoint", "warm", "", "{}", "21.55", "1e99", "0x10"), [
    "the payload is no number",
    "the payload holds no value",
    "the payload holds no value",
    "21.55 is no multiple of 0.1",
    "out of range: from -20 to 90",
    "the payload is no number",
  ]);
  assert.deepEqual(errors("total", "-1", "4294967296"), ["out of range for uint32", "out of range for uint32"]);
  assert.deepEqual(errors("relay", "2"), ["the payload is neither true nor false"]);
  assert.deepEqual(errors("label", "SN421", "€"), Array(2).fill("the text does not fit 4 bytes of Latin-1"));
  assert.deepEqual(errors("label", "x".repeat(3000)), ["the payload is too long"]);
  assert.equal(h.bus.asked.length, asked);
});

test("what the slave refuses, and what a silent one is told, fails with its reason; commands do not hold up polls", () => {
  const h = new Harness({
    timeout: "100ms",
    slaves: [slave(1, WRITABLE), slave(2, [{ name: "a", address: 0, write: true }], { interval: "100ms" })],
  });
  h.bus.slaves.set(1, (pdu) => (pdu[0] === 6 ? Buffer.of(0x86, 4) : registers([0, 0, 0, 0, 0])(pdu)));
  h.bus.slaves.set(2, registers([0]));
  h.bus.open();
  h.advance(10);
  h.taken();
  h.deliver("serial/bus/s1/setpoint/set", "1", 1);
  h.advance(10);
  assert.deepEqual(h.taken(), [
    'serial/bus/s1/setpoint/set/result {"ok":false,"value":1,"error":"server device failure"}',
  ]);
  h.bus.slaves.delete(1);
  h.advance(2000);
  const asked = h.bus.asked.filter((request) => request.startsWith("2:03")).length;
  for (let i = 0; i < 40; i++) h.deliver("serial/bus/s1/setpoint/set", `${i}`, 1);
  h.advance(2000);
  assert.equal(h.taken().filter((line) => line.includes('"error":"no answer"')).length, 40);
  assert.ok(h.bus.asked.filter((request) => request.startsWith("2:03")).length - asked >= 15);
  assert.equal(h.queue.count, 0);
});

test("at QoS 1 commands wait for the port; at QoS 0 they are lost with a word, and so are more than fit", () => {
  const h = new Harness({ slaves: [slave(1, WRITABLE, { interval: "1h" })] });
  const values = [0, 0, 0, 0, 0];
  h.bus.slaves.set(1, registers(values));
  h.deliver("serial/bus/s1/setpoint/set", "1", 0);
  assert.deepEqual(h.taken(), ['serial/bus/s1/setpoint/set/result {"ok":false,"error":"the port is away"}']);
  h.deliver("serial/bus/s1/setpoint/set", "2", 1);
  h.bus.open();
  h.advance(50);
  assert.equal(values[0], 20);
  h.taken();
  for (let i = 0; i < COMMANDS_MAX + 3; i++) h.deliver("serial/bus/s1/setpoint/set", `${i % 50}`, 0);
  assert.equal(h.taken().filter((line) => line.includes("too many commands wait")).length, 3);
  h.bus.away();
  assert.equal(h.taken().length, COMMANDS_MAX);
  assert.equal(h.counters.get("modbus.writes_dropped"), 1 + 3 + COMMANDS_MAX);
});

test("a command under way when the port goes away is written again when it is back", () => {
  const h = new Harness({ slaves: [slave(1, WRITABLE, { interval: "1h" })] });
  const values = [0, 0, 0, 0, 0];
  h.bus.slaves.set(1, registers(values));
  h.bus.open();
  h.advance(10);
  h.bus.slaves.set(1, () => null);
  h.deliver("serial/bus/s1/setpoint/set", "3", 1);
  h.advance(10);
  h.bus.away();
  assert.equal(h.queue.count, 1);
  h.bus.slaves.set(1, registers(values));
  h.bus.open();
  h.advance(50);
  assert.equal(values[0], 30);
  assert.equal(h.queue.count, 0);
});

test("the bill names a line by its slaves and points; none costs nothing", () => {
  assert.deepEqual(budget([]), []);
  const one = budget([modbusOf({ slaves: [slave(1, WRITABLE)] })])[0]?.bytes ?? 0;
  const two = budget([modbusOf({ slaves: [slave(1, WRITABLE), slave(2, WRITABLE)] })])[0]?.bytes ?? 0;
  assert.ok(two > one && one > 64 * 1024 && one < 256 * 1024, `${one}, ${two}`);
});
