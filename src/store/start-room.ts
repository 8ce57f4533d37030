/**
 * Room for the next start. Steps 2 and 4 write the log anew and move it into the database, which takes as much room as
 * the log has; on a full disk there is none, and a gateway that was killed there would never come up again to drain
 * what it keeps. So a second reserve file is kept while the gateway runs, also while the disk is full, given up at the
 * begin of a start that needs it, and made again at its end from the room that the log left.
 */
import fs from "node:fs";
import path from "node:path";

const START_RESERVE_NAME = "sluice.reserve-start";
const CHUNK_BYTES = 256 * 1024;
/** Room for what else a start writes. */
const SPARE_BYTES = 256 * 1024;

/** Gives up the reserves if the disk has too little for a start. Call before step 2. @param others further files to give up */
export function makeStartRoom(directory: string, walBytes: number, others: readonly string[]): void {
  const { bavail, bsize } = fs.statfsSync(directory);
  if (bavail * bsize >= 2 * walBytes + SPARE_BYTES) return;
  for (const name of [START_RESERVE_NAME, ...others]) fs.rmSync(path.join(directory, name), { force: true });
}

/**
 * Makes the reserve if it is not there. Not synced: after a power cut that came too early there is none, no more.
 * @returns false when there is no room for it
 */
export function reserveStartRoom(directory: string, bytes: number): boolean {
  const file = path.join(directory, START_RESERVE_NAME);
  const size = fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size >= bytes) return true;
  try {
    const fd = fs.openSync(file, "w", 0o600);
    try {
      const chunk = incompressible(CHUNK_BYTES);
      for (let at = 0; at < bytes; at += CHUNK_BYTES) fs.writeSync(fd, chunk, 0, CHUNK_BYTES, at);
    } finally {
      fs.closeSync(fd);
    }
    return true;
  } catch {
    fs.rmSync(file, { force: true });
    return false;
  }
}

/**
 * What a reserve file is filled with: a file system that compresses would give zeros no room. Read from the kernel: a
 * loop over Math.random is so hot that V8's optimising compiler comes into memory for it, 5 MB at rest.
 */
export function incompressible(bytes: number): Buffer {
  const chunk = Buffer.allocUnsafe(bytes);
  const fd = fs.openSync("/dev/urandom", "r");
  try {
    fs.readSync(fd, chunk);
  } finally {
    fs.closeSync(fd);
  }
  return chunk;
}
