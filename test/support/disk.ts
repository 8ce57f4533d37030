// The disk below a gateway's store: a small file system that fills, and a gateway whose disk is slow, full or broken by word.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { GatewayProcess, temporaryFolder } from "./gateway-process.ts";
import { preloadable } from "./store-process.ts";

/** A file system of its own, and a file that fills it. Needs root. */
export class SmallDisk implements Disposable {
  readonly path: string;
  readonly #folder = temporaryFolder("sluice-disk-");

  constructor(mebibytes: number) {
    this.path = this.#folder.path;
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", this.path]);
  }

  fill(): void {
    const file = openSync(this.#filler, "a");
    const chunk = Buffer.alloc(64 * 1024, "x");
    try {
      for (;;) writeSync(file, chunk);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    rmSync(this.#filler);
  }

  [Symbol.dispose](): void {
    execFileSync("umount", ["-l", this.path]);
    this.#folder[Symbol.dispose]();
  }

  get #filler(): string {
    return join(this.path, "filler");
  }
}

/** A gateway with a listener for MQTT and another one, on a disk that is as the test says; needs cc. */
export class GatewayOnDisk implements AsyncDisposable {
  readonly gateway: GatewayProcess;
  readonly #folder = temporaryFolder();

  constructor(listener: object) {
    const { path } = this.#folder;
    this.gateway = new GatewayProcess(
      path,
      {
        listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }, listener],
        limits: { session_queue_messages: 100_000, session_queue_bytes: "16MiB" },
      },
      {
        LD_PRELOAD: preloadable("fsync-shim"),
        SHIM_MATCH: join(path, "data/sluice."),
        SHIM_CONTROL: join(path, "control"),
      },
    );
    this.is("");
  }

  /** @param words of fsync-shim.c */
  is(words: string): void {
    writeFileSync(join(this.#folder.path, "control"), words);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}
