/** The last step of an orderly end: the file is closed, and says itself what that has cost (step 14). */
import type { DatabaseFile } from "./database-file.ts";
import { CHECKPOINT, logBytes, type WriteMeter } from "./meter.ts";
import { PAGE_BYTES } from "./schema.ts";
import type { ThreadWrites } from "./thread-writes.ts";

interface ClosingParts {
  readonly file: DatabaseFile;
  readonly meter: WriteMeter;
  readonly writes: ThreadWrites;
}

/** @param frames of the log */
export function closeFile({ file, meter, writes }: ClosingParts, frames: number): void {
  const before = writes.total();
  file.close(() => {
    const copied = writes.since(before, frames * PAGE_BYTES);
    // And the frame that says so, with the page that it is copied to.
    meter.add(CHECKPOINT, copied + logBytes(0, 1, true) + PAGE_BYTES);
    return meter.encode();
  });
  writes.close();
}
