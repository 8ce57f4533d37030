/**
 * npm run bench -- memory/idle [--clients N] [--seconds N] [--json FILE] [--compare FILE]
 *
 * What a broker does when nothing is to be done: how often it wakes up and what that takes, without clients and with
 * clients that only ping, Keep Alive 60 s. Sluice, with MQTT, CoAP and HTTP listeners, beside mosquitto.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { activityOf } from "../../../scripts/kept/proc.ts";
import type { Figure } from "../../figures.ts";
import { readFlags } from "../../flags.ts";
import { OUTCOME_OPTIONS, publish } from "../../outcome.ts";
import { startMosquitto } from "../../peers/mosquitto.ts";
import type { Peer } from "../../peers/peer.ts";
import { startSluice } from "../../peers/sluice.ts";
import { Progress } from "../../progress.ts";
import { table, threeDigits } from "../../table.ts";
import { Pingers } from "./pingers.ts";

/** Until what a start, or the clients, left to do is done: the store looks after itself for some seconds. */
const SETTLE_MS = 10_000;

const values = readFlags("memory/idle", {
  clients: { type: "string", default: "1000" },
  seconds: { type: "string", default: "20" },
  ...OUTCOME_OPTIONS,
});
const clients = Number(values.clients);
const seconds = Number(values.seconds);
const directory = mkdtempSync(`${tmpdir()}/sluice-bench-`);
const progress = new Progress();
const peers: Peer[] = [];
const figures: Figure[] = [];
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it
try {
  const started = await Promise.all([
    startSluice(`${directory}/sluice`, { listeners: ["mqtt", "coap", "http"] }),
    startMosquitto(`${directory}/mosquitto`),
  ]);
  peers.push(...started.filter((peer) => peer !== null));
  const rows = await watch("no clients");
  const pingers = await Promise.all(peers.map((peer) => Pingers.connect(peer.port, clients)));
  rows.push(...(await watch(`${clients} clients, ${threeDigits(clients / Pingers.INTERVAL_SECONDS)} pings/s`)));
  for (const each of pingers) each.leave();
  progress.clear();
  const head = ["at rest", "broker", "wakeups per second", "CPU ms per second"];
  const text = table([head, ...rows]);
  publish({ bench: "memory-idle", options: values, method: `${seconds} s each`, text, figures });
} finally {
  await Promise.all(peers.map((peer) => peer.process?.stop()));
}

/** All brokers at the same time: none of them does much. */
async function watch(what: string): Promise<string[][]> {
  progress.show(`${what}, ${SETTLE_MS / 1_000 + seconds} s`);
  await delay(SETTLE_MS);
  const before = peers.map(({ pid }) => activityOf(pid));
  await delay(seconds * 1_000);
  return peers.map(({ name, version, pid }, i) => {
    const after = activityOf(pid);
    const wakeups = (after.wakeups - before[i]!.wakeups) / seconds;
    const cpuMs = ((after.cpuSeconds - before[i]!.cpuSeconds) * 1_000) / seconds;
    figures.push({ name: `${what}: ${name}, wakeups/s`, better: "less", values: [wakeups] });
    figures.push({ name: `${what}: ${name}, CPU ms/s`, better: "less", values: [cpuMs] });
    return [what, `${name} ${version}`, threeDigits(wakeups), threeDigits(cpuMs)];
  });
}
