// A device that says the same bytes again and again, as fast as they are taken, and never reads.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import { peerPath } from "./peers.ts";

export class Flood {
  /** What a line's `port` has to be. */
  readonly port: string;
  readonly #place: string;
  readonly #file: string;
  readonly #link: string;
  #socat: ChildProcess | null = null;

  /** @param over a pseudo terminal, or the socket that a terminal server would have */
  constructor(folder: string, name: string, bytes: Buffer, over: "pty" | "unix" = "pty") {
    this.#file = join(folder, `${name}.flood`);
    this.#link = join(folder, name);
    this.port = over === "pty" ? this.#link : `unix:${this.#link}`;
    this.#place = over === "pty" ? `PTY,raw,echo=0,link=${this.#link}` : `UNIX-LISTEN:${this.#link}`;
    writeFileSync(this.#file, bytes);
  }

  async start(): Promise<void> {
    const again = `SYSTEM:while cat ${this.#file}; do true; done`;
    this.#socat = spawn(peerPath("socat"), ["-u", "-b65536", again, this.#place], { stdio: "ignore" });
    await eventually("socat's end", () => existsSync(this.#link));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const socat = this.#socat;
    if (socat === null || socat.exitCode !== null || socat.signalCode !== null) return;
    const exited = once(socat, "exit");
    socat.kill();
    await exited;
  }
}
