// Test whether the gateway at rest is as small as it says, as shipped (launcher and all).
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "../../scripts/root.mjs";
import { Cable } from "../support/cable.ts";
import { GatewayProcess, LAUNCHER, temporaryFolder } from "../support/gateway-process.ts";
import { connect } from "../support/mqtt-packets.ts";
import { requirePeer } from "../support/peers.ts";

/** 58 MiB measured. */
const RSS_KIB_MAX = 64 * 1024;
const CONNECTIONS = 10_000;
/** 5,000 measured. */
const BYTES_PER_CONNECTION_MAX = 7000;

test("at rest with MQTT, CoAP and HTTP listeners it takes at most 64 MiB RSS", async () => {
  using folder = temporaryFolder();
  await using gateway = new GatewayProcess(
    folder.path,
    {
      listeners: [
        { type: "mqtt", bind: "127.0.0.1:0" },
        { type: "coap", bind: "127.0.0.1:0" },
        { type: "http", bind: "127.0.0.1:0" },
      ],
    },
    {},
    [LAUNCHER],
  );
  await gateway.start();
  const rssKib = rssKibOf(gateway);
  assert.ok(rssKib > 0 && rssKib <= RSS_KIB_MAX, `${rssKib} KiB`);
});

test("at rest with a serial line it takes at most 64 MiB RSS", { skip: requirePeer("socat") }, async () => {
  using folder = temporaryFolder();
  await using cable = new Cable(folder.path);
  await cable.plug();
  const listeners = [{ type: "mqtt", bind: "127.0.0.1:0" }];
  const serial = [{ name: "meter", port: cable.port }];
  await using gateway = new GatewayProcess(folder.path, { listeners, serial }, {}, [LAUNCHER]);
  await gateway.start();
  await gateway.opened();
  const rssKib = rssKibOf(gateway);
  assert.ok(rssKib > 0 && rssKib <= RSS_KIB_MAX, `${rssKib} KiB`);
});

test("what always loads of the gateway is one file, so that finding files does not bring V8's compiler into memory", () => {
  const folder = join(ROOT, "build");
  const { files } = JSON.parse(readFileSync(join(folder, "stamp.json"), "utf8")) as { files: string[] };
  const gateway = files.filter((file) => /^chunks\/run-[0-9a-f]+\.mjs$/.test(file));
  assert.equal(gateway.length, 1);
  const imported = readFileSync(join(folder, gateway[0] as string), "utf8").matchAll(
    /^(?:import|export|\}) .*from "(.*)";$/gm,
  );
  for (const [, name] of imported) assert.equal(name, "node:module");
});

test("no bundle imports a module of node by ES import, which would run all its getters and load undici, http2, webcrypto", () => {
  const folder = join(ROOT, "build");
  const { files } = JSON.parse(readFileSync(join(folder, "stamp.json"), "utf8")) as { files: string[] };
  const bundles = files.filter((file) => file.endsWith(".mjs"));
  assert.ok(bundles.some((file) => /\/run-/.test(file)));
  for (const file of bundles) {
    const imported = readFileSync(join(folder, file), "utf8").matchAll(/^(?:import|\}) .*from "(?!\.)(.*)";$/gm);
    for (const [, name] of imported) assert.equal(name, "node:module", file);
  }
});

test("a wrong argument of `run`, which is a bundle of its own, is told in one line and with exit code 2", () => {
  const { status, stderr } = spawnSync(LAUNCHER, ["run", "--confg", "x"], { encoding: "utf8", timeout: 10_000 });
  assert.equal(status, 2);
  assert.equal(stderr, "sluice: Unknown option '--confg'\nTry: sluice --help\n");
});

test("10,000 idle connections hold, at 7 kB of RSS each or less", async () => {
  using folder = temporaryFolder();
  const count = Math.min(CONNECTIONS, descriptorsMax() - 500);
  await using gateway = new GatewayProcess(
    folder.path,
    {
      memory_limit: "256MiB",
      limits: { max_connections: count + 10, max_sessions: count + 10, handshakes_per_second: 100_000 },
      listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    },
    {},
    [LAUNCHER],
  );
  await gateway.start();
  const beforeKib = rssKibOf(gateway);
  const sockets: Socket[] = [];
  try {
    while (sockets.length < count) {
      const few = Array.from({ length: Math.min(200, count - sockets.length) }, (_, i) =>
        enter(gateway.port("mqtt"), `idle-${sockets.length + i}`),
      );
      sockets.push(...(await Promise.all(few)));
    }
    const bytes = ((rssKibOf(gateway) - beforeKib) * 1024) / count;
    assert.ok(sockets.every((socket) => !socket.destroyed));
    assert.ok(bytes <= BYTES_PER_CONNECTION_MAX, `${bytes} bytes for each of ${count}`);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});

/** Resolves with CONNACK. */
async function enter(port: number, clientId: string): Promise<Socket> {
  const socket = createConnection(port, "127.0.0.1");
  socket.write(connect({ version: 4, clientId, keepAliveSeconds: 0 }));
  const [answer] = (await once(socket, "data")) as [Buffer];
  assert.deepEqual([...answer], [0x20, 2, 0, 0]);
  return socket;
}

function rssKibOf(gateway: GatewayProcess): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${gateway.pid}/status`, "utf8"))?.[1]);
}

/** Of this process and of those it starts. */
function descriptorsMax(): number {
  return Number(/^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? 1024);
}
