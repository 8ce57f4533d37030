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

const CASES: readonly MicroCase[] = [...publishCases, ...routeCases];
const SAMPLES = 15;
const SAMPLE_MS = 40;

const { values } = parseArgs({ options: { only: { type: "string", default: "" } } });
const cases = CASES.filter(({ name }) => name.includes(values.only));
if (cases.length === 0) {
  process.stderr.write(`bench micro: no case is called like ${values.only}\n`);
  process.exit(2);
}
const rows = cases.map((microCase) => {
  const samples = measure(microCase).sort((a, b) => a - b);
  return [microCase.name, threeDigits(samples[SAMPLES >> 1]!), threeDigits(samples[0]!)];
});
process.stdout.write(
  `${describeMachine(thisMachine())}\n\n${table([["ns per operation", "median", "least"], ...rows])}\n`,
);

/** Nanoseconds per operation of each sample, after the compiler has had its time. */
function measure({ run }: MicroCase): number[] {
  let times = 100;
  while (millisecondsOf(run, times) < SAMPLE_MS) times *= 2;
  return Array.from({ length: SAMPLES }, () => (millisecondsOf(run, times) * 1e6) / times);
}

function millisecondsOf(run: (times: number) => void, times: number): number {
  const start = performance.now();
  run(times);
  return performance.now() - start;
}
