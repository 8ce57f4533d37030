/** Which process has a device open: by its lock, as the kernel lists it, or by its descriptors. */
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { basename } from "node:path";

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

/**
 * Who has devices open, with a lock or without. For people, who ask now and then: it looks at all descriptors of the machine
 * that we may see, which are root's to see, and ours.
 * @param paths as the kernel calls them, without links on the way
 */
export function openers(paths: ReadonlySet<string>): Map<string, PortHolder> {
  const found = new Map<string, PortHolder>();
  for (const path of paths) {
    const holder = holderOf(path) ?? lockFileOf(path);
    if (holder !== null) found.set(path, holder);
  }
  for (const process of namesIn("/proc")) {
    const pid = Number(process);
    if (!(pid > 0)) continue;
    for (const fd of namesIn(`/proc/${process}/fd`)) {
      const path = linkOf(`/proc/${process}/fd/${fd}`);
      if (paths.has(path) && !found.has(path)) found.set(path, { pid, program: programOf(pid) });
    }
  }
  return found;
}

/** Of programs that keep to the old way, as minicom: a file with the pid. One that its program has left behind means nothing. */
function lockFileOf(path: string): PortHolder | null {
  try {
    const pid = Number(
      readFileSync(`/run/lock/LCK..${basename(path)}`, "latin1")
        .trim()
        .split(/\s+/)[0],
    );
    const program = pid > 0 ? programOf(pid) : "";
    return program === "" ? null : { pid, program };
  } catch {
    return null;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // it has just been closed
  }
}

/** A gateway's would be that of its runtime. */
function programOf(pid: number): string {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    if (words.some((word) => basename(word) === "sluice.mjs")) return "sluice";
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}
