/** What an idle MQTT connection costs, and a session, beside servers that do nothing and beside mosquitto. */
import { setTimeout as delay } from "node:timers/promises";
import type { CertificatePaths } from "../../scripts/demo/certificates.ts";
import { cpuSeconds, memoryOf } from "../../scripts/kept/proc.ts";
import type { Figure } from "../figures.ts";
import { holdIdle, type Idle } from "../load/beside.ts";
import { startAedes } from "../peers/aedes.ts";
import { startMosquitto } from "../peers/mosquitto.ts";
import type { Peer } from "../peers/peer.ts";
import { type SluiceOptions, startSluice } from "../peers/sluice.ts";
import type { Progress } from "../progress.ts";
import { startBareNode } from "./bare-node.ts";
import { SETTLE_MS } from "./parts.ts";

/** More than a gateway usually has: they hold. */
const MANY = 10_000;
const HANDSHAKES_PER_SECOND = 100_000; // idle connections are opened as fast as they come

interface Case {
  readonly name: string;
  /** What the clients are; without, they connect and say nothing. */
  readonly idle?: Partial<Idle>;
  readonly start: () => Promise<Peer | null>;
}

/** Which rows: of connections alone, or of what they and those that left ask to have kept. */
export type Kind = "connections" | "sessions";

/** @returns head and rows of the table */
export async function weighConnections(
  kind: Kind,
  directory: string,
  certificate: CertificatePaths,
  connections: number,
  progress: Progress,
  figures: Figure[],
): Promise<string[][]> {
  const most = Math.max(connections, MANY) + 24;
  const config = [
    "memory_limit: 256MiB", // a bill is checked against it; it allocates nothing
    `limits: {max_connections: ${most}, max_sessions: ${most}, handshakes_per_second: ${HANDSHAKES_PER_SECOND}}`,
  ];
  const files = [certificate.cert, certificate.key];
  let starts = 0;
  const sluice = (options: SluiceOptions = {}): Promise<Peer | null> =>
    startSluice(`${directory}/sluice-${starts++}`, { config, ...options });
  const mosquitto = (): Promise<Peer | null> => startMosquitto(`${directory}/mosquitto-${starts++}`);
  const subscribed = { filters: 1 };
  const durable = { filters: 1, durable: true };
  const away = { filters: 1, durable: true, away: true };
  const cases: Readonly<Record<Kind, readonly Case[]>> = {
    connections: [
      { name: "TCP: sluice", start: sluice },
      { name: `TCP, ${MANY.toLocaleString("en")} of them: sluice`, idle: { connections: MANY }, start: sluice },
      { name: "TCP: bare node", start: () => startBareNode("tcp") },
      { name: "TCP: mosquitto", start: mosquitto },
      { name: "TCP: aedes", start: startAedes },
      { name: "TLS: sluice", start: () => sluice({ certificate }) },
      { name: "TLS: bare node", start: () => startBareNode("tls", files) },
      { name: "WebSocket: sluice", start: () => sluice({ listeners: ["ws"] }) },
      { name: "WebSocket: bare ws server", start: () => startBareNode("ws") },
    ],
    sessions: [
      { name: "connected, a subscription: sluice", idle: subscribed, start: sluice },
      { name: "connected, a subscription: mosquitto", idle: subscribed, start: mosquitto },
      { name: "connected, a subscription, the session stays: sluice", idle: durable, start: sluice },
      { name: "connected, a subscription, the session stays: mosquitto", idle: durable, start: mosquitto },
      { name: "away, a subscription, the session stays: sluice", idle: away, start: sluice },
      { name: "away, a subscription, the session stays: mosquitto", idle: away, start: mosquitto },
    ],
  };
  const rows = [[`${connections} idle ${kind}`, "RSS each", "private dirty each", "CPU ms per second after"]];
  for (const { name, idle, start } of cases[kind]) {
    progress.show(`${connections} idle ${kind}, ${name}`);
    const peer = await start();
    if (peer === null) continue;
    try {
      const { rssBytes, privateDirtyBytes, cpuMs } = await weigh(peer, { connections, ...idle });
      figures.push(
        { name: `${name}: RSS each, bytes`, better: "less", values: [rssBytes] },
        { name: `${name}: private dirty each, bytes`, better: "less", values: [privateDirtyBytes] },
      );
      rows.push([name, `${rssBytes} B`, `${privateDirtyBytes} B`, cpuMs.toFixed(1)]);
    } finally {
      await peer.process?.stop();
    }
  }
  return rows;
}

interface Weight {
  /** Of each. */
  readonly rssBytes: number;
  readonly privateDirtyBytes: number;
  /** Of the broker in a second, while all are there and say nothing. */
  readonly cpuMs: number;
}

async function weigh(peer: Peer, idle: Idle): Promise<Weight> {
  await delay(SETTLE_MS);
  const before = memoryOf(peer.pid);
  const holder = await holdIdle(peer, idle);
  await delay(SETTLE_MS);
  const after = memoryOf(peer.pid);
  const cpuBefore = cpuSeconds(peer.pid);
  await delay(SETTLE_MS);
  const cpuMs = ((cpuSeconds(peer.pid) - cpuBefore) * 1e6) / SETTLE_MS;
  await holder.stop();
  return {
    rssBytes: Math.round((after.rssBytes - before.rssBytes) / idle.connections),
    privateDirtyBytes: Math.round((after.privateDirtyBytes - before.privateDirtyBytes) / idle.connections),
    cpuMs,
  };
}
