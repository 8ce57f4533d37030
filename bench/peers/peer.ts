import { createConnection, createServer } from "node:net";
import type { KeptProcess } from "../../scripts/kept/kept-process.ts";
import type { Load } from "../load/load.ts";

/** A broker that runs for the bench, on 127.0.0.1. */
export interface Peer {
  readonly name: string;
  readonly version: string;
  readonly pid: number;
  readonly port: number;
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

/** True once something listens on `port`; false when the process ended or `timeoutMs` passed before. */
export async function listens(port: number, broker: KeptProcess, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (broker.running && performance.now() < deadline) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = createConnection(port, "127.0.0.1");
      socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
      socket.on("connect", () => socket.destroy());
    });
    if (open) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}
