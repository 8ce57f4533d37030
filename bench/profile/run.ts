/**
 * npm run bench -- profile [--only WORKLOAD] [--seconds N] [--top N] [--keep FILE] [--json FILE] [--compare FILE]
 *
 * Runs the product under V8's CPU profiler with one workload of bench/mqtt and prints where its time goes, by function.
 * FILE takes the profile for Chrome's DevTools.
 */
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import type { Figure } from "../figures.ts";
import { readFlags, wrongUse } from "../flags.ts";
import { buildLoad } from "../load/build.ts";
import { runLoad } from "../load/load.ts";
import { WORKLOADS } from "../mqtt/workloads.ts";
import { OUTCOME_OPTIONS, publish } from "../outcome.ts";
import { startSluice } from "../peers/sluice.ts";
import { table, threeDigits } from "../table.ts";
import { byFunction, selfTimes } from "./self-times.ts";

const WARM_UP_MS = 1_000;
const SAMPLING_US = 250;

const values = readFlags("profile", {
  only: { type: "string", default: "firehose" },
  seconds: { type: "string", default: "5" },
  top: { type: "string", default: "25" },
  keep: { type: "string" },
  ...OUTCOME_OPTIONS,
});
const offered = WORKLOADS.filter(({ setting }) => setting === "plain");
const workload = offered.find(({ name }) => name === values.only);
if (workload === undefined) {
  wrongUse("profile", `there is no workload ${values.only}`, [
    `workloads: ${offered.map(({ name }) => name).join(" ")}`,
  ]);
}
const directory = mkdtempSync(`${tmpdir()}/sluice-profile-`);
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it

await buildLoad();
const profiles = `${directory}/profiles`;
const nodeFlags = ["--cpu-prof", `--cpu-prof-dir=${profiles}`, `--cpu-prof-interval=${SAMPLING_US}`];
const sluice = await startSluice(directory, { nodeFlags });
if (sluice === null) throw new Error("the product is not built");
const loadFromUs = monotonicUs();
const result = await runLoad(sluice, workload.load, Number(values.seconds) * 1_000, WARM_UP_MS);
const loadEndUs = monotonicUs();
await sluice.process?.stop();

// A re-executed start-up leaves a profile too: the one of the gateway is the largest.
const files = readdirSync(profiles).map((name) => `${profiles}/${name}`);
const texts = files.map((file) => ({ file, text: readFileSync(file, "utf8") }));
const { file, text } = texts.sort((a, b) => b.text.length - a.text.length)[0]!;
if (values.keep !== undefined) copyFileSync(file, values.keep);
const cpuUs = ((result.userSeconds + result.systemSeconds) * 1e6) / result.deliveries;
const busiest = selfTimes(text, loadFromUs, loadEndUs).slice(0, Number(values.top));
const less = (name: string, value: number): Figure => ({ name, better: "less", values: [value] });
publish({
  bench: "profile",
  options: values,
  method: `${workload.title}, ${values.seconds} s, the profiler included`,
  text: `${threeDigits(cpuUs)} us of CPU per delivery\n\n${table([
    ["function", "% of busy time"],
    ...busiest.map(({ name, share }) => [name, (100 * share).toFixed(1)]),
  ])}`,
  figures: [
    less("us of CPU per delivery", cpuUs),
    ...[...byFunction(busiest)].map(([name, share]) => less(`${name}, us per delivery`, share * cpuUs)),
  ],
});

/** The clock that V8 stamps its samples with. */
function monotonicUs(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
