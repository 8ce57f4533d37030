// Preloaded into the gateway (`--import FILE?out=PATH`): SIGUSR2 writes what its event loop was held up since the last
// time, in ms, to PATH and starts anew.
import { renameSync, writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";

const RESOLUTION_MS = 1;
const out = new URL(import.meta.url).searchParams.get("out");
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();
process.on("SIGUSR2", () => {
  const ms = (ns) => Math.max(0, ns / 1e6 - RESOLUTION_MS);
  const [p50, p99, p999] = [50, 99, 99.9].map((share) => ms(delay.percentile(share)));
  writeFileSync(`${out}.part`, JSON.stringify({ p50, p99, p999, max: ms(delay.max) }));
  renameSync(`${out}.part`, out);
  delay.reset();
});
