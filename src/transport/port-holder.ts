/** Which process has locked a device, as the kernel lists it. */
import { readFileSync, statSync } from "node:fs";

export interface PortHolder {
  readonly pid: number;
  /** Name of its program; "" when it is not told. */
  readonly program: string;
}

/** @returns null when nobody is listed: it may be of another container, or have it without a lock */
export function holderOf(path: string): PortHolder | null {
  try {
    const { dev, ino } = statSync(path);
    const pid = lockerIn(readFileSync("/proc/locks", "utf8"), dev, ino);
    return pid === null ? null : { pid, program: programOf(pid) };
  } catch {
    return null; // no /proc, or the device has just gone
  }
}

/**
 * Looks in the text of /proc/locks for lines like "3: FLOCK  ADVISORY  WRITE 4711 00:18:5 0 EOF".
 * @param dev of the file system that the device's node lies in, as stat gives it
 */
export function lockerIn(locks: string, dev: number, ino: number): number | null {
  const major = (dev >> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
  const hex = (value: number): string => value.toString(16).padStart(2, "0");
  const file = `${hex(major)}:${hex(minor)}:${ino}`;
  for (const line of locks.split("\n")) {
    const words = line.trim().split(/\s+/);
    if (words[1] !== "FLOCK" || words[5] !== file) continue;
    const pid = Number(words[4]);
    if (pid > 0) return pid;
  }
  return null;
}

function programOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}
