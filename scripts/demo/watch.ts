import type { Balance } from "./balance.ts";
import type { Journal } from "./journal.ts";
import { progress } from "./screen.ts";

const REFRESH_MS = 100;

/** Follows what reaches the cloud and shows a line per second. */
export class Watch {
  readonly #balance: Balance;
  readonly #journal: Journal;
  readonly #written: () => number;
  readonly #waitingMax: number;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #second = 0;
  #isStopped = false;

  /**
   * @param written     bytes written to a disk since the beginning
   * @param waitingMax  number of waiting messages that fills the bar
   */
  constructor(balance: Balance, journal: Journal, written: () => number, waitingMax: number) {
    this.#balance = balance;
    this.#journal = journal;
    this.#written = written;
    this.#waitingMax = waitingMax;
    this.#timer = setInterval(() => this.#refresh(), REFRESH_MS);
  }

  /** Resolves with true once `met`, with false when it is not after `timeoutMs`. */
  async until(met: () => boolean, timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (!met()) {
      if (performance.now() >= deadline) return false;
      await new Promise((resolve) => setTimeout(resolve, REFRESH_MS / 4));
      this.read();
    }
    return true;
  }

  async seconds(count: number): Promise<void> {
    await this.until(() => false, count * 1_000);
    this.#refresh();
  }

  read(): void {
    this.#journal.read((source, sequence) => this.#balance.receive(source, sequence));
  }

  /** Shows the last line. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearInterval(this.#timer);
    this.read();
    this.#show(this.#second + 1, true);
  }

  #refresh(): void {
    this.read();
    const second = Math.floor((performance.now() - this.#startedAt) / 1_000);
    const isFull = second > this.#second;
    if (isFull) this.#second = second;
    this.#show(isFull ? second : second + 1, isFull);
  }

  #show(second: number, final: boolean): void {
    progress(second, this.#balance, this.#written(), this.#waitingMax, final);
  }
}
