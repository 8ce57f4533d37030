/**
 * npm run bench -- micro [--only TEXT] [--json FILE] [--compare FILE]
 *
 * Nanoseconds and instructions per operation of the hot modules, by themselves.
 *
 * A file per idea with its cases; a new hot module gets one and a line in CASES.
 */
import { type Figure, median } from "../figures.ts";
import { readFlags } from "../flags.ts";
import { OUTCOME_OPTIONS, publish } from "../outcome.ts";
import { table, threeDigits } from "../table.ts";
import type { MicroCase } from "./case.ts";
import { deliverCases } from "./deliver.ts";
import { framingCases } from "./framings.ts";
import { inflightCases } from "./inflight.ts";
import { countsInstructions, instructionsOf } from "./instructions.ts";
import { outputCases } from "./output.ts";
import { propertyCases } from "./properties.ts";
import { publishCases } from "./publish.ts";
import { retainedCases } from "./retained.ts";
import { routeCases } from "./routes.ts";
import { serialWriteCases } from "./serial-write.ts";
import { storeCases } from "./store.ts";
import { timerCases } from "./timers.ts";
import { wildcardCases } from "./wildcards.ts";

/** Made when their turn comes: one case's memory is no other's, and a store on disk is only opened for its own. */
const CASES: readonly (() => MicroCase | Promise<MicroCase>)[] = [
  ...publishCases,
  ...propertyCases,
  ...routeCases,
  ...wildcardCases,
  ...deliverCases,
  ...outputCases,
  ...inflightCases,
  ...timerCases,
  ...framingCases,
  ...retainedCases,
  ...serialWriteCases,
  ...storeCases,
];
const SAMPLES = 15;
const SAMPLE_MS = 40;

const values = readFlags("micro", { only: { type: "string", default: "" }, ...OUTCOME_OPTIONS });
const counts = countsInstructions();
const rows: string[][] = [];
const figures: Figure[] = [];
for (const make of CASES) {
  const microCase = await make();
  if (microCase.name.includes(values.only)) {
    const { samples, times } = await measure(microCase);
    const instructions = counts ? threeDigits((await instructionsOf(() => microCase.run(times))) / times) : "";
    rows.push([microCase.name, threeDigits(median(samples)), threeDigits(Math.min(...samples)), instructions]);
    figures.push({ name: `${microCase.name}, ns`, better: "less", values: samples });
  }
  await microCase.close?.();
}
const head = ["ns per operation", "median", "least", "instructions"];
const method = `${SAMPLES} samples of ${SAMPLE_MS} ms and more`;
publish({ bench: "micro", options: values, method, text: table([head, ...rows]), figures });

/** Nanoseconds per operation of each sample, after the compiler has had its time; `times` operations make one sample. */
async function measure({ run }: MicroCase): Promise<{ samples: number[]; times: number }> {
  let times = 100;
  while ((await millisecondsOf(run, times)) < SAMPLE_MS) times *= 2;
  const samples: number[] = [];
  while (samples.length < SAMPLES) samples.push(((await millisecondsOf(run, times)) * 1e6) / times);
  return { samples, times };
}

async function millisecondsOf(run: MicroCase["run"], times: number): Promise<number> {
  const start = performance.now();
  const waiting = run(times);
  if (waiting !== undefined) await waiting;
  return performance.now() - start;
}
