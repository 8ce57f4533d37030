/** The parts of the store, built and joined to one another. Only `store.ts` holds them. */
import { AgeKeeper } from "./age-keeper.ts";
import { Backlog } from "./backlog.ts";
import { Changes } from "./changes.ts";
import { Checkpoint } from "./checkpoint.ts";
import { Commits } from "./commits.ts";
import type { DatabaseFile } from "./database-file.ts";
import { Health } from "./health.ts";
import type { LogState } from "./log-state.ts";
import type { WriteMeter } from "./meter.ts";
import type { Opened } from "./open.ts";
import { AUTO_COMMIT_DELAY_MS, checkpointFramesOf, type StoreOptions } from "./options.ts";
import { Places } from "./places.ts";
import { Pulse } from "./pulse.ts";
import { Retention } from "./retention.ts";
import { PAGE_BYTES } from "./schema.ts";
import { Segments } from "./segments.ts";
import { Shrink } from "./shrink.ts";
import { Space } from "./space.ts";
import type { Syncer } from "./sync.ts";
import type { ThreadWrites } from "./thread-writes.ts";
import { Uses } from "./uses.ts";
import { WalSync } from "./wal-sync.ts";
import { WriteBudget } from "./write-budget.ts";
import { Writer } from "./writer.ts";

export interface StoreParts {
  readonly file: DatabaseFile;
  readonly syncer: Syncer;
  readonly health: Health;
  readonly places: Places;
  readonly changes: Changes;
  readonly logState: LogState;
  readonly ages: AgeKeeper;
  readonly uses: Uses;
  readonly meter: WriteMeter;
  readonly writes: ThreadWrites;
  readonly budget: WriteBudget;
  readonly retention: Retention;
  readonly checkpoint: Checkpoint;
  readonly commits: Commits;
  readonly backlog: Backlog;
  readonly space: Space;
  readonly pulse: Pulse;
}

/** What the parts tell the store. */
export interface StoreEvents {
  readonly onHealth: ConstructorParameters<typeof Health>[2];
  /** A transaction was written, or refused by a full disk. */
  readonly onCommit: () => void;
  /** See `Store.onRetainedWithdrawn`. */
  readonly onRetainedWithdrawn: (topic: string) => void;
  /** A checkpoint is over. */
  readonly onGateOpen: () => void;
}

export function buildParts(options: StoreOptions, opened: Opened, syncer: Syncer, on: StoreEvents): StoreParts {
  const { counters, log, config, clock } = options;
  const { file, contents, meter, writes } = opened;
  const { statements } = file;
  const places = new Places();
  for (const record of contents.records) places.add(record);
  const changes = new Changes();
  const { logState } = contents;
  const checkpointFrames = checkpointFramesOf(options);

  const health = new Health(file.directory, log, on.onHealth);
  const segments = new Segments(statements, contents.lastSeq);
  const retention = new Retention(statements, places, segments, contents.rows, contents.bytes, contents.lowest);
  const reserveBytes = options.reserveBytes ?? checkpointFrames * PAGE_BYTES + 1024 * 1024;
  const space = new Space(file, health, syncer, meter, config.maxBytes, reserveBytes);
  const shrink = new Shrink(file, space, meter, counters, options.shrinkFromBytes);
  const inUse = (): boolean => retention.rows > 0 || places.size > 0;
  const save = (): void => {
    writer.stateDue = true;
    commits.changed();
  };
  const ages = new AgeKeeper({ clock, logState, log, counters, inUse, save }, opened.clockFound);
  const uses = new Uses(logState, health, save);
  const around = { places, changes, retention, segments, shrink, logState, meter, noteAges: () => ages.note() };
  const writer = new Writer({ statements, ...around, counters }, contents.counted);
  const wal = new WalSync(file, syncer, health, () => commits.onWalSynced());
  const checkpoint = new Checkpoint({ file, wal, syncer, health, meter, writes, log, counters, onOpen: on.onGateOpen });
  const fixedDelayMs = config.commitDelayMs;
  const autoDelayMs = options.autoCommitDelayMs ?? (() => AUTO_COMMIT_DELAY_MS);
  const budget = new WriteBudget({
    meter,
    bytesPerDay: config.writeBudgetPerDay ?? "off",
    enduranceBytes: config.endurance ?? null,
    clock,
    delayMs: fixedDelayMs === "auto" ? autoDelayMs : () => fixedDelayMs,
    log,
  });
  const commits = new Commits(
    {
      file,
      writer,
      shrink,
      meter,
      wal,
      checkpoint,
      health,
      places,
      changes,
      counters,
      sync: config.sync,
      syncHighest: options.syncHighest ?? config.sync,
      nowMs: () => clock.nowMs(),
      delayMs: budget.windowMs,
      widenedMs: budget.widenedMs,
      commitBytes: config.commitBytes,
      checkpointFrames,
      onCommit: on.onCommit,
      onRetainedWithdrawn: on.onRetainedWithdrawn,
    },
    contents.lastSeq,
  );
  const backlog = new Backlog(statements, segments, commits, changes.strikes);
  const pulse = new Pulse({ file, health, commits, checkpoint, space, checkpointFrames });
  return {
    file,
    syncer,
    health,
    places,
    changes,
    logState,
    ages,
    uses,
    meter,
    writes,
    budget,
    retention,
    checkpoint,
    commits,
    backlog,
    space,
    pulse,
  };
}
