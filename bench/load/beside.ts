/** What goes on at a broker beside the load that is measured. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { KeptProcess, lineOf } from "../../scripts/kept/kept-process.ts";
import { programOf } from "./build.ts";
import { type Broker, commandFor, flagsOf } from "./load.ts";

const run = promisify(execFile);
const READY_MS_MAX = 90_000;

export interface Idle {
  readonly connections: number;
  /** Of each connection: wildcard subscriptions that no message of the load matches. */
  readonly filters?: number;
  /** Of sessions that the broker keeps; MQTT 3.1.1. */
  readonly durable?: boolean;
  /** They say goodbye at once: what stays are their sessions. */
  readonly away?: boolean;
}

/** Connections that say nothing; they close when the returned process is stopped. */
export function holdIdle(broker: Broker, idle: Idle): Promise<KeptProcess> {
  return started(broker, programOf("hold"), flagsOf({ ...idle }));
}

export interface SubscribeResult {
  /** SUBACK and UNSUBACK packets. */
  readonly subscribed: number;
  readonly unsubscribed: number;
  readonly refused: number;
  readonly seconds: number;
  /** From SUBSCRIBE to SUBACK. */
  readonly p50Us: number;
  readonly p99Us: number;
}

/**
 * Begins a client that subscribes to new filters and unsubscribes from old ones, `rate` of each a second.
 * @returns ends it and says what came of it
 */
export async function subscribeSteadily(broker: Broker, rate: number): Promise<() => Promise<SubscribeResult>> {
  const churn = await started(broker, programOf("subscribe-load"), flagsOf({ rate }));
  return async () => {
    const result = lineOf(churn.stdout, (line) => JSON.parse(line) as SubscribeResult, 10_000);
    churn.closeInput();
    const found = await result;
    await churn.exited;
    return found;
  };
}

export interface StreamResult {
  readonly messages: number;
  readonly missing: number;
  readonly disordered: number;
  /** From when a message was due to its delivery. */
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
}

/** One publisher, one subscriber, `rate` messages a second, one per write. */
export async function runStream(
  broker: Broker,
  rate: number,
  durationMs: number,
  warmUpMs: number,
): Promise<StreamResult> {
  const flags = flagsOf({ rate, milliseconds: durationMs, "warm-up": warmUpMs });
  const [file = "", ...rest] = commandFor(broker, programOf("stream-load"), flags);
  const { stdout } = await run(file, rest);
  return JSON.parse(stdout) as StreamResult;
}

/** Runs `program` until it says that it is ready. */
async function started(broker: Broker, program: string, flags: readonly string[]): Promise<KeptProcess> {
  const [file = "", ...rest] = commandFor(broker, program, flags);
  const kept = await KeptProcess.start(file, rest);
  kept.stderr.pipe(process.stderr);
  await lineOf(kept.stdout, (line) => (line.startsWith("{") ? line : null), READY_MS_MAX);
  return kept;
}
