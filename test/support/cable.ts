// A serial cable: a pair of pseudo terminals that socat makes, and unplugs by its end.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, existsSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import { peerPath } from "./peers.ts";

/** The cable: the gateway opens `port`, the test holds the device's end. */
export class Cable {
  readonly port: string;
  readonly deviceEnd: string;
  #socat: ChildProcess | null = null;
  #descriptor = -1;
  #read = "";

  /** @param name  of its ends in the folder, for more than one */
  constructor(folder: string, name = "") {
    this.port = join(folder, `${name}port`);
    this.deviceEnd = join(folder, `${name}device`);
  }

  async plug(): Promise<void> {
    const end = (link: string) => `pty,raw,echo=0,link=${link}`;
    this.#socat = spawn(peerPath("socat"), [end(this.port), end(this.deviceEnd)], { stdio: "inherit" });
    await eventually("socat's terminals", () => existsSync(this.port) && existsSync(this.deviceEnd));
    this.#descriptor = openSync(this.deviceEnd, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  }

  async unplug(): Promise<void> {
    const socat = this.#socat;
    if (socat === null) return;
    this.#socat = null;
    closeSync(this.#descriptor);
    socat.kill();
    await once(socat, "exit");
  }

  /** The device says it. */
  say(text: string | Buffer): void {
    writeSync(this.#descriptor, typeof text === "string" ? Buffer.from(text) : text);
  }

  /** As `say`, as far as the line takes it now. @returns how many bytes that were */
  trySay(bytes: Buffer): number {
    try {
      return writeSync(this.#descriptor, bytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") return 0;
      throw error;
    }
  }

  /** What the device has heard so far. */
  get heard(): string {
    this.#read += this.hear().toString("latin1");
    return this.#read;
  }

  /** What the device has heard since it was last asked. */
  hear(): Buffer {
    const parts: Buffer[] = [];
    try {
      for (;;) {
        const buffer = Buffer.alloc(4096);
        const length = readSync(this.#descriptor, buffer, 0, buffer.length, null);
        if (length === 0) break;
        parts.push(buffer.subarray(0, length));
      }
    } catch {
      // EAGAIN: that was all; EIO: unplugged.
    }
    return Buffer.concat(parts);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unplug();
  }
}
