/**
 * The data directory as an operator may leave it. What lies under the store's own names has to be a file: SQLite would
 * wait for ever at a named pipe, and puts the log of a linked database beside the target, where nobody looks for it.
 */
import fs from "node:fs";
import path from "node:path";
import type { Syncer } from "./sync.ts";

/** Files of ours begin so; those moved aside are whatever they were. */
const OWN = /^sluice\.(?!db\.damaged-)/;

/** The operator has to change something; the message says what. */
export class DataDirError extends Error {
  override readonly name = "DataDirError";
}

/** Step 1, first half: the data directory, 0700. @throws DataDirError, or the disk's own error */
export function makeDataDir(dataDir: string, syncer: Syncer): void {
  let first: string | undefined;
  try {
    first = fs.mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EEXIST" && code !== "ENOTDIR") throw error;
    throw new DataDirError(`data_dir ${dataDir} is no folder: something else has this name, or part of its path`);
  }
  if (first === undefined) return;
  for (let made = path.resolve(dataDir); made.length >= first.length; made = path.dirname(made))
    syncer.directory(path.dirname(made));
}

/** @throws DataDirError when something in it that has a name of ours is no file */
export function checkDataDir(dataDir: string): void {
  for (const entry of fs.readdirSync(dataDir, { withFileTypes: true })) {
    if (!OWN.test(entry.name) || entry.isFile() || entry.isSocket()) continue;
    const file = path.join(dataDir, entry.name);
    if (entry.isSymbolicLink())
      throw new DataDirError(`${file} is a symbolic link: set data_dir to the folder that holds the file itself`);
    throw new DataDirError(`${file} is ${entry.isDirectory() ? "a folder" : "no plain file"}: move it away`);
  }
}
