import assert from "node:assert/strict";
import { test } from "node:test";
import { COMMANDS_MAX, RESPONSE_BYTES_MAX } from "../../../../src/protocol/modbus/commands.ts";
import { PropertiesWriter } from "../../../../src/wire/mqtt/properties.ts";
import { CORRELATION_DATA, RESPONSE_TOPIC } from "../../../../src/wire/mqtt/property-table.ts";
import { Harness, registers, slave } from "./harness.ts";

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

// ---- where the result goes -----------------------------------------------------------------------------------

/** MQTT 5 properties of a request. */
function request(topic: string, correlation = Buffer.from([1, 2, 0xff])): Buffer {
  const writer = new PropertiesWriter(8192);
  writer.reset();
  writer.string(RESPONSE_TOPIC, topic);
  writer.binary(CORRELATION_DATA, correlation);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

test("a result goes to the Response Topic of its command, with its Correlation Data, at either QoS", () => {
  const h = new Harness({ slaves: [slave(1, WRITABLE, { interval: "1h" })] });
  h.bus.slaves.set(1, registers([0, 0, 0, 0, 0]));
  h.bus.open();
  h.advance(10);
  const correlation = Buffer.from("090003" + "0102ff", "hex");
  for (const qos of [0, 1]) {
    h.taken();
    h.deliver("serial/bus/s1/setpoint/set", "91", qos, request("asker/7"));
    h.advance(50);
    assert.deepEqual(h.taken(), ['asker/7 {"ok":false,"error":"out of range: from -20 to 90"}']);
    assert.deepEqual(h.properties, correlation);
  }
  h.deliver("serial/bus/s1/setpoint/set", "7", 1);
  h.advance(50);
  assert.equal(h.taken()[0], 'serial/bus/s1/setpoint/set/result {"ok":true,"value":7}');
  h.outcome = 0x97;
  h.deliver("serial/bus/s1/setpoint/set", "91", 1);
  h.advance(50);
  assert.equal(h.counters.get("modbus.results_refused"), 1);
});

test("a Response Topic that nobody may publish to gets nothing, and one that is too long fails its command", () => {
  const h = new Harness({ slaves: [slave(1, WRITABLE, { interval: "1h" })] });
  const values = [0, 0, 0, 0, 0];
  h.bus.slaves.set(1, registers(values));
  h.bus.open();
  h.advance(10);
  h.taken();
  h.denied.add("secret");
  for (const topic of ["secret", "$SYS/x"]) h.deliver("serial/bus/s1/total/set", "3", 1, request(topic));
  h.advance(50);
  assert.deepEqual(
    h.taken().filter((line) => !line.startsWith("serial/bus/s1/total ")),
    [],
  );
  assert.equal(h.counters.get("modbus.values_denied"), 2);
  assert.equal(h.logged.filter((line) => line.includes("modbus-publish-denied")).length, 1);
  assert.equal(values[2], 3);
  h.deliver("serial/bus/s1/total/set", "4", 1, request("a", Buffer.alloc(RESPONSE_BYTES_MAX)));
  h.advance(50);
  assert.deepEqual(h.taken(), ['serial/bus/s1/total/set/result {"ok":false,"error":"the Response Topic is too long"}']);
  assert.equal(values[2], 3);
});

test("a command that expires while it waits for the bus is not written, and says so", () => {
  const slow = { timeout: "5s", retries: 0, backoff: { min: "1s", max: "1s" } };
  const h = new Harness({
    ...slow,
    slaves: [slave(1, WRITABLE, { interval: "1h" }), slave(2, [{ name: "a", address: 0 }])],
  });
  const values = [0, 0, 0, 0, 0];
  h.bus.slaves.set(1, registers(values));
  h.bus.open();
  h.advance(3000); // slave 2 does not answer, and the bus waits for it
  h.taken();
  h.deliver("serial/bus/s1/setpoint/set", "1", 0, undefined, 1);
  h.deliver("serial/bus/s1/setpoint/set", "2", 1, undefined, 1);
  h.deliver("serial/bus/s1/setpoint/set", "3", 1, undefined, 60);
  h.advance(5000);
  const expired = 'serial/bus/s1/setpoint/set/result {"ok":false,"value":V,"error":"expired"}';
  assert.deepEqual(h.taken().slice(0, 3), [
    expired.replace("V", "1"),
    expired.replace("V", "2"),
    'serial/bus/s1/setpoint/set/result {"ok":true,"value":3}',
  ]);
  assert.equal(values[0], 30);
  assert.equal(h.queue.count, 0);
  assert.equal(h.counters.get("modbus.writes_expired"), 2);
  assert.equal(h.counters.get("drops.expired"), 2);
});

// ---- bits, functions, what is read back -----------------------------------------------------------------------

test("bits of a register are written by mask write, or by a read and a write; the others stay", () => {
  for (const maskWrite of [true, false]) {
    for (const byteOrder of ["big", "little"]) {
      const h = new Harness({
        mask_write: maskWrite,
        byte_order: byteOrder,
        slaves: [
          slave(1, [
            { name: "on", address: 4, type: "bool", bit: 9, write: true },
            { name: "speed", address: 4, bit: 4, bits: 3, write: true },
          ]),
        ],
      });
      const values = [0, 0, 0, 0, 0x8181];
      h.bus.slaves.set(1, registers(values));
      h.bus.open();
      h.advance(10);
      assert.deepEqual(h.taken(), ["serial/bus/s1/on false", "serial/bus/s1/speed 0"]);
      h.deliver("serial/bus/s1/on/set", "true", 1);
      h.deliver("serial/bus/s1/speed/set", "5", 1);
      h.deliver("serial/bus/s1/speed/set", "8", 1);
      h.advance(50);
      assert.equal(values[4], byteOrder === "big" ? 0x83d1 : 0xd183);
      assert.ok(h.taken().includes('serial/bus/s1/speed/set/result {"ok":false,"error":"out of range for 3 bits"}'));
      const functions = new Set(h.bus.asked.map((asked) => asked.slice(2, 4)));
      assert.deepEqual([...functions], maskWrite ? ["03", "16"] : ["03", "06"]);
    }
  }
});

test("write_multiple takes functions 15 and 16 also for one value", () => {
  const h = new Harness({ slaves: [{ ...slave(1, WRITABLE, { interval: "1h" }), write_multiple: true }] });
  const values = [0, 0, 0, 0, 0];
  const coils = [false];
  h.bus.slaves.set(1, registers(values, coils));
  h.bus.open();
  h.advance(10);
  h.deliver("serial/bus/s1/setpoint/set", "1", 1);
  h.deliver("serial/bus/s1/relay/set", "true", 1);
  h.advance(50);
  assert.ok(h.bus.asked.includes("1:100000000102000a") && h.bus.asked.includes("1:0f000000010101"));
  assert.deepEqual([values[0], coils[0]], [10, true]);
});

test("verify: a command is done when its value was read back; another value, or none, is a failure that says so", () => {
  const h = new Harness({
    timeout: "100ms",
    retries: 0,
    verify: true,
    slaves: [slave(1, WRITABLE, { interval: "1h" })],
  });
  const values = [0, 0, 0, 0, 0];
  const answer = registers(values);
  h.bus.slaves.set(1, answer);
  h.bus.open();
  h.advance(10);
  const result = (payload: string, ms = 50): string | undefined => {
    h.taken();
    h.deliver("serial/bus/s1/setpoint/set", payload, 1);
    h.advance(ms);
    return h.taken()[0]?.slice("serial/bus/s1/setpoint/set/result ".length);
  };
  assert.equal(result("7"), '{"ok":true,"value":7}');
  // It takes 5 at most.
  h.bus.slaves.set(1, (pdu) => {
    const answered = answer(pdu);
    values[0] = Math.min(values[0] as number, 50);
    return answered;
  });
  assert.equal(result("8"), '{"ok":false,"value":8,"error":"written, but read back as 5"}');
  h.bus.slaves.set(1, (pdu) => (pdu[0] === 3 ? Buffer.of(0x83, 4) : answer(pdu)));
  assert.equal(result("4"), '{"ok":false,"value":4,"error":"written, but not read back: server device failure"}');
  h.bus.slaves.set(1, (pdu) => (pdu[0] === 3 ? null : answer(pdu)));
  assert.equal(result("3", 200), '{"ok":false,"value":3,"error":"written, but not read back: no answer"}');
});

test("names stand for numbers, both ways", () => {
  const point = { name: "mode", address: 0, type: "int16", names: { 0: "standby", "-1": "fault" }, write: true };
  const h = new Harness({ slaves: [slave(1, [point], { interval: "1s", payload: "json" })] });
  const values = [0xffff];
  h.bus.slaves.set(1, registers(values));
  h.bus.open();
  h.advance(10);
  assert.match(h.taken()[0] as string, /\{"value":"fault","time"/);
  for (const payload of ["standby", "7", "on"]) h.deliver("serial/bus/s1/mode/set", payload, 1);
  h.advance(50);
  const results = h.taken().filter((line) => line.includes("/result "));
  assert.deepEqual(
    results.map((line) => line.slice(line.indexOf("{"))),
    ['{"ok":true,"value":"standby"}', '{"ok":true,"value":7}', '{"ok":false,"error":"the payload is no number"}'],
  );
  assert.equal(values[0], 7);
});

// ---- all slaves, and the wire ---------------------------------------------------------------------------------

test("unit 0 is all slaves: nobody answers, it is never polled, and the next request waits for the turnaround", () => {
  const points = [{ name: "clock", address: 0, write: true }];
  const h = new Harness({
    turnaround: "150ms",
    slaves: [{ unit: 0, groups: [{ points }] }, slave(1, [{ name: "a", address: 0 }], { interval: "20ms" })],
  });
  h.bus.slaves.set(1, registers([0]));
  h.bus.open();
  h.advance(100);
  h.taken();
  h.deliver("serial/bus/all/clock/set", "513", 1);
  const asked = h.bus.asked.length;
  h.advance(120);
  assert.deepEqual(h.bus.asked.slice(asked), ["0:0600000201"]);
  h.advance(100);
  assert.ok(h.bus.asked.length > asked + 1);
  assert.deepEqual(h.taken(), ['serial/bus/all/clock/set/result {"ok":true,"value":513}']);
  assert.equal(h.counters.get("modbus.timeouts"), 0);
  assert.equal(h.counters.get("modbus.bus.all.polls_wanted_per_second"), 0);
});

test("where the wire echoes, a write to a slave that is dead is not confirmed by its own echo", () => {
  const h = new Harness({ timeout: "50ms", retries: 0, slaves: [slave(1, WRITABLE, { interval: "1h" })] });
  const values = [0, 0, 0, 0, 0];
  h.bus.echoes = true;
  h.bus.slaves.set(1, registers(values));
  h.deliver("serial/bus/s1/setpoint/set", "1", 1); // before anything was read: a read goes first
  h.bus.open();
  h.advance(50);
  assert.ok(h.taken().includes('serial/bus/s1/setpoint/set/result {"ok":true,"value":1}'));
  h.bus.slaves.clear();
  h.deliver("serial/bus/s1/setpoint/set", "2", 1);
  h.advance(200);
  assert.deepEqual(h.taken(), ['serial/bus/s1/setpoint/set/result {"ok":false,"value":2,"error":"no answer"}']);
  assert.ok(h.counters.get("modbus.echoes") >= 3);
  assert.equal(h.counters.get("modbus.stray_bytes"), 0);
  assert.equal(h.counters.get("modbus.bad_frames"), 0);
});
