// A disk that is full, and one that fails: publishers get the negative answer of their protocol, what needs no disk
// goes on, nothing acknowledged is lost, and space that returns is used without a restart.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ask } from "../support/coap-peers.ts";
import { SmallDisk } from "../support/disk.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { Journal } from "../support/journal.ts";
import { PUBACK, publish, readAck, readPublish } from "../support/mqtt-packets.ts";
import { MqttPeer, type Outgoing } from "../support/mqtt-peer.ts";
import { requirePeer, requireRoot, requireThat, type Skip } from "../support/peers.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";
import { preloadable } from "../support/store-process.ts";

const DISK_MIB = 40;
const HOLD_MS = 2500;
const CONFIG = {
  listeners: [
    { type: "mqtt", bind: "127.0.0.1:0" },
    { type: "http", bind: "127.0.0.1:0" },
    { type: "coap", bind: "127.0.0.1:0" },
  ],
  limits: { refusal_hold: `${HOLD_MS}ms`, session_queue_messages: 100_000, session_queue_bytes: "64MiB" },
};

interface Ext4Disk {
  readonly path: string;
  /** `ro` or `rw`; throws when the kernel refuses. */
  remount(how: string): void;
  abort(): void;
  repair(): void;
  [Symbol.dispose](): void;
}

/** An ext4 of its own on a loop device, which can be made to give up as it does when it finds its journal broken. */
function ext4Disk(): Ext4Disk {
  const folder = temporaryFolder("sluice-ext4-");
  const [image, mounted] = [join(folder.path, "image"), join(folder.path, "mounted")];
  mkdirSync(mounted);
  writeFileSync(image, "");
  truncateSync(image, 48 * 1024 * 1024);
  execFileSync("mkfs.ext4", ["-q", image]);
  const mount = () => execFileSync("mount", ["-o", "loop", image, mounted], { stdio: "pipe" });
  const unmount = (...how: string[]) => execFileSync("umount", [...how, mounted], { stdio: "pipe" });
  const remount = (how: string) => execFileSync("mount", ["-o", `remount,${how}`, mounted], { stdio: "pipe" });
  mount();
  return {
    path: mounted,
    remount,
    abort: () => remount("abort"),
    repair: () => {
      unmount();
      const { status } = spawnSync("e2fsck", ["-fy", image]);
      assert.ok(status === 0 || status === 1, `e2fsck ended with ${status}`);
      mount();
    },
    [Symbol.dispose]: () => {
      unmount("-l");
      folder[Symbol.dispose]();
    },
  };
}

/** Whether this machine lets us mount loop devices. */
function requireLoop(): Skip {
  const root = requireRoot() || requirePeer("mkfs.ext4", "e2fsck");
  return root || requireThat(existsSync("/dev/loop-control"), "no loop devices");
}

/** A device that publishes numbered messages for a durable session, and what became of them. */
class Device {
  readonly peer: MqttPeer;
  readonly acknowledged: Outgoing[] = [];
  #next = 0;

  constructor(clientId: string) {
    this.peer = new MqttPeer(clientId, 5);
    this.peer.onAcknowledged = (message) => this.acknowledged.push(message);
  }

  /** Publishes one and waits for the answer. @returns its reason */
  async publish(qos: 1 | 2, bytes = 10_000): Promise<number> {
    const payload = `${"x".repeat(bytes)} ${this.#next++}`;
    const { length } = this.acknowledged;
    const { refusals } = this.peer;
    this.peer.publish({ topic: `d/${this.peer.clientId}/q${qos}`, payload, qos, retain: false });
    await eventually("an answer", () => this.acknowledged.length + this.peer.refusals > length + refusals);
    return this.peer.refusals > refusals ? this.peer.lastRefusal : 0;
  }
}

/** A subscriber that is away most of the time. */
async function away(gateway: GatewayProcess): Promise<{ peer: MqttPeer; journal: Journal }> {
  const peer = new MqttPeer("away", 5);
  const journal = new Journal("away");
  peer.onMessage = (message) => journal.arrive(message);
  await peer.connect(gateway.port());
  await peer.subscribe("d/#", 2);
  await peer.leave();
  return { peer, journal };
}

/** Everything acknowledged comes, once at QoS 2, and nothing refused does. */
async function assertComplete(
  gateway: GatewayProcess,
  peer: MqttPeer,
  journal: Journal,
  devices: Device[],
): Promise<void> {
  const acknowledged = devices.flatMap((device) => device.acknowledged);
  await peer.connect(gateway.port());
  assert.equal(peer.sessionPresent, true);
  await eventually("all has come", () => journal.missing(acknowledged).length === 0).catch(() => {});
  assert.deepEqual(
    journal
      .missing(acknowledged)
      .map((line) => line.replaceAll(/x+/g, ""))
      .slice(0, 10),
    [],
  );
  assert.deepEqual([journal.repeated((topic) => topic.endsWith("q2")), journal.disorder], [[], []]);
  assert.equal(journal.count, acknowledged.length, "what was refused must not come");
}

/** PUT without a retained value: somebody durable has to keep it. */
async function http(
  gateway: GatewayProcess,
  qos = 1,
): Promise<{ status: number; retryAfter: string | null; error: string }> {
  const url = `http://127.0.0.1:${gateway.port("http")}/topics/d/http?qos=${qos}`;
  const response = await fetch(url, { method: "PUT", body: "x 0" });
  const body = response.status === 204 ? {} : ((await response.json()) as { error?: string });
  return { status: response.status, retryAfter: response.headers.get("retry-after"), error: body.error ?? "" };
}

async function health(gateway: GatewayProcess): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${gateway.port("http")}/health`);
  const { status, reason } = (await response.json()) as { status: string; reason?: string };
  return `${response.status} ${status} ${reason ?? ""}`.trim();
}

async function coap(gateway: GatewayProcess): Promise<{ code: string; maxAge: unknown }> {
  const response = await ask(gateway, "/ps/d/coap", { method: "PUT", payload: "x 0" });
  return { code: response.code, maxAge: response.headers["Max-Age"] };
}

/** A message of 3.1.1 is held, and then the connection closes. @returns after how many ms */
async function heldAndClosed(gateway: GatewayProcess, qos: number): Promise<number> {
  using raw = await RawMqtt.connected(gateway.port(), { version: 4, clientId: `held-${qos}` });
  const startedMs = performance.now();
  raw.send(publish(4, { topic: "d/old", payload: "x 1", qos, packetId: 1 }));
  await raw.end();
  assert.deepEqual(raw.packets, [], "no acknowledgement");
  return performance.now() - startedMs;
}

/** QoS 0 and QoS 1 between clients that are there, and that nobody keeps anything for. */
async function assertLiveTraffic(gateway: GatewayProcess): Promise<void> {
  using subscriber = await RawMqtt.connected(gateway.port(), { version: 4, clientId: "live-sub" });
  using publisher = await RawMqtt.connected(gateway.port(), { version: 5, clientId: "live-pub" });
  await subscriber.subscribe(4, "live/#", 1);
  for (let i = 0; i < 100; i++) publisher.send(publish(5, { topic: "live/0", payload: `${i}` }));
  publisher.send(publish(5, { topic: "live/1", payload: "100", qos: 1, packetId: 7 }));
  await eventually("all 101 have come", () => subscriber.packets.length === 101);
  assert.deepEqual(
    subscriber.packets.map((packet) => Number(readPublish(4, packet).payload)),
    Array.from({ length: 101 }, (_, i) => i),
  );
  const answer = await publisher.next();
  assert.deepEqual([answer.type, readAck(answer)], [PUBACK, { packetId: 7, reason: 0 }]);
}

test("a full disk: refused in each protocol's words, live traffic goes on, service returns with the space", {
  skip: requireRoot(),
}, async () => {
  using disk = new SmallDisk(DISK_MIB);
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(folder.path, { ...CONFIG, data_dir: join(disk.path, "data") });
  await gateway.start();
  const { peer, journal } = await away(gateway);
  const [one, two] = [new Device("one"), new Device("two")];
  await Promise.all([one.peer.connect(gateway.port()), two.peer.connect(gateway.port())]);
  assert.equal(await health(gateway), "200 healthy");
  for (let i = 0; i < 50; i++) assert.deepEqual(await Promise.all([one.publish(1), two.publish(2)]), [0, 0]);

  disk.fill();
  let reasons = [0, 0];
  while (Math.max(...reasons) === 0) reasons = await Promise.all([one.publish(1), two.publish(2)]);
  assert.ok(
    reasons.every((reason) => reason === 0 || reason === 0x97),
    String(reasons),
  );
  assert.deepEqual(await Promise.all([one.publish(1, 10), two.publish(2, 10)]), [0x97, 0x97]);
  assert.deepEqual(await http(gateway), { status: 507, retryAfter: "10", error: "full" });
  assert.deepEqual(await coap(gateway), { code: "5.03", maxAge: 10 });
  assert.equal(await health(gateway), "200 degraded store-full");
  assert.equal((await http(gateway, 0)).status, 204, "QoS 0 is for those who are there");
  await assertLiveTraffic(gateway);
  for (const ms of await Promise.all([heldAndClosed(gateway, 1), heldAndClosed(gateway, 2)])) {
    assert.ok(ms > HOLD_MS * 0.9 && ms < HOLD_MS * 3, `closed after ${ms} ms`);
  }

  // One that is held while the space returns is acknowledged after all.
  using patient = await RawMqtt.connected(gateway.port(), { version: 4, clientId: "patient" });
  patient.send(publish(4, { topic: "d/patient/q1", payload: "x 0", qos: 1, packetId: 3 }));
  await assertLiveTraffic(gateway);
  assert.deepEqual(patient.packets, []);
  disk.free();
  assert.deepEqual(readAck(await patient.next()), { packetId: 3, reason: 0 });
  await eventually("healthy again", async () => (await health(gateway)) === "200 healthy");
  assert.deepEqual(await Promise.all([one.publish(1), two.publish(2)]), [0, 0]);
  assert.equal((await http(gateway)).status, 204);
  assert.equal((await coap(gateway)).code, "2.04");

  const others = new Device("others");
  for (const topic of ["d/patient/q1", "d/http", "d/coap"]) {
    others.acknowledged.push({ topic, payload: "x 0", qos: 1, retain: false });
  }
  await assertComplete(gateway, peer, journal, [one, two, others]);
});

test("a full disk and kill -9, again and again: it starts, and what it had acknowledged is delivered", {
  skip: requireRoot(),
}, async () => {
  using disk = new SmallDisk(DISK_MIB);
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(folder.path, { ...CONFIG, data_dir: join(disk.path, "data") });
  await gateway.start();
  const { peer, journal } = await away(gateway);
  const [one, two] = [new Device("one"), new Device("two")];
  const connectBoth = () => Promise.all([one.peer.connect(gateway.port()), two.peer.connect(gateway.port())]);
  await connectBoth();
  for (let round = 0; round < 3; round++) {
    disk.fill();
    while ((await one.publish(1)) === 0) await two.publish(2);
    await gateway.end("SIGKILL");
    disk.fill(); // what it had given up is gone, too
    await gateway.start();
    await connectBoth();
    await assertLiveTraffic(gateway);
  }
  await assertComplete(gateway, peer, journal, [one, two]);
  disk.free();
  await eventually("it takes messages again", async () => (await one.publish(1)) === 0);
  assert.equal(await gateway.end(), 0);
});

test("a disk that fails (EIO at fsync): 0x83, 503 and 5.03; live traffic goes on; a restart has what was acknowledged", {
  skip: requirePeer("cc"),
}, async () => {
  using folder = temporaryFolder();
  const control = join(folder.path, "shim-control");
  const disk = (words: string): void => {
    writeFileSync(`${control}-new`, words);
    renameSync(`${control}-new`, control);
  };
  await using gateway = new GatewayProcess(folder.path, CONFIG, {
    LD_PRELOAD: preloadable("fsync-shim"),
    SHIM_MATCH: `${join(folder.path, "data")}/sluice.`,
    SHIM_CONTROL: control,
  });
  disk("");
  await gateway.start();
  const { peer, journal } = await away(gateway);
  const [one, two] = [new Device("one"), new Device("two")];
  await Promise.all([one.peer.connect(gateway.port()), two.peer.connect(gateway.port())]);
  for (let i = 0; i < 20; i++) assert.deepEqual(await Promise.all([one.publish(1), two.publish(2)]), [0, 0]);

  // 3.1.1: what was taken and then could not be stored has no answer but the end.
  using old = await RawMqtt.connected(gateway.port(), { version: 4, clientId: "old" });
  disk("eio_sync=1");
  old.send(publish(4, { topic: "d/old", payload: "x 1", qos: 1, packetId: 1 }));
  await old.end();
  assert.deepEqual(old.packets, []);
  assert.deepEqual(await Promise.all([one.publish(1), two.publish(2)]), [0x83, 0x83]);
  assert.deepEqual(await http(gateway), { status: 503, retryAfter: "10", error: "store-failed" });
  assert.deepEqual(await coap(gateway), { code: "5.03", maxAge: 10 });
  assert.equal(await health(gateway), "503 failed store-failed");
  assert.equal((await http(gateway, 0)).status, 204);
  await assertLiveTraffic(gateway);
  const { stdout } = await sluice(["status", "--json", "--data-dir", join(folder.path, "data")]);
  assert.equal((JSON.parse(stdout) as { store: { health: string } }).store.health, "failed");

  // Only a restart helps: the state of the file is unknown after a failed sync.
  disk("");
  assert.deepEqual(await one.publish(1), 0x83);
  await gateway.end();
  await gateway.start();
  await Promise.all([one.peer.connect(gateway.port()), two.peer.connect(gateway.port())]);
  assert.deepEqual(await Promise.all([one.publish(1), two.publish(2)]), [0, 0]);
  const acknowledged = [one, two].flatMap((device) => device.acknowledged);
  await peer.connect(gateway.port());
  await eventually("all has come", () => journal.missing(acknowledged).length === 0).catch(() => {});
  assert.deepEqual(
    journal.missing(acknowledged).map((line) => line.replaceAll(/x+/g, "")),
    [],
  );
  assert.deepEqual([journal.repeated((topic) => topic.endsWith("q2")), journal.disorder], [[], []]);
});

test("a file system that gives up and turns read-only: 0x83, 503 and 5.03; live traffic goes on; repaired, all is there", {
  skip: requireLoop(),
}, async () => {
  using disk = ext4Disk();
  using folder = temporaryFolder();
  const dataDir = join(disk.path, "data");
  await using gateway = new GatewayProcess(folder.path, { ...CONFIG, data_dir: dataDir });
  await gateway.start();
  const { peer, journal } = await away(gateway);
  const [one, two] = [new Device("one"), new Device("two")];
  await Promise.all([one.peer.connect(gateway.port()), two.peer.connect(gateway.port())]);
  for (let i = 0; i < 20; i++) assert.deepEqual(await Promise.all([one.publish(1), two.publish(2)]), [0, 0]);

  // What an operator asks for is refused by the kernel as long as the store is open for writing.
  assert.throws(() => disk.remount("ro"), /busy/);
  assert.equal(await one.publish(1), 0);

  // "read-only" when nothing was under way; "failed" when a sync was, whose data the kernel has thrown away.
  disk.abort();
  assert.deepEqual(await Promise.all([one.publish(1), two.publish(2)]), [0x83, 0x83]);
  assert.deepEqual(await http(gateway), { status: 503, retryAfter: "10", error: "store-failed" });
  assert.deepEqual(await coap(gateway), { code: "5.03", maxAge: 10 });
  assert.match(await health(gateway), /^(200 degraded store-read-only|503 failed store-failed)$/);
  assert.equal((await http(gateway, 0)).status, 204);
  await assertLiveTraffic(gateway);
  const { stdout } = await sluice(["status", "--data-dir", dataDir]);
  assert.match(stdout, /store +(read-only|failed) \(.*read-only/);
  assert.equal(gateway.stderr.split("store-read-only").length + gateway.stderr.split("store-failed").length, 3, "once");

  assert.equal(await gateway.end(), 0);
  disk.repair();
  await gateway.start();
  await Promise.all([one.peer.connect(gateway.port()), two.peer.connect(gateway.port())]);
  assert.deepEqual(await Promise.all([one.publish(1), two.publish(2)]), [0, 0]);
  await assertComplete(gateway, peer, journal, [one, two]);
});

test("a start on a read-only file system: it routes what is live and says so; writable again, all is there", {
  skip: requireLoop(),
}, async () => {
  using disk = ext4Disk();
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(folder.path, { ...CONFIG, data_dir: join(disk.path, "data") });
  await gateway.start();
  const { peer, journal } = await away(gateway);
  const one = new Device("one");
  await one.peer.connect(gateway.port());
  for (let i = 0; i < 20; i++) assert.equal(await one.publish(1), 0);
  await gateway.end("SIGKILL");
  disk.remount("ro");

  await gateway.start();
  assert.equal(await health(gateway), "503 failed store-failed");
  assert.match(gateway.stderr, /store-failed.*start/);
  await assertLiveTraffic(gateway);
  assert.equal((await http(gateway, 0)).status, 204);
  await away(gateway); // a new session as far as this gateway knows, which keeps nothing for it
  await one.peer.connect(gateway.port());
  assert.equal(await one.publish(1), 0x83);
  assert.deepEqual(await http(gateway), { status: 503, retryAfter: "10", error: "store-failed" });
  assert.equal(await gateway.end(), 0);

  disk.remount("rw");
  await gateway.start();
  await one.peer.connect(gateway.port());
  assert.equal(await one.publish(1), 0);
  await assertComplete(gateway, peer, journal, [one]);
});

test("a start on a disk that fails: the same; under systemd it ends by itself when the disk works again", {
  skip: requirePeer("cc") || (process.env["SLUICE_LONG"] === undefined && "with --long"),
}, async () => {
  using folder = temporaryFolder();
  const control = join(folder.path, "shim-control");
  const dataDir = join(folder.path, "data");
  await using gateway = new GatewayProcess(folder.path, CONFIG, {
    LD_PRELOAD: preloadable("fsync-shim"),
    SHIM_MATCH: `${dataDir}/sluice.`,
    SHIM_CONTROL: control,
    NOTIFY_SOCKET: join(folder.path, "notify"),
  });
  writeFileSync(control, "eio_sync=1");
  await gateway.start();
  assert.equal(await health(gateway), "503 failed store-failed");
  await assertLiveTraffic(gateway);
  const { stdout } = await sluice(["status", "--data-dir", dataDir]);
  assert.match(stdout, /store +failed \(start: /);
  rmSync(control);
  await eventually("its end", () => !gateway.running, 90_000);
  assert.equal(await gateway.end(), 1);
  await gateway.start();
  assert.equal(await health(gateway), "200 healthy");
});
