/** Messages for a session that is away, and its return. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { programOf } from "./build.ts";
import { flagsOf } from "./load.ts";

const run = promisify(execFile);
const PROGRAM = programOf("store-load");

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
  await run(PROGRAM, ["--port", String(port), "--park", id, "--topic", topic]);
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
  const { stdout } = await run(PROGRAM, ["--port", String(port), "--publish", ...flagsOf(flags)]);
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
  const { stdout } = await run(PROGRAM, ["--port", String(port), "--drain", id, "--messages", String(messages)]);
  return JSON.parse(stdout) as DrainResult;
}
