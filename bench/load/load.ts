import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { programOf } from "./build.ts";

const run = promisify(execFile);

/** A broker on 127.0.0.1, as the load generators reach it. */
export interface Broker {
  readonly port: number;
  /** Its CPU time counts. */
  readonly pid: number;
  /** Without: TCP. */
  readonly transport?: Transport;
  /** Goes in front of a command that is to reach a broker in a network of its own. */
  readonly enter?: readonly string[];
}

export type Transport = "tls" | "websocket";

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
  /** Subscriber i takes `+/<i mod topics>`. */
  readonly plus?: boolean;
  /** Each message goes to a topic that none had before, a level below the publisher's; with `wildcard`. */
  readonly unique?: boolean;
  /** Subscribers have sessions that the broker keeps; with MQTT 3.1.1. */
  readonly durable?: boolean;
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

/** Drives the broker as fast as it goes. */
export async function runLoad(broker: Broker, load: Load, durationMs: number, warmUpMs: number): Promise<LoadResult> {
  const time = { milliseconds: durationMs, "warm-up": warmUpMs };
  const flags = flagsOf({ "broker-pid": broker.pid, ...time, ...load });
  const [file = "", ...rest] = commandFor(broker, programOf("mqtt-load"), flags);
  const { stdout } = await run(file, rest);
  return JSON.parse(stdout) as LoadResult;
}

/** How `program` is called to reach `broker`. */
export function commandFor(broker: Broker, program: string, flags: readonly string[]): string[] {
  const transport = broker.transport === undefined ? [] : [`--${broker.transport}`];
  return [...(broker.enter ?? []), program, "--port", String(broker.port), ...transport, ...flags];
}

/** `--name value`; `--name` for what is true, nothing for what is false. */
export function flagsOf(values: Readonly<Record<string, string | number | boolean>>): string[] {
  return Object.entries(values).flatMap(([name, value]) =>
    typeof value !== "boolean" ? [`--${name}`, String(value)] : value ? [`--${name}`] : [],
  );
}
