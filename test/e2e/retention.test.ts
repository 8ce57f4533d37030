// What a receiver gets after it was away for longer than it had room: exactly what its policy says, in order; and what a
// technician reads about the rest, also after the power was cut.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import type { ReceiverDrops } from "../../src/core/drop-counts.ts";
import type { Drop } from "../../src/core/ledger.ts";
import type { UplinkStatus } from "../../src/uplink/uplink.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";
import { requirePeer } from "../support/peers.ts";

const MOSQUITTO = { skip: requirePeer("mosquitto") };

/** A line to a broker that is dead until it is opened. */
class Line {
  readonly port: number;
  readonly #server: Server;
  readonly #to: number;
  readonly #sockets = new Set<Socket>();
  #open = false;

  private constructor(server: Server, to: number) {
    this.#server = server;
    this.#to = to;
    this.port = (server.address() as { port: number }).port;
    server.on("connection", (socket) => this.#onConnection(socket));
  }

  static async to(port: number): Promise<Line> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Line(server, port);
  }

  open(): void {
    this.#open = true;
  }

  #onConnection(socket: Socket): void {
    socket.on("error", () => {});
    if (!this.#open) {
      socket.destroy();
      return;
    }
    const broker = connect(this.#to, "127.0.0.1");
    for (const [from, to] of [
      [socket, broker],
      [broker, socket],
    ] as const) {
      this.#sockets.add(from);
      from.on("error", () => {});
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}

interface Status {
  readonly counters: Record<string, number>;
  readonly uplinks: readonly UplinkStatus[];
  readonly drops: readonly Drop[];
  readonly dropsByReceiver: readonly ReceiverDrops[];
}

async function statusOf(gateway: GatewayProcess): Promise<Status> {
  const { stdout } = await sluice(["status", "--drops", "--json", "--config", gateway.configFile]);
  return JSON.parse(stdout) as Status;
}

function causesOf({ dropsByReceiver }: Status, receiver: string): unknown {
  return dropsByReceiver.find((drops) => drops.receiver === receiver)?.causes;
}

/** Publishes at QoS 1 and waits for all answers. */
async function publishAll(port: number, messages: readonly (readonly [string, string])[]): Promise<MqttPeer> {
  const device = new MqttPeer("device", 5, 1000);
  await device.connect(port);
  for (const [topic, payload] of messages) device.publish({ topic, payload, qos: 1, retain: false });
  await eventually("all are answered", () => device.outstanding === 0);
  return device;
}

/** A drop list that was given to the store is on the medium once a later message is acknowledged. */
async function untilKept(gateway: GatewayProcess): Promise<void> {
  await eventually("the ledger is handed over", async () => {
    const { counters } = await statusOf(gateway);
    return (counters["ledger.handed_over"] ?? 0) > 0;
  });
  const commits = (await statusOf(gateway)).counters["store.commits"] ?? 0;
  using device = await publishAll(gateway.port(), [["unheard/retained", "x"]]);
  device.publish({ topic: "unheard/retained", payload: "y", qos: 1, retain: true });
  await eventually("answered", () => device.outstanding === 0);
  await eventually("written", async () => ((await statusOf(gateway)).counters["store.commits"] ?? 0) > commits);
}

function uplink(name: string, port: number, spool: Record<string, unknown>): Record<string, unknown> {
  const forward = [{ match: "meter/#", qos: 1, to: `${name}/{topic}` }];
  return { name, url: `mqtt://127.0.0.1:${port}`, client_id: `gw-${name}`, forward, spool };
}

const LISTENERS = [{ type: "mqtt", bind: "127.0.0.1:0" }];

/** One value of a rare topic, then many of three others. */
const VALUES = Array.from({ length: 40 }, (_, n): [string, string] => [
  n === 0 ? "meter/rare" : `meter/${n % 3}`,
  `${n}`,
]);
const PAYLOADS = VALUES.map(([, payload]) => payload);

test(
  "an uplink that was cut: each policy by messages, drops listed by receiver, and all of it after kill -9",
  MOSQUITTO,
  async () => {
    using folder = temporaryFolder();
    await using cloud = await Mosquitto.start(folder.path);
    await using line = await Line.to(cloud.port);
    const uplinks = ["drop-oldest", "drop-newest", "latest-per-topic"].map((when_full) =>
      uplink(when_full, line.port, { max_messages: 10, when_full }),
    );
    await using gateway = new GatewayProcess(folder.path, { listeners: LISTENERS, memory_limit: "32MiB", uplinks });
    await gateway.start();
    using device = await publishAll(gateway.port(), VALUES);
    assert.equal(device.refusals, 0);
    await eventually("each has its ten", async () =>
      (await statusOf(gateway)).uplinks.every(({ spool }) => spool.messages === 10),
    );
    await untilKept(gateway);
    const before = await statusOf(gateway);
    assert.deepEqual(causesOf(before, "uplink:drop-oldest"), { "queue-full": 30 });
    assert.deepEqual(causesOf(before, "uplink:drop-newest"), { "queue-full": 30 });
    assert.deepEqual(causesOf(before, "uplink:latest-per-topic"), { superseded: 30 });

    await gateway.end("SIGKILL");
    await gateway.start();
    const after = await statusOf(gateway);
    assert.deepEqual(after.drops, before.drops);
    for (const { receiver, causes } of before.dropsByReceiver) assert.deepEqual(causesOf(after, receiver), causes);
    const { stdout } = await sluice(["status", "--drops", "--config", gateway.configFile]);
    assert.match(stdout, /^ {2}uplink:latest-per-topic +.*30/m);
    assert.match(stdout, /uplink:latest-per-topic: 30 superseded, first of meter\/1$/m);

    await using collector = await MqttCollector.open(cloud.port, "#");
    line.open();
    const got = (await collector.take(30)).map(({ topic, payload }): [string, string] => [
      topic.split("/")[0] as string,
      payload,
    ]);
    const of = (name: string): string[] => got.filter(([prefix]) => prefix === name).map(([, payload]) => payload);
    assert.deepEqual(of("drop-oldest"), PAYLOADS.slice(-10));
    assert.deepEqual(of("drop-newest"), PAYLOADS.slice(0, 10));
    assert.deepEqual(of("latest-per-topic"), ["0", ...PAYLOADS.slice(-9)]);
  },
);

test("an uplink that was cut: refuse tells the device 0x97, and the cloud gets what was taken", MOSQUITTO, async () => {
  using folder = temporaryFolder();
  await using cloud = await Mosquitto.start(folder.path);
  await using line = await Line.to(cloud.port);
  const uplinks = [uplink("strict", line.port, { max_messages: 10, when_full: "refuse" })];
  await using gateway = new GatewayProcess(folder.path, { listeners: LISTENERS, memory_limit: "32MiB", uplinks });
  await gateway.start();
  using device = await publishAll(gateway.port(), VALUES);
  assert.deepEqual([device.refusals, device.lastRefusal], [30, 0x97]);
  await using collector = await MqttCollector.open(cloud.port, "#");
  line.open();
  assert.deepEqual(
    (await collector.take(10)).map(({ payload }) => payload),
    PAYLOADS.slice(0, 10),
  );
  assert.deepEqual((await statusOf(gateway)).dropsByReceiver, [], "nothing that was acknowledged was dropped");
});

test(
  "an uplink that was cut: bytes as the limit, for the oldest and for the latest of each topic",
  MOSQUITTO,
  async () => {
    using folder = temporaryFolder();
    await using cloud = await Mosquitto.start(folder.path);
    await using line = await Line.to(cloud.port);
    const uplinks = ["drop-oldest", "latest-per-topic"].map((when_full) =>
      uplink(when_full, line.port, { max_bytes: "64KiB", when_full }),
    );
    await using gateway = new GatewayProcess(folder.path, { listeners: LISTENERS, memory_limit: "32MiB", uplinks });
    await gateway.start();
    const filler = "x".repeat(4000);
    using _device = await publishAll(
      gateway.port(),
      VALUES.map(([topic, payload]) => [topic, `${payload} ${filler}`]),
    );
    const few = ({ spool }: UplinkStatus): boolean => spool.bytes <= 64 * 1024 && spool.bytes > 56 * 1024;
    await eventually("both are within their bytes", async () => (await statusOf(gateway)).uplinks.every(few));
    await using collector = await MqttCollector.open(cloud.port, "#");
    line.open();
    const got = await collector.take(30);
    const of = (name: string): string[] =>
      got.filter(({ topic }) => topic.startsWith(name)).map(({ payload }) => payload.slice(0, payload.indexOf(" ")));
    assert.deepEqual(of("drop-oldest"), PAYLOADS.slice(-15));
    assert.deepEqual(of("latest-per-topic"), ["0", ...PAYLOADS.slice(-14)]);
  },
);

test("an uplink that never comes back: what is too old leaves the disk, counted", async () => {
  using folder = temporaryFolder();
  const uplinks = [uplink("gone", 1, { max_age: "1s" })];
  await using gateway = new GatewayProcess(folder.path, { listeners: LISTENERS, memory_limit: "32MiB", uplinks });
  await gateway.start();
  using _device = await publishAll(gateway.port(), VALUES);
  assert.equal((await statusOf(gateway)).uplinks[0]?.spool.messages, 40);
  await eventually("the spool is empty", async () => (await statusOf(gateway)).uplinks[0]?.spool.messages === 0);
  await eventually("so is the log", async () => (await statusOf(gateway)).counters["store.log_rows"] === 0);
  assert.deepEqual(causesOf(await statusOf(gateway), "uplink:gone"), { "too-old": 40 });
});

for (const { when_full, expected, cause } of [
  { when_full: "drop-oldest", expected: PAYLOADS.slice(-10), cause: "queue-full" },
  { when_full: "drop-newest", expected: PAYLOADS.slice(0, 10), cause: "queue-full" },
  { when_full: "latest-per-topic", expected: ["0", ...PAYLOADS.slice(-9)], cause: "superseded" },
]) {
  test(`a session that was away with session_when_full: ${when_full}, over kill -9`, async () => {
    using folder = temporaryFolder();
    const limits = { session_queue_messages: 10, session_queue_age: "1h", session_when_full: when_full };
    await using gateway = new GatewayProcess(folder.path, { listeners: LISTENERS, limits });
    await gateway.start();
    using panel = new MqttPeer("panel", 5);
    await panel.connect(gateway.port());
    await panel.subscribe("meter/#", 1);
    await panel.leave();
    using device = new MqttPeer("device", 5, 1000);
    await device.connect(gateway.port());
    // Retained, so that somebody keeps them: with drop-newest the publisher would be refused.
    for (const [topic, payload] of VALUES) device.publish({ topic, payload, qos: 1, retain: true });
    await eventually("all are answered", () => device.outstanding === 0);
    assert.equal(device.refusals, 0);
    await untilKept(gateway);
    await gateway.end("SIGKILL");
    await gateway.start();
    assert.deepEqual(causesOf(await statusOf(gateway), "session:panel"), { [cause]: 30 });
    const got: string[] = [];
    panel.onMessage = ({ payload }) => got.push(payload.toString());
    await panel.connect(gateway.port());
    await eventually("ten messages", () => got.length >= 10);
    assert.deepEqual(got, expected);
  });
}
