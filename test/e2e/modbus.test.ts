// The Modbus master against pymodbus as the slave: RTU over a pair of pseudo terminals that socat makes, and Modbus TCP.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { peerPath, requirePeer, requirePython } from "../support/peers.ts";

const SLAVE = resolve(import.meta.dirname, "../support/modbus_slave.py");
const NEEDS = requirePeer("socat") || requirePython("pymodbus.server");

/** pymodbus, and socat between its TCP port and a pseudo terminal. */
class Slaves {
  readonly port: string;
  tcpPort = 0;
  #slave: ChildProcess | null = null;
  #socat: ChildProcess | null = null;

  constructor(folder: string) {
    this.port = join(folder, "bus");
  }

  async start(framing: "rtu" | "tcp", registers: number[]): Promise<void> {
    const options = JSON.stringify({ framing, registers });
    const slave = spawn("/usr/bin/python3", [SLAVE, options], { stdio: ["ignore", "pipe", "inherit"] });
    this.#slave = slave;
    let text = "";
    slave.stdout.on("data", (chunk: Buffer) => {
      text += chunk;
    });
    await eventually("pymodbus listens", () => text.includes("}"));
    this.tcpPort = (JSON.parse(text) as { port: number }).port;
  }

  async plug(): Promise<void> {
    const ends = [`pty,raw,echo=0,link=${this.port}`, `tcp:127.0.0.1:${this.tcpPort},nodelay`];
    this.#socat = spawn(peerPath("socat"), ends, { stdio: "inherit" });
    await eventually("socat's terminal", () => existsSync(this.port));
  }

  async unplug(): Promise<void> {
    await ended(this.#socat);
    this.#socat = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unplug();
    await ended(this.#slave);
  }
}

async function ended(child: ChildProcess | null): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

const POINTS = [
  { name: "voltage", address: 0, scale: 0.1 },
  { name: "temperature", address: 1, type: "float32", word_order: "little" },
  { name: "energy", address: 3, type: "uint64", payload: "json", unit: "Wh" },
  { name: "label", address: 7, type: "text", length: 2 },
  { name: "setpoint", address: 20, type: "int32", scale: 0.01, min: -50, max: 100, write: true },
  { name: "relay", table: "coil", address: 5, write: true },
  { name: "door", table: "discrete", address: 2 },
  { name: "flow", table: "input", address: 7 },
];
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

for (const [framing, way] of [
  ["rtu", "a terminal"],
  ["tcp", "tcp://"],
  ["rtu", "tcp://"],
] as const) {
  test(`${framing} over ${way}: values of every kind arrive, and a command is written, confirmed and read back`, {
    skip: NEEDS,
  }, async () => {
    using folder = temporaryFolder();
    await using slaves = new Slaves(folder.path);
    await slaves.start(framing, REGISTERS);
    if (way === "a terminal") await slaves.plug();
    const port = way === "a terminal" ? slaves.port : `tcp://127.0.0.1:${slaves.tcpPort}`;
    const modbus = { transport: framing, slaves: [slave(1, "100ms", POINTS)] };
    await using gateway = new GatewayProcess(folder.path, config(port, { retain: true, ...modbus }));
    await gateway.start();
    await using client = await MqttCollector.open(gateway.port(), "serial/bus/s1/#");
    const seen = (name: string) =>
      client.messages.filter(({ topic }) => topic === `serial/bus/s1/${name}`).map(({ payload }) => payload);
    await eventually("all points", () => POINTS.every(({ name }) => seen(name).length > 0));
    assert.deepEqual(
      ["voltage", "temperature", "label", "setpoint", "relay", "door", "flow"].map((name) => seen(name)[0]),
      ["230.1", "21.3", "SN42", "0", "false", "true", "1007"],
    );
    assert.match(seen("energy")[0] ?? "", /^\{"value":9007199254740993,"unit":"Wh","time":"20/);

    const set = (name: string, payload: string) =>
      client.client.publishAsync(`serial/bus/s1/${name}/set`, payload, { qos: 1 });
    await set("setpoint", "-12.34");
    await set("relay", "true");
    await set("setpoint", "101");
    await eventually("read back", () => seen("setpoint").includes("-12.34") && seen("relay").includes("true"));
    await eventually("both results", () => seen("setpoint/set/result").length === 2);
    assert.deepEqual(seen("setpoint/set/result"), [
      '{"ok":true,"value":-12.34}',
      '{"ok":false,"error":"out of range: from -50 to 100"}',
    ]);
    assert.deepEqual(seen("relay/set/result"), ['{"ok":true,"value":true}']);
    assert.equal(await gateway.end(), 0);
  });
}

test("rtu: a slave that is not there does not slow the others, $SYS says so, and commands wait for the port", {
  skip: NEEDS,
}, async () => {
  using folder = temporaryFolder();
  await using slaves = new Slaves(folder.path);
  await slaves.start("rtu", [7]);
  await slaves.plug();
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
  assert.equal(gateway.stderr.split("modbus-slave-away").length - 1, 1);

  await slaves.unplug();
  await eventually("the gateway notices", () => gateway.stderr.includes("serial-away"));
  await client.client.publishAsync("serial/bus/s2/b/set", "42", { qos: 1 });
  await slaves.plug();
  await eventually("written", () =>
    client.messages.some(({ topic, payload }) => topic === "serial/bus/s2/b" && payload === "42"),
  );
  assert.equal(await gateway.end(), 0);
});
