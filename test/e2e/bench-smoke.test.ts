// A regression of the hot paths shows here: ratios within one run, with three times the targets as limits, for whatever else
// the machine does meanwhile.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { temporaryFolder } from "../support/gateway-process.ts";
import { requirePeer } from "../support/peers.ts";

const run = promisify(execFile);
const BENCH = resolve(import.meta.dirname, "../../bench");
/** Of the targets. */
const ALLOWANCE = 3;
/** CPU per delivered message beside mosquitto's: the targets of bench/mqtt/workloads.ts. */
const TARGETS: Readonly<Record<string, number>> = {
  firehose: 1 / 14,
  "fan-out": 1 / 20,
  pairs: 0.9,
  "firehose-qos1": 1 / 14,
};
/** The store's time beside a bare loop's. */
const BARE_RATIO = 2;
/** A backlog takes 8 MB more, and is there a second after a start. */
const BACKLOG_BYTES = 8e6;
const READY_MS = 1000;

/** Runs a bench and returns its JSON. */
async function bench<T>(name: string, ...flags: string[]): Promise<T> {
  using folder = temporaryFolder();
  const json = join(folder.path, "bench.json");
  await run(process.execPath, [join(BENCH, name, "run.ts"), ...flags, "--json", json]);
  return JSON.parse(readFileSync(json, "utf8")) as T;
}

interface Result {
  readonly workload: string;
  readonly peer: string;
  readonly ratio: number;
  readonly lost: number;
  readonly repeated: number;
}

test("firehose, fan-out, 100 pairs and QoS 1 cost less than three times their share of mosquitto's CPU and lose nothing", {
  skip: requirePeer("mosquitto", "cc"),
}, async () => {
  const flags = ["--peers", "sluice,mosquitto", "--seconds", "0.7", "--rounds", "2"];
  const only = ["--only", Object.keys(TARGETS).join()];
  const { results } = await bench<{ results: Result[] }>("mqtt", ...only, ...flags);
  for (const [workload, target] of Object.entries(TARGETS)) {
    const sluice = results.find((result) => result.peer === "sluice" && result.workload === workload);
    assert.ok(
      sluice !== undefined && sluice.ratio < ALLOWANCE * target,
      `${workload}: ${sluice?.ratio} of mosquitto's`,
    );
    assert.deepEqual([sluice.lost, sluice.repeated], [0, 0], workload);
  }
});

interface StoreFigures {
  /** By messages per commit. */
  readonly engine: Readonly<Record<string, Readonly<Record<"bare" | "kept", { readonly perSecond: number }>>>>;
  readonly backlog: { readonly sluice: BacklogFigures };
}

interface BacklogFigures {
  readonly lost: number;
  readonly repeated: number;
  readonly rssBefore: number;
  readonly rssWith: number;
  readonly readyAfterKillMs: number;
  readonly readyAfterStopMs: number;
}

test("1,000 messages per commit are stored in less than six times a bare loop's time, and a backlog comes back whole", {
  skip: requirePeer("cc"),
}, async () => {
  const flags = ["--peers", "sluice", "--batches", "1000", "--seconds", "0.3", "--messages", "20000"];
  const { engine, backlog } = await bench<StoreFigures>("store", "--only", "engine,backlog", ...flags);
  const { bare, kept } = engine["1000"] ?? {};
  assert.ok(bare !== undefined && kept !== undefined && bare.perSecond / kept.perSecond < ALLOWANCE * BARE_RATIO);
  const { lost, repeated, rssBefore, rssWith, readyAfterKillMs, readyAfterStopMs } = backlog.sluice;
  assert.deepEqual([lost, repeated], [0, 0]);
  assert.ok(rssWith - rssBefore < ALLOWANCE * BACKLOG_BYTES, `RSS grew by ${rssWith - rssBefore} bytes`);
  const readyMs = Math.max(readyAfterKillMs, readyAfterStopMs);
  assert.ok(readyMs < ALLOWANCE * READY_MS, `ready after ${readyMs} ms`);
});

interface Figure {
  readonly name: string;
  readonly better: string;
  readonly values: readonly number[];
}

test("a bench compares itself with an earlier run and says what is beyond the spread", async () => {
  using folder = temporaryFolder();
  const [earlier, later] = [join(folder.path, "earlier.json"), join(folder.path, "later.json")];
  const flags = [join(BENCH, "micro/run.ts"), "--only", "route-cache: hit, 1 "];
  await run(process.execPath, [...flags, "--json", earlier]);
  const saved = JSON.parse(readFileSync(earlier, "utf8")) as { figures: Figure[] };
  const figure = saved.figures[0] as Figure;
  const slow = { ...figure, values: figure.values.map((value) => 100 * value) };
  writeFileSync(earlier, JSON.stringify({ ...saved, figures: [slow] }));
  const { stdout } = await run(process.execPath, [...flags, "--json", later, "--compare", earlier]);
  const line = stdout.split("\n").find((text) => text.startsWith(`| ${figure.name}`));
  assert.match(line ?? "", / -\d+ % +\| +better \|$/);
});
