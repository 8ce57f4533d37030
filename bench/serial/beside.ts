/**
 * The way without a gateway, on the same bytes: for each line `socat` and a `mosquitto_pub -l`, and mosquitto as the broker.
 * CPU is that of all seventeen processes, beside that of one gateway.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { KeptProcess } from "../../scripts/kept/kept-process.ts";
import { type Figure, median } from "../figures.ts";
import { startMosquitto } from "../peers/mosquitto.ts";
import { microseconds, table, threeDigits } from "../table.ts";
import { CASES, type SerialCase } from "./cases.ts";
import { percentOf } from "./cpu.ts";
import { Feeder, type Measured, writeTapes } from "./feeder.ts";
import { measureCase, type OfBurst } from "./measure.ts";
import type { SerialBench, SerialReport } from "./run.ts";

const PROGRAMS = ["socat", "mosquitto_pub", "mkfifo"];
const HEAD = [
  "% of a core",
  "burst",
  "sluice",
  "socat, mosquitto_pub",
  "ratio",
  "sluice, p50",
  "p99",
  "theirs, p50",
  "p99",
];

interface Row {
  readonly name: string;
  readonly burst: number;
  readonly ours: Measured[];
  readonly theirs: Measured[];
}

export async function beside(bench: SerialBench): Promise<SerialReport> {
  const missing = PROGRAMS.find((program) => !isInstalled(program));
  if (missing !== undefined) return { text: `${missing} is not installed`, details: {}, figures: [] };
  const rows: Row[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    for (const one of CASES.filter(({ group }) => group === "lines")) {
      const bursts = bench.bursts ?? one.bursts;
      bench.progress.show(`round ${round + 1}, ${one.name}, sluice`);
      const ours = await measureCase(one, bursts, mkdtempSync(`${bench.directory}/ours-`), bench);
      bench.progress.show(`round ${round + 1}, ${one.name}, mosquitto_pub`);
      const theirs = await measurePipes(one, bursts, mkdtempSync(`${bench.directory}/theirs-`), bench);
      if (theirs === null) return { text: "mosquitto is not installed", details: {}, figures: [] };
      for (const [i, { burst, measured }] of ours.entries()) {
        let row = rows.find((other) => other.name === one.name && other.burst === burst);
        if (row === undefined) rows.push((row = { name: one.name, burst, ours: [], theirs: [] }));
        row.ours.push(measured);
        row.theirs.push((theirs[i] as OfBurst).measured);
      }
    }
  }
  return {
    text: table([HEAD, ...rows.map(cellsOf)]),
    figures: rows.map(
      (row): Figure => ({
        name: `${row.name}, ${row.burst} B at a time: share of theirs`,
        better: "less",
        values: sharesOf(row),
      }),
    ),
    details: { beside: rows },
  };
}

function sharesOf({ ours, theirs }: Row): number[] {
  return ours.map((measured, i) => percentOf(measured) / percentOf(theirs[i] as Measured));
}

function cellsOf(row: Row): string[] {
  const of = (all: readonly Measured[], read: (one: Measured) => number): number => median(all.map(read));
  return [
    row.name,
    String(row.burst),
    of(row.ours, percentOf).toFixed(1),
    of(row.theirs, percentOf).toFixed(1),
    threeDigits(median(sharesOf(row))),
    ...[row.ours, row.theirs].flatMap((all) => [
      microseconds(of(all, ({ p50Us }) => p50Us)),
      microseconds(of(all, ({ p99Us }) => p99Us)),
    ]),
  ];
}

/** @returns null without mosquitto */
async function measurePipes(
  one: SerialCase,
  bursts: readonly number[],
  directory: string,
  { ports, ms, warmUpMs }: SerialBench,
): Promise<OfBurst[] | null> {
  const tape = `${directory}/tape`;
  writeTapes(tape, ports, one.framesOf);
  const mosquitto = await startMosquitto(`${directory}/mosquitto`);
  if (mosquitto === null) return null;
  const feeder = await Feeder.start(ports);
  const pipes: KeptProcess[] = [];
  const start = async (command: string, ...words: string[]): Promise<void> => {
    const started = await KeptProcess.start("sh", ["-c", command, "sh", ...words]);
    started.stdout.resume();
    started.stderr.on("data", (chunk: Buffer) => process.stderr.write(chunk));
    pipes.push(started);
  };
  try {
    for (const [i, path] of feeder.paths.entries()) {
      const pipe = `${directory}/pipe-${i}`;
      execFileSync("mkfifo", [pipe]);
      const reader = `exec mosquitto_pub -h 127.0.0.1 -p ${mosquitto.port} -l -t in/${i} <"$1"`;
      await start(reader, pipe);
      await start('exec socat -u "$1,raw,echo=0" STDOUT >"$2"', path, pipe);
    }
    const pids = [mosquitto.pid, ...pipes.map(({ pid }) => pid)].join();
    const found: OfBurst[] = [];
    for (const burst of bursts) {
      const order = { pids, mqtt: mosquitto.port, ms, warm: warmUpMs, tape, burst, ...one.order };
      found.push({ burst, measured: await feeder.measure(order) });
    }
    return found;
  } finally {
    await Promise.all(pipes.map((pipe) => pipe.stop()));
    await mosquitto.process?.stop();
    await feeder.stop();
  }
}

function isInstalled(program: string): boolean {
  try {
    execFileSync("sh", ["-c", 'command -v "$1"', "sh", program], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
