// A program that is killed and started anew, and a port for it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { peerPath } from "./peers.ts";

export class Program implements AsyncDisposable {
  readonly #command: readonly string[];
  #child: ChildProcess | null = null;

  /** @param command its name, and words that all its starts have; before them what starts it in another namespace */
  constructor(command: readonly string[]) {
    this.#command = command;
  }

  start(...args: string[]): void {
    const [name = "", ...words] = this.#command;
    this.#child = spawn(peerPath(name), [...words, ...args], { stdio: ["ignore", "ignore", "inherit"] });
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/** Nobody listens on it now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
