/** What holds up the event loop of a gateway under the bench: see loop-delay.mjs, which runs inside it. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { KeptProcess } from "../../scripts/kept/kept-process.ts";

const PRELOAD = fileURLToPath(new URL("loop-delay.mjs", import.meta.url));
const TRIES = 500;
const TRY_MS = 10;

/** Milliseconds beyond the millisecond of the sampling timer. */
interface Delays {
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface LoopDelay extends Delays {
  /** The same in CPU time of the thread: without what the machine did meanwhile. */
  readonly cpu: Delays;
}

/** Heads `stallText`. */
export const STALL_HEAD = "stall p99.9 / max ms (of CPU time)";

export function stallText(delay: LoopDelay | null): string {
  if (delay === null) return "";
  const pair = ({ p999, max }: Delays): string => `${p999.toFixed(1)} / ${max.toFixed(1)}`;
  return `${pair(delay)} (${pair(delay.cpu)})`;
}

export function loopDelayFlags(out: string): string[] {
  return ["--import", `file://${PRELOAD}?out=${out}`];
}

/** Since the last call, or the start. */
export async function takeLoopDelay(gateway: KeptProcess, out: string): Promise<LoopDelay> {
  rmSync(out, { force: true });
  gateway.signal("SIGUSR2");
  for (let i = 0; i < TRIES; i++) {
    if (existsSync(out)) return JSON.parse(readFileSync(out, "utf8")) as LoopDelay;
    await delay(TRY_MS);
  }
  throw new Error("the gateway did not say how its event loop fares");
}
