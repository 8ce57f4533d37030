/** What holds up the event loop of a gateway under the bench: see loop-delay.mjs, which runs inside it. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { KeptProcess } from "../../scripts/kept/kept-process.ts";

const PRELOAD = fileURLToPath(new URL("loop-delay.mjs", import.meta.url));
const TRIES = 500;
const TRY_MS = 10;

/** Milliseconds beyond the millisecond of the sampling timer. */
export interface LoopDelay {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
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
