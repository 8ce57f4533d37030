// Live data before the backlog, or by turns with it, to Debian's mosquitto over TLS; the gateway killed in the middle of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectAsync, type MqttClient } from "mqtt";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";

const MOSQUITTO = { skip: requirePeer("mosquitto") };
const WINDOW = 32;
/** So that a drain takes seconds, and not milliseconds. */
const PER_SECOND = 1000;

/** @param drain "newest-first" or "interleave" */
function configuration(cloud: Mosquitto, drain: string): Record<string, unknown> {
  const { ca, client, tlsPort } = cloud;
  return {
    memory_limit: "32MiB",
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    uplinks: [
      {
        name: "cloud",
        client_id: "gateway",
        url: `mqtts://localhost:${tlsPort}`,
        tls: { ca, cert: client.cert, key: client.key },
        window: WINDOW,
        drain,
        pace: { messages_per_second: PER_SECOND },
        forward: [
          { match: "one/#", qos: 1 },
          { match: "two/#", qos: 2 },
        ],
      },
    ],
  };
}

/** Publishes `count` messages, numbered from `first`, and waits until all are acknowledged. */
async function publish(client: MqttClient, topic: string, first: number, count: number): Promise<void> {
  const sent: Promise<unknown>[] = [];
  for (let i = 0; i < count; i++) sent.push(client.publishAsync(topic, String(first + i), { qos: 1 }));
  await Promise.all(sent);
}

/** A gateway with a backlog of `count` messages, the cloud back, and who listens there. */
async function withBacklog(
  scope: AsyncDisposableStack,
  drain: string,
  count: number,
): Promise<{ cloud: Mosquitto; gateway: GatewayProcess; device: MqttClient; atCloud: MqttCollector }> {
  const folder = scope.use(temporaryFolder());
  const cloud = scope.use(await Mosquitto.start(folder.path));
  const gateway = scope.use(new GatewayProcess(folder.path, configuration(cloud, drain)));
  await cloud.stop();
  await gateway.start();
  const device = await connectAsync({ host: "127.0.0.1", port: gateway.port(), reconnectPeriod: 0 });
  device.on("error", () => {});
  scope.defer(() => device.endAsync(true).catch(() => {}));
  await publish(device, "one/backlog", 0, count);
  await cloud.restart();
  const atCloud = scope.use(await MqttCollector.open(cloud.port, "#", { clientId: "at-cloud" }));
  return { cloud, gateway, device, atCloud };
}

function numbersOf(collector: MqttCollector, topic: string): number[] {
  return collector.messages.filter((message) => message.topic === topic).map(({ payload }) => Number(payload));
}

test(
  "newest-first: what is published while the backlog drains does not wait for it, and the backlog comes newest first",
  MOSQUITTO,
  async () => {
    await using scope = new AsyncDisposableStack();
    const count = 1800;
    const { device, atCloud } = await withBacklog(scope, "newest-first", count);
    await eventually("the drain has begun", () => atCloud.messages.length > 100);
    const waited: number[] = [];
    for (let i = 0; i < 20; i++) {
      const before = atCloud.messages.length;
      await device.publishAsync("one/live", String(i), { qos: 1 });
      await eventually("the live message", () => numbersOf(atCloud, "one/live").length > i);
      waited.push(atCloud.messages.length - before);
    }
    const meanwhile = numbersOf(atCloud, "one/backlog").length;
    assert.ok(meanwhile < count, "all the live messages came while the backlog went on");
    const median = waited.sort((a, b) => a - b)[10] as number;
    assert.ok(median < count / 4, `half of the live messages came after ${median} others or more`);
    await eventually("all of the backlog", () => numbersOf(atCloud, "one/backlog").length >= count, 30_000);
    assert.deepEqual(
      numbersOf(atCloud, "one/backlog"),
      Array.from({ length: count }, (_, i) => count - 1 - i),
    );
  },
);

test("interleave: live and backlog share the link, each in its own order", MOSQUITTO, async () => {
  await using scope = new AsyncDisposableStack();
  const count = 1200;
  const { device, atCloud } = await withBacklog(scope, "interleave", count);
  await eventually("the drain has begun", () => atCloud.messages.length > 100);
  // More than the link takes.
  await publish(device, "one/live", 0, count);
  await eventually("all", () => atCloud.messages.length >= 2 * count, 30_000);
  assert.deepEqual(numbersOf(atCloud, "one/live").length, count);
  assert.deepEqual(
    numbersOf(atCloud, "one/backlog"),
    Array.from({ length: count }, (_, i) => i),
  );
  const first = atCloud.messages.findIndex(({ topic }) => topic === "one/live");
  const last = atCloud.messages.findLastIndex(({ topic, payload }) => topic === "one/backlog" && Number(payload) < 900);
  const shared = atCloud.messages.slice(first, Math.min(last, first + 500));
  const share = shared.filter(({ topic }) => topic === "one/live").length / shared.length;
  assert.ok(share > 1 / 4 && share < 3 / 4, `live had a share of ${share}`);
});

for (const drain of ["newest-first", "interleave"]) {
  test(
    `${drain}: killed three times in mid-drain the gateway loses nothing, and QoS 2 comes once`,
    MOSQUITTO,
    async () => {
      await using scope = new AsyncDisposableStack();
      const count = 1200;
      const { gateway, device, atCloud } = await withBacklog(scope, drain, count);
      await publish(device, "two/backlog", 0, count);
      for (let kill = 1; kill <= 3; kill++) {
        await eventually(
          `part ${kill} of the backlog`,
          () => atCloud.messages.length >= (kill * 2 * count) / 4,
          30_000,
        );
        await gateway.end("SIGKILL");
        await gateway.start();
      }
      const all = (topic: string): boolean => new Set(numbersOf(atCloud, topic)).size === count;
      await eventually("all that was acknowledged", () => all("one/backlog") && all("two/backlog"), 30_000);
      const twice = numbersOf(atCloud, "one/backlog").length - count;
      assert.equal(numbersOf(atCloud, "two/backlog").length, count, "QoS 2 came once");
      // At most the window, and what was acknowledged since the last commit: at PER_SECOND, half a second and its delays.
      assert.ok(twice <= 3 * (WINDOW + 3 * PER_SECOND), `${twice} came twice`);
    },
  );
}

test(
  "drain changed three times by a reload in mid-drain: nothing is lost, QoS 2 comes once, QoS 1 twice for the window at most",
  MOSQUITTO,
  async () => {
    await using scope = new AsyncDisposableStack();
    const count = 600;
    const { cloud, gateway, device, atCloud } = await withBacklog(scope, "oldest-first", count);
    await publish(device, "two/backlog", 0, count);
    for (const [n, drain] of ["newest-first", "oldest-first", "interleave"].entries()) {
      await eventually(`part ${n} of the backlog`, () => atCloud.messages.length >= ((n + 1) * 2 * count) / 5, 30_000);
      gateway.configure(configuration(cloud, drain));
      const { code, stdout } = await sluice(["reload", "--config", gateway.configFile]);
      assert.equal(code, 0);
      assert.match(stdout, /uplink cloud: drain changed/);
    }
    const all = (topic: string): boolean => new Set(numbersOf(atCloud, topic)).size === count;
    await eventually("all that was acknowledged", () => all("one/backlog") && all("two/backlog"), 30_000);
    assert.equal(numbersOf(atCloud, "two/backlog").length, count, "QoS 2 came once");
    const twice = numbersOf(atCloud, "one/backlog").length - count;
    assert.ok(twice <= 3 * WINDOW, `${twice} came twice`);
  },
);
