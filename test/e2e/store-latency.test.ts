// Test whether the disk and what else uses libuv's four threads leave others alone: a disk that takes 200 ms for each
// sync must not slow down QoS 0 between bystanders, and password hashes and a dead resolver must not slow down
// acknowledgements. Each time two measurements within one run are compared.
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { connect, publish } from "../support/mqtt-packets.ts";
import { requirePeer } from "../support/peers.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";
import { preloadable } from "../support/store-process.ts";

const FACTOR = 3;
/** What other work on the machine may add. */
const SLACK_MS = 40;
const SAMPLES = 200;

/** Sends `packet` and waits for the next bytes on `answers`. @returns how long that took, in ms */
async function roundTripMs(from: RawMqtt, packet: Buffer, answers: RawMqtt): Promise<number> {
  const arrived = once(answers.socket, "data");
  const startedMs = performance.now();
  from.send(packet);
  await arrived;
  return performance.now() - startedMs;
}

async function p99(samples: number, sample: (i: number) => Promise<number>): Promise<number> {
  const all: number[] = [];
  for (let i = 0; i < samples; i++) all.push(await sample(i));
  return all.sort((a, b) => a - b)[Math.floor(samples * 0.99) - 1] as number;
}

function assertFlat(t: TestContext, what: string, quietMs: number, loadedMs: number): void {
  t.diagnostic(`${what}: p99 ${quietMs.toFixed(1)} ms quiet, ${loadedMs.toFixed(1)} ms loaded`);
  assert.ok(loadedMs < FACTOR * quietMs + SLACK_MS, `${what}: ${quietMs} ms became ${loadedMs} ms`);
}

/** A session that is away and whose messages the log keeps. */
async function durableSession(gateway: GatewayProcess): Promise<void> {
  const away = await RawMqtt.connected(gateway.port(), { version: 4, clientId: "away", clean: false });
  await away.subscribe(4, "kept/#", 1);
  away.socket.destroy();
}

test("syncs of 200 ms leave QoS 0 between bystanders as fast as it was", { skip: requirePeer("cc") }, async (t) => {
  using folder = temporaryFolder();
  const control = join(folder.path, "shim-control");
  const disk = (words: string): void => {
    writeFileSync(`${control}-new`, words);
    renameSync(`${control}-new`, control);
  };
  disk("");
  await using gateway = new GatewayProcess(
    folder.path,
    {
      listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
      limits: { session_queue_messages: 100_000, session_queue_bytes: "64MiB" },
    },
    {
      LD_PRELOAD: preloadable("fsync-shim"),
      SHIM_MATCH: `${join(folder.path, "data")}/sluice.`,
      SHIM_CONTROL: control,
    },
  );
  await gateway.start();
  await durableSession(gateway);
  using sender = await RawMqtt.connected(gateway.port(), { version: 4, clientId: "sender" });
  using receiver = await RawMqtt.connected(gateway.port(), { version: 4, clientId: "receiver" });
  using writer = await RawMqtt.connected(gateway.port(), { version: 4, clientId: "writer" });
  await receiver.subscribe(4, "live/#", 0);

  // The same load before and after: one more QoS 1 message for each one that was acknowledged, 50 under way.
  let acknowledged = 0;
  let packetId = 0;
  const one = (): void => {
    packetId = (packetId % 65_535) + 1;
    writer.send(publish(4, { topic: "kept/x", payload: "x".repeat(200), qos: 1, packetId }));
  };
  writer.socket.on("data", (chunk: Buffer) => {
    const count = chunk.length / 4; // PUBACKs of 4 bytes
    acknowledged += count;
    for (let i = 0; i < count; i++) one();
  });
  for (let i = 0; i < 50; i++) one();
  const sample = (i: number) => roundTripMs(sender, publish(4, { topic: "live/x", payload: `${i}` }), receiver);

  await eventually("acknowledgements", () => acknowledged > 50);
  const quietMs = await p99(SAMPLES, sample);
  disk("slow_us=200000");
  // Samples are taken over at least a second of slow syncs.
  const before = acknowledged;
  await eventually("slow acknowledgements", () => acknowledged > before);
  let slowMs = 0;
  const startedMs = performance.now();
  while (performance.now() - startedMs < 1500) slowMs = Math.max(slowMs, await p99(SAMPLES, sample));
  assertFlat(t, "QoS 0", quietMs, slowMs);
  disk("");
});

test("eight logins that hash and a resolver that never answers leave acknowledgements as fast as they were", {
  skip: requirePeer("cc"),
}, async (t) => {
  using folder = temporaryFolder();
  const passwords = join(folder.path, "passwd");
  const blocks = join(folder.path, "resolver-blocks");
  const log = join(folder.path, "resolver-log");
  const made = await sluice(["passwd", "--stdin", "--iterations", "300000", passwords, "meter"], "secret\n");
  assert.equal(made.code, 0, made.stderr);
  await using gateway = new GatewayProcess(
    folder.path,
    {
      listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
      auth: { password_file: passwords, anonymous: "loopback" },
      uplinks: [1, 2, 3].map((n) => ({
        name: `cloud-${n}`,
        url: `mqtt://cloud-${n}.dead:1883`,
        forward: [{ match: "nothing/#" }],
      })),
      memory_limit: "32MiB",
      store: { commit_delay: "2ms" },
      limits: { session_queue_messages: 100_000, session_queue_bytes: "64MiB" },
    },
    { LD_PRELOAD: preloadable("resolver-shim"), RESOLVER_BLOCKS: blocks, RESOLVER_LOG: log },
  );
  await gateway.start();
  await durableSession(gateway);
  using publisher = await RawMqtt.connected(gateway.port(), { version: 4, clientId: "publisher" });
  const sample = (i: number) =>
    roundTripMs(publisher, publish(4, { topic: "kept/x", payload: "x", qos: 1, packetId: i + 1 }), publisher);
  const quietMs = await p99(SAMPLES, sample);

  writeFileSync(blocks, "");
  await eventually("a look-up that waits", () => existsSync(log), 90_000);
  let over = false;
  let hashed = 0;
  const keepsTrying = async (n: number): Promise<void> => {
    while (!over) {
      using raw = await RawMqtt.open(gateway.port());
      raw.send(connect({ version: 4, clientId: `login-${n}`, user: "meter", password: "wrong" }));
      await raw.end(60_000);
      hashed++;
    }
  };
  const logins = Array.from({ length: 8 }, (_, n) => keepsTrying(n));
  await eventually("hashes", () => hashed >= 2, 60_000);
  const loadedMs = await p99(SAMPLES, sample);
  const during = hashed;
  over = true;
  assertFlat(t, "PUBACK", quietMs, loadedMs);
  assert.equal(readFileSync(log, "utf8"), "waits\n", "one look-up at a time");
  assert.ok(during >= 2);
  await eventually("the last login", () => hashed >= during + 8, 60_000);
  await Promise.all(logins);
  rmSync(blocks);
});
