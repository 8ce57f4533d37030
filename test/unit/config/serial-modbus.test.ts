import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "../../../src/config/load.ts";
import { linesOf } from "../../../src/config/serial.ts";
import { MODBUS_POINTS_MAX } from "../../../src/config/serial-modbus.ts";
import { memoryBill } from "../../../src/gateway/bill.ts";

function complaintsOf(serial: Record<string, unknown>): string[] {
  const text = JSON.stringify({ serial: [{ name: "bus", port: "/dev/bus", protocol: "modbus", ...serial }] });
  return load(text, { directory: "/", checkFiles: false }).complaints.map(({ path, problem }) => `${path} ${problem}`);
}

function ofPoint(point: Record<string, unknown>): string[] {
  const points = [{ address: 0, ...point }];
  return complaintsOf({ modbus: { slaves: [{ unit: 1, groups: [{ points }] }] } }).map((text) =>
    text.replace("serial[0].modbus.slaves[0].groups[0].points[0]", "point"),
  );
}

test("a bus, a slave and a group say for their points what these do not say themselves", () => {
  const text = `
serial:
  - name: bus
    port: /dev/ttyUSB0
    protocol: modbus
    modbus:
      payload: json
      slaves:
        - name: meter
          unit: 3
          word_order: little
          groups:
            - {qos: 0, publish: always, points: [{name: a, address: 1, type: int64}, {address: 9, word_order: big, retain: true}]}
`;
  const { config, complaints } = load(text, { directory: "/", checkFiles: false });
  assert.deepEqual(complaints, []);
  const [line] = linesOf(config?.serial ?? [], "modbus");
  const [a, b] = line?.modbus.slaves[0]?.groups[0]?.points ?? [];
  assert.deepEqual([a?.topic, a?.count, a?.payload, a?.qos], ["serial/bus/meter/a", 4, "json", 0]);
  assert.deepEqual([a?.layout.wordOrder, a?.publish, a?.retain], ["little", "always", false]);
  assert.deepEqual([b?.topic, b?.layout.wordOrder, b?.retain], ["serial/bus/meter/holding-9", "big", true]);
});

test("what cannot be is complained about with its path", () => {
  assert.deepEqual(complaintsOf({}), ["serial[0].modbus is missing"]);
  assert.deepEqual(complaintsOf({ modbus: {} }), ["serial[0].modbus.slaves names none"]);
  assert.deepEqual(complaintsOf({ modbus: { in_flight: 2, slaves: [{ groups: [{ points: [{ address: 1 }] }] }] } }), [
    "serial[0].modbus.in_flight above 1 needs transport: tcp",
  ]);
  assert.deepEqual(
    complaintsOf({ framing: "line", modbus: { slaves: [{ unit: 1, groups: [{ points: [{ address: 1 }] }] }] } }),
    ["serial[0].framing means nothing to protocol: modbus"],
  );
  assert.deepEqual(ofPoint({ address: 65_535, type: "uint32" }), ["point.address 65535 and 1 more are not there"]);
  assert.deepEqual(ofPoint({ table: "coil", type: "uint16" }), ["point.type uint16 does not fit a coil"]);
  assert.deepEqual(ofPoint({ type: "bool" }), ["point.bit is missing"]);
  assert.deepEqual(ofPoint({ table: "input", write: true }), ["point.write an input is only read"]);
  assert.deepEqual(ofPoint({ bit: 1 }), ["point.bit of a number says where bits begin"]);
  assert.deepEqual(ofPoint({ bit: 9, bits: 8 }), ["point.bits 8 from bit 9 end beyond 15"]);
  assert.deepEqual(ofPoint({ deadband: "101%" }), ["point.deadband is above 100 %"]);
  assert.deepEqual(ofPoint({ names: { a: "b" } }), ["point.names.a is no whole number"]);
  assert.deepEqual(ofPoint({ names: { 1: "b", 2: "b" } }), ["point.names.2 b is the name of another number"]);
  assert.deepEqual(ofPoint({ names: { 1: "b" }, scale: 2 }), [
    "point.names are for whole numbers without scale and offset",
  ]);
  assert.deepEqual(ofPoint({ scale: 0 }), ["point.scale 0 makes all values one"]);
  assert.deepEqual(ofPoint({ topic: "a/{what}" }), ['point.topic "a/{what}" has {what}, which is no placeholder']);
  assert.deepEqual(ofPoint({ topic: "$SYS/x" }), [
    'point.topic "$SYS/x" is under $SYS, where only the gateway itself publishes',
  ]);
  assert.deepEqual(ofPoint({ colour: 1 }), ["point.colour unknown key"]);
  const group = {
    points: [
      { name: "a", address: 0 },
      { name: "a", address: 1 },
    ],
  };
  const twins = complaintsOf({
    modbus: {
      slaves: [
        { name: "s", unit: 3, groups: [group] },
        { name: "s", unit: 248, groups: [] },
      ],
    },
  });
  assert.equal(twins.length, 4, twins.join("\n"));
});

test("a unit has one entry: answers that come too late are told by it", () => {
  const slaves = (second: number) => [
    { name: "a", unit: 3, groups: [{ points: [{ address: 0 }] }] },
    { name: "b", unit: second, groups: [{ points: [{ address: 1 }] }] },
  ];
  assert.deepEqual(complaintsOf({ modbus: { slaves: slaves(3) } }), [
    "serial[0].modbus.slaves[1].unit 3 is that of slaves[0]",
  ]);
  assert.deepEqual(complaintsOf({ modbus: { slaves: slaves(4) } }), []);
});

test("six digits of a data sheet are not an address", () => {
  for (const number of [100001, 300001, 400001, 465536])
    assert.deepEqual(ofPoint({ address: number }), [`point.address ${number} is a number of a data sheet`]);
  for (const number of [65536, 200001, 400000, 465537])
    assert.deepEqual(ofPoint({ address: number }), [`point.address ${number} is out of range`]);
  assert.deepEqual(ofPoint({ address: 40001 }), []);
});

test("message and state are of buses, slaves and groups, not of points, with topics of their own", () => {
  const of = (
    modbus: Record<string, unknown>,
    group: Record<string, unknown> = {},
    point: Record<string, unknown> = {},
  ) =>
    complaintsOf({
      modbus: { ...modbus, slaves: [{ unit: 1, groups: [{ ...group, points: [{ address: 0, ...point }] }] }] },
    });
  assert.deepEqual(of({ state: "s/{slave}", message: "group" }), []);
  const point = "serial[0].modbus.slaves[0].groups[0].points[0]";
  assert.deepEqual(of({}, {}, { message: "group" }), [`${point}.message unknown key`]);
  assert.deepEqual(of({}, { state: "x" }), ["serial[0].modbus.slaves[0].groups[0].state unknown key"]);
  assert.deepEqual(of({ state: "s/{point}" }), [
    'serial[0].modbus.slaves[0].state "s/{point}" has {point}, which is no placeholder',
  ]);
  assert.deepEqual(of({}, { message: "group", topic: "one" }), [`${point}.topic one is that of slaves[0].groups[0]`]);
});

test("unit 0 of a bus is all slaves: only written to, without an answer; on a network it is a unit like another", () => {
  const complaints = (transport: string, point: Record<string, unknown>) =>
    complaintsOf({ modbus: { transport, slaves: [{ unit: 0, groups: [{ points: [{ address: 0, ...point }] }] }] } });
  const all = "serial[0].modbus.slaves[0].groups[0].points[0]";
  const why = "unit 0 is all slaves, and none answers";
  assert.deepEqual(complaints("rtu", {}), [`${all}.write is missing: ${why}`]);
  assert.deepEqual(complaints("rtu", { write: true, verify: true }), [`${all}.verify needs an answer: ${why}`]);
  const bool = { write: true, type: "bool", bit: 1 };
  assert.deepEqual(complaints("rtu", bool), [`${all}.bit needs a read: ${why}`]);
  assert.deepEqual(complaints("rtu", { ...bool, mask_write: true }), []);
  assert.deepEqual(complaints("tcp", {}), []);
});

test("a line has 1,000 points at most, and they are in the bill", async () => {
  const serial = (count: number) => ({
    modbus: { slaves: [{ groups: [{ points: Array.from({ length: count }, (_, address) => ({ address })) }] }] },
  });
  assert.deepEqual(complaintsOf(serial(MODBUS_POINTS_MAX)), []);
  assert.equal(complaintsOf(serial(MODBUS_POINTS_MAX + 1)).length, 1);
  const text = JSON.stringify({ serial: [{ port: "/dev/bus", protocol: "modbus", ...serial(MODBUS_POINTS_MAX) }] });
  const { config } = load(text, { directory: "/", checkFiles: false });
  assert.ok(config !== null);
  const bill = await memoryBill(config);
  assert.ok((bill.find(({ owner }) => owner === "modbus lines")?.bytes ?? 0) > MODBUS_POINTS_MAX * 1024);
  assert.equal(
    bill.some(({ owner }) => owner === "serial lines"),
    false,
  );
});
