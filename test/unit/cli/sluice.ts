/** The command line from its sources, as a process. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { eventually } from "../../support/eventually.ts";

const MAIN = join(import.meta.dirname, "../../../src/main.ts");

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A verb that is running. */
export class Running {
  stdout = "";
  stderr = "";
  readonly child: ChildProcess;
  readonly #closed: Promise<unknown>;

  constructor(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.child = spawn(process.execPath, [MAIN, ...args], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, NODE_OPTIONS: "", NODE_TEST_CONTEXT: "", ...env },
    });
    this.#closed = once(this.child, "close");
    this.child.stdin?.on("error", () => {});
    this.child.stdout?.on("data", (text: Buffer) => {
      this.stdout += text;
    });
    this.child.stderr?.on("data", (text: Buffer) => {
      this.stderr += text;
    });
  }

  /** Resolves when `stdout` or `stderr` matches. */
  async says(pattern: RegExp, where: "stdout" | "stderr" = "stdout"): Promise<RegExpExecArray> {
    let found: RegExpExecArray | null = null;
    await eventually(`${pattern} on ${where}`, () => {
      found = pattern.exec(this[where]);
      if (found === null && this.child.exitCode !== null) {
        throw new Error(`ended with ${this.child.exitCode} before ${pattern}\n${this.stdout}${this.stderr}`);
      }
      return found !== null;
    });
    return found as unknown as RegExpExecArray;
  }

  async ended(): Promise<Ended> {
    await this.#closed;
    return { code: this.child.exitCode, stdout: this.stdout, stderr: this.stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.#closed;
  }
}

/** Runs a verb to its end. */
export function sluice(args: readonly string[], input = ""): Promise<Ended> {
  const running = new Running(args);
  running.child.stdin?.end(input);
  return running.ended();
}
