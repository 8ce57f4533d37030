// Uplinks come, change and go by `sluice reload` while devices publish all the time; the clouds are Debian's mosquitto.
import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { UplinkStatus } from "../../src/uplink/uplink.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { Journal } from "../support/journal.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { MqttPeer, type Outgoing } from "../support/mqtt-peer.ts";
import { requirePeer } from "../support/peers.ts";

const MOSQUITTO = { skip: requirePeer("mosquitto") };

type Keys = Record<string, unknown>;

async function uplinks(gateway: GatewayProcess): Promise<UplinkStatus[]> {
  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  return (JSON.parse(stdout) as { uplinks: UplinkStatus[] }).uplinks;
}

async function live(gateway: GatewayProcess, ...names: string[]): Promise<void> {
  await eventually(`${names.join()} live`, async () => {
    const all = await uplinks(gateway);
    return names.every((name) => all.find((uplink) => uplink.name === name)?.state === "live");
  });
}

/** Writes the configuration and has it taken over. @returns what was done, a line each */
async function reload(gateway: GatewayProcess, config: Keys): Promise<string[]> {
  gateway.configure(config);
  const { code, stdout, stderr } = await sluice(["reload", "--config", gateway.configFile]);
  assert.equal(code, 0, stdout + stderr);
  return stdout.trim().split("\n");
}

/** Lines of mosquitto's log about clients that came. */
function logins(cloud: Mosquitto, clientId: string): string[] {
  return cloud.output.split("\n").filter((line) => line.includes("New client connected") && line.includes(clientId));
}

/** Publishes without a pause, a few at a time, to four topics. */
class Device {
  readonly peer = new MqttPeer("device", 5, 20);
  readonly acknowledged: Outgoing[] = [];
  #next = 0;
  #going = true;

  async start(port: number): Promise<void> {
    await this.peer.connect(port);
    this.peer.onAcknowledged = (message) => {
      this.acknowledged.push(message);
      if (this.#going) this.#publish();
    };
    for (let i = 0; i < 10; i++) this.#publish();
  }

  #publish(): void {
    const number = this.#next++;
    this.peer.publish({ topic: `s/${number % 4}`, payload: `device ${number}`, qos: 1, retain: false });
  }

  /** Resolves when `count` more are acknowledged. */
  async more(count: number): Promise<void> {
    const goal = this.acknowledged.length + count;
    await eventually(`${goal} acknowledged`, () => this.acknowledged.length >= goal, 30_000);
  }

  async stop(): Promise<void> {
    this.#going = false;
    await eventually("all are acknowledged", () => this.peer.outstanding === 0);
  }

  [Symbol.dispose](): void {
    this.peer[Symbol.dispose]();
  }
}

test("reloads add, change and remove uplinks: each has what was acknowledged in its time, others stay connected", {
  ...MOSQUITTO,
}, async () => {
  using scope = new DisposableStack();
  const folders = ["a", "b", "c", "gateway"].map(() => scope.use(temporaryFolder()).path) as [
    string,
    string,
    string,
    string,
  ];
  await using cloudA = await Mosquitto.start(folders[0]);
  await using cloudB = await Mosquitto.start(folders[1]);
  await using cloudC = await Mosquitto.start(folders[2]);
  const a = { name: "a", client_id: "gw-a", url: `mqtt://127.0.0.1:${cloudA.port}`, forward: [{ match: "s/#" }] };
  const b = { ...a, name: "b", client_id: "gw-b", url: `mqtt://127.0.0.1:${cloudB.port}` };
  const { ca, client, tlsPort } = cloudC;
  const tls = { ca, cert: client.cert, key: client.key };
  const c = { ...a, name: "c", client_id: "gw-c", url: `mqtts://localhost:${tlsPort}`, tls };
  const configuration = (...list: Keys[]): Keys => ({
    memory_limit: "32MiB",
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    uplinks: list,
  });
  await using gateway = new GatewayProcess(folders[3], configuration(a, b));
  await gateway.start();
  const journals = await Promise.all(
    [cloudA, cloudB, cloudC].map(async (cloud) => {
      const peer = scope.use(new MqttPeer("listener", 5));
      const journal = new Journal("listener");
      // What comes by the changed rule counts as what it was.
      peer.onMessage = ({ topic, payload }) => journal.arrive({ topic: topic.replace(/^new\//, ""), payload });
      await peer.connect(cloud.port);
      await peer.subscribe("#", 1);
      return journal;
    }),
  );
  const [atA, atB, atC] = journals as [Journal, Journal, Journal];
  const device = scope.use(new Device());
  await device.start(gateway.port());
  await live(gateway, "a", "b");
  await device.more(300);

  assert.deepEqual(
    (await reload(gateway, configuration(a, b, c))).filter((line) => line.includes("uplink")),
    ["uplink c: added"],
  );
  const addedAt = device.acknowledged.length + 20; // those on their way may have been routed before
  await device.more(300);
  const changed = { ...b, forward: [{ match: "s/#", to: "new/{topic}" }], window: 8 };
  assert.deepEqual(
    (await reload(gateway, configuration(a, changed, c))).filter((line) => line.includes("uplink")),
    ["uplink b: window, forward changed"],
  );
  await device.more(300);
  await live(gateway, "a", "b", "c");
  const removedAt = device.acknowledged.length;
  assert.match((await reload(gateway, configuration(a, changed))).join("\n"), /^uplink c: removed/m);
  await device.more(300);
  await device.stop();

  const { acknowledged } = device;
  const arrived = (journal: Journal, messages: readonly Outgoing[]): Promise<void> =>
    eventually("all are there", () => journal.missing(messages).length === 0).catch(() =>
      assert.deepEqual(journal.missing(messages).slice(0, 5), []),
    );
  await arrived(atA, acknowledged);
  await arrived(atB, acknowledged);
  await arrived(atC, acknowledged.slice(addedAt, removedAt));
  for (const journal of journals) assert.deepEqual(journal.disorder, []);
  assert.deepEqual(
    atA.repeated(() => true),
    [],
  );
  assert.equal(logins(cloudA, "gw-a").length, 1, "a was not touched");
  assert.equal(logins(cloudB, "gw-b").length, 2);
  assert.equal(logins(cloudC, "gw-c").length, 1);
  assert.match(cloudC.output, /Client gw-c disconnected\.\n/);
  assert.deepEqual(device.peer.violations, []);
  assert.equal(device.peer.connects, 1);
  assert.deepEqual(
    (await uplinks(gateway)).map(({ name, lastError, lastOutage }) => [name, lastError, lastOutage]),
    [
      ["a", null, null],
      ["b", null, null],
    ],
  );
});

test(
  "a reload after new certificates were put into the files of the old ones shows them to the server",
  MOSQUITTO,
  async () => {
    using folder = temporaryFolder();
    using cloudFolder = temporaryFolder();
    await using cloud = await Mosquitto.start(cloudFolder.path, [], ["use_identity_as_username true"], ["renewed"]);
    const { ca, client, tlsPort, others } = cloud;
    const [cert, key] = [join(folder.path, "gw.pem"), join(folder.path, "gw.key")];
    const put = (from: { cert: string; key: string } | undefined): void => {
      copyFileSync(from?.cert ?? "", cert);
      copyFileSync(from?.key ?? "", key);
    };
    put(client);
    const config = {
      listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
      uplinks: [
        { client_id: "gw-a", url: `mqtts://localhost:${tlsPort}`, tls: { ca, cert, key }, forward: [{ match: "#" }] },
      ],
    };
    await using gateway = new GatewayProcess(folder.path, config);
    await gateway.start();
    await live(gateway, "cloud");
    assert.match(logins(cloud, "gw-a")[0] ?? "", /u'gateway'/);
    assert.deepEqual(
      (await reload(gateway, config)).filter((line) => line.includes("uplink")),
      [],
    );
    put(others[0]);
    assert.deepEqual(
      (await reload(gateway, config)).filter((line) => line.includes("uplink")),
      ["uplink cloud: the contents of tls.cert, the contents of tls.key changed"],
    );
    await live(gateway, "cloud");
    assert.equal(logins(cloud, "gw-a").length, 2);
    assert.match(logins(cloud, "gw-a")[1] ?? "", /u'renewed'/);
    // A key that does not belong to the certificate is refused, and the connection stays.
    copyFileSync(client.key, key);
    const { code, stdout } = await sluice(["reload", "--config", gateway.configFile]);
    assert.equal(code, 2);
    assert.match(stdout, /does not belong to the certificate/);
    assert.equal((await uplinks(gateway))[0]?.state, "live");
    assert.equal(logins(cloud, "gw-a").length, 2);
  },
);

test(
  "rules that change while QoS 2 is in flight to a broker that does not answer: nothing is taken for a copy",
  MOSQUITTO,
  async () => {
    using folder = temporaryFolder();
    using cloudFolder = temporaryFolder();
    await using cloud = await Mosquitto.start(cloudFolder.path);
    const rule = { match: "s/#", qos: 2 };
    const uplink = { client_id: "gw", url: `mqtt://127.0.0.1:${cloud.port}` };
    const configuration = (...forward: Keys[]): Keys => ({
      listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
      uplinks: [{ ...uplink, forward }],
    });
    const two = ["one", "two"].map((root) => ({ ...rule, to: `${root}/{topic}` }));
    await using gateway = new GatewayProcess(folder.path, configuration(...two));
    await gateway.start();
    const atCloud = new Set<string>();
    using listener = new MqttPeer("listener", 5);
    listener.onMessage = ({ payload }) => atCloud.add(payload);
    await listener.connect(cloud.port);
    await listener.subscribe("#", 2);
    using device = new Device();
    await device.start(gateway.port());
    await live(gateway, "cloud");
    for (const forward of [[rule]]) {
      await device.more(100);
      cloud.signal("SIGSTOP");
      await device.more(100);
      await reload(gateway, configuration(...forward));
      await device.more(100);
      cloud.signal("SIGCONT");
      await live(gateway, "cloud");
    }
    await device.stop();
    const missing = (): string[] => device.acknowledged.map(({ payload }) => payload).filter((p) => !atCloud.has(p));
    await eventually("all are at the cloud", () => missing().length === 0).catch(() => assert.deepEqual(missing(), []));
    assert.deepEqual(
      (await uplinks(gateway)).map(({ spool, dropped }) => [spool.messages, dropped]),
      [[0, {}]],
    );
  },
);
