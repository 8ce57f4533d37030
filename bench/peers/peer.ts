import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import type { KeptProcess } from "../../scripts/kept/kept-process.ts";
import type { Broker, Load } from "../load/load.ts";

/** A broker that runs for the bench, on 127.0.0.1. */
export interface Peer extends Broker {
  readonly name: string;
  readonly version: string;
  /** Null for a broker that somebody else started. */
  readonly process: KeptProcess | null;
  /** Whether it can be asked this; without, everything. */
  readonly serves?: (load: Load) => boolean;
}

/** Starts one in `directory` (empty, its own); null when it is not installed. */
export type StartPeer = (directory: string) => Promise<Peer | null>;

/** A port that was free a moment ago, for programs that cannot report the one they got. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** True once the process's network has a listener on `port`; false when the process ended or `timeoutMs` passed before. */
export async function listens(port: number, broker: KeptProcess, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (broker.running && performance.now() < deadline) {
    if (hasListener(port, broker.pid)) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

function hasListener(port: number, pid: number): boolean {
  // A row of the table: number, local address (hexadecimal), remote address, state 0A = LISTEN.
  const row = new RegExp(`^ *\\d+: [0-9A-F]+:${port.toString(16).toUpperCase().padStart(4, "0")} [0-9A-F:]+ 0A `, "m");
  try {
    return ["tcp", "tcp6"].some((table) => row.test(readFileSync(`/proc/${pid}/net/${table}`, "utf8")));
  } catch {
    return false; // it ended meanwhile, or there is no IPv6
  }
}
