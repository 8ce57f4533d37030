/** What lines take of memory: at rest, and once they were saturated. Beside it what the bill allows for them. */
import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Memory, memoryOf } from "../../scripts/kept/proc.ts";
import { type Figure, median } from "../figures.ts";
import { startSluice } from "../peers/sluice.ts";
import { mebibytes, table } from "../table.ts";
import { CASES, type SerialCase } from "./cases.ts";
import { Feeder, writeTapes } from "./feeder.ts";
import { linesConfig } from "./measure.ts";
import type { SerialBench, SerialReport } from "./run.ts";

const COUNTS = [0, 1, 8, 32];
const STARTS = 3;
const SETTLE_MS = 2_000;
const LOAD_MS = 5_000;
const LAUNCHER = fileURLToPath(new URL("../../build/sluice", import.meta.url));
/** Lines of 64 bytes both ways. */
const CASE = CASES.find(({ group }) => group === "saturated") as SerialCase;

interface Weighed {
  readonly atRest: Memory;
  readonly afterLoad: Memory;
  readonly billBytes: number;
}

export async function memory(bench: SerialBench): Promise<SerialReport> {
  const rows = [["lines", "RSS at rest", "private dirty", "RSS after load", "private dirty", "the bill's lines"]];
  const figures: Figure[] = [];
  const details: Record<string, Weighed[]> = {};
  for (const count of COUNTS) {
    const all: Weighed[] = [];
    for (let i = 0; i < STARTS; i++) {
      bench.progress.show(`memory, ${count} lines, start ${i + 1}`);
      all.push(await weigh(count, mkdtempSync(`${bench.directory}/memory-`)));
    }
    const of = (read: (weighed: Weighed) => number): string => mebibytes(median(all.map(read)));
    rows.push([
      String(count),
      of(({ atRest }) => atRest.rssBytes),
      of(({ atRest }) => atRest.privateDirtyBytes),
      of(({ afterLoad }) => afterLoad.rssBytes),
      of(({ afterLoad }) => afterLoad.privateDirtyBytes),
      of(({ billBytes }) => billBytes),
    ]);
    figures.push({
      name: `${count} serial lines: RSS at rest, bytes`,
      better: "less",
      values: all.map(({ atRest }) => atRest.rssBytes),
    });
    details[`${count} lines`] = all;
  }
  return { text: table(rows), figures, details: { memory: details } };
}

async function weigh(count: number, directory: string): Promise<Weighed> {
  const ports = Math.max(1, count);
  const feeder = await Feeder.start(ports);
  const tape = `${directory}/tape`;
  writeTapes(tape, ports, CASE.framesOf);
  const config = linesConfig(feeder.paths.slice(0, count), CASE);
  const sluice = await startSluice(`${directory}/sluice`, { config });
  if (sluice === null) throw new Error("there is no build: npm run build");
  try {
    await delay(SETTLE_MS);
    const atRest = memoryOf(sluice.pid);
    if (count > 0) {
      const order = { pids: sluice.pid, mqtt: sluice.port, ms: LOAD_MS, tape, burst: 62, ...CASE.order };
      await feeder.measure(order);
      await delay(SETTLE_MS);
    }
    return { atRest, afterLoad: memoryOf(sluice.pid), billBytes: billOf(`${directory}/sluice/sluice.yaml`) };
  } finally {
    await sluice.process?.stop();
    await feeder.stop();
  }
}

/** What `check` says of the lines in this configuration. */
function billOf(file: string): number {
  const said = execFileSync(LAUNCHER, ["check", "--config", file, "--json"], { encoding: "utf8" });
  const { lines } = JSON.parse(said) as { lines: readonly { readonly owner: string; readonly bytes: number }[] };
  return lines.filter(({ owner }) => owner.startsWith("serial")).reduce((sum, { bytes }) => sum + bytes, 0);
}
