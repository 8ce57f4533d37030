import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { KeptProcess, lineOf } from "../../scripts/kept/kept-process.ts";

const run = promisify(execFile);
const SOURCES = fileURLToPath(new URL(".", import.meta.url));
const BUILD = fileURLToPath(new URL("../../build/bench/", import.meta.url));
const PROGRAM = `${BUILD}mqtt-load`;
const STORE_PROGRAM = `${BUILD}store-load`;
export const STORM_PROGRAM = `${BUILD}storm`;
const PROGRAMS = ["mqtt-load", "store-load", "storm"];

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
  /** Bytes of a payload. */
  readonly payload?: number;
  /** Each message has a Message Expiry Interval, a Content Type and a User Property; with MQTT 5. */
  readonly properties?: boolean;
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

/** Compiles the load generators when a source is newer than a program. */
export async function buildLoad(): Promise<void> {
  const sources = readdirSync(SOURCES).filter((name) => /\.[ch]$/.test(name));
  const newest = Math.max(...sources.map((name) => statSync(SOURCES + name).mtimeMs));
  mkdirSync(BUILD, { recursive: true });
  for (const program of PROGRAMS) {
    if ((statSync(BUILD + program, { throwIfNoEntry: false })?.mtimeMs ?? 0) > newest) continue;
    const temporary = `${BUILD}${program}.${process.pid}`;
    await run("cc", ["-O2", "-Wall", "-Wextra", "-o", temporary, `${SOURCES}${program}.c`, `${SOURCES}client.c`]);
    renameSync(temporary, BUILD + program);
  }
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

/** What `publishDurably` measured, after its warm-up. */
export interface AcknowledgedResult {
  readonly acknowledged: number;
  readonly refused: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Makes a session that the broker keeps, subscribed to `topic` at QoS 1, and leaves it. */
export async function parkSession(port: number, id: string, topic: string): Promise<void> {
  await run(STORE_PROGRAM, ["--port", String(port), "--park", id, "--topic", topic]);
}

export interface DurableLoad {
  readonly topic: string;
  /** PUBLISH packets of QoS 1 without PUBACK at any time. */
  readonly window: number;
  readonly payloadBytes: number;
  /** Ends after as many messages; 0 = after `durationMs`. */
  readonly messages?: number;
  readonly durationMs?: number;
  readonly warmUpMs?: number;
}

/** Publishes at QoS 1 as fast as the window allows. */
export async function publishDurably(port: number, load: DurableLoad): Promise<AcknowledgedResult> {
  const { topic, window, payloadBytes, messages = 0, durationMs = 0, warmUpMs = 0 } = load;
  const flags = { topic, window, payload: payloadBytes, messages, milliseconds: durationMs, "warm-up": warmUpMs };
  const { stdout } = await run(STORE_PROGRAM, ["--port", String(port), "--publish", ...flagsOf(flags)]);
  return JSON.parse(stdout) as AcknowledgedResult;
}

export interface DrainResult {
  readonly received: number;
  readonly seconds: number;
  /** Messages that came again, or after a later one. */
  readonly repeated: number;
  readonly missing: number;
}

/** Comes back as session `id` and takes `messages` that wait for it, each acknowledged. */
export async function drainSession(port: number, id: string, messages: number): Promise<DrainResult> {
  const { stdout } = await run(STORE_PROGRAM, ["--port", String(port), "--drain", id, "--messages", String(messages)]);
  return JSON.parse(stdout) as DrainResult;
}

function flagsOf(values: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [`--${name}`, String(value)]);
}
