/** Why a device may not be opened, in words that a person can act on. */
import { readFileSync, statSync } from "node:fs";
import { holderOf } from "./port-holder.ts";

/** @throws Error when another program, or another line of this one, has the device locked */
export function refuseIfHeld(path: string): void {
  const holder = holderOf(path);
  if (holder === null) return;
  if (holder.pid === process.pid) throw new Error("another line of this gateway has it open");
  throw new Error(`process ${holder.pid}${holder.program === "" ? "" : ` (${holder.program})`} has it open`);
}

/** An error of an opening; one for want of permission gets the group that has it. */
export function explainTrouble(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !/permission denied|EACCES/i.test(error.message)) return error;
  const group = groupOf(path);
  return group === null
    ? error
    : new Error(`permission denied: it is for the group ${group} (usermod -aG ${group} USER)`);
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
