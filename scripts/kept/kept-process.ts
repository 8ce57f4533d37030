import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

const KEEPER = fileURLToPath(new URL("keeper.ts", import.meta.url));

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };
type Report = { pid?: number; error?: string; code?: number | null; signal?: NodeJS.Signals | null };

/** A program that ends when this process ends, however this process ends. See keeper.ts. */
export class KeptProcess {
  readonly pid: number;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when the program has ended; never rejects. */
  readonly exited: Promise<Exit>;
  readonly #keeper: ChildProcess;
  #running = true;

  private constructor(pid: number, keeper: ChildProcess) {
    this.pid = pid;
    this.#keeper = keeper;
    this.stdout = keeper.stdout!;
    this.stderr = keeper.stderr!;
    this.exited = new Promise((resolve) => {
      const end = (exit: Exit): void => {
        this.#running = false;
        resolve(exit);
      };
      keeper.on("message", (report: Report) => {
        if (report.code !== undefined) end({ code: report.code, signal: report.signal ?? null });
      });
      keeper.on("exit", () => end({ code: null, signal: "SIGKILL" }));
    });
  }

  /** Starts `file`; rejects when there is no such program. Its output must be read or `resume`d. */
  static start(
    file: string,
    programArguments: readonly string[],
    environment?: NodeJS.ProcessEnv,
  ): Promise<KeptProcess> {
    return new Promise((resolve, reject) => {
      // A session of its own: Ctrl-C on the terminal reaches this process only, which ends its children in order.
      const keeper = spawn(process.execPath, [KEEPER, file, ...programArguments], {
        stdio: ["pipe", "pipe", "pipe", "ipc"],
        detached: true,
        env: environment ?? process.env,
      });
      keeper.on("error", reject);
      keeper.stdin?.on("error", () => {}); // the program may end before it has read everything
      keeper.once("message", (report: Report) => {
        if (report.pid !== undefined) resolve(new KeptProcess(report.pid, keeper));
        else reject(new Error(report.error ?? `${file} did not start`));
      });
    });
  }

  get running(): boolean {
    return this.#running;
  }

  write(text: string): void {
    this.#keeper.stdin?.write(text);
  }

  closeInput(): void {
    this.#keeper.stdin?.end();
  }

  signal(name: NodeJS.Signals): void {
    if (this.#running && this.#keeper.connected) this.#keeper.send({ signal: name }, () => {});
  }

  /** Asks the program to end and, after `graceMs`, makes it. */
  async stop(graceMs = 5_000): Promise<Exit> {
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), graceMs);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }
}

/**
 * The first line of `stream` for which `pick` returns a value. Rejects when the stream ends before, or after
 * `timeoutMs`, with what was printed until then. Later lines are thrown away.
 */
export function lineOf<T>(stream: Readable, pick: (line: string) => T | null, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const seen: string[] = [];
    const lines = createInterface({ input: stream });
    const give = (reason: string): void => reject(new Error([reason, ...seen].join("\n  ")));
    const timer = setTimeout(() => give(`said nothing of use in ${timeoutMs} ms`), timeoutMs);
    let found = false;
    lines.on("line", (line) => {
      if (found) return;
      const value = pick(line);
      if (value === null) {
        seen.push(line);
        return;
      }
      found = true;
      clearTimeout(timer);
      resolve(value);
    });
    lines.on("close", () => {
      clearTimeout(timer);
      if (!found) give("ended before it was ready");
    });
  });
}
