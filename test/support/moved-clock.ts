// The clock of a process under test, moved by the test while it runs (clock-shim.c).
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { preloadable } from "./store-process.ts";

export interface Times {
  /** Seconds that the wall clock shows more than the machine's. */
  readonly offsetSeconds?: number;
  /** All clocks run so many times as fast, and timers with them. A whole number. */
  readonly speed?: number;
  /** Which start of the machine this is. */
  readonly boot?: number;
}

/** A speed holds from then on, or the clock would jump back by what passes until the process sees the file. */
const SOON_NS = 100_000_000n;

let shim: string | null = null;

export class MovedClock {
  /** For the process. */
  readonly env: NodeJS.ProcessEnv;
  readonly #control: string;
  #times: Required<Times> = { offsetSeconds: 0, speed: 1, boot: 1 };
  #sinceNs = process.hrtime.bigint();
  #before = 1;
  /** Gained until then by running faster. */
  #aheadNs = 0n;

  /** @param folder for the control file */
  constructor(folder: string) {
    this.#control = join(folder, "clock-control");
    shim ??= preloadable("clock-shim");
    this.env = { LD_PRELOAD: shim, CLOCK_CONTROL: this.#control };
    this.set({});
  }

  /** What is not named stays as it is. */
  set(times: Times): void {
    const { speed: before } = this.#times;
    this.#times = { ...this.#times, ...times };
    const { offsetSeconds, speed, boot } = this.#times;
    if (speed !== before) {
      const leftNs = this.#sinceNs - process.hrtime.bigint();
      // The file knows one change that is yet to come.
      if (leftNs > 0n) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.ceil(Number(leftNs) / 1e6));
      const sinceNs = process.hrtime.bigint() + SOON_NS;
      this.#aheadNs += (sinceNs - this.#sinceNs) * BigInt(before - 1);
      this.#sinceNs = sinceNs;
      this.#before = before;
    }
    const lines = [
      `offset_s=${offsetSeconds}`,
      `boot=${boot}`,
      `speed=${speed}`,
      `before=${this.#before}`,
      `since_ns=${this.#sinceNs}`,
      `ahead_ns=${this.#aheadNs}`,
    ];
    writeFileSync(`${this.#control}-new`, `${lines.join("\n")}\n`);
    renameSync(`${this.#control}-new`, this.#control);
  }
}
