import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { KeptProcess, lineOf } from "../../scripts/kept/kept-process.ts";

const run = promisify(execFile);
const SOURCES = fileURLToPath(new URL(".", import.meta.url));
const BUILD = fileURLToPath(new URL("../../build/bench/", import.meta.url));
const PROGRAM = `${BUILD}mqtt-load`;

/** What the load generator is asked to do. Left out: the default in mqtt-load.c. */
export interface Load {
  readonly publishers?: number;
  readonly subscribers?: number;
  /** Publisher i and subscriber i use topic `b/<i mod topics>`. */
  readonly topics?: number;
  /** Subscribers take `b/#`. */
  readonly wildcard?: boolean;
  readonly qos?: 0 | 1 | 2;
  /** Messages per write. */
  readonly burst?: number;
  /** Deliveries that may be outstanding. */
  readonly window?: number;
  /** MQTT version, 4 or 5. */
  readonly mqtt?: 4 | 5;
}

export interface LoadResult {
  readonly deliveries: number;
  readonly publishes: number;
  readonly seconds: number;
  /** CPU time of the broker's process, all threads. */
  readonly userSeconds: number;
  readonly systemSeconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** From here on over the whole run, warm-up included: deliveries there should have been. */
  readonly owed: number;
  readonly lost: number;
  readonly repeated: number;
  readonly refused: number;
  readonly stalls: number;
}

/** Compiles the load generator when a source is newer than the program. */
export async function buildLoad(): Promise<void> {
  const sources = readdirSync(SOURCES).filter((name) => /\.[ch]$/.test(name));
  const newest = Math.max(...sources.map((name) => statSync(SOURCES + name).mtimeMs));
  if ((statSync(PROGRAM, { throwIfNoEntry: false })?.mtimeMs ?? 0) > newest) return;
  mkdirSync(BUILD, { recursive: true });
  const units = sources.filter((name) => name.endsWith(".c")).map((name) => SOURCES + name);
  const temporary = `${PROGRAM}.${process.pid}`;
  await run("cc", ["-O2", "-Wall", "-Wextra", "-o", temporary, ...units]);
  renameSync(temporary, PROGRAM);
}

/** Drives the broker on 127.0.0.1:`port`; `pid` is the process whose CPU time counts. */
export async function runLoad(
  port: number,
  pid: number,
  load: Load,
  durationMs: number,
  warmUpMs: number,
): Promise<LoadResult> {
  const flags = Object.entries(load).flatMap(([name, value]) =>
    value === true ? [`--${name}`] : value === false ? [] : [`--${name}`, String(value)],
  );
  const where = ["--port", String(port), "--broker-pid", String(pid)];
  const time = ["--milliseconds", String(durationMs), "--warm-up", String(warmUpMs)];
  const { stdout } = await run(PROGRAM, [...where, ...time, ...flags]);
  return JSON.parse(stdout) as LoadResult;
}

/** Opens `count` connections that say nothing; they close when the returned process is stopped. */
export async function holdIdle(port: number, count: number): Promise<KeptProcess> {
  const holder = await KeptProcess.start(PROGRAM, ["--port", String(port), "--idle", String(count)]);
  holder.stderr.pipe(process.stderr);
  await lineOf(holder.stdout, (line) => (line.startsWith("{") ? line : null), 90_000);
  return holder;
}
