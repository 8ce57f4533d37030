import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { KeptProcess, lineOf } from "../../scripts/kept/kept-process.ts";
import type { Load } from "../load/load.ts";
import type { Peer } from "./peer.ts";

const SCRIPT = fileURLToPath(new URL("aedes-broker.mjs", import.meta.url));
const PACKAGE = fileURLToPath(new URL("../../node_modules/aedes/package.json", import.meta.url));

/** npm's aedes on the Node that runs the bench. */
export async function startAedes(): Promise<Peer | null> {
  let version: string;
  try {
    ({ version } = JSON.parse(readFileSync(PACKAGE, "utf8")) as { version: string });
  } catch {
    return null; // installed without development dependencies
  }
  const broker = await KeptProcess.start(process.execPath, [SCRIPT]);
  broker.stderr.pipe(process.stderr);
  const port = await lineOf(broker.stdout, (line) => Number(/^port (\d+)/.exec(line)?.[1]) || null, 15_000);
  const serves = ({ mqtt = 4 }: Load): boolean => mqtt === 4;
  return { name: "aedes", version, pid: broker.pid, port, process: broker, serves };
}
