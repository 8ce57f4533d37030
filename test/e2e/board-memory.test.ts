// Test whether the gateway with the demo's configuration, 1,000 idle connections and 100,000 messages for a cloud that
// is away fits on a small board: as a package, in a memory cgroup of 64 MB.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { holdIdle } from "../../bench/load/beside.ts";
import { buildLoad } from "../../bench/load/build.ts";
import { drainSession, parkSession, publishDurably } from "../../bench/load/durable.ts";
import { runLoad } from "../../bench/load/load.ts";
import { memoryOf } from "../../scripts/kept/proc.ts";
import { findNode, ROOT } from "../../scripts/root.mjs";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MemoryCgroup, requireMemoryCgroup } from "../support/memory-cgroup.ts";
import { requirePeer } from "../support/peers.ts";

const LIMIT_BYTES = 64e6;
/** Cannot be taken back; the rest of the limit is for the pages of the program that are in use, and the kernel's. */
const ANONYMOUS_BYTES_MAX = 44e6;
const IDLE = 1000;
const MESSAGES = 100_000;
const SAYS = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

test("1,000 idle connections, 100,000 queued messages, then a firehose: a memory cgroup of 64 MB is enough", {
  skip: requireMemoryCgroup() || requirePeer("cc"),
  timeout: 240_000,
}, async (context) => {
  using folder = temporaryFolder();
  using group = MemoryCgroup.make("sluice-board", LIMIT_BYTES);
  await buildLoad();
  const port = await freePort();
  mkdirSync(join(folder.path, "cloud"));
  await using cloud = cloudAt(port, join(folder.path, "cloud"));
  await cloud.start();
  await parkSession(port, "archive", "site/demo/#");
  await cloud.end();
  mkdirSync(join(folder.path, "gateway"));
  const launcher = unpack(join(folder.path, "package"));
  await using gateway = new GatewayProcess(join(folder.path, "gateway"), configuration(port), {}, [
    ...group.entrance,
    launcher,
  ]);
  const say = (when: string): void => tell(context, group, gateway.pid, when);
  await gateway.start();
  say("at rest");

  const idle = await holdIdle({ port: gateway.port(), pid: gateway.pid }, { connections: IDLE });
  // Ends with its connections, whatever fails below.
  context.after(() => idle.stop());
  say(`${IDLE} idle connections`);
  const load = { topic: "sensors/hall", window: 256, payloadBytes: 200, messages: MESSAGES };
  const { acknowledged, refused } = await publishDurably(gateway.port(), load);
  assert.deepEqual({ acknowledged, refused }, { acknowledged: MESSAGES, refused: 0 });
  say(`${MESSAGES} messages queued`);
  assert.ok(group.memory().anonymousBytes < ANONYMOUS_BYTES_MAX, SAYS(group.memory().anonymousBytes));

  const { deliveries, lost } = await runLoad({ port: gateway.port(), pid: gateway.pid }, {}, 3000, 500);
  say(`a firehose, ${Math.round(deliveries / 3000)}k deliveries a second`);
  assert.ok(deliveries > 0);
  assert.equal(lost, 0);

  await cloud.start();
  await eventually("all messages are in the cloud", async () => (await pendingOf(gateway)) === 0, 120_000);
  say("all of it taken by the cloud");
  const { received, missing } = await drainSession(port, "archive", MESSAGES);
  assert.deepEqual({ received, missing }, { received: MESSAGES, missing: 0 });
  assert.equal(group.memory().oomKills, 0, "killed by the kernel");
  assert.ok(gateway.running);
  assert.equal(await gateway.end(), 0);
});

/** The demo's listeners and uplink, without its certificates. */
function configuration(cloudPort: number): Record<string, unknown> {
  return {
    listeners: ["mqtt", "coap", "http"].map((type) => ({ type, bind: "127.0.0.1:0" })),
    uplinks: [
      {
        name: "cloud",
        url: `mqtt://127.0.0.1:${cloudPort}`,
        forward: [{ match: "sensors/#", qos: 1, to: "site/demo/{topic}" }],
      },
    ],
    log: { level: "warn" },
  };
}

/** Another gateway, which keeps what it is sent for the session that is to count it. */
function cloudAt(port: number, folder: string): GatewayProcess {
  return new GatewayProcess(folder, {
    listeners: [{ type: "mqtt", bind: `127.0.0.1:${port}` }],
    limits: { session_queue_messages: 2 * MESSAGES, session_queue_bytes: "256MiB" },
  });
}

/** The package's layout. */
function unpack(folder: string): string {
  for (const name of ["bin", "lib"]) mkdirSync(join(folder, name), { recursive: true });
  cpSync(join(ROOT, "build/sluice"), join(folder, "bin/sluice"));
  cpSync(join(ROOT, "build/sluice.mjs"), join(folder, "lib/sluice.mjs"));
  cpSync(join(ROOT, "build/chunks"), join(folder, "lib/chunks"), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  const node = join(folder, "bin/node");
  cpSync(findNode(), node);
  return join(folder, "bin/sluice");
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

async function pendingOf(gateway: GatewayProcess): Promise<number> {
  const { stdout } = await sluice(["status", "--config", gateway.configFile, "--json"]);
  return (
    (JSON.parse(stdout) as { uplinks: { spool: { messages: number } }[] }).uplinks[0]?.spool.messages ?? Number.NaN
  );
}

function tell(context: TestContext, group: MemoryCgroup, pid: number, when: string): void {
  const { usedBytes, anonymousBytes, fileBytes } = group.memory();
  const parts = `anonymous ${SAYS(anonymousBytes)}, files ${SAYS(fileBytes)}`;
  context.diagnostic(`${when}: ${SAYS(usedBytes)} in the cgroup (${parts}); RSS ${SAYS(memoryOf(pid).rssBytes)}`);
}
