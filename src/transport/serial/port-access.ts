/** Why a device may not be opened, in words that a person can act on. */
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { holderOf } from "./port-holder.ts";

/** @throws Error when another program, or another line of this one, has the device locked */
export function refuseIfHeld(path: string): void {
  const holder = holderOf(path);
  if (holder === null) return;
  if (holder.pid === process.pid) throw new Error("another line of this gateway has it open");
  throw new Error(`process ${holder.pid}${holder.program === "" ? "" : ` (${holder.program})`} has it open`);
}

/** Why it cannot be opened by whoever asks, before anybody tries; null = it can, as far as that is told. */
export function problemWith(path: string): string | null {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return null;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return "is not in /dev: a container has to be given it (--device)";
    if (code !== "EACCES") return null;
    const group = groupOf(path);
    return group === null ? "permission denied" : `permission denied: ${groupAdvice(group)}`;
  }
}

function groupAdvice(group: string): string {
  return `it is for the group ${group} (usermod -aG ${group} USER, then log in anew)`;
}

/** An error of an opening, where the kernel's words would mislead; one for want of permission gets the group that has it. */
export function explainTrouble(error: unknown, path: string): unknown {
  if (!(error instanceof Error)) return error;
  // By somebody whom the list of locks does not name: another container, or a program that has no lock and wants nobody else.
  if (/cannot lock port|resource busy/i.test(error.message)) return new Error("another program has it open");
  // "inappropriate ioctl for device setting custom baud rate of 115200" is a plain file, whatever the baud rate.
  if (/inappropriate ioctl|is a directory/i.test(error.message)) {
    return new Error("it is no serial device; `sluice serial list` shows those that are");
  }
  if (!/permission denied/i.test(error.message)) return error;
  const group = groupOf(path);
  return group === null ? error : new Error(`permission denied: ${groupAdvice(group)}`);
}

/** Name of the group that may read and write the device; null = none may, or it is not known. */
export function groupOf(path: string, groups = "/etc/group"): string | null {
  try {
    const { gid, mode } = statSync(path);
    if ((mode & 0o060) !== 0o060) return null;
    for (const line of readFileSync(groups, "utf8").split("\n")) {
      const [name = "", , id] = line.split(":");
      if (id === String(gid)) return name;
    }
  } catch {
    // It has just gone, or this machine keeps its groups elsewhere.
  }
  return null;
}
