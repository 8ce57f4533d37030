/** What the store tells of itself: `StoreStatus` for whoever asks, gauges for $SYS and metrics. */
import type { Counters } from "../base/counters.ts";
import { damagedFiles } from "./damaged-files.ts";
import { HEALTH_RANK } from "./health.ts";
import { WRITE_CLASSES } from "./meter.ts";
import type { StoreOptions, StoreStatus } from "./options.ts";
import type { StoreParts } from "./parts.ts";
import { FRAME_BYTES, PAGE_BYTES } from "./schema.ts";

export function registerGauges(parts: StoreParts, counters: Counters): void {
  const { file, retention, commits, space, health, meter } = parts;
  counters.gauge("store.log_rows", () => retention.rows);
  counters.gauge("store.log_bytes", () => retention.bytes);
  counters.gauge("store.pending_bytes", () => commits.pendingBytes);
  counters.gauge("store.wal_bytes", () => commits.frames * FRAME_BYTES);
  counters.gauge("store.database_bytes", () => space.pages * PAGE_BYTES);
  counters.gauge("store.damaged_files", () => damagedFiles(file.directory).files);
  counters.gauge("store.bytes_written", () => meter.written);
  for (const [of, name] of WRITE_CLASSES.entries()) {
    counters.gauge(`store.written.${name}.day`, () => meter.day[of] as number);
    counters.gauge(`store.written.${name}.lifetime`, () => meter.lifetime[of] as number);
  }
  counters.gauge("store.written.total.day", () => meter.dayBytes);
  counters.gauge("store.written.total.lifetime", () => meter.lifetimeBytes);
  counters.gauge("store.health", () => HEALTH_RANK[health.state]);
}

export function statusOf(parts: StoreParts, config: StoreOptions["config"]): StoreStatus {
  const damaged = damagedFiles(parts.file.directory);
  const { file, syncer, health, places, retention, checkpoint, commits, space, budget } = parts;
  return {
    health: health.state,
    reason: health.reason,
    path: file.path,
    sync: config.sync,
    lastSeq: commits.lastSeq,
    durableSeq: commits.durableSeq,
    rows: retention.rows,
    bytes: retention.bytes,
    receivers: places.size,
    pendingBytes: commits.pendingBytes,
    databaseBytes: space.pages * PAGE_BYTES,
    freeBytes: space.freePages * PAGE_BYTES,
    walBytes: commits.frames * FRAME_BYTES,
    maxBytes: config.maxBytes,
    lastSyncMs: syncer.lastMs,
    syncMsMax: syncer.maxMs,
    copyMsMax: checkpoint.copyMsMax,
    damaged: damaged.files === 0 ? null : damaged,
    written: budget.status(),
  };
}
