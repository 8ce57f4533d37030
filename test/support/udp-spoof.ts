// Datagrams whose sources are forged (udp_spoof.py). Pass `requireSpoof()` as the test's `skip`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { requirePeer, requireRoot, type Skip } from "./peers.ts";

export function requireSpoof(): Skip {
  return requireRoot() || requirePeer("python3");
}

export interface Flood {
  readonly count: number;
  readonly perSecond: number;
  /** "address:port" that all come from; otherwise each has a source of its own. */
  readonly from?: string;
}

/** To `port` of 127.0.0.1; resolves when the last one is on its way. */
export async function spoof(port: number, templates: readonly Buffer[], flood: Flood): Promise<void> {
  const words = [port, flood.count, flood.perSecond, flood.from].filter((word) => word !== undefined).map(String);
  const child = spawn("/usr/bin/python3", [join(import.meta.dirname, "udp_spoof.py"), ...words], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  child.stdin.end(templates.map((bytes) => bytes.toString("hex")).join("\n"));
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`udp_spoof.py ended with ${code}`);
}
