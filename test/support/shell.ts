// A person at a shell, who types what stands in README.md and reads what comes.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { eventually } from "./eventually.ts";

export interface Step {
  readonly command: string;
  readonly prints: string[];
}

/** A shell that is given one line at a time. */
export class Shell {
  readonly #child: ChildProcess;
  #text = "";
  #lines = 0;

  constructor(command: readonly string[], folder: string) {
    const [program = "", ...words] = [...command, "bash", "-m"];
    this.#child = spawn(program, words, { cwd: folder, stdio: ["pipe", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (bytes: Buffer) => {
        this.#text += bytes;
      });
    }
  }

  /** Runs one line, and waits until all these have been printed since the last call, and the line is done. */
  async run({ command, prints }: Step): Promise<void> {
    const from = this.#text.length;
    const done = `--- line ${++this.#lines} is done`;
    this.#child.stdin?.write(`${command}\necho '${done}'\n`);
    const printed = (): string[] => this.#text.slice(from).split("\n");
    try {
      await eventually(command, () => printed().some((line) => line.endsWith(done)));
      for (const line of prints) await eventually(line, () => printed().some((one) => one.replace(done, "") === line));
    } catch (error) {
      throw new Error(`${command}: ${(error as Error).message}\nit printed:\n${this.#text.slice(from)}`);
    }
  }

  async waitFor(line: RegExp): Promise<void> {
    await eventually(`${line}`, () => line.test(this.#text));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#child, "close");
    this.#child.stdin?.end("kill $(jobs -p); wait\nexit\n");
    await closed;
  }
}
