// A UART behind a pseudo terminal, which the test rules (tty-shim.c).
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { preloadable } from "./store-process.ts";

let shim: string | null = null;

export class Uart {
  /** For the process. */
  readonly env: NodeJS.ProcessEnv;
  readonly #control: string;
  readonly #log: string;
  readonly #words = new Map<string, number>();

  constructor(folder: string) {
    this.#control = join(folder, "tty-control");
    this.#log = join(folder, "tty-log");
    shim ??= preloadable("tty-shim");
    this.env = { LD_PRELOAD: shim, TTY_CONTROL: this.#control, TTY_LOG: this.#log };
    this.set({});
  }

  /** What is not named stays as it is. */
  set(words: Readonly<Record<string, number>>): void {
    for (const [word, value] of Object.entries(words)) this.#words.set(word, value);
    writeFileSync(`${this.#control}-new`, [...this.#words].map(([word, value]) => `${word}=${value}\n`).join(""));
    renameSync(`${this.#control}-new`, this.#control);
  }

  /** What the driver was asked, in order. */
  get asked(): string[] {
    return existsSync(this.#log) ? readFileSync(this.#log, "utf8").trim().split("\n") : [];
  }
}
