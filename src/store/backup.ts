/**
 * A copy of the database while the gateway runs, byte by byte and without SQLite: its own online backup would write
 * and sync the copy on the main thread. Here every read, write and sync waits in libuv's pool.
 *
 *     1  the file, front to back. Pages that a checkpoint writes meanwhile are noted (`Checkpoint.onCopy`)
 *     2  the noted pages, until few are left
 *     3  checkpoints held: the last noted pages, then the frames of the log over them
 *     4  synced
 *
 * What a checkpoint writes while it is being read may be torn in the copy; it is noted, so it is read again. At the end
 * the copy is the state of the last commit of step 3: the file as of the last checkpoint, and all that came after it.
 * No read transaction is open at any time. The last pages and the log take as long as a few MiB take; the log may grow
 * by what is committed meanwhile, at most by HELD_FRAMES_MAX and more: then the checkpoint goes first, and 2 again.
 *
 * The copy is a file of its own: its header says "no write-ahead log", so that any SQLite reads it without writing.
 */
import fs from "node:fs";
import type { Checkpoint } from "./checkpoint.ts";
import type { DatabaseFile } from "./database-file.ts";
import type { Health } from "./health.ts";
import { FRAME_BYTES, PAGE_BYTES, WAL_HEADER_BYTES } from "./schema.ts";

const CHUNK_PAGES = 2;
export const BACKUP_BUFFER_BYTES = CHUNK_PAGES * FRAME_BYTES;
/** Written before it is synced: what waits to be written out is in the way of the store's own syncs. */
const SYNC_BYTES = 4 * 2 ** 20;
/** Checkpoints are held for so many pages, if passes over what is noted come down to them. */
const HELD_PAGES_MAX = 256;
const PASSES_MAX = 8;
/** The log may grow by so many frames beyond its limit meanwhile: 4 MiB, in later rounds up to four times as much. */
const HELD_FRAMES_MAX = 1024;
const HELD_GROWTH_MAX = 4;
/** Attempts to come to an end. */
const ROUNDS_MAX = 20;
const POLL_MS = 5;
const FRAME_HEADER_BYTES = FRAME_BYTES - PAGE_BYTES;
/** In the header: read and write version, 1 = without a write-ahead log. */
const VERSIONS_AT = 18;
/** Left free on the gateway's own disk. */
const SPARE_BYTES = 16 * 2 ** 20;

export interface BackupParts {
  readonly file: DatabaseFile;
  readonly checkpoint: Checkpoint;
  readonly health: Health;
  readonly checkpointFrames: number;
}

export interface BackupProgress {
  readonly bytes: number;
  readonly totalBytes: number;
}

export class BackupError extends Error {
  override readonly name = "BackupError";
}

/** One at a time. */
export class Backups {
  readonly #parts: BackupParts;
  #running: { readonly backup: Backup; readonly done: Promise<number> } | null = null;
  #ended = false;

  constructor(parts: BackupParts) {
    this.#parts = parts;
  }

  /**
   * Copies the database into `target`, which is replaced.
   * @param wanted asked now and then: false = break it off
   * @returns bytes of the copy, synced  @throws BackupError; then there is no copy
   */
  async run(
    target: string,
    onProgress: (progress: BackupProgress) => void,
    wanted: () => boolean = () => true,
  ): Promise<number> {
    if (this.#running !== null) throw new BackupError("another backup is under way");
    if (this.#ended) throw new BackupError("the gateway is stopping");
    const backup = new Backup(this.#parts, target, onProgress, wanted);
    const done = backup.run();
    this.#running = { backup, done };
    try {
      return await done;
    } finally {
      this.#running = null;
    }
  }

  /** Before the file is closed: breaks off what is under way. */
  async end(): Promise<void> {
    this.#ended = true;
    if (this.#running === null) return;
    this.#running.backup.aborted = true;
    await this.#running.done.catch(() => {});
  }
}

class Backup {
  readonly #parts: BackupParts;
  readonly #target: string;
  readonly #onProgress: (progress: BackupProgress) => void;
  readonly #buffer = Buffer.allocUnsafeSlow(BACKUP_BUFFER_BYTES);
  readonly #noted = new PageSet();
  #copied = 0;
  #unsynced = 0;
  #total = 0;
  /** Of the log, while checkpoints are held. */
  #framesMax = 0;
  readonly #wanted: () => boolean;
  /** Set to end it: the gateway stops. */
  aborted = false;

  /** @param target the file to write, which is replaced  @param wanted false = who asked is gone */
  constructor(
    parts: BackupParts,
    target: string,
    onProgress: (progress: BackupProgress) => void,
    wanted: () => boolean,
  ) {
    this.#parts = parts;
    this.#target = target;
    this.#onProgress = onProgress;
    this.#wanted = wanted;
  }

  /** @returns bytes of the copy  @throws BackupError; then there is no copy */
  async run(): Promise<number> {
    const { checkpoint, file } = this.#parts;
    this.#total = fs.fstatSync(file.databaseFd).size + file.walFrames() * PAGE_BYTES;
    let handle: fs.promises.FileHandle | null = null;
    try {
      await this.#lookForRoom();
      handle = await fs.promises.open(this.#target, "w", 0o600);
      checkpoint.onCopy = () => noteFrames(file, this.#noted);
      if (!checkpoint.open) noteFrames(file, this.#noted);
      const bytes = await this.#copy(handle);
      await handle.close();
      return bytes;
    } catch (error) {
      await handle?.close().catch(() => {});
      if (handle !== null) await fs.promises.rm(this.#target, { force: true }).catch(() => {});
      throw wordsFor(error, this.#target);
    } finally {
      checkpoint.onCopy = null;
      checkpoint.held = false;
    }
  }

  /** On the gateway's own disk a copy that fills it would be in the way of the messages. */
  async #lookForRoom(): Promise<void> {
    const { directory } = this.#parts.file;
    const to = this.#target.slice(0, this.#target.lastIndexOf("/") + 1);
    const [{ dev }, own] = await Promise.all([fs.promises.stat(to), fs.promises.stat(directory)]);
    const { bavail, bsize } = await fs.promises.statfs(to);
    const needed = this.#total + (dev === own.dev ? SPARE_BYTES : 0);
    if (bavail * bsize < needed) throw new BackupError(`${to} has too little room: ${needed} bytes are needed`);
  }

  async #copy(handle: fs.promises.FileHandle): Promise<number> {
    const { checkpoint, file, checkpointFrames } = this.#parts;
    // What is added behind comes by a checkpoint, and is noted.
    const length = fs.fstatSync(file.databaseFd).size;
    for (let at = 0; at < length; at += CHUNK_PAGES * PAGE_BYTES) {
      await this.#copyPages(handle, at, Math.min(CHUNK_PAGES * PAGE_BYTES, length - at));
    }
    for (let round = 0; round < ROUNDS_MAX; round++) {
      for (let pass = 0; pass < PASSES_MAX && this.#noted.size > HELD_PAGES_MAX; pass++) await this.#copyNoted(handle);
      this.#framesMax = checkpointFrames + HELD_FRAMES_MAX * Math.min(round + 1, HELD_GROWTH_MAX);
      checkpoint.held = true;
      // One that runs; on a full disk it waits for room in the middle, and so does the backup while somebody wants it.
      while (!checkpoint.open) await this.#pause();
      await this.#copyNoted(handle);
      const pages = this.#noted.size > 0 ? 0 : await this.#copyLog(handle);
      checkpoint.held = false;
      // A disk that became full wants a checkpoint at once, and another round here.
      if (pages === 0 || this.#noted.size > 0) continue;
      const bytes = pages * PAGE_BYTES;
      await handle.truncate(bytes);
      await handle.write(Buffer.from([1, 1]), 0, 2, VERSIONS_AT);
      await handle.sync();
      this.#onProgress({ bytes, totalBytes: bytes });
      return bytes;
    }
    throw new BackupError(`${file.path} changes faster than it can be copied`);
  }

  async #copyNoted(handle: fs.promises.FileHandle): Promise<void> {
    const { checkpoint, file } = this.#parts;
    let [first, count] = [0, 0];
    for (const page of this.#noted.take()) {
      if (count === CHUNK_PAGES || page !== first + count) {
        if (count > 0) await this.#copyPages(handle, (first - 1) * PAGE_BYTES, count * PAGE_BYTES);
        [first, count] = [page, 0];
        // The disk is too slow for this load: the checkpoint goes first.
        if (checkpoint.held && file.walFrames() > this.#framesMax) checkpoint.held = false;
      }
      count++;
    }
    if (count > 0) await this.#copyPages(handle, (first - 1) * PAGE_BYTES, count * PAGE_BYTES);
  }

  async #copyPages(handle: fs.promises.FileHandle, at: number, length: number): Promise<void> {
    const read = await this.#read(this.#parts.file.databaseFd, length, at);
    if (read > 0) await this.#write(handle, 0, read, at);
  }

  /** The committed frames over the pages. @returns pages of the database after the last commit; 0 = begin anew */
  async #copyLog(handle: fs.promises.FileHandle): Promise<number> {
    const { file } = this.#parts;
    const frames = file.walFrames();
    if (frames > this.#framesMax) return 0;
    let pages = 0;
    for (let n = 0; n < frames; n += CHUNK_PAGES) {
      const count = Math.min(CHUNK_PAGES, frames - n);
      const read = await this.#read(file.walFd, count * FRAME_BYTES, WAL_HEADER_BYTES + n * FRAME_BYTES);
      if (read < count * FRAME_BYTES) return 0;
      for (let at = 0; at < read; at += FRAME_BYTES) {
        const page = this.#buffer.readUInt32BE(at);
        await this.#write(handle, at + FRAME_HEADER_BYTES, PAGE_BYTES, (page - 1) * PAGE_BYTES);
        pages = this.#buffer.readUInt32BE(at + 4);
      }
    }
    return pages;
  }

  async #write(handle: fs.promises.FileHandle, from: number, length: number, at: number): Promise<void> {
    for (let done = 0; done < length; ) {
      const { bytesWritten } = await handle.write(this.#buffer, from + done, length - done, at + done);
      done += bytesWritten;
    }
    this.#copied += length;
    this.#unsynced += length;
    this.#onProgress({ bytes: Math.min(this.#copied, this.#total), totalBytes: this.#total });
    if (this.#unsynced < SYNC_BYTES) return;
    this.#unsynced = 0;
    await handle.datasync();
  }

  #read(fd: number, length: number, at: number): Promise<number> {
    this.#goOn();
    return new Promise((resolve, reject) => {
      fs.read(fd, this.#buffer, 0, length, at, (error, read) => (error === null ? resolve(read) : reject(error)));
    });
  }

  #pause(): Promise<void> {
    this.#goOn();
    return new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }

  #goOn(): void {
    if (this.aborted || !this.#wanted()) throw new BackupError("the backup was broken off");
    if (this.#parts.health.failed) throw new BackupError("the store has failed");
  }
}

/** A bit per page: 16 KiB for 512 MiB. */
class PageSet {
  #bits = new Uint8Array(1024);
  size = 0;

  add(page: number): void {
    if (page >>> 3 >= this.#bits.length) {
      const grown = new Uint8Array(Math.max(2 * this.#bits.length, (page >>> 3) + 1));
      grown.set(this.#bits);
      this.#bits = grown;
    }
    const byte = this.#bits[page >>> 3] as number;
    if ((byte & (1 << (page & 7))) !== 0) return;
    this.#bits[page >>> 3] = byte | (1 << (page & 7));
    this.size++;
  }

  /** Hands out the pages, ascending, each taken out before it is given. */
  *take(): Generator<number> {
    for (let at = 0; at < this.#bits.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        if (((this.#bits[at] as number) & (1 << bit)) === 0) continue;
        this.#bits[at] = (this.#bits[at] as number) & ~(1 << bit);
        this.size--;
        yield at * 8 + bit;
      }
    }
  }
}

/** Notes the pages that the log's present round has: 24 bytes are read for each, about 2 µs. */
function noteFrames(file: DatabaseFile, pages: PageSet): void {
  const header = Buffer.alloc(4);
  const frames = file.walFrames();
  for (let n = 0; n < frames; n++) {
    fs.readSync(file.walFd, header, 0, 4, WAL_HEADER_BYTES + n * FRAME_BYTES);
    pages.add(header.readUInt32BE(0));
  }
}

function wordsFor(error: unknown, target: string): BackupError {
  if (error instanceof BackupError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const why: Record<string, string> = {
    ENOSPC: "no space left there",
    EDQUOT: "no space left there",
    EACCES: "the gateway's user may not write there",
    EPERM: "the gateway's user may not write there",
    EROFS: "it is read-only for the gateway",
    ENOENT: "there is no such folder",
    ENOTDIR: "there is no such folder",
  };
  return new BackupError(`cannot write ${target}: ${why[code ?? ""] ?? message}`);
}
