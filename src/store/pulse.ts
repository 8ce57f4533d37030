/**
 * Once a second while something happens, and while the disk refuses: looks whether the log is still in its place
 * (step 16), tries again what it refused, and moves the log into the database when the gateway falls idle.
 * An idle gateway has no pulse.
 */
import type { Checkpoint } from "./checkpoint.ts";
import type { Commits } from "./commits.ts";
import type { DatabaseFile } from "./database-file.ts";
import type { Health } from "./health.ts";
import type { Space } from "./space.ts";

const PULSE_MS = 1000;
/** Beats without a commit before the gateway counts as idle. */
const IDLE_BEATS = 5;
/** The share of the checkpoint limit that makes a checkpoint worth while when idle. */
const IDLE_SHARE = 1 / 4;

export interface PulseParts {
  readonly file: DatabaseFile;
  readonly health: Health;
  readonly commits: Commits;
  readonly checkpoint: Checkpoint;
  readonly space: Space;
  readonly checkpointFrames: number;
}

export class Pulse {
  readonly #parts: PulseParts;
  #timer: NodeJS.Timeout | null = null;
  #quietBeats = 0;
  #stopped = false;

  constructor(parts: PulseParts) {
    this.#parts = parts;
  }

  /** Something was written, or could not be. */
  start(): void {
    this.#quietBeats = 0;
    this.#timer ??= setTimeout(this.#beat, PULSE_MS);
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  readonly #beat = (): void => {
    this.#timer = null;
    const { file, health, space } = this.#parts;
    if (health.failed) return;
    if (!file.walInPlace()) {
      health.fail("watch", new Error("the write-ahead log was deleted or replaced by another program"));
      return;
    }
    this.#quietBeats++;
    if (health.refusal === "read-only") this.#probeReadOnly();
    else if (health.refusal === "full") this.#probeFull();
    else if (!space.reserved) void space.restore().then(this.#onReserve);
    const idle = this.#quietBeats > IDLE_BEATS;
    if (idle) this.#whenIdle();
    if (!health.failed && (!idle || health.refusal !== null)) this.#timer ??= setTimeout(this.#beat, PULSE_MS);
  };

  #probeReadOnly(): void {
    const { checkpoint, commits, health } = this.#parts;
    if (health.isReadOnly()) return;
    checkpoint.advance();
    if (checkpoint.open && commits.commit()) health.setRefusal(null);
  }

  #probeFull(): void {
    const { checkpoint, commits, space, health, checkpointFrames } = this.#parts;
    space.release();
    checkpoint.advance();
    if (!checkpoint.open || !commits.commit()) return;
    if (space.roomInside(checkpointFrames)) {
      health.setRefusal(null);
      return;
    }
    void space.restore().then(() => {
      if (!space.reserved) return;
      health.setRefusal(null);
      this.#onReserve();
    });
  }

  /** The next round of the log begins with the numbers of meter.ts: what the reserve took would not be found again. */
  readonly #onReserve = (): void => {
    if (this.#parts.space.reserved && !this.#stopped) this.#parts.commits.startCheckpoint();
  };

  #whenIdle(): void {
    const { commits, checkpointFrames, health } = this.#parts;
    // Where `sync: off` holds, checkpoints are the only syncs.
    const worth = health.limitReached || commits.unsynced ? 2 : Math.max(2, checkpointFrames * IDLE_SHARE);
    if (commits.frames >= worth) commits.startCheckpoint();
  }
}
