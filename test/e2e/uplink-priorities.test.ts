// Priorities and one message that is never answered, in a gateway as it runs, against a server in the test's hand.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { UplinkStatus } from "../../src/uplink/uplink.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { type Connection, HandServer } from "../support/hand-server.ts";
import { MovedClock } from "../support/moved-clock.ts";
import type { Publish } from "../support/mqtt-packets.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";
import { requirePeer } from "../support/peers.ts";

const BACKLOG = 100_000;
const WINDOW = 20;
/** Ordinals between what is stuck and the newest (core/packet-ids.ts). */
const SPAN = 4096;
const STALL_SPEED = 60;

function gatewayOf(folder: string, port: number, more: Record<string, unknown>, env = {}): GatewayProcess {
  const uplink = { name: "cloud", url: `mqtt://127.0.0.1:${port}`, client_id: "gateway", window: WINDOW, ...more };
  const config = { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }], uplinks: [uplink] };
  return new GatewayProcess(folder, config, env);
}

async function statusOf(gateway: GatewayProcess): Promise<UplinkStatus> {
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  return (JSON.parse(stdout) as { uplinks: UplinkStatus[] }).uplinks[0] as UplinkStatus;
}

/** A device, and a promise of its last acknowledgement. */
async function publishAll(
  device: MqttPeer,
  topics: readonly string[],
  prefix: string,
  timeoutMs: number,
): Promise<void> {
  let acknowledged = 0;
  device.onAcknowledged = () => acknowledged++;
  for (const [i, topic] of topics.entries()) device.publish({ topic, payload: `${prefix}${i}`, qos: 1, retain: false });
  await eventually("all are acknowledged", () => acknowledged === topics.length, timeoutMs);
}

test(`behind ${BACKLOG} messages and a full window, an urgent one goes out in the next free place`, async () => {
  using folder = temporaryFolder();
  using scope = new DisposableStack();
  await using server = await HandServer.open();
  const held: Publish[] = [];
  const arrived: string[] = [];
  let connection: Connection | null = null;
  let answers = false;
  server.manners = () => ({
    onPublish(from, publish) {
      connection = from;
      arrived.push(publish.payload);
      if (answers) from.answer(publish);
      else held.push(publish);
    },
  });
  await using gateway = gatewayOf(folder.path, server.port, {
    forward: [{ match: "low/#" }, { match: "high/#", priority: 7 }],
  });
  await gateway.start();
  await eventually("connected", () => server.connections === 1);
  const device = scope.use(new MqttPeer("device", 5, 500));
  await device.connect(gateway.port());
  await publishAll(
    device,
    Array.from({ length: BACKLOG }, (_, i) => `low/${i % 10}`),
    "l",
    120_000,
  );
  assert.equal(held.length, WINDOW);
  await publishAll(device, ["high/alarm", "high/alarm"], "h", 10_000);
  assert.equal(arrived.length, WINDOW, "the window is full");
  const answer = (): void => connection?.answer(held.shift() as Publish);
  answer();
  await eventually("the first urgent one", () => arrived.length === WINDOW + 1);
  answer();
  await eventually("the second", () => arrived.length === WINDOW + 2);
  answer();
  await eventually("the next of the others", () => arrived.length === WINDOW + 3);
  assert.deepEqual(arrived.slice(WINDOW), ["h0", "h1", `l${WINDOW}`]);
  answers = true;
  while (held.length > 0) answer();
  await eventually("all are there", () => arrived.length === BACKLOG + 2, 120_000);
  const low = arrived.filter((payload) => payload.startsWith("l"));
  assert(
    low.every((payload, i) => payload === `l${i}`),
    "each once, in order",
  );
  await eventually("the spool is empty", async () => (await statusOf(gateway)).spool.messages === 0);
});

test("a server that never answers one message among thousands: the others go on to the end of the span, then it is left", {
  skip: requirePeer("cc"),
}, async () => {
  using folder = temporaryFolder();
  using scope = new DisposableStack();
  await using server = await HandServer.open();
  const count = SPAN + 300;
  const stuck = 7;
  const arrived: string[] = [];
  const again: string[] = [];
  const clock = new MovedClock(folder.path);
  server.manners = (nth) => ({
    onPublish(from, publish) {
      if (publish.dup) again.push(publish.payload);
      else arrived.push(publish.payload);
      if (nth > 1 || publish.payload !== `m${stuck}`) from.answer(publish);
    },
  });
  await using gateway = gatewayOf(folder.path, server.port, { forward: [{ match: "#" }], keepalive: "30s" }, clock.env);
  await gateway.start();
  await eventually("connected", () => server.connections === 1);
  const device = scope.use(new MqttPeer("device", 5, 200));
  await device.connect(gateway.port());
  await publishAll(
    device,
    Array.from({ length: count }, (_, i) => `t/${i % 5}`),
    "m",
    60_000,
  );
  await eventually("the span is used up", () => arrived.length === stuck + SPAN);
  const { inFlight, spool } = await statusOf(gateway);
  assert.deepEqual([inFlight, spool.messages], [1, count - arrived.length + 1]);
  clock.set({ speed: STALL_SPEED });
  await eventually("the connection is made anew", () => server.connections > 1, 30_000);
  clock.set({ speed: 1 });
  await eventually("all are there", () => arrived.length === count, 30_000);
  assert.deepEqual(again, [`m${stuck}`], "what was not answered is all that comes again");
  assert(
    arrived.every((payload, i) => payload === `m${i}`),
    "in order",
  );
  const status = await statusOf(gateway);
  assert.deepEqual([status.spool.messages, status.dropped], [0, {}]);
  assert.match(gateway.stderr + gateway.stdout, /no acknowledgement within 60 s/);
});

test("a class that is full refuses its own devices, with 0x97, and no others", async () => {
  using folder = temporaryFolder();
  using scope = new DisposableStack();
  await using server = await HandServer.open();
  let there = false;
  const arrived: string[] = [];
  server.onMessage = ({ payload }) => arrived.push(payload);
  server.manners = () => (there ? {} : { onConnect: ({ socket }) => socket.destroy() });
  await using gateway = gatewayOf(folder.path, server.port, {
    forward: [{ match: "low/#" }, { match: "high/#", priority: 7 }],
    spool: { priorities: [{ priority: 7, max_messages: 5, when_full: "refuse" }] },
  });
  await gateway.start();
  const urgent = scope.use(new MqttPeer("urgent", 5));
  await urgent.connect(gateway.port());
  let acknowledged = 0;
  urgent.onAcknowledged = () => acknowledged++;
  for (let i = 0; i < 8; i++) urgent.publish({ topic: "high/a", payload: `h${i}`, qos: 1, retain: false });
  await eventually("all are answered", () => acknowledged + urgent.refusals >= 8);
  assert.deepEqual([acknowledged, urgent.refusals, urgent.lastRefusal], [5, 3, 0x97]);
  const device = scope.use(new MqttPeer("device", 5));
  await device.connect(gateway.port());
  await publishAll(
    device,
    Array.from({ length: 50 }, () => "low/a"),
    "l",
    10_000,
  );
  assert.equal(device.refusals, 0);
  const { dropped, spool } = await statusOf(gateway);
  assert.deepEqual([dropped, spool.messages], [{}, 55], "who was refused knows of it: that is no loss");
  there = true;
  await eventually("all are there", () => arrived.length === 55, 30_000);
  assert.deepEqual(arrived.slice(0, 5), ["h0", "h1", "h2", "h3", "h4"]);
});

test("a priority that no rule has any more is drained after a restart, and is gone then", async () => {
  using folder = temporaryFolder();
  using scope = new DisposableStack();
  await using server = await HandServer.open();
  let there = false;
  const arrived: string[] = [];
  server.onMessage = ({ payload }) => arrived.push(payload);
  server.manners = () => (there ? {} : { onConnect: ({ socket }) => socket.destroy() });
  const priorities = async (): Promise<number[]> =>
    (await statusOf(gateway)).spool.classes.map(({ priority }) => priority);
  await using gateway = gatewayOf(folder.path, server.port, {
    forward: [{ match: "low/#" }, { match: "high/#", priority: 7 }, { match: "mid/#", priority: 3 }],
  });
  await gateway.start();
  assert.deepEqual(await priorities(), [7, 3, 0]);
  const device = scope.use(new MqttPeer("device", 5));
  await device.connect(gateway.port());
  await publishAll(device, ["low/a", "high/a", "low/a", "high/a"], "", 10_000);
  await gateway.end("SIGKILL");
  const config = JSON.parse(readFileSync(gateway.configFile, "utf8"));
  config.uplinks[0].forward = [{ match: "low/#" }, { match: "high/#" }];
  gateway.configure(config);
  await gateway.start();
  assert.deepEqual(await priorities(), [7, 0], "the one that held nothing went at once");
  there = true;
  await eventually("all are there", () => arrived.length === 4, 30_000);
  assert.deepEqual(arrived, ["1", "3", "0", "2"]);
  await eventually("it is gone", async () => (await priorities()).length === 1);
});
