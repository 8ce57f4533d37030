/**
 * npm run bench -- serial [--only GROUP,...] [--ports N] [--seconds N] [--warm-up N] [--rounds N] [--bursts N,...]
 *                         [--node-flags FLAGS] [--json FILE] [--compare FILE]
 *
 * What serial lines cost that are saturated, in percent of a core; beside mosquitto_pub; what lines take of memory.
 * How to read it: ../README.md.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import type { Figure } from "../figures.ts";
import { readFlags, wrongUse } from "../flags.ts";
import { buildLoad } from "../load/build.ts";
import { OUTCOME_OPTIONS, publish } from "../outcome.ts";
import { Progress } from "../progress.ts";
import { beside } from "./beside.ts";
import { CASES } from "./cases.ts";
import { cpu, PERCENT_MAX } from "./cpu.ts";
import { BAUD } from "./feeder.ts";
import { memory } from "./memory.ts";

export interface SerialBench {
  /** Removed at the end. */
  readonly directory: string;
  /** Of the cases, and other parts. */
  readonly only: readonly string[];
  readonly ports: number;
  /** In place of those of a case. */
  readonly bursts: readonly number[] | null;
  readonly rounds: number;
  readonly ms: number;
  readonly warmUpMs: number;
  /** For the gateway. */
  readonly nodeFlags: readonly string[];
  readonly progress: Progress;
}

/** For people, for programs, and for a comparison. */
export interface SerialReport {
  readonly text: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly figures: readonly Figure[];
}

const GROUPS: readonly string[] = [...new Set(CASES.map(({ group }) => group)), "beside", "memory"];

const values = readFlags("serial", {
  only: { type: "string", default: GROUPS.join() },
  ports: { type: "string", default: "8" },
  seconds: { type: "string", default: "10" },
  "warm-up": { type: "string", default: "3" },
  rounds: { type: "string", default: "1" },
  bursts: { type: "string" },
  "node-flags": { type: "string", default: "" },
  ...OUTCOME_OPTIONS,
});
const only = values.only.split(",");
const unknown = only.find((name) => !GROUPS.includes(name));
if (unknown !== undefined) wrongUse("serial", `there is no group ${unknown}`, [`groups: ${GROUPS.join(" ")}`]);
const directory = mkdtempSync(`${tmpdir()}/sluice-bench-`);
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it
const progress = new Progress();
await buildLoad();
const bench: SerialBench = {
  directory,
  only,
  ports: Number(values.ports),
  bursts: values.bursts?.split(",").map(Number) ?? null,
  rounds: Number(values.rounds),
  ms: 1000 * Number(values.seconds),
  warmUpMs: 1000 * Number(values["warm-up"]),
  nodeFlags: values["node-flags"].split(" ").filter((flag) => flag !== ""),
  progress,
};
const reports: SerialReport[] = [];
if (CASES.some(({ group }) => only.includes(group))) reports.push(await cpu(bench));
if (only.includes("beside")) reports.push(await beside(bench));
if (only.includes("memory")) reports.push(await memory(bench));
progress.clear();
publish({
  bench: "serial",
  options: values,
  method: `${bench.ports} lines at ${BAUD} baud, ${bench.rounds} x ${values.seconds} s; the target is ${PERCENT_MAX} % of a core`,
  text: reports.map(({ text }) => text).join("\n\n"),
  figures: reports.flatMap(({ figures }) => figures),
  details: Object.assign({ percentMax: PERCENT_MAX }, ...reports.map(({ details }) => details)),
});
