/**
 * npm run bench -- store [--directory DIR] [--only engine,acknowledgement,backlog] [--seconds N] [--messages N]
 *                        [--batches N,...] [--peers NAME,...] [--json FILE] [--compare FILE]
 *
 * What a durable message costs and what waiting messages cost, on the disk of DIR: the store by itself beside a bare
 * SQLite loop, the whole gateway beside mosquitto with persistence. How to read it: ../README.md.
 */
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import type { Figure } from "../figures.ts";
import { readFlags, wrongUse } from "../flags.ts";
import { buildLoad } from "../load/build.ts";
import { OUTCOME_OPTIONS, publish } from "../outcome.ts";
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
  /** Messages per commit, in the bench of the engine. */
  readonly batches: readonly number[];
  /** Whether the broker takes part. */
  readonly has: (peer: "sluice" | "mosquitto") => boolean;
  readonly progress: Progress;
}

/** For people, for programs, and for a comparison. */
export interface StoreReport {
  readonly text: string;
  readonly details: unknown;
  readonly figures: readonly Figure[];
}

const PARTS: Readonly<Record<string, (bench: StoreBench) => Promise<StoreReport>>> = {
  engine,
  acknowledgement,
  backlog,
};
const TMPFS_MAGIC = 0x01021994;

const values = readFlags("store", {
  directory: { type: "string", default: tmpdir() },
  only: { type: "string", default: Object.keys(PARTS).join() },
  seconds: { type: "string", default: "3" },
  messages: { type: "string", default: "1000000" },
  batches: { type: "string", default: "1,16,256,1000" },
  peers: { type: "string", default: "sluice,mosquitto" },
  ...OUTCOME_OPTIONS,
});
const parts = values.only.split(",").map((name) => {
  const part = PARTS[name];
  if (part === undefined) wrongUse("store", `there is no part ${name}`, [`parts: ${Object.keys(PARTS).join(" ")}`]);
  return { name, part };
});
const directory = mkdtempSync(`${values.directory}/sluice-bench-`);
const progress = new Progress();
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it
if (statfsSync(directory).type === TMPFS_MAGIC)
  progress.note(`${directory} is in memory: nothing is written to a disk`);
await buildLoad();
const reports: { readonly name: string; readonly report: StoreReport }[] = [];
const bench: StoreBench = {
  directory,
  seconds: Number(values.seconds),
  messages: Number(values.messages),
  batches: values.batches.split(",").map(Number),
  has: (peer) => values.peers.split(",").includes(peer),
  progress,
};
for (const { name, part } of parts) {
  reports.push({ name, report: await part(bench) });
}
progress.clear();
publish({
  bench: "store",
  options: values,
  method: `${values.seconds} s each, ${Number(values.messages).toLocaleString("en")} messages`,
  text: reports.map(({ report }) => report.text).join("\n\n"),
  figures: reports.flatMap(({ report }) => report.figures),
  details: Object.fromEntries(reports.map(({ name, report }) => [name, report.details])),
});
