// Preloaded into the gateway (`--import FILE?out=PATH`): SIGUSR2 writes what its event loop was held up since the last
// time, in ms, to PATH and starts anew. By the clock, and by the CPU time that the thread used between two beats of a
// timer: the second leaves out the time in which the machine ran something else.
import { renameSync, writeFileSync } from "node:fs";
import { createHistogram, monitorEventLoopDelay } from "node:perf_hooks";

const RESOLUTION_MS = 1;
const out = new URL(import.meta.url).searchParams.get("out");
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
const cpu = createHistogram();
let lastUs = 0;
delay.enable();
setInterval(() => {
  const { user, system } = process.threadCpuUsage();
  cpu.record(Math.max(1, Math.round((user + system - lastUs) * 1000)));
  lastUs = user + system;
}, RESOLUTION_MS).unref();
process.on("SIGUSR2", () => {
  const ms = (ns) => Math.max(0, ns / 1e6 - RESOLUTION_MS);
  const of = (histogram) => ({
    p99: ms(histogram.percentile(99)),
    p999: ms(histogram.percentile(99.9)),
    max: ms(histogram.max),
  });
  writeFileSync(`${out}.part`, JSON.stringify({ ...of(delay), cpu: of(cpu) }));
  renameSync(`${out}.part`, out);
  delay.reset();
  cpu.reset();
});
