/**
 * npm run bench -- memory/storm [--clients N] [--json FILE] [--compare FILE]
 *
 * Thousands of clients at once, each with a session that stays: they connect, subscribe, and come back after the broker
 * was killed and started again. Sluice beside mosquitto, one after the other in one run.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { cpuSeconds, memoryOf, resetPeak } from "../../../scripts/kept/proc.ts";
import type { Figure } from "../../figures.ts";
import { readFlags } from "../../flags.ts";
import { buildLoad } from "../../load/build.ts";
import { Storm, type StormResult } from "../../load/storm.ts";
import { OUTCOME_OPTIONS, publish } from "../../outcome.ts";
import { startMosquitto } from "../../peers/mosquitto.ts";
import type { Peer } from "../../peers/peer.ts";
import { startSluice } from "../../peers/sluice.ts";
import { Progress } from "../../progress.ts";
import { mebibytes, perSecond, table, threeDigits } from "../../table.ts";

/** What was measured of one broker in one storm. */
interface Gust extends StormResult {
  readonly peer: string;
  readonly cpuMicroseconds: number;
  readonly peakBytes: number;
  readonly rssBytes: number;
}

/** Until the kernel has taken back what the storm used. */
const SETTLE_MS = 1_000;

const values = readFlags("memory/storm", { clients: { type: "string", default: "10000" }, ...OUTCOME_OPTIONS });
const clients = Number(values.clients);
const directory = mkdtempSync(`${tmpdir()}/sluice-bench-`);
const progress = new Progress();
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it

await buildLoad();
const config = [
  "memory_limit: 256MiB", // a bill is checked against it; it allocates nothing
  `limits: {max_connections: ${clients + 24}, max_sessions: ${clients + 24}}`,
];
const gusts = [
  ...(await stormed("sluice", () => startSluice(`${directory}/sluice`, { config }))),
  ...(await stormed("mosquitto", () => startMosquitto(`${directory}/mosquitto`))),
];
progress.clear();
const head = ["storm", "broker", "per second", "CPU us each", "turned away", "peak RSS", "RSS after it"];
publish({
  bench: "memory/storm",
  options: values,
  method: `${clients} clients`,
  text: table([head, ...rows(gusts)]),
  figures: gusts.flatMap(figuresOf),
  details: { clients, gusts },
});

function figuresOf({ event, peer, seconds, cpuMicroseconds, peakBytes }: Gust): Figure[] {
  const [broker] = peer.split(" ");
  return [
    { name: `${event}: ${broker}, per second`, better: "more", values: [clients / seconds] },
    { name: `${event}: ${broker}, CPU us each`, better: "less", values: [cpuMicroseconds] },
    { name: `${event}: ${broker}, peak RSS, bytes`, better: "less", values: [peakBytes] },
  ];
}

async function stormed(name: string, start: () => Promise<Peer | null>): Promise<Gust[]> {
  const first = await start();
  if (first === null) return [];
  let peer = first;
  const storm = await Storm.gather(peer.port, clients);
  const measured = async (blow: () => Promise<StormResult>): Promise<Gust> => {
    resetPeak(peer.pid);
    const before = cpuSeconds(peer.pid);
    const result = await blow();
    const cpuMicroseconds = ((cpuSeconds(peer.pid) - before) * 1e6) / clients;
    await delay(SETTLE_MS);
    const { peakBytes, rssBytes } = memoryOf(peer.pid);
    progress.show(`${clients} clients ${result.event}: ${name}`);
    return { ...result, peer: `${name} ${peer.version}`, cpuMicroseconds, peakBytes, rssBytes };
  };
  try {
    const connect = await measured(() => storm.connect());
    const subscribe = await measured(() => storm.subscribe());
    peer.process?.signal("SIGKILL");
    await peer.process?.exited;
    peer = (await start()) as Peer;
    return [connect, subscribe, await measured(() => storm.reconnect(peer.port))];
  } finally {
    await storm.end();
    await peer.process?.stop();
  }
}

function rows(all: readonly Gust[]): string[][] {
  return all.map((gust) => [
    gust.event,
    gust.peer,
    perSecond(gust.clients / gust.seconds),
    threeDigits(gust.cpuMicroseconds),
    String(gust.refused + gust.broken),
    mebibytes(gust.peakBytes),
    mebibytes(gust.rssBytes),
  ]);
}
