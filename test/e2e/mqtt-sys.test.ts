// $SYS of the running gateway: beside mosquitto's in the same scenario, over HTTP and CoAP, under an access list.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { ack, disconnect, PUBACK, PUBLISH, publish, readPublish, subscribe } from "../support/mqtt-packets.ts";
import { peerPath, requirePeer } from "../support/peers.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";

const MOSQUITTO = { skip: requirePeer("mosquitto") };
const COAP = { skip: requirePeer("coap-client") };

/** The latest values that a subscription got, and what came with RETAIN. */
class Watcher {
  readonly values = new Map<string, string>();
  readonly retained = new Map<string, string>();
  readonly raw: RawMqtt;

  private constructor(raw: RawMqtt) {
    this.raw = raw;
  }

  static async start(port: number, filter = "$SYS/#"): Promise<Watcher> {
    const raw = await RawMqtt.connected(port, { version: 4, clientId: "watcher" });
    await raw.subscribe(4, filter, 0);
    return new Watcher(raw);
  }

  /** Takes in what has come. */
  look(): void {
    for (const packet of this.raw.packets.splice(0)) {
      if (packet.type !== PUBLISH) continue;
      const { topic, payload, retain, qos } = readPublish(4, packet);
      assert.equal(qos, 0);
      this.values.set(topic, payload);
      if (retain) this.retained.set(topic, payload);
    }
  }

  get(name: string): string | undefined {
    this.look();
    return this.values.get(`$SYS/broker/${name}`);
  }
}

/**
 * One subscribes, one publishes ten messages, three of them at QoS 1, one leaves its session, one watches $SYS.
 * Mosquitto 2.0 does not count a PUBLISH with RETAIN or QoS 2 as one, so there is none.
 */
async function scenario(port: number): Promise<{ watcher: Watcher; end: () => void }> {
  const subscriber = await RawMqtt.connected(port, { version: 4, clientId: "subscriber" });
  await subscriber.subscribe(4, "some/#", 1);
  await subscriber.subscribe(4, "$share/group/other/#", 1);
  const publisher = await RawMqtt.connected(port, { version: 4, clientId: "publisher" });
  for (let i = 0; i < 7; i++) publisher.send(publish(4, { topic: "some/topic", payload: `message ${i}` }));
  for (let i = 1; i <= 3; i++)
    publisher.send(publish(4, { topic: "some/topic", payload: "acknowledged", qos: 1, packetId: i }));
  await eventually("ten messages", () => subscriber.packets.length === 10 && publisher.packets.length === 3);
  for (const packet of subscriber.packets) {
    const { qos, packetId } = readPublish(4, packet);
    if (qos > 0) subscriber.send(ack(PUBACK, packetId));
  }
  // One that left, and kept its session.
  const away = await RawMqtt.connected(port, { version: 4, clientId: "away", clean: false });
  away.send(disconnect());
  await away.end();
  const watcher = await Watcher.start(port);
  return {
    watcher,
    end: () => {
      for (const raw of [subscriber, publisher, watcher.raw]) raw.socket.destroy();
    },
  };
}

/** What dashboards cut out of a value. */
function formatOf(value: string): string {
  return value.replace(/^(mosquitto|sluice) version .*$/, "NAME version").replaceAll(/\d+/g, "0");
}

/** Numbers that the scenario decides, whoever counts. */
const SAME = [
  "clients/total",
  "clients/connected",
  "clients/active",
  "clients/disconnected",
  "clients/inactive",
  "clients/expired",
  "messages/received",
  "bytes/received",
  "publish/messages/received",
  "publish/bytes/received",
  "publish/messages/dropped",
  "subscriptions/count",
  "shared_subscriptions/count",
];

test("the same scenario at mosquitto: the same names, formats and counts", MOSQUITTO, async () => {
  using folder = temporaryFolder();
  await using mosquitto = await Mosquitto.start(folder.path, ["sys_interval 1"]);
  const listeners = [{ type: "mqtt", bind: "127.0.0.1:0" }];
  await using gateway = new GatewayProcess(folder.path, { listeners, sys_interval: "1s" });
  await gateway.start();
  const theirs = await scenario(mosquitto.port);
  const ours = await scenario(gateway.port());
  try {
    for (const name of SAME) {
      await eventually(`${name} agrees`, () => theirs.watcher.get(name) === ours.watcher.get(name)).catch((error) => {
        throw new Error(`${error.message}: ${theirs.watcher.get(name)} and ${ours.watcher.get(name)}`);
      });
    }
    assert.deepEqual(
      ["publish/messages/received", "publish/bytes/received", "clients/total", "shared_subscriptions/count"].map(
        (name) => ours.watcher.get(name),
      ),
      ["10", String(7 * 9 + 3 * 12), "4", "1"],
    );
    // This one means something else here; README.md says so.
    const names = [...theirs.watcher.values.keys()].filter((topic) => topic !== "$SYS/broker/store/messages/bytes");
    assert.ok(names.length > 50, `${names}`);
    for (const topic of names) {
      const [their, our] = [theirs.watcher.values.get(topic), ours.watcher.values.get(topic)];
      assert.ok(our !== undefined, `${topic} is missing`);
      assert.equal(formatOf(our), formatOf(their as string), topic);
    }
    // The rate of a minute that began with 14 packets at once: about what an interval of a second makes of them.
    for (const { watcher } of [theirs, ours])
      await eventually("a load average", () => Number(watcher.get("load/messages/received/1min")) > 5);
  } finally {
    theirs.end();
    ours.end();
  }
});

test("$SYS/sluice says what status counts; values change while someone watches, and nothing is written", async () => {
  using folder = temporaryFolder();
  const listeners = [{ type: "mqtt", bind: "127.0.0.1:0" }];
  const uplinks = [{ name: "cloud.a", url: "mqtt://127.0.0.1:1" }];
  await using gateway = new GatewayProcess(folder.path, { node: "gw-17", listeners, uplinks, sys_interval: "1s" });
  await gateway.start();
  const watcher = await Watcher.start(gateway.port());
  const get = (name: string): string | undefined => {
    watcher.look();
    return watcher.values.get(`$SYS/${name}`);
  };
  await eventually("the uplink is down", () => get("sluice/uplink/cloud/a/state") === "down");
  assert.match(get("sluice/uplink/cloud/a/last_error") ?? "", /refused/);
  assert.equal(get("broker/connection/cloud.a/state"), "0");
  assert.deepEqual(
    [get("sluice/node"), get("sluice/store/health"), get("sluice/drops/queue-full")],
    ["gw-17", "ok", "0"],
  );
  assert.ok(Number(get("sluice/memory/rss_bytes")) > 1e7);
  assert.equal(get("sluice/memory/limit_bytes"), String(16 * 2 ** 20));
  assert.match(watcher.retained.get("$SYS/broker/uptime") ?? "", /^\d+ seconds$/);
  // The uplink's own row was written at the start, and the reserve for a full disk after it.
  await eventually("the first commit", () => get("sluice/store/commits") === "1");
  await eventually("the reserve is in the books", () => get("sluice/store/checkpoints") === "1");
  const written = get("sluice/store/bytes_written");
  const up = get("broker/uptime");
  await eventually(
    "three intervals",
    () => Number.parseInt(get("broker/uptime") ?? "", 10) >= Number.parseInt(up ?? "", 10) + 3,
  );
  assert.equal(get("sluice/store/bytes_written"), written);

  const { stdout } = await sluice(["status", "--json", "--config", gateway.configFile]);
  const { counters } = JSON.parse(stdout) as { counters: Record<string, number> };
  for (const name of Object.keys(counters)) assert.ok(get(`sluice/${name.replaceAll(".", "/")}`) !== undefined, name);
  assert.equal(counters["sys.repeated"], 0);
});

test("a forward rule brings $SYS to the cloud; in an outage nothing of it is spooled or lost", MOSQUITTO, async () => {
  using folder = temporaryFolder();
  await using cloud = await Mosquitto.start(folder.path);
  const forward = [{ match: "$SYS/broker/clients/#", qos: 1, to: "gw-17/{rest}" }];
  const uplinks = [{ name: "cloud", url: `mqtt://127.0.0.1:${cloud.port}`, forward }];
  const listeners = [{ type: "mqtt", bind: "127.0.0.1:0" }];
  await using gateway = new GatewayProcess(folder.path, { listeners, uplinks, sys_interval: "1s" });
  await gateway.start();
  const there = await Watcher.start(cloud.port, "gw-17/#");
  const said = (name: string): string | undefined => {
    there.look();
    return there.values.get(`gw-17/${name}`);
  };
  await eventually("the cloud knows", () => said("maximum") === "0");
  await cloud.stop();
  const watcher = await Watcher.start(gateway.port(), "$SYS/#");
  const get = (name: string): string | undefined => {
    watcher.look();
    return watcher.values.get(`$SYS/sluice/${name}`);
  };
  await eventually("it is down", () => get("uplink/cloud/connected") === "0" && watcher.get("clients/maximum") === "1");
  await eventually("another interval", () => watcher.get("load/connections/1min") !== "0.00");
  assert.deepEqual([get("uplink/cloud/spool_messages"), get("drops/offline"), get("store/log_rows")], ["0", "0", "0"]);
  await cloud.restart();
  const again = await Watcher.start(cloud.port, "gw-17/#");
  await eventually("the cloud knows what it missed", () => {
    again.look();
    return again.values.get("gw-17/maximum") === "1";
  });
});

test("GET over HTTP and CoAP gives the present value; PUT is refused", COAP, async () => {
  using folder = temporaryFolder();
  const listeners = ["mqtt", "http", "coap"].map((type) => ({ type, bind: "127.0.0.1:0" }));
  await using gateway = new GatewayProcess(folder.path, { listeners });
  await gateway.start();
  const url = (topic: string): string => `http://127.0.0.1:${gateway.port("http")}/topics/${topic}`;
  const answer = await fetch(url("$SYS/broker/retained%20messages/count"));
  assert.deepEqual([answer.status, await answer.text()], [200, "0"]);
  assert.equal((await fetch(url("$SYS/broker"))).status, 404);
  assert.equal((await fetch(url("$SYS/broker/uptime"), { method: "PUT", body: "x" })).status, 400);
  const coap = async (...args: string[]): Promise<string> => {
    const uri = `coap://127.0.0.1:${gateway.port("coap")}/ps/%24SYS/broker/uptime`;
    const { stdout, stderr } = await promisify(execFile)(peerPath("coap-client"), [
      "-v",
      "6",
      "-B",
      "10",
      ...args,
      uri,
    ]);
    return stdout + stderr;
  };
  const said = await coap();
  assert.match(said, /\d+ seconds/);
  assert.match(said, /Max-Age:10/);
  assert.match(await coap("-m", "put", "-e", "x"), /4\.00/);
  assert.match(await coap("-m", "delete"), /4\.00/);
});

test("the access list decides who reads which of it; sys_interval: off takes it away", async () => {
  using folder = temporaryFolder();
  const acl = join(folder.path, "acl");
  writeFileSync(acl, "topic read $SYS/broker/version\ntopic read $SYS/broker/clients/+\n");
  const listeners = ["mqtt", "http"].map((type) => ({ type, bind: "127.0.0.1:0" }));
  await using gateway = new GatewayProcess(folder.path, { listeners, sys_interval: "1s", auth: { acl_file: acl } });
  await gateway.start();
  const watcher = await Watcher.start(gateway.port());
  await eventually("who is there", () => watcher.get("clients/connected") === "1");
  const other = await RawMqtt.connected(gateway.port(), { version: 5, clientId: "other" });
  await eventually("a live value", () => watcher.get("clients/connected") === "2");
  const read = [...watcher.values.keys()].filter((topic) => !topic.includes("/clients/"));
  assert.deepEqual(read, ["$SYS/broker/version"]);
  other.send(subscribe(5, 1, ["$SYS/broker/uptime", 0]));
  assert.equal((await other.next()).body.at(-1), 0x87);
  const url = `http://127.0.0.1:${gateway.port("http")}/topics/$SYS/broker/`;
  assert.equal((await fetch(`${url}uptime`)).status, 403);
  assert.equal((await fetch(`${url}version`)).status, 200);

  writeFileSync(acl, "topic read $SYS/#\n");
  gateway.signal("SIGHUP");
  await eventually("what may be read now", () => watcher.get("heap/current") !== undefined);
  assert.match(watcher.get("packet/out/bytes") ?? "", /^\d+$/); // which did not change

  await gateway.end();
  gateway.configure({ listeners, sys_interval: "off" });
  await gateway.start();
  const again = await Watcher.start(gateway.port());
  const off = `http://127.0.0.1:${gateway.port("http")}/topics/$SYS/broker/version`;
  assert.equal((await fetch(off)).status, 404);
  again.look();
  assert.equal(again.values.size, 0);
});
