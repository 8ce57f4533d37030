import { fileURLToPath } from "node:url";
import { KeptProcess, lineOf } from "../../scripts/kept/kept-process.ts";
import type { Peer } from "../peers/peer.ts";

export type BareKind = "tcp" | "sqlite" | "tls" | "ws";

/** A server on Node with nothing behind it. @param files certificate and key, for TLS */
export async function startBareNode(kind: BareKind, files: readonly string[] = []): Promise<Peer> {
  const script = fileURLToPath(new URL("bare-node.mjs", import.meta.url));
  const server = await KeptProcess.start(process.execPath, ["--max-semi-space-size=1", script, kind, ...files]);
  const port = await lineOf(server.stdout, (line) => Number(/^port (\d+)/.exec(line)?.[1]) || null, 15_000);
  const peer = {
    name: `bare node, ${kind}`,
    version: process.version.slice(1),
    pid: server.pid,
    port,
    process: server,
  };
  if (kind === "tcp" || kind === "sqlite") return peer;
  return { ...peer, transport: kind === "tls" ? "tls" : "websocket" };
}
