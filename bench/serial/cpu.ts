/** The cases one after the other, each with a gateway of its own, round by round. */
import { mkdtempSync } from "node:fs";
import { median } from "../figures.ts";
import { microseconds, perSecond, table, threeDigits } from "../table.ts";
import { CASES } from "./cases.ts";
import { BYTES_PER_SECOND, type Measured } from "./feeder.ts";
import { measureCase } from "./measure.ts";
import type { SerialBench, SerialReport } from "./run.ts";

interface Result {
  readonly name: string;
  readonly case: string;
  readonly burst: number;
  readonly rounds: Measured[];
}

/** Of a core, whatever is said. */
export const PERCENT_MAX = 30;
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

export async function cpu(bench: SerialBench): Promise<SerialReport> {
  const results = new Map<string, Result>();
  for (let round = 0; round < bench.rounds; round++) {
    for (const one of CASES.filter(({ group }) => bench.only.includes(group))) {
      bench.progress.show(`round ${round + 1}, ${one.name}`);
      const bursts = bench.bursts ?? one.bursts;
      for (const { burst, measured } of await measureCase(
        one,
        bursts,
        mkdtempSync(`${bench.directory}/case-`),
        bench,
      )) {
        const name = `${one.name}, ${burst} B at a time`;
        const result = results.get(name) ?? { name, case: one.name, burst, rounds: [] };
        results.set(name, result);
        result.rounds.push(measured);
      }
    }
  }
  const all = [...results.values()];
  return {
    text: table([HEAD, ...all.map((result) => rowOf(result, bench.ports))]),
    figures: all.map(({ name, rounds }) => ({
      name: `${name}: % of a core`,
      better: "less",
      values: rounds.map(percentOf),
    })),
    details: { results: all },
  };
}

function cpuSeconds({ userSeconds, systemSeconds }: Measured): number {
  return userSeconds + systemSeconds;
}

export function percentOf(measured: Measured): number {
  return (100 * cpuSeconds(measured)) / measured.seconds;
}

function rowOf({ case: name, burst, rounds }: Result, ports: number): string[] {
  const of = (read: (one: Measured) => number): number => median(rounds.map(read));
  const frames = ({ framesSent, outSent }: Measured): number => framesSent + outSent;
  const timed = rounds.some(({ framesReceived }) => framesReceived > 0);
  const share = (bytesPerSecond: number): string =>
    bytesPerSecond === 0 ? "" : `${((100 * bytesPerSecond) / (ports * BYTES_PER_SECOND)).toFixed(0)} %`;
  return [
    name,
    String(burst),
    of(percentOf).toFixed(1),
    perSecond(of((one) => frames(one) / one.seconds)),
    threeDigits(of((one) => (1e6 * cpuSeconds(one)) / frames(one))),
    threeDigits(of((one) => (1e6 * cpuSeconds(one)) / one.readCalls)),
    perSecond(of(({ readCalls, seconds }) => readCalls / seconds)),
    share(of(({ bytesIn, seconds }) => bytesIn / seconds)),
    share(of(({ bytesOut, seconds }) => bytesOut / seconds)),
    timed ? microseconds(of(({ p50Us }) => p50Us)) : "",
    timed ? microseconds(of(({ p99Us }) => p99Us)) : "",
    timed ? String(rounds.reduce((sum, { lost }) => sum + lost, 0)) : "",
  ];
}
