import { fileURLToPath } from "node:url";
import { KeptProcess, lineOf } from "../../scripts/kept/kept-process.ts";
import type { Load } from "../load/load.ts";
import type { Peer } from "./peer.ts";

const SCRIPT = fileURLToPath(new URL("probe-broker.mjs", import.meta.url));

/** The least that a broker on Node can do, on the Node that runs the bench. */
export async function startProbe(): Promise<Peer> {
  const environment = { ...process.env, MALLOC_ARENA_MAX: "1" };
  const broker = await KeptProcess.start(process.execPath, ["--max-semi-space-size=1", SCRIPT], environment);
  broker.stderr.pipe(process.stderr);
  const port = await lineOf(broker.stdout, (line) => Number(/^port (\d+)/.exec(line)?.[1]) || null, 15_000);
  return { name: "probe", version: "", pid: broker.pid, port, process: broker, serves };
}

function serves({ mqtt = 4, qos = 0, plus = false, unique = false }: Load): boolean {
  return mqtt === 4 && qos < 2 && !plus && !unique; // it would remember every topic for ever
}
