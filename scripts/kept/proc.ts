/** What Linux says about a process of ours, by pid. */
import { readFileSync, writeFileSync } from "node:fs";

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

/** Bytes the process made the kernel write to a storage device; 0 for what it wrote to a file system in memory. */
export function writtenBytes(pid: number): number {
  const io = readFileSync(`/proc/${pid}/io`, "utf8");
  return Number(/^write_bytes: (\d+)/m.exec(io)?.[1] ?? 0);
}
