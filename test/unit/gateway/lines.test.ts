// A reload of serial lines, with sockets as the devices.
import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { ConfigurationError } from "../../../src/config/complaint.ts";
import type { SerialPortStatus } from "../../../src/transport/serial/serial-port.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/gateway-process.ts";
import { GatewayWorld, type Keys } from "./world.ts";

class World extends GatewayWorld {
  reload(...serial: Keys[]): ReturnType<GatewayWorld["reloadWith"]> {
    return this.reloadWith({ serial });
  }

  line(name: string): SerialPortStatus | undefined {
    return (this.gateway.status()["serial"] as SerialPortStatus[]).find((line) => line.name === name);
  }

  async open(...names: string[]): Promise<void> {
    await eventually(`${names.join()} open`, () => names.every((name) => this.line(name)?.open));
  }
}

/** A device behind a unix socket, one connection at a time. */
class Device implements AsyncDisposable {
  readonly port: string;
  heard = "";
  connections = 0;
  readonly #server: Server;
  #socket: Socket | null = null;

  private constructor(path: string) {
    this.port = `unix:${path}`;
    this.#server = createServer((socket) => {
      this.connections++;
      this.#socket = socket;
      socket.on("error", () => {});
      socket.on("data", (chunk) => {
        this.heard += chunk.toString();
      });
    });
  }

  static async at(path: string): Promise<Device> {
    const device = new Device(path);
    await new Promise<void>((resolve) => void device.#server.listen(path, resolve));
    return device;
  }

  say(text: string): void {
    this.#socket?.write(text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket?.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const line = (name: string, port: string, keys: Keys = {}): Keys => ({
  name,
  port,
  write: { topic: `${name}/set` },
  ...keys,
});

test("a reload adds a line, changes one and removes one; one that stays the same keeps its port open", async () => {
  using folder = temporaryFolder();
  await using same = await Device.at(join(folder.path, "same"));
  await using other = await Device.at(join(folder.path, "other"));
  await using late = await Device.at(join(folder.path, "late"));
  await using world = new World(folder.path, { serial: [line("same", same.port), line("other", other.port)] });
  await world.gateway.start();
  await world.open("same", "other");
  const { applied, restartRequired } = await world.reload(
    line("same", same.port),
    line("other", other.port, { write: { topic: "other/set", payload: "> {payload}" }, publish: "off" }),
    line("late", late.port),
  );
  assert.deepEqual(applied.slice(-2), ["serial other: publish, write changed", "serial late: added"]);
  assert.deepEqual(restartRequired, []);
  await world.open("same", "other", "late");
  for (const name of ["same", "other", "late"]) assert.ok(world.publish(`${name}/set`, "on"));
  await eventually("all are written", () => [same, other, late].every(({ heard }) => heard.endsWith("on\n")));
  assert.equal(other.heard, "> on\n");
  assert.deepEqual([same.connections, other.connections, late.connections], [1, 2, 1]);

  const second = await world.reload(line("same", same.port), line("late", late.port));
  assert.equal(second.applied.at(-1), "serial other: removed");
  assert.equal(world.line("other"), undefined);
  assert.equal(world.publish("other/set", "on"), false, "nobody has to keep it");
  assert.equal(world.rooms.store.loadReceiver("serial", "other"), null);
  const frames = world.subscriber("serial/#");
  late.say("hello\n");
  await eventually("the line is read", () => frames.length === 1);
  assert.deepEqual(frames, ["serial/late hello"]);
});

test("what waits for a line stays when it changes, and is given up, counted and told when it goes", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "device");
  await using world = new World(folder.path, { serial: [line("meter", `unix:${join(folder.path, "nobody")}`)] });
  await world.gateway.start();
  for (let i = 0; i < 3; i++) assert.ok(world.publish("meter/set", `${i}`));
  await eventually("they are stored", () => world.acknowledged.length === 3);
  await using device = await Device.at(path);
  await world.reload(line("meter", device.port, { write: { topic: "meter/set", gap: "1ms" } }));
  await eventually("what waited is written", () => device.heard === "0\n1\n2\n");

  await world.reload(line("meter", `unix:${join(folder.path, "nobody")}`));
  for (let i = 3; i < 5; i++) assert.ok(world.publish("meter/set", `${i}`));
  await eventually("they are stored, too", () => world.acknowledged.length === 5);
  const { applied } = await world.reload();
  assert.equal(applied.at(-1), "serial meter: removed, 2 messages that waited for it were given up");
  assert.match(world.log.join("\n"), /warn {2}serial-removed serial=meter messagesGivenUp=2 bytesGivenUp=[1-9]/);
  assert.deepEqual(world.rooms.ledger.byReceiver(), [{ receiver: "serial:meter", causes: { removed: 2 } }]);
  assert.equal(world.rooms.ledger.entries()[0]?.topic, "meter/set");
});

test("a line that is not written to at QoS 1 any more keeps nothing", async () => {
  using folder = temporaryFolder();
  const nobody = `unix:${join(folder.path, "nobody")}`;
  await using world = new World(folder.path, { serial: [line("meter", nobody)] });
  await world.gateway.start();
  assert.ok(world.publish("meter/set", "a"));
  await eventually("it is stored", () => world.acknowledged.length === 1);
  await world.reload(line("meter", nobody, { write: { topic: "meter/set", qos: 0 } }));
  assert.equal(world.publish("meter/set", "b"), false);
  assert.equal(world.rooms.store.loadReceiver("serial", "meter"), null);
  assert.deepEqual(world.rooms.ledger.byReceiver(), [{ receiver: "serial:meter", causes: { removed: 1 } }]);
});

test("two lines that change their ports with each other find them closed", async () => {
  using folder = temporaryFolder();
  await using a = await Device.at(join(folder.path, "a"));
  await using b = await Device.at(join(folder.path, "b"));
  await using world = new World(folder.path, { serial: [line("a", a.port), line("b", b.port)] });
  await world.gateway.start();
  await world.open("a", "b");
  const { applied } = await world.reload(line("a", b.port), line("b", a.port));
  assert.deepEqual(applied.slice(-2), ["serial a: port changed", "serial b: port changed"]);
  await world.open("a", "b");
  world.publish("a/set", "for b");
  await eventually("it is written", () => b.heard === "for b\n");
  assert.doesNotMatch(world.log.join("\n"), /serial-away/);
});

test("a line may speak another protocol after a reload; a bus takes its values along", async () => {
  using folder = temporaryFolder();
  await using device = await Device.at(join(folder.path, "device"));
  const { port } = device;
  const slaves = [{ unit: 1, groups: [{ points: [{ address: 1 }] }] }];
  const protocols: Keys[] = [
    { name: "x", port, protocol: "modbus", modbus: { slaves } },
    { name: "x", port, protocol: "coap" },
    { name: "x", port, protocol: "mqtt-sn" },
    { name: "x", port, protocol: "frames" },
  ];
  await using world = new World(folder.path, { serial: [] });
  await world.gateway.start();
  const told = world.rooms.sys?.toldMax ?? 0;
  const polls = () => world.rooms.sys?.get("$SYS/sluice/modbus/x/polls_per_second");
  for (const [i, keys] of protocols.entries()) {
    const { applied } = await world.reload(keys);
    assert.equal(applied.at(-1), i === 0 ? "serial x: added" : "serial x: protocol changed");
    await world.open("x");
    assert.equal(device.connections, i + 1);
    assert.equal(polls() !== undefined, i === 0);
    assert.equal((world.rooms.sys?.toldMax ?? 0) > told, i === 0);
  }
  await world.reload();
  assert.equal(world.line("x"), undefined);
});

test("lines that do not fit into memory_limit are refused, and all stays as it was", async () => {
  using folder = temporaryFolder();
  await using device = await Device.at(join(folder.path, "device"));
  await using world = new World(folder.path, { serial: [line("a", device.port)] });
  await world.gateway.start();
  await world.open("a");
  const many = Array.from({ length: 200 }, (_, i) => line(`x${i}`, `unix:${join(folder.path, `${i}`)}`));
  await assert.rejects(
    world.reload(...many),
    ({ complaints }: ConfigurationError) => complaints[0]?.path === "memory_limit",
  );
  assert.equal(world.line("a")?.open, true);
  assert.equal(device.connections, 1);
});
