/** What the group commit (commits.ts) works with. */
import type { Counters } from "../base/counters.ts";
import type { SyncMode } from "../config/store.ts";
import type { Changes } from "./changes.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { DatabaseFile } from "./database-file.ts";
import type { Health } from "./health.ts";
import type { WriteMeter } from "./meter.ts";
import type { Places } from "./places.ts";
import type { Shrink } from "./shrink.ts";
import type { WalSync } from "./wal-sync.ts";
import type { Writer } from "./writer.ts";

export interface CommitParts {
  readonly file: DatabaseFile;
  readonly writer: Writer;
  readonly shrink: Shrink;
  readonly meter: WriteMeter;
  readonly wal: WalSync;
  readonly checkpoint: Checkpoint;
  readonly health: Health;
  readonly places: Places;
  readonly changes: Changes;
  readonly counters: Counters;
  readonly sync: SyncMode;
  readonly syncHighest: SyncMode;
  readonly nowMs: () => number;
  readonly delayMs: () => number;
  readonly widenedMs: (delayMs: number) => number;
  readonly commitBytes: number;
  /** Frames of the log after which it is moved into the database. */
  readonly checkpointFrames: number;
  /** A transaction was written, or refused by a full disk. */
  readonly onCommit: () => void;
  readonly onRetainedWithdrawn: (topic: string) => void;
}
