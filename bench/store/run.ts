/**
 * npm run bench -- store [--directory DIR] [--only engine,acknowledgement,backlog] [--seconds N] [--messages N]
 *                        [--json FILE]
 *
 * What a durable message costs and what waiting messages cost, on the disk of DIR: the store by itself beside a bare
 * SQLite loop, the whole gateway beside mosquitto with persistence. How to read it: ../README.md.
 */
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { buildLoad } from "../load/build.ts";
import { describeMachine, thisMachine } from "../machine.ts";
import { Progress } from "../progress.ts";
import { acknowledgement } from "./acknowledgement.ts";
import { backlog } from "./backlog.ts";
import { engine } from "./engine.ts";

export interface StoreBench {
  /** On the disk to measure; the caller removes it. */
  readonly directory: string;
  readonly seconds: number;
  /** That wait, in the bench of the backlog. */
  readonly messages: number;
  readonly progress: Progress;
}

/** For people, and for programs. */
export interface StoreReport {
  readonly text: string;
  readonly figures: unknown;
}

const PARTS: Readonly<Record<string, (bench: StoreBench) => Promise<StoreReport>>> = {
  engine,
  acknowledgement,
  backlog,
};
const TMPFS_MAGIC = 0x01021994;

const { values } = parseArgs({
  options: {
    directory: { type: "string", default: tmpdir() },
    only: { type: "string", default: Object.keys(PARTS).join() },
    seconds: { type: "string", default: "3" },
    messages: { type: "string", default: "1000000" },
    json: { type: "string" },
  },
});
const parts = values.only.split(",").map((name) => {
  const part = PARTS[name];
  if (part === undefined) throw new Error(`unknown part ${name}: ${Object.keys(PARTS).join(", ")}`);
  return { name, part };
});
const directory = mkdtempSync(`${values.directory}/sluice-bench-`);
const progress = new Progress();
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it
if (statfsSync(directory).type === TMPFS_MAGIC)
  progress.note(`${directory} is in memory: nothing is written to a disk`);
await buildLoad();
process.stdout.write(`${describeMachine(thisMachine())}\n`);
const figures: Record<string, unknown> = {};
for (const { name, part } of parts) {
  const bench = { directory, seconds: Number(values.seconds), messages: Number(values.messages), progress };
  const report = await part(bench);
  figures[name] = report.figures;
  progress.clear();
  process.stdout.write(`\n${report.text}\n`);
}
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(figures));
