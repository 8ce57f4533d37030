/** What Linux says about a process of ours, by pid. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

/** USER_HZ: 100 on every architecture that Node runs on. */
const CLOCK_TICKS_PER_SECOND = 100;

export type Memory = { readonly rssBytes: number; readonly privateDirtyBytes: number; readonly peakBytes: number };

function kibibytes(text: string, key: string): number {
  const match = new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(text);
  return match === null ? 0 : Number(match[1]) * 1024;
}

export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return {
    rssBytes: kibibytes(status, "VmRSS"),
    peakBytes: kibibytes(status, "VmHWM"),
    privateDirtyBytes: kibibytes(rollup, "Private_Dirty"),
  };
}

/** Makes the peak RSS start anew from what is resident now. */
export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** User and system time of the process, all threads. */
export function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name may hold spaces and parentheses; user and system time are the 12th and 13th field after it.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}

export type Activity = { readonly wakeups: number; readonly cpuSeconds: number };

/** Since their start, of all threads there are: how often each got a processor, and for how long, to the nanosecond. */
export function activityOf(pid: number): Activity {
  const sum = { wakeups: 0, cpuSeconds: 0 };
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8");
    const [onCpuNs] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ");
    sum.wakeups += Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1] ?? 0);
    sum.cpuSeconds += Number(onCpuNs) / 1e9;
  }
  return sum;
}

/** Bytes the process made the kernel write to a storage device; 0 for what it wrote to a file system in memory. */
export function writtenBytes(pid: number): number {
  const io = readFileSync(`/proc/${pid}/io`, "utf8");
  return Number(/^write_bytes: (\d+)/m.exec(io)?.[1] ?? 0);
}
