// `sluice backup` and `sluice check --store`, beside a running gateway and without one.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttPeer } from "../support/mqtt-peer.ts";
import { requireRoot } from "../support/peers.ts";

const CONFIG = {
  listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
  limits: { session_queue_messages: 100_000, session_queue_bytes: "64MiB" },
};
const WINDOW = 50;

/** A session that is away, and a device that publishes for it. */
class Load {
  readonly away = new MqttPeer("away", 5);
  readonly came = new Set<number>();
  readonly acknowledged: number[] = [];
  readonly #device = new MqttPeer("device", 5);
  #next = 0;

  static async start(gateway: GatewayProcess): Promise<Load> {
    const load = new Load();
    load.away.onMessage = ({ payload }) => load.came.add(Number.parseInt(payload, 10));
    load.#device.onAcknowledged = ({ payload }) => load.acknowledged.push(Number.parseInt(payload, 10));
    await load.away.connect(gateway.port());
    await load.away.subscribe("d/#", 1);
    await load.away.leave();
    await load.#device.connect(gateway.port());
    return load;
  }

  /** Publishes until there are `count` more acknowledged, or `done` says so. */
  async run(count: number, done: () => boolean = () => false): Promise<void> {
    const end = this.acknowledged.length + count;
    while (this.acknowledged.length < end && !done()) {
      for (let n = 0; n < WINDOW; n++)
        this.#device.publish({ topic: "d/x", payload: `${this.#next++} ${"x".repeat(500)}`, qos: 1, retain: false });
      await eventually("answers", () => this.acknowledged.length === this.#next);
    }
  }
}

test("a backup under QoS 1 load: what was acknowledged before it began is there once it is put in place", async () => {
  using folder = temporaryFolder();
  const data = join(folder.path, "data");
  const file = join(folder.path, "copy.db");
  await using gateway = new GatewayProcess(folder.path, CONFIG);
  await gateway.start();
  const load = await Load.start(gateway);
  await load.run(4000);
  const before = [...load.acknowledged];

  let done = false;
  const running = sluice(["backup", file, "--data-dir", data, "--json"]).finally(() => {
    done = true;
  });
  await load.run(Number.POSITIVE_INFINITY, () => done);
  const { code, stdout, stderr } = await running;
  assert.equal(code, 0, stderr);
  const { bytes } = JSON.parse(stdout) as { bytes: number };
  assert.equal(statSync(file).size, bytes);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.ok(load.acknowledged.length > before.length, "acknowledgements went on");
  const again = await sluice(["backup", file, "--data-dir", data]);
  assert.deepEqual([again.code, /--force/.test(again.stderr)], [2, true]);
  assert.equal((await sluice(["backup", file, "--data-dir", data, "--force"])).code, 0);
  assert.equal((await sluice(["backup", join(data, "sluice.db"), "--force", "--data-dir", data])).code, 2);
  assert.deepEqual(readdirSync(folder.path).sort(), ["copy.db", "data", "sluice.yaml"]);
  const checked = await sluice(["check", "--store", file]);
  assert.equal(checked.code, 0, checked.stdout + checked.stderr);
  assert.match(checked.stdout, /^integrity +ok$/m);

  const beforeForced = load.acknowledged.length;
  assert.equal(await gateway.end(), 0);
  for (const name of readdirSync(data)) if (name.startsWith("sluice.db")) rmSync(join(data, name));
  copyFileSync(file, join(data, "sluice.db"));
  await gateway.start();
  await load.away.connect(gateway.port());
  assert.equal(load.away.sessionPresent, true);
  await eventually("all has come", () => load.came.size >= beforeForced).catch(() => {});
  assert.deepEqual(
    before.filter((n) => !load.came.has(n)),
    [],
  );
});

test("a backup fails clearly: no gateway and no store, a folder that is not there, a disk that is full", {
  skip: requireRoot(),
}, async () => {
  using folder = temporaryFolder();
  const data = join(folder.path, "data");
  const nobody = await sluice(["backup", join(folder.path, "copy.db"), "--data-dir", data]);
  assert.deepEqual([nobody.code, /no gateway is running/.test(nobody.stderr)], [3, true]);
  await using gateway = new GatewayProcess(folder.path, CONFIG);
  await gateway.start();
  const load = await Load.start(gateway);
  await load.run(3000);
  assert.equal((await sluice(["backup", join(folder.path, "none", "copy.db"), "--data-dir", data])).code, 2);
  const small = join(folder.path, "small");
  mkdirSync(small);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", small]);
  try {
    const full = await sluice(["backup", join(small, "copy.db"), "--data-dir", data]);
    assert.equal(full.code, 1);
    assert.match(full.stderr, /too little room/);
    assert.deepEqual(readdirSync(small), []);
  } finally {
    execFileSync("umount", ["-l", small]);
  }
  const status = JSON.parse((await sluice(["status", "--json", "--data-dir", data])).stdout) as {
    store: { health: string };
  };
  assert.equal(status.store.health, "ok");
  await load.run(100);
});

test("a backup whose command is killed is broken off, and the next one goes well", async () => {
  using folder = temporaryFolder();
  const data = join(folder.path, "data");
  const file = join(folder.path, "copy.db");
  await using gateway = new GatewayProcess(folder.path, CONFIG);
  await gateway.start();
  const load = await Load.start(gateway);
  await load.run(3000);
  const bundle = join(import.meta.dirname, "../../build/sluice.mjs");
  const child = spawn(process.execPath, [bundle, "backup", file, "--data-dir", data], { stdio: "ignore" });
  await eventually("it has begun", () => existsSync(`${file}.part`) || child.exitCode !== null);
  child.kill("SIGKILL");
  await eventually("the gateway noticed", async () => {
    const { code } = await sluice(["backup", file, "--data-dir", data, "--force"]);
    return code === 0;
  });
  assert.equal((await sluice(["check", "--store", file])).code, 0);
});

test("check --store of a gateway that runs, of one that was killed (nothing changes), and of a newer version's", async () => {
  using folder = temporaryFolder();
  const data = join(folder.path, "data");
  await using gateway = new GatewayProcess(folder.path, CONFIG);
  await gateway.start();
  const load = await Load.start(gateway);
  await load.run(1000);
  const live = await sluice(["check", "--store", "--data-dir", data]);
  assert.equal(live.code, 0, live.stdout + live.stderr);
  assert.match(live.stdout, /^integrity +not checked: the gateway runs/m);
  assert.match(live.stdout, /^receiver +session away: 1000 messages, .* KiB/m);
  await gateway.end("SIGKILL");

  const files = () =>
    readdirSync(data)
      .filter((name) => name.startsWith("sluice.db"))
      .sort();
  const names = files();
  const bytes = names.map((name) => readFileSync(join(data, name)));
  assert.ok(statSync(join(data, "sluice.db-wal")).size > 0);
  const stopped = await sluice(["check", "--store", "--data-dir", data, "--json"]);
  assert.equal(stopped.code, 0, stopped.stdout + stopped.stderr);
  const report = JSON.parse(stopped.stdout) as {
    integrity: string[];
    problems: string[];
    receivers: { kind: string; name: string; messages: number; bytes: number }[];
    tables: { name: string; bytes: number }[];
  };
  assert.deepEqual([report.integrity, report.problems], [["ok"], []]);
  assert.equal(report.receivers.find(({ name }) => name === "away")?.messages, 1000);
  assert.ok((report.tables.find(({ name }) => name === "log")?.bytes ?? 0) > 500_000);
  assert.deepEqual(files(), names, "no file came or went");
  for (const [n, name] of names.entries()) assert.ok(readFileSync(join(data, name)).equals(bytes[n] as Buffer), name);

  const copy = join(folder.path, "copy.db");
  const backup = await sluice(["backup", copy, "--data-dir", data]);
  assert.equal(backup.code, 0, backup.stderr);
  assert.equal((await sluice(["check", "--store", copy])).code, 0);
  const newer = readFileSync(copy);
  newer.writeUInt32BE(newer.readUInt32BE(60) + 1, 60);
  writeFileSync(copy, newer);
  const refused = await sluice(["check", "--store", copy]);
  assert.deepEqual([refused.code, /newer version of Sluice/.test(refused.stderr)], [1, true]);
  assert.ok(readFileSync(copy).equals(newer), "untouched");
  newer.fill(0, 3 * 4096, 6 * 4096);
  newer.writeUInt32BE(newer.readUInt32BE(60) - 1, 60);
  writeFileSync(copy, newer);
  const damaged = await sluice(["check", "--store", copy]);
  assert.equal(damaged.code, 1);
  assert.match(damaged.stdout, /^problem +integrity: /m);
});
