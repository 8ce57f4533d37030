/** A copy of the store of a gateway that does not run: the file with its log's commits laid over it. Changes neither. */
import fs from "node:fs";
import path from "node:path";
import { lockStopped } from "./inspect-file.ts";
import { DATABASE_NAME } from "./open.ts";
import { DamagedFile } from "./salvage-file.ts";
import { PAGE_BYTES } from "./schema.ts";

/** In the header: read and write version, 1 = without a write-ahead log. */
const VERSIONS_AT = 18;

/** @returns bytes of `target`, synced  @throws NoStoreError, DataDirLockedError, the error of the disk; then there is none */
export function copyStopped(dataDir: string, target: string): number {
  const lock = lockStopped(dataDir);
  const source = new DamagedFile(path.join(dataDir, DATABASE_NAME));
  try {
    return copyPages(source, target);
  } finally {
    source.close();
    lock.release();
  }
}

function copyPages(source: DamagedFile, target: string): number {
  const fd = fs.openSync(target, "w", 0o600);
  try {
    const page = Buffer.alloc(PAGE_BYTES);
    for (let number = 1; number <= source.length; number++) {
      if (!source.read(number, page)) throw new Error(`page ${number} of the store cannot be read`);
      if (number === 1) page.fill(1, VERSIONS_AT, VERSIONS_AT + 2);
      fs.writeSync(fd, page, 0, PAGE_BYTES, (number - 1) * PAGE_BYTES);
    }
    fs.fsyncSync(fd);
    return source.length * PAGE_BYTES;
  } catch (error) {
    fs.rmSync(target, { force: true });
    throw error;
  } finally {
    fs.closeSync(fd);
  }
}
