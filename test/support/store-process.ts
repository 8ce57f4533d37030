/** Starts store-child.ts, on a disk that the test makes slow, broken or full (fsync-shim.c) if it likes. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { eventually } from "./eventually.ts";
import type { Orders } from "./store-child.ts";

export const DEFAULTS: Orders = {
  first: 1,
  window: 200,
  bytes: 100,
  keep: null,
  drainAt: 0,
  shrinkFromBytes: null,
  everyMs: 0,
  checkpointFrames: 64,
  reserveBytes: 0,
  maxBytes: 512 * 1024 * 1024,
  marks: false,
};

/** Compiles NAME.c of this folder into a library to preload, for the time of this process. */
export function preloadable(name: string): string {
  const source = path.join(import.meta.dirname, `${name}.c`);
  const target = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "sluice-preload-")), `${name}.so`);
  execFileSync("cc", ["-shared", "-fPIC", "-O1", "-o", target, source, "-ldl", "-lpthread"], { stdio: "pipe" });
  process.once("exit", () => fs.rmSync(path.dirname(target), { recursive: true, force: true }));
  return target;
}

export class StoreProcess {
  readonly child: ChildProcess;
  readonly acknowledged: number[] = [];
  /** Number and reason. */
  readonly refused: [number, number][] = [];
  /** ready, full, failed, healthy, in order. */
  readonly events: string[] = [];
  readonly stallsMs: number[] = [];
  stderr = "";
  readonly #control: string;
  readonly #log: string;

  /** @param shim preloads the disk of fsync-shim.c */
  constructor(dir: string, orders: Partial<Orders>, shim: string | null = null) {
    this.#control = path.join(dir, "shim-control");
    this.#log = path.join(dir, "shim-log");
    const preload =
      shim === null
        ? {}
        : { LD_PRELOAD: shim, SHIM_MATCH: `${dir}/sluice.`, SHIM_CONTROL: this.#control, SHIM_LOG: this.#log };
    const script = path.join(import.meta.dirname, "store-child.ts");
    this.child = spawn(process.execPath, [script, dir, JSON.stringify({ ...DEFAULTS, ...orders })], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...preload },
    });
    this.child.stderr?.on("data", (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on("line", (line) => this.#onLine(line));
  }

  #onLine(line: string): void {
    const [word, number, reason] = line.split(" ");
    if (word === "ok") this.acknowledged.push(Number(number));
    else if (word === "no") this.refused.push([Number(number), Number(reason)]);
    else if (word === "stall") this.stallsMs.push(Number(number));
    else if (word !== undefined) this.events.push(word);
  }

  /** Changes the disk: words of fsync-shim.c. */
  disk(words: string): void {
    fs.writeFileSync(`${this.#control}-new`, words);
    fs.renameSync(`${this.#control}-new`, this.#control);
  }

  /** Syncs so far: "main name" or "pool name". */
  syncs(): string[] {
    return fs.existsSync(this.#log) ? fs.readFileSync(this.#log, "utf8").trim().split("\n") : [];
  }

  async until(event: string): Promise<void> {
    await eventually(`"${event}" from the store's process\n${this.stderr}`, () => this.events.includes(event), 30_000);
  }

  async ends(signal: NodeJS.Signals): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    const exit = once(this.child, "close");
    this.child.kill(signal);
    await exit;
    return this.child.exitCode;
  }
}
