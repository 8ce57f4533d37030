/** What every life of the soak finds: ports, numbers that nobody had, dice. */
import type { Random } from "../../src/base/random.ts";
import type { Version } from "../../test/support/mqtt-packets.ts";
import { SoakClient } from "./client.ts";

export interface Ports {
  readonly mqtt: number;
  readonly ws: number;
  readonly coap: number;
  readonly http: number;
  /** The broker that the gateway's uplink ends at; 0 = there is none. */
  readonly cloud: number;
}

export class World {
  readonly ports: Ports;
  /** Answers that did not come although the connection stood. */
  unanswered = 0;
  #number = 0;

  constructor(ports: Ports) {
    this.ports = ports;
  }

  /** A number that nobody had: client ids, topics and filters are never the same twice. */
  next(): number {
    return this.#number++;
  }

  /** A client over TCP or WebSocket, not connected yet, for the time of `live`. */
  async withClient(random: Random, live: (client: SoakClient) => Promise<void>): Promise<void> {
    const version: Version = random() < 0.5 ? 4 : 5;
    const { mqtt, ws } = this.ports;
    const client = random() < 0.15 ? SoakClient.webSocket(ws, version) : SoakClient.tcp(mqtt, version);
    await live(client);
    if (!client.closed) await client.cut();
    this.unanswered += client.unanswered;
  }
}

export function below(random: Random, end: number): number {
  return Math.floor(random() * end);
}

export function oneOf<T>(random: Random, values: readonly T[]): T {
  return values[below(random, values.length)] as T;
}

/** The ways in which a client goes: with goodbye, cut off, or it forgets to end and the Keep Alive passes. */
export async function goSomehow(random: Random, client: SoakClient): Promise<void> {
  const mood = random();
  if (mood < 0.5) await client.leave();
  else if (mood < 0.95) await client.cut();
  else await client.end(SILENT_MS);
}

/** Longer than one and a half times the Keep Alive of those that fall silent. */
const SILENT_MS = 3_000;
export const KEEP_ALIVE_SECONDS = 1;
