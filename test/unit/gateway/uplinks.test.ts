// A reload of uplinks, with the library's gateway as the cloud.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { seededRandom } from "../../../src/base/random.ts";
import type { ConfigurationError } from "../../../src/config/complaint.ts";
import type { ReloadReport } from "../../../src/gateway/gateway.ts";
import { Gateway as Cloud } from "../../../src/library/gateway.ts";
import type { UplinkStatus } from "../../../src/uplink/uplink.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/gateway-process.ts";
import { GatewayWorld, type Keys } from "./world.ts";

/** Nobody listens there. */
const NOWHERE = "mqtt://127.0.0.1:9";

/** A cloud that remembers what came: topic and payload. */
class TestCloud implements AsyncDisposable {
  readonly url: string;
  readonly got: string[] = [];
  /** Client ids in the order in which they came. */
  readonly logins: readonly string[];
  readonly #gateway: Cloud;

  private constructor(gateway: Cloud, address: string, logins: readonly string[]) {
    this.#gateway = gateway;
    this.url = `mqtt://${address}`;
    this.logins = logins;
    gateway.subscribe("#", ({ topic, payload }) => void this.got.push(`${topic} ${payload}`));
  }

  static async start(directory: string): Promise<TestCloud> {
    const listeners = [{ type: "mqtt", bind: "127.0.0.1:0" }];
    const logins: string[] = [];
    const gateway = new Cloud({
      config: { data_dir: directory, listeners },
      log: { level: "error" },
      hooks: {
        authenticate: ({ clientId }) => {
          logins.push(clientId);
          return { userName: clientId };
        },
      },
    });
    const [listener] = await gateway.start();
    return new TestCloud(gateway, listener?.address ?? "", logins);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#gateway.stop();
  }
}

class World extends GatewayWorld {
  constructor(folder: string, uplinks: Keys[], keys: Keys = {}) {
    super(folder, { ...keys, uplinks });
  }

  reload(uplinks: Keys[], keys: Keys = {}): Promise<ReloadReport> {
    return this.reloadWith({ ...keys, uplinks });
  }

  uplink(name: string): UplinkStatus | undefined {
    return (this.gateway.status()["uplinks"] as UplinkStatus[]).find((uplink) => uplink.name === name);
  }

  async live(name: string): Promise<void> {
    await eventually(`${name} is live`, () => this.uplink(name)?.state === "live");
  }

  countersOf(name: string): string[] {
    return [...this.gateway.counters.names()].filter((counter) => counter.startsWith(`uplink.${name}.`));
  }
}

function uplink(name: string, url: string, keys: Keys = {}): Keys {
  return { name, url, client_id: `gw-${name}`, forward: [{ match: "s/#" }], ...keys };
}

test("an uplink that a reload adds is a receiver of everything that is acknowledged afterwards", async () => {
  using folder = temporaryFolder();
  await using world = new World(folder.path, []);
  await world.gateway.start();
  assert.equal(world.publish("s/a", "before"), false);
  const { applied, restartRequired } = await world.reload([uplink("cloud", NOWHERE)]);
  assert.ok(world.publish("s/a", "after"));
  assert.equal(world.uplink("cloud")?.spool.messages, 1);
  assert.ok(applied.includes("uplink cloud: added"), applied.join());
  assert.deepEqual(restartRequired, []);
});

test("an uplink that a reload removes says goodbye and takes spool, counters, $SYS values and its place along", async () => {
  using folder = temporaryFolder();
  await using cloud = await TestCloud.start(join(folder.path, "cloud"));
  await using world = new World(folder.path, [uplink("old", NOWHERE), uplink("old.b", cloud.url)]);
  await world.gateway.start();
  await world.live("old.b");
  for (let i = 0; i < 3; i++) world.publish("s/a", `${i}`);
  await eventually("they are stored", () => world.acknowledged.length === 3);
  const others = world.countersOf("old.b").length;
  assert.ok(world.countersOf("old").length > others);
  assert.match(world.rooms.sys?.get("$SYS/sluice/uplink/old/state")?.payload.toString() ?? "", /down|connecting/);

  const { applied } = await world.reload([uplink("old.b", cloud.url)]);
  assert.ok(applied.includes("uplink old: removed, 3 messages that waited for it were given up"), applied.join());
  assert.match(world.log.join("\n"), /warn {2}uplink-removed uplink=old messagesGivenUp=3 bytesGivenUp=[1-9]/);
  assert.equal(world.uplink("old"), undefined);
  assert.equal(world.countersOf("old").length, others, "of uplink old.b they are still there");
  for (const topic of ["sluice/uplink/old/state", "sluice/uplink/old/spool_messages", "broker/connection/old/state"])
    assert.equal(world.rooms.sys?.get(`$SYS/${topic}`), undefined, topic);
  assert.equal(world.rooms.sys?.get("$SYS/broker/connection/old.b/state")?.payload.toString(), "1");
  assert.deepEqual(world.rooms.ledger.byReceiver(), [{ receiver: "uplink:old", causes: { removed: 3 } }]);
  assert.equal(world.rooms.ledger.entries()[0]?.topic, "s/a");
  assert.equal(world.rooms.store.loadReceiver("uplink", "old"), null);
  assert.ok(world.publish("s/a", "after"));
  await eventually("the other one has all", () => cloud.got.length === 4);
  // It begins anew under the same name.
  await world.reload([uplink("old.b", cloud.url), uplink("old", NOWHERE)]);
  assert.equal(world.uplink("old")?.spool.messages, 0);
  assert.deepEqual(world.uplink("old")?.dropped, {});
});

test("who subscribes to $SYS is told once, by empty payloads, that an uplink is gone", async () => {
  using folder = temporaryFolder();
  await using world = new World(folder.path, [uplink("a", NOWHERE), uplink("b", NOWHERE)]);
  await world.gateway.start();
  const told = world.subscriber("$SYS/#");
  await world.reload([uplink("b", NOWHERE)]);
  const empty = told.filter((line) => line.endsWith(" ")).map((line) => line.trimEnd());
  assert.ok(empty.includes("$SYS/sluice/uplink/a/state"));
  assert.ok(empty.includes("$SYS/sluice/uplink/a/spool_messages"));
  assert.ok(empty.includes("$SYS/broker/connection/a/state"));
  assert.ok(empty.every((topic) => topic.includes("/a/")));
  assert.equal(new Set(empty).size, empty.length);
});

test("a change of an uplink's state is told to who subscribes to $SYS without waiting for the interval", async () => {
  using folder = temporaryFolder();
  await using cloud = await TestCloud.start(join(folder.path, "cloud"));
  await using world = new World(folder.path, [uplink("cloud", NOWHERE)], { sys_interval: "1h" });
  await world.gateway.start();
  const told = world.subscriber("$SYS/#");
  await world.reload([uplink("cloud", cloud.url)]);
  await eventually("it is told", () => told.includes("$SYS/broker/connection/cloud/state 1"));
  assert.ok(told.includes("$SYS/sluice/uplink/cloud/state live"));
  assert.ok(!told.some((line) => line.includes("uptime")), "the rest waits");
});

test("an uplink that is changed keeps its spool and loses nothing that comes meanwhile; others keep their connection", async () => {
  using folder = temporaryFolder();
  await using cloud = await TestCloud.start(join(folder.path, "cloud"));
  const other = uplink("other", cloud.url, { forward: [{ match: "t/#" }] });
  await using world = new World(folder.path, [uplink("cloud", NOWHERE), other]);
  await world.gateway.start();
  await world.live("other");
  assert.deepEqual(cloud.logins, ["gw-other"]);
  let sent = 0;
  const publish = (): void => {
    for (let i = 0; i < 5; i++) assert.ok(world.publish("s/a", `${sent++}`), "it is kept by somebody");
  };
  publish();
  let publishing = true;
  const going = (async () => {
    while (publishing) {
      if (sent - world.acknowledged.length < 200) publish();
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  const first = await world.reload([uplink("cloud", cloud.url), other]);
  assert.ok(first.applied.includes("uplink cloud: url changed"), first.applied.join());
  await world.live("cloud");
  const rules = { forward: [{ match: "s/#", to: "x/{topic}" }], spool: { max_messages: 500_000 } };
  const second = await world.reload([other, uplink("cloud", cloud.url, rules)]);
  assert.ok(second.applied.includes("uplink cloud: forward, spool changed"), second.applied.join());
  await world.live("cloud");
  publish();
  publishing = false;
  await going;
  const payloads = (): number => new Set(cloud.got.map((line) => line.split(" ")[1])).size;
  await eventually("all are at the cloud", () => payloads() === sent && world.acknowledged.length === sent);
  assert.ok(cloud.got.at(-1)?.startsWith("x/s/a "));
  assert.deepEqual(cloud.logins, ["gw-other", "gw-cloud", "gw-cloud"]);
  const { applied } = await world.reload([other, uplink("cloud", cloud.url, rules)]);
  assert.ok(!applied.join().includes("uplink"), applied.join());
  assert.equal(cloud.logins.length, 3);
});

test("what waits survives every change of rules: other topics, another priority, a rule that is gone and counted", async () => {
  using folder = temporaryFolder();
  await using cloud = await TestCloud.start(join(folder.path, "cloud"));
  const rules = [{ match: "s/#" }, { match: "alarm", priority: 7 }, { match: "gone" }];
  await using world = new World(folder.path, [uplink("cloud", NOWHERE, { forward: rules })]);
  await world.gateway.start();
  const topics = ["s/a", "alarm", "s/b", "gone", "alarm"];
  for (const [i, topic] of topics.entries()) world.publish(topic, `${i}`);
  await eventually("they are stored", () => world.acknowledged.length === topics.length);
  const changes = [
    {
      forward: [
        { match: "s/#", to: "x/{topic}", priority: 3 },
        { match: "alarm", priority: 1 },
      ],
    },
    { forward: [{ match: "s/#", to: "y/{topic}" }, { match: "alarm" }], spool: { max_messages: 100 } },
  ];
  for (const keys of changes) {
    await world.reload([uplink("cloud", NOWHERE, keys)]);
    assert.equal(world.uplink("cloud")?.spool.messages, topics.length);
  }
  await world.reload([uplink("cloud", cloud.url, changes[1])]);
  await eventually("all that a rule wants came", () => cloud.got.length === 4);
  assert.deepEqual(cloud.got.toSorted(), ["alarm 1", "alarm 4", "y/s/a 0", "y/s/b 2"]);
  assert.equal(cloud.got.filter((line) => line.startsWith("alarm")).join(), "alarm 1,alarm 4");
  await eventually("nothing waits", () => world.uplink("cloud")?.spool.messages === 0);
  assert.deepEqual(world.uplink("cloud")?.dropped, { invalid: 1 });
  assert.deepEqual(
    world.uplink("cloud")?.spool.classes.map(({ priority }) => priority),
    [0],
    "classes that no rule uses end when they are empty",
  );
});

test("what waits survives that rules begin to gather, gather otherwise, and cease to", async () => {
  using folder = temporaryFolder();
  await using cloud = await TestCloud.start(join(folder.path, "cloud"));
  await using world = new World(folder.path, [uplink("cloud", NOWHERE)]);
  await world.gateway.start();
  let sent = 0;
  const publish = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) world.publish("s/a", `${sent++}`);
    await eventually("they are stored", () => world.acknowledged.length === sent);
  };
  await publish(5);
  const batch = (messages: number): Keys => ({
    forward: [{ match: "s/#", batch: { max_messages: messages, max_delay: "1h", format: "lines" } }],
  });
  await world.reload([uplink("cloud", NOWHERE, batch(10))]);
  await publish(13);
  await eventually("ten are gathered", () => world.gateway.counters.get("uplink.cloud.aggregate_out") === 1);
  await world.reload([uplink("cloud", cloud.url, batch(4))]);
  await eventually(
    "what came before that goes out as it is",
    () => cloud.got.filter((l) => l === "s/a 4").length === 1,
  );
  await world.reload([uplink("cloud", NOWHERE, batch(4))]);
  await publish(2);
  await eventually("what was left is", () => world.gateway.counters.get("uplink.cloud.aggregate_held_messages") === 1);
  await world.reload([uplink("cloud", NOWHERE)]);
  await publish(1);
  await world.reload([uplink("cloud", cloud.url)]);
  const numbers = (): number[] => cloud.got.flatMap((line) => line.slice("s/a ".length).trim().split("\n").map(Number));
  await eventually("all are at the cloud", () => numbers().length === sent);
  assert.deepEqual(
    numbers().toSorted((a, b) => a - b),
    Array.from({ length: sent }, (_, i) => i),
  );
  assert.deepEqual(world.uplink("cloud")?.dropped, {});

  await world.reload([uplink("cloud", NOWHERE, batch(100))]);
  await publish(3);
  await eventually("they are held", () => world.gateway.counters.get("uplink.cloud.aggregate_held_messages") === 3);
  const { applied } = await world.reload([]);
  assert.ok(applied.includes("uplink cloud: removed, 3 messages that waited for it were given up"), applied.join());
  assert.deepEqual(world.countersOf("cloud"), []);
});

test("reloads one after the other while messages come, to any rules, order, priorities and place: all arrive", async () => {
  using folder = temporaryFolder();
  await using cloud = await TestCloud.start(join(folder.path, "cloud"));
  const random = seededRandom(11);
  const upTo = (n: number): number => Math.floor(random() * n);
  const keys = (): Keys => ({
    forward: Array.from({ length: 1 + upTo(3) }, (_, i) => ({
      match: "s/#",
      to: `${i}${upTo(2)}/{topic}`,
      qos: 1 + upTo(2),
      priority: upTo(2) * 7,
    })),
    drain: ["oldest-first", "newest-first", "interleave"][upTo(3)],
    window: 1 + upTo(20),
  });
  await using world = new World(folder.path, [uplink("cloud", cloud.url, keys())], { memory_limit: "32MiB" });
  await world.gateway.start();
  let sent = 0;
  let publishing = true;
  const going = (async () => {
    while (publishing) {
      if (sent - world.acknowledged.length < 50) assert.ok(world.publish("s/a", `${sent++}`), "it is kept");
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  for (let i = 0; i < 15; i++) {
    await world.reload([uplink("cloud", i % 3 === 1 ? NOWHERE : cloud.url, keys())]);
    const goal = sent + upTo(300);
    await eventually("more came", () => sent >= goal);
  }
  publishing = false;
  await going;
  await world.reload([uplink("cloud", cloud.url, keys())]);
  const missing = (): number => {
    const arrived = new Set(cloud.got.map((line) => line.split(" ")[1]));
    return Array.from({ length: sent }, (_, i) => `${i}`).filter((payload) => !arrived.has(payload)).length;
  };
  await eventually("nothing waits", () => world.uplink("cloud")?.spool.messages === 0, 30_000);
  await eventually("all are at the cloud", () => missing() === 0).catch(() => assert.equal(missing(), 0));
  assert.equal(world.acknowledged.length, sent);
  assert.deepEqual(world.uplink("cloud")?.dropped, {});
  assert.equal(world.uplink("cloud")?.spool.bytes, 0);
});

test("a client id may go from one uplink to another: the old one is gone before the new one comes", async () => {
  using folder = temporaryFolder();
  await using cloud = await TestCloud.start(join(folder.path, "cloud"));
  const same = { client_id: "gw" };
  await using world = new World(folder.path, [uplink("one", cloud.url, same)]);
  await world.gateway.start();
  await world.live("one");
  await world.reload([uplink("two", cloud.url, same)]);
  await world.live("two");
  assert.deepEqual(cloud.logins, ["gw", "gw"]);
  assert.equal(world.gateway.counters.get("uplink.two.failures"), 0);
});

test("new contents of a file that an uplink connects with make it connect anew, the same contents do not", async () => {
  using folder = temporaryFolder();
  await using cloud = await TestCloud.start(join(folder.path, "cloud"));
  const file = join(folder.path, "token");
  writeFileSync(file, "one");
  const uplinks = [uplink("cloud", cloud.url, { username: "u", password_file: file }), uplink("other", cloud.url)];
  await using world = new World(folder.path, uplinks);
  await world.gateway.start();
  await world.live("cloud");
  await world.live("other");
  writeFileSync(file, "one");
  await world.reload(uplinks);
  assert.deepEqual(cloud.logins.toSorted(), ["gw-cloud", "gw-other"]);
  writeFileSync(file, "two");
  const { applied } = await world.reload(uplinks);
  assert.ok(applied.includes("uplink cloud: the contents of password_file changed"), applied.join());
  await world.live("cloud");
  assert.deepEqual(cloud.logins.toSorted(), ["gw-cloud", "gw-cloud", "gw-other"]);
});

test("a reload that asks for more memory than there is, or has wrong passwords, changes no uplink", async () => {
  using folder = temporaryFolder();
  const passwords = join(folder.path, "passwd");
  writeFileSync(passwords, "");
  await using world = new World(folder.path, [uplink("cloud", NOWHERE)], { auth: { password_file: passwords } });
  await world.gateway.start();
  const many = Array.from({ length: 40 }, (_, i) => uplink(`u${i}`, NOWHERE));
  await assert.rejects(world.reload(many), ({ complaints }: ConfigurationError) => {
    assert.equal(complaints[0]?.path, "memory_limit");
    assert.match(complaints[0]?.problem ?? "", /MiB may be taken, and memory_limit is 16 MiB$/);
    return true;
  });
  writeFileSync(passwords, "meter:plain\n");
  await assert.rejects(world.reload([uplink("cloud2", NOWHERE)]));
  assert.ok(world.uplink("cloud") !== undefined && world.uplink("cloud2") === undefined);
  assert.equal((world.gateway.status()["uplinks"] as unknown[]).length, 1);
});

test("a gateway starts without the spools of uplinks that its configuration does not have any more, and says so", async () => {
  using folder = temporaryFolder();
  {
    await using world = new World(folder.path, [uplink("old", NOWHERE)]);
    await world.gateway.start();
    world.publish("s/a", "1");
    await eventually("it is stored", () => world.acknowledged.length === 1);
  }
  await using world = new World(folder.path, []);
  await world.gateway.start();
  assert.match(world.log.join("\n"), /warn {2}uplink-removed uplink=old messagesGivenUp=1 bytesGivenUp=/);
  assert.deepEqual(world.rooms.ledger.byReceiver(), [{ receiver: "uplink:old", causes: { removed: 1 } }]);
});

test("rules that gather: other limits keep what is held, a rule that goes lets it out, an uplink that goes gives it up", async () => {
  using folder = temporaryFolder();
  await using cloud = await TestCloud.start(join(folder.path, "cloud"));
  const gathers = (max_messages: number): Keys => ({ match: "s/#", batch: { max_messages, max_delay: "1h" } });
  const uplink = (...forward: Keys[]): Keys => ({ name: "cloud", url: cloud.url, client_id: "gw", forward });
  await using world = new World(folder.path, [uplink(gathers(100))]);
  await world.gateway.start();
  const held = (): number | undefined => world.uplink("cloud")?.aggregates[0]?.messages;
  for (const payload of ["1", "2"]) world.publish("s/a", payload);
  await eventually("they are held, and acknowledged", () => held() === 2 && world.acknowledged.length === 2);
  await world.reload([uplink(gathers(3))]);
  world.publish("s/a", "3");
  await eventually("a batch came", () => cloud.got.includes("s/a [1,2,3]"));
  for (const payload of ["4", "5"]) world.publish("s/a", payload);
  await eventually("they are held", () => held() === 2 && world.acknowledged.length === 5);
  await world.reload([uplink({ match: "p/#" })]);
  await eventually("they came as they were", () => cloud.got.slice(-2).join() === "s/a 4,s/a 5");
  await eventually("nothing is left of the rule", () => world.uplink("cloud")?.aggregates.length === 0);
  await world.reload([uplink(gathers(100))]);
  for (const payload of ["6", "7", "8"]) world.publish("s/a", payload);
  await eventually("they are held", () => held() === 3 && world.acknowledged.length === 8);
  const words = await world.reload([]);
  assert.match(JSON.stringify(words), /3 messages that waited for it were given up/);
  assert.deepEqual(
    world.rooms.store.deleteOthers("aggregate", () => true),
    [],
  );
});

test("README.md has every value that $SYS says of an uplink", async () => {
  using folder = temporaryFolder();
  const keys = {
    forward: [
      { match: "a", priority: 7 },
      { match: "b", batch: {} },
    ],
    pace: { messages_per_second: 5 },
    data_cap: { per_month: "1GB" },
    connect: { every: "1h", for: "1m" },
  };
  await using world = new World(folder.path, [uplink("cloud", NOWHERE, keys)], { memory_limit: "32MiB" });
  await world.gateway.start();
  const readme = readFileSync(join(import.meta.dirname, "../../../README.md"), "utf8");
  const table = readme.slice(readme.indexOf("| under `$SYS/sluice/uplink/<name>/` |"));
  const names = [...(world.rooms.sys?.match("$SYS/sluice/uplink/cloud/#") ?? [])].filter((topic) => topic !== null);
  assert.ok(names.length > 40);
  for (const topic of names) {
    const name = topic.slice("$SYS/sluice/uplink/cloud/".length).replace(/^(dropped|priority)\/.*?(?=\/|$)/, "$1/<$1>");
    const documented = name === "dropped/<dropped>" ? "dropped/<cause>" : name.replace("priority/<priority>/", "");
    const known = table.includes(`\`${documented}\``) || table.includes(`\`priority/<p>/${documented}\``);
    assert.ok(known, `README.md lacks ${name}`);
  }
});
