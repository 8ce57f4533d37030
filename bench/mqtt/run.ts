/**
 * npm run bench -- mqtt [--seconds N] [--rounds N] [--only NAME,...] [--peers NAME,...] [--attach NAME:PORT:PID]
 *                       [--json FILE] [--compare FILE]
 *
 * CPU per delivered message of Sluice, mosquitto, the probe and aedes, alternately in one run. NAME is a workload, a group
 * of them or `all`. How to read it: ../README.md.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { readFlags, wrongUse } from "../flags.ts";
import { buildLoad, hasOpenSsl } from "../load/build.ts";
import { OUTCOME_OPTIONS, publish } from "../outcome.ts";
import type { Peer } from "../peers/peer.ts";
import { Progress } from "../progress.ts";
import { withBrokers } from "./brokers.ts";
import { figuresOf } from "./figures.ts";
import { type Measurement, measure } from "./measure.ts";
import { type PeerReport, printReport, type Report } from "./report.ts";
import { PEERS, type PeerName } from "./settings.ts";
import { ratioOf } from "./targets.ts";
import { DEFAULT_GROUP, WORKLOADS, type Workload, workloadsOf } from "./workloads.ts";

const values = readFlags("mqtt", {
  seconds: { type: "string", default: "3" },
  rounds: { type: "string", default: "2" },
  only: { type: "string", default: DEFAULT_GROUP },
  peers: { type: "string", default: PEERS.join() },
  attach: { type: "string", multiple: true, default: [] },
  ...OUTCOME_OPTIONS,
});
const durationMs = Math.round(Number(values.seconds) * 1_000);
const rounds = Math.ceil(Number(values.rounds));
const names = values.peers.split(",").map(knownPeer);
const attachedPeers = values.attach.map(attached);
let workloads = [...new Set(values.only.split(",").flatMap(knownWorkloads))];

const directory = mkdtempSync(`${tmpdir()}/sluice-bench-`);
const progress = new Progress();
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it

await buildLoad();
if (workloads.some(({ setting }) => setting === "tls") && !(await hasOpenSsl())) {
  progress.note("no workloads over TLS: OpenSSL's headers are not installed (Debian: libssl-dev)");
  workloads = workloads.filter(({ setting }) => setting !== "tls");
}
const measurements: Measurement[] = [];
const peers: PeerReport[] = [];
for (const [setting, ofSetting] of bySetting(workloads)) {
  const more = setting === "plain" ? attachedPeers : [];
  const measureAll = async (brokers: readonly Peer[]): Promise<void> => {
    for (const workload of ofSetting) {
      measurements.push(...(await measure(workload, brokers, rounds, durationMs, (text) => progress.show(text))));
    }
  };
  peers.push(...(await withBrokers(setting, names, more, directory, progress, measureAll)));
}
progress.clear();
const report: Report = { workloads, peers, measurements };
publish({
  bench: "mqtt",
  options: values,
  method: `${rounds} x ${durationMs / 1_000} s each, the median of the rounds`,
  text: printReport(report),
  figures: figuresOf(report),
  details: {
    peers,
    results: measurements.map((m) => ({ ...m, ratio: ratioOf(report, m.workload, m.peer, "mosquitto") })),
  },
});
if (measurements.some((m) => m.peer === "sluice" && m.error !== null)) process.exitCode = 1;

/** In the order in which they were asked for. */
function bySetting(all: readonly Workload[]): Map<Workload["setting"], Workload[]> {
  const groups = new Map<Workload["setting"], Workload[]>();
  for (const workload of all) groups.set(workload.setting, [...(groups.get(workload.setting) ?? []), workload]);
  return groups;
}

/** A broker that already runs, given as NAME:PORT:PID. */
function attached(text: string): Peer {
  const [name = "", port, pid] = text.split(":");
  if (!(Number(port) > 0 && Number(pid) > 0)) return usage(`--attach: ${text} is not NAME:PORT:PID`);
  return { name, version: "", port: Number(port), pid: Number(pid), process: null };
}

function knownPeer(name: string): PeerName {
  return PEERS.find((peer) => peer === name) ?? usage(`there is no peer ${name}`);
}

function knownWorkloads(name: string): readonly Workload[] {
  const found = workloadsOf(name);
  return found.length > 0 ? found : usage(`there is no workload ${name}`);
}

function usage(complaint: string): never {
  const listOf = (key: "name" | "group"): string => [...new Set(WORKLOADS.map((workload) => workload[key]))].join(" ");
  const workloadNames = [`workloads: ${listOf("name")}`, `groups: all ${listOf("group")}`];
  return wrongUse("mqtt", complaint, [...workloadNames, `peers: ${PEERS.join(" ")}`]);
}
