/**
 * Gives free pages at the end of the database file back to the file system, a step per transaction that is written
 * anyway or follows a deletion:
 *
 *     free pages  >= 4 MiB, and at least 4 times what is in use ---- begins
 *                 128 pages a step: freed ones fall off the end, those in use move to the front first
 *                 <= 1 MiB ------------------------------------------ ends, until it has grown again
 *
 * Steps are small because what a transaction takes off the end stays in SQLite's cache until it is committed: with 64
 * or 128 pages a MiB costs 9 or 5 frames of the log, with 256 the cache spills and it costs 40. The thresholds are wide
 * apart so that a file which fills and drains every night is not moved about every night for little: a step that has
 * to move pages writes them twice.
 *
 * The file itself becomes shorter when the log is moved into it, so a checkpoint is wanted now and then: the file
 * system should not have to free a quarter of a gigabyte in one call.
 */
import type { Counter, Counters } from "../base/counters.ts";
import type { DatabaseFile } from "./database-file.ts";
import { UPKEEP, type WriteMeter } from "./meter.ts";
import { PAGE_BYTES } from "./schema.ts";
import type { Space } from "./space.ts";

const MIB_PAGES = (1024 * 1024) / PAGE_BYTES;
const STEP_PAGES = 128;
/** Begins with this much free ... */
const BEGIN_BYTES = 4 * 1024 * 1024;
/** ... and so many times what is in use. */
const BEGIN_RATIO = 4;
/** Left in the file for the next messages: a share of what it begins with. */
const KEEP_SHARE = 1 / 4;
/** Given back between two checkpoints, at most. */
const CHECKPOINT_PAGES = 32 * MIB_PAGES;
/** What giving back a page adds to the log, about; to tell it from the rest of its transaction. */
const LOG_BYTES_PER_PAGE = 96;

/** Steps without effect before it is given up for this time. */
const FRUITLESS_MAX = 16;

export class Shrink {
  readonly #file: DatabaseFile;
  readonly #space: Space;
  readonly #meter: WriteMeter;
  readonly #pagesBack: Counter;
  readonly #beginPages: number;
  readonly #keepPages: number;
  #under = false;
  /** Free pages that the last step left, and steps in a row that left no fewer. */
  #freeBefore = 0;
  #fruitless = 0;
  #sinceCheckpoint = 0;
  /** Pages the transaction under way gives back. */
  #step = 0;

  /** @param beginBytes free bytes from which the file is made shorter */
  constructor(file: DatabaseFile, space: Space, meter: WriteMeter, counters: Counters, beginBytes = BEGIN_BYTES) {
    this.#beginPages = Math.ceil(beginBytes / PAGE_BYTES);
    this.#keepPages = Math.ceil(this.#beginPages * KEEP_SHARE);
    this.#file = file;
    this.#space = space;
    this.#meter = meter;
    this.#pagesBack = counters.counter("store.pages_given_back");
  }

  /**
   * One step, if it is time for one. Within a transaction, after its deletions.
   * @param deleting  there is more to delete: what that frees need not be moved
   * @returns true when there is more to do, of either
   */
  run(deleting: boolean): boolean {
    this.#step = 0;
    if (deleting) return true;
    const { pages, freePages, reserved } = this.#space;
    // On a full disk the room inside the file is the only room there is.
    if (!reserved || !this.#file.shrinkable) return false;
    if (!this.#under) {
      if (freePages < this.#beginPages || freePages < BEGIN_RATIO * (pages - freePages)) return false;
      if (this.#fruitless > FRUITLESS_MAX && freePages >= this.#freeBefore) return false;
      this.#fruitless = 0;
      this.#freeBefore = Number.POSITIVE_INFINITY;
      this.#under = true;
    }
    const more = freePages - this.#keepPages;
    this.#fruitless = freePages < this.#freeBefore ? 0 : this.#fruitless + 1;
    this.#freeBefore = freePages;
    // A damaged list of free pages may say what it likes.
    if (more <= 0 || this.#fruitless > FRUITLESS_MAX) {
      this.#under = false;
      return false;
    }
    this.#step = Math.min(STEP_PAGES, more);
    this.#file.giveBack(this.#step);
    this.#meter.rows(UPKEEP, this.#step, this.#step * LOG_BYTES_PER_PAGE);
    return true;
  }

  /** The transaction was committed. @returns true when a checkpoint would make the file shorter by much, or for the last time */
  checkpointDue(): boolean {
    if (this.#step === 0) return false;
    this.#pagesBack.value += this.#step;
    this.#sinceCheckpoint += this.#step;
    this.#step = 0;
    if (this.#sinceCheckpoint < CHECKPOINT_PAGES && this.#space.freePages > this.#keepPages) return false;
    this.#sinceCheckpoint = 0;
    return true;
  }
}
