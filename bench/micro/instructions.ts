/**
 * Instructions that this process runs in user space, by `perf`: the same from run to run within a percent, whatever else
 * the machine does. perf is told over its control descriptors when to count.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import type { Duplex } from "node:stream";

const EVENT = "instructions:u";

/** Whether this machine counts them, and lets us see. */
export function countsInstructions(): boolean {
  const { status, stderr } = spawnSync("perf", ["stat", "-x,", "-e", EVENT, "true"], { encoding: "utf8" });
  return status === 0 && /^\d/m.test(stderr);
}

/** Instructions of `run`, all threads. */
export async function instructionsOf(run: () => void | Promise<void>): Promise<number> {
  const flags = ["stat", "-x,", "-e", EVENT, "-p", String(process.pid), "-D", "-1", "--control", "fd:3,4"];
  const perf = spawn("perf", flags, { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"] });
  let counts = "";
  perf.stderr?.on("data", (text: Buffer) => {
    counts += text;
  });
  await command(perf, "enable");
  const waiting = run();
  if (waiting !== undefined) await waiting;
  await command(perf, "disable");
  perf.kill("SIGINT");
  await once(perf, "close");
  return Number(/^(\d+)/m.exec(counts)?.[1] ?? Number.NaN);
}

async function command(perf: ChildProcess, word: string): Promise<void> {
  const [control, acknowledged] = [perf.stdio[3], perf.stdio[4]] as [Duplex, Duplex];
  control.write(`${word}\n`);
  await once(acknowledged, "data");
}
