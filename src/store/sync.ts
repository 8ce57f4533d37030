/**
 * The one place that syncs files. While the gateway runs, every sync goes through `Syncer.start` and waits in libuv's
 * pool; the blocking ones are for open and close, when no listener is open.
 */
import fs from "node:fs";
import type { Counter, Counters } from "../base/counters.ts";

export class Syncer {
  readonly #syncs: Counter;
  /** Duration of the last sync in the pool. */
  lastMs = 0;
  maxMs = 0;

  constructor(counters: Counters) {
    this.#syncs = counters.counter("store.syncs");
  }

  /** fdatasync in the pool. Works per inode, so a descriptor opened for reading will do. */
  start(fd: number, done: (error: Error | null) => void): void {
    this.#syncs.value++;
    const startedMs = performance.now();
    fs.fdatasync(fd, (error) => {
      this.lastMs = performance.now() - startedMs;
      if (this.lastMs > this.maxMs) this.maxMs = this.lastMs;
      done(error);
    });
  }

  /** Blocks until the data of `fd` is on the medium. */
  now(fd: number): void {
    this.#syncs.value++;
    fs.fdatasyncSync(fd);
  }

  /** Blocks until the file's data and size are on the medium. */
  file(path: string): void {
    this.#syncs.value++;
    syncPath(path);
  }

  /** Makes names made, renamed or removed in `directory` durable. */
  directory(directory: string): void {
    this.#syncs.value++;
    syncPath(directory);
  }
}

function syncPath(path: string): void {
  const fd = fs.openSync(path, "r");
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
