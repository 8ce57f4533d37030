/**
 * npm run bench -- serial [--only GROUP,...] [--ports N] [--seconds N] [--warm-up N] [--rounds N] [--bursts N,...]
 *                         [--node-flags FLAGS] [--json FILE] [--compare FILE]
 *
 * What serial lines cost that are saturated, in percent of a core. How to read it: ../README.md.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { type Figure, median } from "../figures.ts";
import { readFlags, wrongUse } from "../flags.ts";
import { buildLoad } from "../load/build.ts";
import { OUTCOME_OPTIONS, publish } from "../outcome.ts";
import { Progress } from "../progress.ts";
import { microseconds, perSecond, table, threeDigits } from "../table.ts";
import { CASES } from "./cases.ts";
import { BAUD, BYTES_PER_SECOND, type Measured } from "./feeder.ts";
import { measureCase } from "./measure.ts";

interface Result {
  readonly name: string;
  readonly case: string;
  readonly burst: number;
  readonly rounds: Measured[];
}

/** Of a core, whatever is said. */
const PERCENT_MAX = 30;
const GROUPS = [...new Set(CASES.map(({ group }) => group))];
const HEAD = [
  "",
  "burst",
  "% of a core",
  "frames",
  "us a frame",
  "us a read",
  "reads",
  "in",
  "out",
  "p50",
  "p99",
  "lost",
];

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
for (const name of only) {
  if (!GROUPS.some((group) => group === name))
    wrongUse("serial", `there is no group ${name}`, [`groups: ${GROUPS.join(" ")}`]);
}
const ports = Number(values.ports);
const rounds = Number(values.rounds);
const bursts = values.bursts?.split(",").map(Number) ?? null;
const directory = mkdtempSync(`${tmpdir()}/sluice-bench-`);
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it
const progress = new Progress();
await buildLoad();
const results = new Map<string, Result>();
for (let round = 0; round < rounds; round++) {
  for (const one of CASES.filter(({ group }) => only.includes(group))) {
    progress.show(`round ${round + 1}, ${one.name}`);
    const found = await measureCase(one, {
      directory: mkdtempSync(`${directory}/case-`),
      ports,
      bursts: bursts ?? one.bursts,
      ms: 1000 * Number(values.seconds),
      warmUpMs: 1000 * Number(values["warm-up"]),
      nodeFlags: values["node-flags"].split(" ").filter((flag) => flag !== ""),
    });
    for (const { burst, measured } of found) {
      const name = `${one.name}, ${burst} B at a time`;
      const result = results.get(name) ?? { name, case: one.name, burst, rounds: [] };
      results.set(name, result);
      result.rounds.push(measured);
    }
  }
}
progress.clear();
const all = [...results.values()];
publish({
  bench: "serial",
  options: values,
  method: `${ports} lines at ${BAUD} baud, ${rounds} x ${values.seconds} s; the target is ${PERCENT_MAX} % of a core`,
  text: table([HEAD, ...all.map(rowOf)]),
  figures: all.map(
    (result): Figure => ({
      name: `${result.name}: % of a core`,
      better: "less",
      values: result.rounds.map(percentOf),
    }),
  ),
  details: { percentMax: PERCENT_MAX, results: all },
});

function cpuSeconds({ userSeconds, systemSeconds }: Measured): number {
  return userSeconds + systemSeconds;
}

function percentOf(measured: Measured): number {
  return (100 * cpuSeconds(measured)) / measured.seconds;
}

function rowOf({ case: name, burst, rounds: measured }: Result): string[] {
  const of = (read: (one: Measured) => number): number => median(measured.map(read));
  const frames = ({ framesSent, outSent }: Measured): number => framesSent + outSent;
  const timed = measured.some(({ framesReceived }) => framesReceived > 0);
  return [
    name,
    String(burst),
    of(percentOf).toFixed(1),
    perSecond(of((one) => frames(one) / one.seconds)),
    threeDigits(of((one) => (1e6 * cpuSeconds(one)) / frames(one))),
    threeDigits(of((one) => (1e6 * cpuSeconds(one)) / one.readCalls)),
    perSecond(of(({ readCalls, seconds }) => readCalls / seconds)),
    shareOfLine(of(({ bytesIn, seconds }) => bytesIn / seconds)),
    shareOfLine(of(({ bytesOut, seconds }) => bytesOut / seconds)),
    timed ? microseconds(of(({ p50Us }) => p50Us)) : "",
    timed ? microseconds(of(({ p99Us }) => p99Us)) : "",
    timed ? String(measured.reduce((sum, { lost }) => sum + lost, 0)) : "",
  ];
}

function shareOfLine(bytesPerSecond: number): string {
  return bytesPerSecond === 0 ? "" : `${((100 * bytesPerSecond) / (ports * BYTES_PER_SECOND)).toFixed(0)} %`;
}
