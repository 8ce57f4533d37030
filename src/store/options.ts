/** What the store is opened with, what it tells of itself, and the memory it may take. */
import type { KeptClock } from "../base/clock.ts";
import type { Counters } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import type { Line } from "../config/budget.ts";
import type { SyncMode } from "../config/store.ts";
import type { StoreHealth } from "../core/ports.ts";
import { BACKUP_BUFFER_BYTES } from "./backup.ts";
import type { DamagedFiles } from "./damaged-files.ts";
import { CACHE_KIB } from "./open.ts";
import { PLACE_BYTES } from "./places.ts";
import { FRAME_BYTES, PAGE_BYTES } from "./schema.ts";
import { SEGMENT_BYTES, SEGMENTS_MAX } from "./segments.ts";
import { STRIKE_BYTES, STRIKES_MAX } from "./strikes.ts";
import type { WriteStatus } from "./write-budget.ts";

/** `commit_delay: auto` without anybody who knows better. */
export const AUTO_COMMIT_DELAY_MS = 20;
/** Frames of the log after which it is moved into the database; 256 to 512 suits a small board. */
const CHECKPOINT_FRAMES = 1000;
const CHECKPOINT_FRAMES_MIN = 64;
/** Bytes of messages that may wait for the medium in memory; beyond it publishers are refused. */
export const PENDING_BYTES_MAX = 4 * 1024 * 1024;

/** Share of `memory_limit` for them; small messages count twice for the objects around them. */
export function pendingBytesOf(memoryLimitBytes: number): number {
  return Math.min(Math.floor(memoryLimitBytes / 40), PENDING_BYTES_MAX);
}

export interface StoreOptions {
  readonly dataDir: string;
  readonly config: {
    readonly sync: "full" | "normal" | "off";
    readonly commitDelayMs: number | "auto";
    readonly commitBytes: number;
    /** Of the database file and its log. */
    readonly maxBytes: number;
    /** Bytes a day; see write-budget.ts. "off" when absent. */
    readonly writeBudgetPerDay?: number | "off";
    /** Bytes that the medium can take in its life; null, or absent = not known. */
    readonly endurance?: number | null;
  };
  readonly clock: KeptClock;
  readonly log: Log;
  readonly counters: Counters;
  /** The commit delay of this moment, asked when `commitDelayMs` is "auto". */
  readonly autoCommitDelayMs?: () => number;
  /** The most careful of `config.sync` and what topics have of their own; the former when left out. */
  readonly syncHighest?: SyncMode;
  readonly checkpointFrames?: number;
  readonly pendingBytesMax?: number;
  /** Free bytes in the file from which it is made shorter; see shrink.ts. */
  readonly shrinkFromBytes?: number;
  /** Size of the reserve file; 0 = no reserves at all. */
  readonly reserveBytes?: number;
  /** Told at each change; after "failed" the process should end without `close` and be restarted. */
  readonly onHealth?: (health: StoreHealth, reason: string) => void;
}

export interface StoreStatus {
  readonly health: StoreHealth;
  /** "" while ok. */
  readonly reason: string;
  readonly path: string;
  readonly sync: "full" | "normal" | "off";
  readonly lastSeq: number;
  readonly durableSeq: number;
  readonly rows: number;
  readonly bytes: number;
  readonly receivers: number;
  readonly pendingBytes: number;
  readonly databaseBytes: number;
  readonly freeBytes: number;
  readonly walBytes: number;
  readonly maxBytes: number;
  readonly lastSyncMs: number;
  readonly syncMsMax: number;
  readonly copyMsMax: number;
  /** Damaged files set aside, and what came out of the newest; null = there is none. */
  readonly damaged: DamagedFiles | null;
  readonly written: WriteStatus;
}

/** A small database gets a small log, so that the log does not fill it alone. */
export function checkpointFramesOf(options: StoreOptions): number {
  const share = Math.floor(options.config.maxBytes / 8 / PAGE_BYTES);
  return Math.max(CHECKPOINT_FRAMES_MIN, Math.min(options.checkpointFrames ?? CHECKPOINT_FRAMES, share));
}

/** The log at its largest: over its limit by what one commit can bring. */
export function startRoomBytesOf(options: StoreOptions): number {
  if (options.reserveBytes === 0) return 0;
  return checkpointFramesOf(options) * FRAME_BYTES + 2 * (options.pendingBytesMax ?? PENDING_BYTES_MAX);
}

/** Of `latest-per-topic`. */
export function strikesBudget(): Line {
  const how = `up to ${STRIKES_MAX} of receivers with latest-per-topic, with the next commit`;
  return { owner: "store: rows to be struck from the log", bytes: STRIKES_MAX * STRIKE_BYTES, how };
}

/** Memory of the store for the sum at start. @param receiversMax sessions, uplinks and serial lines at most */
export function budget(receiversMax: number, pendingBytesMax: number = PENDING_BYTES_MAX): Line[] {
  return [
    { owner: "store: SQLite page cache", bytes: CACHE_KIB * 1024, how: `cache_size ${CACHE_KIB} KiB` },
    {
      owner: "store: messages on their way to the medium",
      bytes: 2 * pendingBytesMax,
      how: "pending bytes, doubled for objects around small messages",
    },
    {
      owner: "store: filters of log segments",
      bytes: SEGMENTS_MAX * SEGMENT_BYTES,
      how: `${SEGMENTS_MAX} segments of ${SEGMENT_BYTES} B`,
    },
    { owner: "store: a backup under way", bytes: BACKUP_BUFFER_BYTES, how: "one buffer" },
    { owner: "store: receivers' places in the log", bytes: receiversMax * PLACE_BYTES, how: `${receiversMax} places` },
  ];
}
