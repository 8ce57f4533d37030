/** Replaces a file as a whole: whoever reads meanwhile, or after a power cut, sees the old one or the new one. */
import { closeSync, fchmodSync, fchownSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

export interface Attributes {
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
}

export function replaceFile(path: string, text: string, { mode, uid, gid }: Attributes): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = openSync(temporary, "wx", 0o600);
  try {
    try {
      writeFileSync(file, text);
      if (uid !== undefined && gid !== undefined && process.geteuid?.() === 0) fchownSync(file, uid, gid);
      fchmodSync(file, mode);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  const folder = openSync(dirname(path), "r");
  fsyncSync(folder);
  closeSync(folder);
}
