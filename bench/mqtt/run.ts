/**
 * npm run bench -- mqtt [--seconds N] [--rounds N] [--only NAME,...] [--peers NAME,...] [--attach NAME:PORT:PID]
 *                       [--json FILE]
 *
 * CPU per delivered message of Sluice, mosquitto, the probe and aedes, alternately in one run. NAME is a workload, a group
 * of them or `all`. How to read it: ../README.md.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { memoryOf } from "../../scripts/kept/proc.ts";
import { buildLoad } from "../load/load.ts";
import { describeMachine, thisMachine } from "../machine.ts";
import { startAedes } from "../peers/aedes.ts";
import { startMosquitto } from "../peers/mosquitto.ts";
import type { Peer, StartPeer } from "../peers/peer.ts";
import { startProbe } from "../peers/probe.ts";
import { startSluice } from "../peers/sluice.ts";
import { Progress } from "../progress.ts";
import { type Measurement, measure } from "./measure.ts";
import { printReport, type Report, ratioOf } from "./report.ts";
import { DEFAULT_GROUP, WORKLOADS, workloadsOf } from "./workloads.ts";

const STARTERS: Readonly<Record<string, StartPeer>> = {
  sluice: startSluice,
  mosquitto: startMosquitto,
  probe: startProbe,
  aedes: startAedes,
};

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "3" },
    rounds: { type: "string", default: "2" },
    only: { type: "string", default: DEFAULT_GROUP },
    peers: { type: "string", default: Object.keys(STARTERS).join() },
    attach: { type: "string", multiple: true, default: [] },
    json: { type: "string" },
  },
});
const durationMs = Math.round(positive("seconds", values.seconds) * 1_000);
const rounds = Math.ceil(positive("rounds", values.rounds));
const workloads = values.only.split(",").flatMap((name) => known("workload", name, workloadsOf(name)));
const starters = values.peers.split(",").map((name) => ({ name, start: known("peer", name, STARTERS[name]) }));

const directory = mkdtempSync(`${tmpdir()}/sluice-bench-`);
const progress = new Progress();
const peers: Peer[] = [];
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it
try {
  await buildLoad();
  for (const { name, start } of starters) {
    progress.show(`starting ${name}`);
    const peer = await start(`${directory}/${name}`);
    if (peer === null) progress.note(`${name} is not installed and is left out`);
    else peers.push(peer);
  }
  peers.push(...values.attach.map(attached));
  await run();
} finally {
  await Promise.all(peers.map((peer) => peer.process?.stop()));
}

async function run(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1_000)); // what start-up left is collected
  const atRest = peers.map((peer) => memoryOf(peer.pid));
  const measurements: Measurement[] = [];
  for (const workload of workloads) {
    measurements.push(...(await measure(workload, peers, rounds, durationMs, (text) => progress.show(text))));
  }
  progress.clear();
  const report: Report = {
    workloads,
    peers: peers.map(({ name, version, pid, process: broker }, i) => ({
      name,
      version,
      atRest: atRest[i]!,
      afterwards: broker?.running === false ? null : memoryOf(pid),
    })),
    measurements,
  };
  const machine = thisMachine();
  process.stdout.write(
    `${describeMachine(machine)}; ${rounds} x ${durationMs / 1_000} s each\n\n${printReport(report)}\n`,
  );
  if (values.json !== undefined) {
    const results = measurements.map((m) => ({ ...m, ratio: ratioOf(report, m.workload, m.peer, "mosquitto") }));
    const json = { when: new Date().toISOString(), machine, rounds, durationMs, peers: report.peers, results };
    writeFileSync(values.json, `${JSON.stringify(json, null, 1)}\n`);
  }
  if (measurements.some((m) => m.peer === "sluice" && m.error !== null)) process.exitCode = 1;
}

/** A broker that already runs, given as NAME:PORT:PID. */
function attached(text: string): Peer {
  const [name = "", port = "", pid = ""] = text.split(":");
  return { name, version: "", port: positive("attach", port), pid: positive("attach", pid), process: null };
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (value > 0) return value;
  return usage(`--${option}: ${text} is not a positive number`);
}

function known<T>(kind: string, name: string, found: T | undefined): T {
  const none = found === undefined || (Array.isArray(found) && found.length === 0);
  return none ? usage(`there is no ${kind} ${name}`) : found;
}

function usage(complaint: string): never {
  process.stderr.write(
    `bench mqtt: ${complaint}\nworkloads: ${listOf("name")}\ngroups: all ${listOf("group")}\npeers: ${Object.keys(STARTERS).join(" ")}\n`,
  );
  process.exit(2);
}

function listOf(key: "name" | "group"): string {
  return [...new Set(WORKLOADS.map((workload) => workload[key]))].join(" ");
}
