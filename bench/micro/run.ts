/**
 * npm run bench -- micro [--only TEXT]     nanoseconds per operation of the hot modules, by themselves
 *
 * A file per room with its cases; a new hot module gets one and a line in CASES.
 */
import { parseArgs } from "node:util";
import { describeMachine, thisMachine } from "../machine.ts";
import { table, threeDigits } from "../table.ts";
import type { MicroCase } from "./case.ts";
import { publishCases } from "./publish.ts";
import { routeCases } from "./routes.ts";
import { storeCases } from "./store.ts";

/** Made when their turn comes: a store on disk is only opened for its own case. */
const CASES: readonly (() => MicroCase | Promise<MicroCase>)[] = [
  ...publishCases.map((microCase) => () => microCase),
  ...routeCases.map((microCase) => () => microCase),
  ...storeCases,
];
const SAMPLES = 15;
const SAMPLE_MS = 40;

const { values } = parseArgs({ options: { only: { type: "string", default: "" } } });
const rows: string[][] = [];
for (const make of CASES) {
  const microCase = await make();
  if (microCase.name.includes(values.only)) {
    const samples = (await measure(microCase)).sort((a, b) => a - b);
    rows.push([microCase.name, threeDigits(samples[SAMPLES >> 1]!), threeDigits(samples[0]!)]);
  }
  await microCase.close?.();
}
const head = ["ns per operation", "median", "least"];
process.stdout.write(`${describeMachine(thisMachine())}\n\n${table([head, ...rows])}\n`);

/** Nanoseconds per operation of each sample, after the compiler has had its time. */
async function measure({ run }: MicroCase): Promise<number[]> {
  let times = 100;
  while ((await millisecondsOf(run, times)) < SAMPLE_MS) times *= 2;
  const samples: number[] = [];
  while (samples.length < SAMPLES) samples.push(((await millisecondsOf(run, times)) * 1e6) / times);
  return samples;
}

async function millisecondsOf(run: MicroCase["run"], times: number): Promise<number> {
  const start = performance.now();
  const waiting = run(times);
  if (waiting !== undefined) await waiting;
  return performance.now() - start;
}
