import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { KeptProcess, lineOf } from "../../scripts/kept/kept-process.ts";
import type { Peer } from "./peer.ts";

const SCRIPT = fileURLToPath(new URL("npm-coap-server.mjs", import.meta.url));
const PACKAGE = fileURLToPath(new URL("../../node_modules/coap/package.json", import.meta.url));

/** npm's coap as a server, on the Node that runs the bench. @param cacheSize  of its answers, in bytes; null = its default */
export async function startNpmCoap(cacheSize: number | null): Promise<Peer | null> {
  let version: string;
  try {
    ({ version } = JSON.parse(readFileSync(PACKAGE, "utf8")) as { version: string });
  } catch {
    return null; // installed without development dependencies
  }
  const server = await KeptProcess.start(process.execPath, [
    SCRIPT,
    ...(cacheSize === null ? [] : [String(cacheSize)]),
  ]);
  server.stderr.pipe(process.stderr);
  const port = await lineOf(server.stdout, (line) => Number(/^port (\d+)/.exec(line)?.[1]) || null, 15_000);
  return { name: "npm coap", version, pid: server.pid, port, process: server };
}
