/**
 * npm run bench -- memory [--connections N] [--json FILE] [--compare FILE]
 *
 * Memory at rest of Sluice with MQTT, CoAP and HTTP listeners beside a bare Node server, mosquitto and aedes, and what
 * an idle MQTT connection costs each of them.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { KeptProcess, lineOf } from "../../scripts/kept/kept-process.ts";
import { type Memory, memoryOf } from "../../scripts/kept/proc.ts";
import type { Figure } from "../figures.ts";
import { holdIdle } from "../load/beside.ts";
import { buildLoad } from "../load/build.ts";
import { OUTCOME_OPTIONS, publish } from "../outcome.ts";
import { startAedes } from "../peers/aedes.ts";
import { startMosquitto } from "../peers/mosquitto.ts";
import type { Peer } from "../peers/peer.ts";
import { startSluice } from "../peers/sluice.ts";
import { Progress } from "../progress.ts";
import { mebibytes, table } from "../table.ts";

const SETTLE_MS = 3_000;
const HANDSHAKES_PER_SECOND = 100_000; // idle connections are opened as fast as they come

const { values } = parseArgs({ options: { connections: { type: "string", default: "4000" }, ...OUTCOME_OPTIONS } });
const connections = Number(values.connections);
const directory = mkdtempSync(`${tmpdir()}/sluice-bench-`);
const progress = new Progress();
const peers: Peer[] = [];
const figures: Figure[] = [];
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it
try {
  await buildLoad();
  const config = [
    "memory_limit: 256MiB", // a bill is checked against it; it allocates nothing
    `limits: {max_connections: ${connections + 24}, handshakes_per_second: ${HANDSHAKES_PER_SECOND}}`,
  ];
  const started = await Promise.all([
    startSluice(`${directory}/sluice`, { listeners: ["mqtt", "coap", "http"], config }),
    startBareNode(),
    startMosquitto(`${directory}/mosquitto`),
    startAedes(),
  ]);
  peers.push(...started.filter((peer) => peer !== null));
  await weigh();
} finally {
  await Promise.all(peers.map((peer) => peer.process?.stop()));
}

async function weigh(): Promise<void> {
  progress.show(`at rest, ${SETTLE_MS / 1_000} s`);
  await delay(SETTLE_MS);
  const rows: string[][] = [];
  for (const peer of peers) {
    const before = memoryOf(peer.pid);
    const row = [
      `${peer.name} ${peer.version}`.trim(),
      mebibytes(before.rssBytes),
      mebibytes(before.privateDirtyBytes),
    ];
    note(peer, "RSS at rest, bytes", before.rssBytes);
    note(peer, "private dirty at rest, bytes", before.privateDirtyBytes);
    if (peer.name !== "bare node") row.push(...(await perConnection(peer, before)));
    rows.push(row);
  }
  progress.clear();
  const head = ["broker", "RSS", "private dirty", "RSS per connection", "private dirty per connection"];
  const method = `${connections} idle connections`;
  publish({ bench: "memory", options: values, method, text: table([head, ...rows]), figures });
}

function note({ name }: Peer, what: string, value: number): void {
  figures.push({ name: `${name}: ${what}`, better: "less", values: [value] });
}

async function perConnection(peer: Peer, before: Memory): Promise<string[]> {
  progress.show(`${connections} idle connections: ${peer.name}`);
  const holder = await holdIdle(peer, { connections });
  await delay(SETTLE_MS);
  const after = memoryOf(peer.pid);
  await holder.stop();
  const rss = (after.rssBytes - before.rssBytes) / connections;
  const privateDirty = (after.privateDirtyBytes - before.privateDirtyBytes) / connections;
  note(peer, "RSS per connection, bytes", rss);
  note(peer, "private dirty per connection, bytes", privateDirty);
  return [rss, privateDirty].map((bytes) => `${Math.round(bytes)} B`);
}

async function startBareNode(): Promise<Peer> {
  const script = fileURLToPath(new URL("bare-node.mjs", import.meta.url));
  const server = await KeptProcess.start(process.execPath, ["--max-semi-space-size=1", script]);
  const port = await lineOf(server.stdout, (line) => Number(/^port (\d+)/.exec(line)?.[1]) || null, 15_000);
  return { name: "bare node", version: process.version.slice(1), pid: server.pid, port, process: server };
}
