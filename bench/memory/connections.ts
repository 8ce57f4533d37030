/** What an idle MQTT connection costs, beside servers that do nothing. */
import { setTimeout as delay } from "node:timers/promises";
import type { CertificatePaths } from "../../scripts/demo/certificates.ts";
import { cpuSeconds, memoryOf } from "../../scripts/kept/proc.ts";
import type { Figure } from "../figures.ts";
import { holdIdle } from "../load/beside.ts";
import { startAedes } from "../peers/aedes.ts";
import { startMosquitto } from "../peers/mosquitto.ts";
import type { Peer } from "../peers/peer.ts";
import { startSluice } from "../peers/sluice.ts";
import type { Progress } from "../progress.ts";
import { startBareNode } from "./bare-node.ts";
import { SETTLE_MS } from "./parts.ts";

const HANDSHAKES_PER_SECOND = 100_000; // idle connections are opened as fast as they come

interface Case {
  readonly name: string;
  /** Subscriptions of each connection. */
  readonly filters?: number;
  readonly start: () => Promise<Peer | null>;
}

/** @returns head and rows of the table */
export async function weighConnections(
  directory: string,
  certificate: CertificatePaths,
  connections: number,
  progress: Progress,
  figures: Figure[],
): Promise<string[][]> {
  const config = [
    "memory_limit: 256MiB", // a bill is checked against it; it allocates nothing
    `limits: {max_connections: ${connections + 24}, handshakes_per_second: ${HANDSHAKES_PER_SECOND}}`,
  ];
  const files = [certificate.cert, certificate.key];
  const cases: Case[] = [
    { name: "TCP: sluice", start: () => startSluice(`${directory}/tcp`, { config }) },
    {
      name: "TCP, a subscription: sluice",
      filters: 1,
      start: () => startSluice(`${directory}/subscribed`, { config }),
    },
    { name: "TCP: bare node", start: () => startBareNode("tcp") },
    { name: "TCP: mosquitto", start: () => startMosquitto(`${directory}/mosquitto`) },
    { name: "TCP: aedes", start: startAedes },
    { name: "TLS: sluice", start: () => startSluice(`${directory}/tls`, { config, certificate }) },
    { name: "TLS: bare node", start: () => startBareNode("tls", files) },
    { name: "WebSocket: sluice", start: () => startSluice(`${directory}/ws`, { config, listeners: ["ws"] }) },
    { name: "WebSocket: bare ws server", start: () => startBareNode("ws") },
  ];
  const rows = [[`${connections} idle connections`, "RSS each", "private dirty each", "CPU ms per second after"]];
  for (const { name, filters, start } of cases) {
    progress.show(`${connections} idle connections, ${name}`);
    const peer = await start();
    if (peer === null) continue;
    try {
      const row = await weigh(peer, connections, filters);
      figures.push({
        name: `${name}: RSS per connection, bytes`,
        better: "less",
        values: [Number.parseInt(row[0] ?? "", 10)],
      });
      rows.push([name, ...row]);
    } finally {
      await peer.process?.stop();
    }
  }
  return rows;
}

async function weigh(peer: Peer, connections: number, filters: number | undefined): Promise<string[]> {
  await delay(SETTLE_MS);
  const before = memoryOf(peer.pid);
  const holder = await holdIdle(peer, filters === undefined ? { connections } : { connections, filters });
  await delay(SETTLE_MS);
  const after = memoryOf(peer.pid);
  const cpuBefore = cpuSeconds(peer.pid);
  await delay(SETTLE_MS);
  const idleMs = ((cpuSeconds(peer.pid) - cpuBefore) * 1e6) / SETTLE_MS;
  await holder.stop();
  const each = (bytes: number): string => `${Math.round(bytes / connections)} B`;
  return [
    each(after.rssBytes - before.rssBytes),
    each(after.privateDirtyBytes - before.privateDirtyBytes),
    idleMs.toFixed(1),
  ];
}
