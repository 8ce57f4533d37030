/**
 * Room on the disk: the limit `store.max_bytes`, and a reserve file that is given up when the disk is full, so that the
 * receivers' acknowledgements, and the deletions that follow from them, can still be written. The log's own blocks are
 * kept for the same reason: it is never truncated while the gateway runs.
 */
import fs from "node:fs";
import path from "node:path";
import type { DatabaseFile } from "./database-file.ts";
import type { Health } from "./health.ts";
import { UPKEEP, type WriteMeter } from "./meter.ts";
import { FRAME_BYTES, PAGE_BYTES } from "./schema.ts";
import { incompressible } from "./start-room.ts";
import type { Syncer } from "./sync.ts";

export const RESERVE_NAME = "sluice.reserve";
const CHUNK_BYTES = 256 * 1024;
/** The reserve is made when the disk has this many times its size. */
const RESERVE_ROOM = 2;
/** Full at the limit, not full again below this share of it. */
const RESUME_SHARE = 0.9;

export class Space {
  readonly #file: DatabaseFile;
  readonly #health: Health;
  readonly #syncer: Syncer;
  readonly #meter: WriteMeter;
  readonly #maxBytes: number;
  readonly #reserveBytes: number;
  readonly #reservePath: string;
  #reserved: boolean;
  #restoring: Promise<void> | null = null;
  /** Of the database file, and those of them that hold nothing. */
  pages = 0;
  freePages = 0;

  /** @param maxBytes of database and log  @param reserveBytes 0 = no reserve file */
  constructor(
    file: DatabaseFile,
    health: Health,
    syncer: Syncer,
    meter: WriteMeter,
    maxBytes: number,
    reserveBytes: number,
  ) {
    this.#file = file;
    this.#health = health;
    this.#syncer = syncer;
    this.#meter = meter;
    this.#maxBytes = maxBytes;
    this.#reserveBytes = reserveBytes;
    this.#reservePath = path.join(file.directory, RESERVE_NAME);
    const size = fs.statSync(this.#reservePath, { throwIfNoEntry: false })?.size ?? 0;
    this.#reserved = size >= reserveBytes;
  }

  get reserved(): boolean {
    return this.#reserved;
  }

  /** Bytes of content: pages that hold something and the frames of the log's current round. */
  usedBytes(frames: number): number {
    return (this.pages - this.freePages) * PAGE_BYTES + frames * FRAME_BYTES;
  }

  /** After each commit and checkpoint. */
  check(frames: number): void {
    const row = this.#file.statements.pages.get();
    if (row !== undefined) [this.pages, this.freePages] = row;
    const used = this.usedBytes(frames);
    if (used >= this.#maxBytes) this.#health.setLimitReached(true);
    else if (used < this.#maxBytes * RESUME_SHARE) this.#health.setLimitReached(false);
  }

  /** The disk is full: gives the reserve to the log. */
  release(): void {
    if (!this.#reserved || this.#reserveBytes === 0) return;
    this.#reserved = false;
    fs.rmSync(this.#reservePath, { force: true });
  }

  /** Whether the database can go on without the disk: free pages inside it, and a log that has its full size. */
  roomInside(checkpointFrames: number): boolean {
    return this.freePages * PAGE_BYTES >= this.#reserveBytes && this.#file.walBytes() >= checkpointFrames * FRAME_BYTES;
  }

  /** Makes the reserve file if there is room for it. One attempt at a time; resolves when it is over. */
  restore(): Promise<void> {
    if (this.#reserved) return Promise.resolve();
    this.#restoring ??= this.#write().finally(() => {
      this.#restoring = null;
    });
    return this.#restoring;
  }

  /** No attempt is under way. */
  async settled(): Promise<void> {
    await this.#restoring;
  }

  async #write(): Promise<void> {
    let handle: fs.promises.FileHandle | null = null;
    try {
      // Looked up first: an attempt in vain would write for nothing and fill the disk for a moment.
      const { bavail, bsize } = await fs.promises.statfs(this.#file.directory);
      if (bavail * bsize < RESERVE_ROOM * this.#reserveBytes) return;
      handle = await fs.promises.open(this.#reservePath, "w", 0o600);
      const chunk = incompressible(CHUNK_BYTES);
      for (let at = 0; at < this.#reserveBytes; at += CHUNK_BYTES) await handle.write(chunk, 0, CHUNK_BYTES, at);
      this.#meter.add(UPKEEP, this.#reserveBytes);
      const { fd } = handle;
      await new Promise<void>((resolve, reject) => {
        this.#syncer.start(fd, (error) => (error === null ? resolve() : reject(error)));
      });
      this.#reserved = true;
    } catch {
      await fs.promises.rm(this.#reservePath, { force: true }).catch(ignore);
    } finally {
      await handle?.close().catch(ignore);
    }
  }
}

function ignore(): void {}
