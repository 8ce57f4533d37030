// The uplink to Debian's mosquitto over TLS with a client certificate: the cloud goes away in the middle and comes back.
// Messages are recognised by source and number in the payload.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../src/base/random.ts";
import { BadLink } from "../support/bad-link.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { Journal } from "../support/journal.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { publish } from "../support/mqtt-packets.ts";
import { MqttPeer, type Outgoing } from "../support/mqtt-peer.ts";
import { MqttTap } from "../support/mqtt-tap.ts";
import { requirePeer } from "../support/peers.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";
import { uplinkStatus } from "../support/remote-site.ts";
import { Source } from "../support/source.ts";

const MOSQUITTO = { skip: requirePeer("mosquitto") };

function configuration(uplink: Record<string, unknown>): Record<string, unknown> {
  return {
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    uplinks: [{ name: "cloud", client_id: "gateway", ...uplink }],
  };
}

function secure(cloud: Mosquitto): Record<string, unknown> {
  const { ca, client, tlsPort } = cloud;
  return { url: `mqtts://localhost:${tlsPort}`, tls: { ca, cert: client.cert, key: client.key } };
}

/** Keeps its state over SIGTERM. */
function persistence(folder: string): string[] {
  return ["persistence true", `persistence_location ${folder}/`];
}

/** A subscriber at the cloud with a session, and what it got. */
async function listenAtCloud(peer: MqttPeer, cloud: Mosquitto, filter: string): Promise<Journal> {
  const journal = new Journal(peer.clientId);
  peer.onMessage = (message) => journal.arrive(message);
  await peer.connect(cloud.port);
  await peer.subscribe(filter, 2);
  return journal;
}

test("the cloud is restarted mid-stream: nothing is lost, order holds, QoS 2 comes once", MOSQUITTO, async () => {
  using folder = temporaryFolder();
  using scope = new DisposableStack();
  await using cloud = await Mosquitto.start(folder.path, persistence(folder.path));
  const uplink = {
    ...secure(cloud),
    forward: [
      { match: "s/one/#", qos: 1, to: "site/{topic}" },
      { match: "s/two/#", qos: 2, to: "site/{topic}" },
      { match: "s/zero/+", to: "site/zero/{1}" }, // the default QoS of a rule is 1
    ],
  };
  await using gateway = new GatewayProcess(folder.path, configuration(uplink));
  await gateway.start();
  const peer = (id: string, version: 4 | 5): MqttPeer => scope.use(new MqttPeer(id, version));
  const atCloud = peer("at-cloud", 5);
  const journal = await listenAtCloud(atCloud, cloud, "site/#");
  const one = new Source(peer("one", 4), 1, "s/one");
  const two = new Source(peer("two", 5), 2, "s/two");
  const sources = [one, two];
  for (const source of sources) await source.peer.connect(gateway.port());
  const zero = scope.use(await RawMqtt.connected(gateway.port(), { version: 4, clientId: "zero" }));
  const zeroes: Outgoing[] = [];
  const publishZeroes = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const message = { topic: "s/zero/x", payload: `zero ${zeroes.length}`, qos: 1 as const, retain: false };
      zeroes.push(message);
      zero.send(publish(4, { ...message, qos: 0 }));
    }
  };

  publishZeroes(300);
  await Promise.all(sources.map((source) => source.publishTo(400)));
  const going = Promise.all(sources.map((source) => source.publishTo(800)));
  await cloud.stop("SIGTERM");
  publishZeroes(300);
  await going;
  await Promise.all(sources.map((source) => source.publishTo(1200)));
  const down = await uplinkStatus(gateway);
  assert.match(down.lastError ?? "", /connection refused|closed by|shutting down/);
  assert(down.spool.messages > 800, `${down.spool.messages} wait`);

  await cloud.restart();
  await atCloud.connect(cloud.port);
  publishZeroes(300);
  await Promise.all(sources.map((source) => source.publishTo(1600)));
  const all = [...one.acknowledged, ...two.acknowledged];
  const remote = (topic: string): string => (topic === "s/zero/x" ? "site/zero/x" : `site/${topic}`);
  const missing = (): string[] => journal.missing([...all, ...zeroes], remote);
  await eventually("all are at the cloud", () => missing().length === 0, 40_000).catch(() =>
    assert.deepEqual(missing().slice(0, 10), []),
  );
  assert.deepEqual(journal.disorder, []);
  assert.deepEqual(
    journal.repeated((topic) => topic.startsWith("site/s/two/")),
    [],
  );
  await eventually("the spool is empty", async () => (await uplinkStatus(gateway)).spool.messages === 0);
  const up = await uplinkStatus(gateway);
  assert.deepEqual([up.state, up.lastError, up.dropped], ["live", null, {}]);
});

test(
  "the cloud dies by kill -9 without memory: what the gateway took meanwhile arrives, in order",
  MOSQUITTO,
  async () => {
    using folder = temporaryFolder();
    using scope = new DisposableStack();
    await using cloud = await Mosquitto.start(folder.path);
    const forward = [{ match: "s/#", to: "{topic}" }];
    await using gateway = new GatewayProcess(folder.path, configuration({ ...secure(cloud), forward }));
    await gateway.start();
    const source = new Source(scope.use(new MqttPeer("src", 4)), 1, "s");
    await source.peer.connect(gateway.port());
    const atCloud = scope.use(new MqttPeer("at-cloud", 4));
    const journal = await listenAtCloud(atCloud, cloud, "s/#");
    await source.publishTo(500);
    await eventually("the first part is at the cloud", () => journal.missing(source.acknowledged).length === 0);

    await cloud.stop("SIGKILL");
    await source.publishTo(1500);
    await cloud.restart();
    // A new session: subscribed before the gateway is back, so that it sees all that comes.
    atCloud.violations.length = 0;
    await atCloud.connect(cloud.port);
    await atCloud.subscribe("s/#", 1);
    await source.publishTo(2000);
    await eventually("all are at the cloud", () => journal.missing(source.acknowledged).length === 0, 40_000);
    assert.deepEqual(journal.disorder, []);
  },
);

test("connections cut at any byte: nothing lost, order kept, QoS 2 once, and never more in flight than the window", {
  ...MOSQUITTO,
}, async () => {
  using folder = temporaryFolder();
  using scope = new DisposableStack();
  await using cloud = await Mosquitto.start(folder.path, ["max_inflight_messages 100"]);
  const tap = new MqttTap(5);
  await using link = await BadLink.open(cloud.port, tap.pair);
  const uplink = {
    url: `mqtt://127.0.0.1:${link.port}`,
    window: 8,
    forward: [
      { match: "s/one/#", qos: 1 },
      { match: "s/two/#", qos: 2 },
    ],
  };
  await using gateway = new GatewayProcess(folder.path, configuration(uplink));
  await gateway.start();
  const one = new Source(scope.use(new MqttPeer("one", 5)), 1, "s/one");
  const two = new Source(scope.use(new MqttPeer("two", 4)), 2, "s/two");
  for (const source of [one, two]) await source.peer.connect(gateway.port());
  const journal = await listenAtCloud(scope.use(new MqttPeer("at-cloud", 5)), cloud, "s/#");
  const random = seededRandom(7);
  for (let cut = 1; cut <= 3; cut++) {
    const done = link.cutAfter(200 + Math.floor(random() * 10_000));
    await Promise.all([one.publishTo(cut * 300), two.publishTo(cut * 300), done]);
  }
  const all = [...one.acknowledged, ...two.acknowledged];
  await eventually("all are at the cloud", () => journal.missing(all).length === 0, 60_000);
  assert.deepEqual(journal.disorder, []);
  assert.deepEqual(
    journal.repeated((topic) => topic.startsWith("s/two/")),
    [],
  );
  assert.equal(link.connections, 4);
  assert.equal(tap.outstandingMax, 8);
});

test("receive rules bring commands down, those of an absence too; nothing echoes", MOSQUITTO, async () => {
  using cloudFolder = temporaryFolder();
  using scope = new DisposableStack();
  await using cloud = await Mosquitto.start(cloudFolder.path);
  for (const protocol of [5, 4]) {
    using folder = temporaryFolder();
    const site = `site/${protocol}`;
    const uplink = {
      ...secure(cloud),
      client_id: `gateway-${protocol}`,
      protocol,
      forward: [{ match: "#", to: `${site}/{topic}` }],
      receive: [
        { match: `${site}/cmd/+/#`, qos: 2, to: "cmd/{rest}/{1}" },
        { match: `${site}/#`, qos: 1, to: "echo/{rest}" },
      ],
    };
    await using gateway = new GatewayProcess(folder.path, configuration(uplink));
    await gateway.start();
    const local = scope.use(new MqttPeer(`local-${protocol}`, 5));
    const got: string[] = [];
    local.onMessage = ({ topic, payload, qos, retain }) =>
      got.push(`${topic} ${payload} ${qos}${retain ? " retained" : ""}`);
    await local.connect(gateway.port());
    await local.subscribe("cmd/#", 2);
    await local.subscribe("echo/#", 2);
    const commander = scope.use(new MqttPeer(`commander-${protocol}`, 4));
    await commander.connect(cloud.port);
    await eventually("the uplink has subscribed", () => cloud.output.includes(`gateway-${protocol} 2 ${site}/#`));

    commander.publish({ topic: `${site}/cmd/open/valve/1`, payload: "a 1", qos: 2, retain: false });
    await eventually("the command came", () => got.includes("cmd/valve/1/open a 1 2"));
    local.publish({ topic: "hello", payload: "b 1", qos: 1, retain: false });
    commander.publish({ topic: `${site}/cmd/open/valve/1`, payload: "a 2", qos: 1, retain: true });
    await eventually("the second came", () => got.includes("cmd/valve/1/open a 2 1"));

    await gateway.end("SIGTERM");
    commander.publish({ topic: `${site}/cmd/close/valve/1`, payload: "a 3", qos: 2, retain: false });
    await eventually("the cloud has it", () => commander.outstanding === 0);
    await gateway.start();
    await local.connect(gateway.port());
    await eventually("the third came", () => got.includes("cmd/valve/1/close a 3 2"));
    const commands = got.filter((line) => line.startsWith("cmd/"));
    assert.deepEqual(commands, ["cmd/valve/1/open a 1 2", "cmd/valve/1/open a 2 1", "cmd/valve/1/close a 3 2"]);
    assert.deepEqual(
      got.filter((line) => line.includes("hello")),
      [],
      "what we forwarded does not come back",
    );
    await gateway.end("SIGTERM");
    await local.leave().catch(() => {});
  }
});
