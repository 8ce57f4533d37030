// The Modbus master against slaves that others wrote: Debian's pymodbus and npm's modbus-serial, over Modbus TCP, RTU on a
// terminal, and RTU through a raw TCP port.
import assert from "node:assert/strict";
import { connect, createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { ModbusSlaves } from "../support/modbus-slaves.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer, requirePython } from "../support/peers.ts";

const SOCAT = requirePeer("socat");
const PYMODBUS = SOCAT || requirePython("pymodbus.server");

const POINTS = [
  { name: "voltage", address: 0, scale: 0.1 },
  { name: "temperature", address: 1, type: "float32", word_order: "little" },
  { name: "energy", address: 3, type: "uint64", payload: "json", unit: "Wh" },
  { name: "label", address: 7, type: "text", length: 2 },
  { name: "setpoint", address: 20, type: "int32", scale: 0.01, min: -50, max: 100, write: true },
  { name: "relay", table: "coil", address: 5, write: true },
  { name: "pump", table: "coil", address: 6, write: true, write_multiple: true },
  { name: "limit", address: 30, type: "float64", write: true, verify: true, byte_order: "little" },
  { name: "mode", address: 40, names: { 0: "standby", 2: "heating" }, write: true, write_multiple: true },
  { name: "enabled", address: 41, type: "bool", bit: 3, write: true, verify: true },
  { name: "level", address: 41, bit: 8, bits: 4, write: true, mask_write: true },
  { name: "door", table: "discrete", address: 2 },
  { name: "flow", table: "input", address: 7 },
];
/** Where no slave has anything. */
const MISSING = { name: "missing", address: 9000, write: true };
/** 230.1; 21.3 with its low word first; 2^53 + 1; "SN42". */
const REGISTERS = [2301, 0x6666, 0x41aa, 0x0020, 0, 0, 1, 0x534e, 0x3432];

function config(port: string, modbus: Record<string, unknown>): Record<string, unknown> {
  return {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    sys_interval: "1s",
    serial: [{ name: "bus", port, baud: 115_200, protocol: "modbus", modbus }],
  };
}

const slave = (unit: number, interval: string, points: Record<string, unknown>[]) => ({
  name: `s${unit}`,
  unit,
  groups: [{ interval, points }],
});

const FIRST: Readonly<Record<string, string>> = {
  voltage: "230.1",
  temperature: "21.3",
  label: "SN42",
  setpoint: "0",
  relay: "false",
  pump: "false",
  limit: "0",
  mode: "standby",
  enabled: "false",
  level: "0",
  door: "true",
  flow: "1007",
};

/** Point, payload, result, and what the point says then. */
const WRITES: readonly [string, string, string, string][] = [
  ["setpoint", "-12.34", '{"ok":true,"value":-12.34}', "-12.34"],
  ["setpoint", "101", '{"ok":false,"error":"out of range: from -50 to 100"}', "-12.34"],
  ["relay", "true", '{"ok":true,"value":true}', "true"],
  ["pump", "on", '{"ok":true,"value":true}', "true"],
  ["limit", "-1e300", '{"ok":true,"value":-1e+300}', "-1e+300"],
  ["mode", "heating", '{"ok":true,"value":"heating"}', "heating"],
  ["enabled", "true", '{"ok":true,"value":true}', "true"],
  ["missing", "1", '{"ok":false,"value":1,"error":"illegal data address"}', ""],
];

for (const kind of ["pymodbus", "modbus-serial"] as const) {
  for (const way of ["tcp", "terminal", "rtu over tcp"] as const) {
    test(`${kind}, ${way}: values of every kind arrive; commands are written, confirmed and read back`, {
      skip: kind === "pymodbus" ? PYMODBUS : SOCAT,
    }, async () => {
      using folder = temporaryFolder();
      await using slaves = new ModbusSlaves(folder.path);
      await slaves.start(kind, way, REGISTERS);
      const transport = way === "tcp" ? { transport: "tcp", in_flight: 4 } : {};
      const modbus = { ...transport, slaves: [slave(1, "100ms", [...POINTS, MISSING])] };
      await using gateway = new GatewayProcess(folder.path, config(slaves.port, { retain: true, ...modbus }));
      await gateway.start();
      await using client = await MqttCollector.open(gateway.port(), "serial/bus/s1/#");
      const seen = (name: string) =>
        client.messages.filter(({ topic }) => topic === `serial/bus/s1/${name}`).map(({ payload }) => payload);
      await eventually("all points", () => POINTS.every(({ name }) => seen(name).length > 0));
      for (const [name, value] of Object.entries(FIRST)) assert.equal(seen(name)[0], value, name);
      assert.match(seen("energy")[0] ?? "", /^\{"value":9007199254740993,"unit":"Wh","time":"20/);
      await eventually("the refusal", () => gateway.stderr.includes("illegal data address"));

      const write = async (name: string, payload: string): Promise<string> => {
        const results = seen(`${name}/set/result`).length;
        await client.client.publishAsync(`serial/bus/s1/${name}/set`, payload, { qos: 1 });
        await eventually(`result of ${name}`, () => seen(`${name}/set/result`).length > results);
        return seen(`${name}/set/result`).at(-1) ?? "";
      };
      for (const [name, payload, result, value] of WRITES) {
        assert.equal(await write(name, payload), result);
        if (value !== "") await eventually(`${name} read back`, () => seen(name).at(-1) === value);
      }
      // The function that changes bits: modbus-serial has none. The other bits of the register stay.
      const masked =
        kind === "pymodbus" ? '{"ok":true,"value":9}' : '{"ok":false,"value":9,"error":"illegal function"}';
      assert.equal(await write("level", "9"), masked);
      if (kind === "pymodbus") await eventually("level", () => seen("level").at(-1) === "9");
      assert.equal(await write("enabled", "false"), '{"ok":true,"value":false}');
      await eventually("enabled", () => seen("enabled").at(-1) === "false");
      assert.equal(seen("level").at(-1), kind === "pymodbus" ? "9" : "0");
      assert.equal(await gateway.end(), 0);
    });
  }
}

test("rtu: a slave that is not there does not slow the others, $SYS says so, and commands wait for the port", {
  skip: PYMODBUS,
}, async () => {
  using folder = temporaryFolder();
  await using slaves = new ModbusSlaves(folder.path);
  await slaves.start("pymodbus", "terminal", [7]);
  const counted = [{ name: "a", address: 0, publish: "always", qos: 0 }];
  const modbus = {
    timeout: "200ms",
    slaves: [
      slave(1, "20ms", counted),
      slave(2, "1s", [{ name: "b", address: 0, write: true }]),
      slave(9, "20ms", counted),
    ],
  };
  await using gateway = new GatewayProcess(folder.path, config(slaves.port, modbus));
  await gateway.start();
  await using client = await MqttCollector.open(gateway.port(), "serial/bus/#");
  await using sys = await MqttCollector.open(gateway.port(), "$SYS/sluice/modbus/bus/#");
  const last = (name: string): number =>
    Number(sys.messages.findLast(({ topic }) => topic === `$SYS/sluice/modbus/bus/${name}`)?.payload ?? Number.NaN);
  await eventually("the dead one is known", () => last("slaves_silent") === 1);
  const before = client.messages.length;
  const from = performance.now();
  await eventually("100 polls", () => client.messages.length >= before + 100);
  const perSecond = 100_000 / (performance.now() - from);
  assert.ok(perSecond > 50 / 3, `${perSecond} polls a second of 50`);
  await eventually("the rates", () => last("s1/polls_per_second") > 0 && last("s9/polls_per_second") === 0);
  assert.equal(last("polls_wanted_per_second"), 101);
  assert.equal(gateway.logged("modbus-slave-away"), 1);
  const { stdout } = await sluice(["status", "--config", gateway.configFile]);
  assert.match(stdout, /^ +bus \d+ % used, [\d.]+ of 101 polls a second/m);
  assert.match(stdout, /^ +s1 \(unit 1\) answers, [\d.]+ of 50 polls a second/m);
  assert.match(
    stdout,
    /^ +s9 \(unit 9\) is silent, asked again in \S+, 0 of 50 polls .*timeouts, last error: no answer$/m,
  );

  await slaves.unplug();
  await eventually("the gateway notices", () => gateway.stderr.includes("serial-away"));
  await client.client.publishAsync("serial/bus/s2/b/set", "42", { qos: 1 });
  await slaves.plug();
  await eventually("written", () =>
    client.messages.some(({ topic, payload }) => topic === "serial/bus/s2/b" && payload === "42"),
  );
  assert.equal(await gateway.end(), 0);
});

test("a command of QoS 1 survives kill -9 and is written when the port is back; one that expired meanwhile is not", {
  skip: PYMODBUS,
}, async () => {
  using folder = temporaryFolder();
  await using slaves = new ModbusSlaves(folder.path);
  await slaves.start("pymodbus", "terminal", [7]);
  const points = [
    { name: "a", address: 10, write: true },
    { name: "b", address: 11, write: true },
  ];
  await using gateway = new GatewayProcess(
    folder.path,
    config(slaves.port, { retain: true, slaves: [slave(1, "50ms", points)] }),
  );
  await gateway.start();
  await gateway.opened();
  await slaves.unplug();
  await eventually("the gateway notices", () => gateway.stderr.includes("serial-away"));
  {
    await using client = await MqttCollector.open(gateway.port(), "nothing");
    const set = (point: string, messageExpiryInterval?: number) =>
      client.client.publishAsync(`serial/bus/s1/${point}/set`, "42", {
        qos: 1,
        properties: {
          responseTopic: "answers",
          correlationData: Buffer.from(point),
          ...(messageExpiryInterval === undefined ? {} : { messageExpiryInterval }),
        },
      });
    await set("a", 1);
    await set("b");
  }
  const expires = performance.now() + 1000;
  await gateway.end("SIGKILL");
  await gateway.start();
  await using client = await MqttCollector.open(gateway.port(), "answers");
  await using values = await MqttCollector.open(gateway.port(), "serial/bus/s1/+");
  await eventually("the other has expired", () => performance.now() > expires);
  await slaves.plug();
  const answers = (point: string) =>
    client.messages
      .filter(({ packet }) => String(packet.properties?.correlationData) === point)
      .map(({ payload }) => payload);
  await eventually("the answer", () => answers("b").length > 0);
  assert.deepEqual(answers("b"), ['{"ok":true,"value":42}']);
  // In the queue already, or while it waits for the bus: then there is an answer.
  for (const answer of answers("a")) assert.equal(answer, '{"ok":false,"value":42,"error":"expired"}');
  const last = (name: string) => values.messages.findLast(({ topic }) => topic === `serial/bus/s1/${name}`)?.payload;
  await eventually("read back", () => last("b") === "42");
  assert.equal(last("a"), "0");
  assert.equal(await gateway.end(), 0);
});

/** A wire to `port` with local echo, noise before each answer, and answers in pieces. */
class BadWire {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  port = 0;

  constructor(port: number, random: Random) {
    this.#server = createServer((near) => {
      const far = connect(port, "127.0.0.1");
      for (const socket of [near, far]) this.#sockets.add(socket.setNoDelay(true).on("error", () => socket.destroy()));
      near.on("data", (request) => {
        near.write(request);
        far.write(request);
      });
      far.on("data", (answer) => {
        near.write(Buffer.from(Array.from({ length: Math.floor(4 * random()) }, () => Math.floor(256 * random()))));
        const cut = Math.floor(random() * answer.length);
        near.write(answer.subarray(0, cut));
        setImmediate(() => near.write(answer.subarray(cut)));
      });
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    this.port = (this.#server.address() as { port: number }).port;
  }

  [Symbol.dispose](): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

test("rtu: over a wire that echoes and is noisy values are right, and what nobody answered is not confirmed", {
  skip: PYMODBUS,
}, async () => {
  using folder = temporaryFolder();
  await using slaves = new ModbusSlaves(folder.path);
  await slaves.start("pymodbus", "rtu over tcp", [7, 8]);
  using wire = new BadWire(Number(slaves.port.split(":").at(-1)), seededRandom(3));
  await wire.listen();
  const points = [
    { name: "a", address: 0, publish: "always" },
    { name: "b", address: 20, write: true },
  ];
  const modbus = {
    timeout: "400ms",
    slaves: [slave(1, "20ms", points), slave(9, "1s", [{ name: "b", address: 0, write: true }])],
  };
  await using gateway = new GatewayProcess(folder.path, config(`tcp://127.0.0.1:${wire.port}`, modbus));
  await gateway.start();
  await using client = await MqttCollector.open(gateway.port(), "serial/bus/#");
  const seen = (topic: string) => client.messages.filter((one) => one.topic === topic).map(({ payload }) => payload);
  await eventually("the dead one is known", () => gateway.stderr.includes("modbus-slave-away"));
  for (const value of ["1", "2", "3"]) await client.client.publishAsync("serial/bus/s1/b/set", value, { qos: 1 });
  await client.client.publishAsync("serial/bus/s9/b/set", "1", { qos: 1 });
  await eventually(
    "results",
    () => seen("serial/bus/s1/b/set/result").length === 3 && seen("serial/bus/s9/b/set/result").length === 1,
  );
  await eventually(
    "read back, and 100 polls",
    () => seen("serial/bus/s1/b").at(-1) === "3" && seen("serial/bus/s1/a").length > 100,
  );
  assert.deepEqual(
    seen("serial/bus/s1/b/set/result"),
    [1, 2, 3].map((value) => `{"ok":true,"value":${value}}`),
  );
  assert.deepEqual(seen("serial/bus/s9/b/set/result"), ['{"ok":false,"value":1,"error":"no answer"}']);
  assert.deepEqual([...new Set(seen("serial/bus/s1/a"))], ["7"]);
  const { stdout } = await sluice(["status", "--config", gateway.configFile]);
  assert.match(stdout, /polls a second;.* [1-9]\d* stray bytes, [1-9]\d+ echoes$/m);
  assert.equal(await gateway.end(), 0);
});

test("message: group is one message for all values that were read, state is retained, and both follow slave and port", {
  skip: PYMODBUS,
}, async () => {
  using folder = temporaryFolder();
  await using slaves = new ModbusSlaves(folder.path);
  await slaves.start("pymodbus", "terminal", [2301, 7]);
  const points = [
    { name: "voltage", address: 0, scale: 0.1 },
    { name: "setpoint", address: 1, write: true },
    { name: "door", table: "discrete", address: 2 },
    MISSING,
  ];
  const modbus = {
    timeout: "200ms",
    message: "group",
    state: "state/{line}/{slave}",
    slaves: [slave(1, "50ms", points), slave(9, "1s", [{ name: "v", address: 0 }])],
  };
  await using gateway = new GatewayProcess(folder.path, config(slaves.port, modbus));
  await gateway.start();
  await using client = await MqttCollector.open(gateway.port(), "serial/bus/#");
  const values = (): Record<string, unknown>[] =>
    client.messages
      .filter(({ topic }) => topic === "serial/bus/s1/1")
      .map(({ payload }) => {
        const { time, values } = JSON.parse(payload) as { time: string; values: Record<string, unknown> };
        assert.equal(new Date(time).toISOString(), time);
        return values;
      });
  /** As somebody who comes now is told. */
  const states = async (): Promise<string[]> => {
    await using late = await MqttCollector.open(gateway.port(), "state/#");
    const told = (await late.take(2)).filter(({ packet }) => packet.retain); // and what changes just then
    return told.map(({ topic, payload }) => `${topic} ${payload}`).sort();
  };
  const both = async (first: string): Promise<void> => {
    const expected = `state/bus/s1 ${first}, state/bus/s9 offline`;
    await eventually(`slave 1 is ${first}`, async () => (await states()).join(", ") === expected);
  };
  await both("online");
  await client.client.publishAsync("serial/bus/s1/setpoint/set", "42", { qos: 1 });
  await eventually("a message with what was written", () => values().at(-1)?.["setpoint"] === 42);
  assert.deepEqual(values().at(-1), { voltage: 230.1, setpoint: 42, door: true });
  const others = client.messages.filter(({ topic }) => !["1", "set", "result"].includes(topic.split("/").at(-1) ?? ""));
  assert.deepEqual(others, [], "no point has a message of its own");
  await slaves.unplug();
  await both("offline");
  await slaves.plug();
  await both("online");
  assert.equal(await gateway.end(), 0);
});

test("Modbus TCP: an answer that stops within its frame does not keep the next ones: the connection is opened anew", async () => {
  using folder = temporaryFolder();
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const isFirst = ++connections === 1;
    sockets.add(socket.on("error", () => socket.destroy()));
    socket.on("data", (request) => {
      const answer = Buffer.concat([request.subarray(0, 4), Buffer.of(0, 5, 1, 3, 2, 0, 42)]);
      if (isFirst) answer[5] = 250;
      socket.write(answer);
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  try {
    const { port } = server.address() as { port: number };
    const modbus = { transport: "tcp", timeout: "100ms", slaves: [slave(1, "100ms", [{ name: "a", address: 0 }])] };
    await using gateway = new GatewayProcess(
      folder.path,
      config(`tcp://127.0.0.1:${port}`, { retain: true, ...modbus }),
    );
    await gateway.start();
    await using client = await MqttCollector.open(gateway.port(), "serial/bus/s1/a");
    assert.equal((await client.take(1))[0]?.payload, "42");
    assert.equal(connections, 2);
    assert.match(gateway.stderr, /serial-away .*error="what came ends within a frame, or is no Modbus TCP"/);
    assert.equal(await gateway.end(), 0);
  } finally {
    server.close();
    for (const socket of sockets) socket.destroy();
  }
});
