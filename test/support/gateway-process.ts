/**
 * The real product as a process: the bundle, a configuration in a temporary folder, free ports on loopback.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { RUN_FLAGS } from "../../scripts/root.mjs";
import { eventually } from "./eventually.ts";

const BUNDLE = resolve(import.meta.dirname, "../../build/sluice.mjs");
/** The product as it is started on a board: with the launcher's flags and environment, the limit of the heap among them. */
export const LAUNCHER = resolve(import.meta.dirname, "../../build/sluice");
const READY_MS = 20_000;

export interface BoundListener {
  readonly type: string;
  readonly address: string;
}

/** A folder that goes away with the test. */
export function temporaryFolder(prefix = "sluice-test-"): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), prefix));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export class GatewayProcess {
  /** What takes the words from `run` on: the bundle. */
  static readonly command: readonly string[] = [process.execPath, ...RUN_FLAGS, BUNDLE];
  readonly folder: string;
  readonly configFile: string;
  listeners: BoundListener[] = [];
  stdout = "";
  stderr = "";
  #child: ChildProcess | null = null;
  #env: NodeJS.ProcessEnv;
  #command: readonly string[];

  /**
   * @param config as in the configuration file; `data_dir` is set to a folder in `folder` unless given. JSON is YAML.
   * @param env     added to the process's environment (LD_PRELOAD, ...)
   * @param command what takes the words from `run` on: the bundle, unless it is to be a launcher
   */
  constructor(
    folder: string,
    config: Record<string, unknown>,
    env: NodeJS.ProcessEnv = {},
    command: readonly string[] = GatewayProcess.command,
  ) {
    this.folder = folder;
    this.configFile = join(folder, "sluice.yaml");
    this.#env = env;
    this.#command = command;
    this.configure(config);
  }

  /** Writes the configuration; it holds from the next start, or after SIGHUP. */
  configure(config: Record<string, unknown>): void {
    writeFileSync(this.configFile, JSON.stringify({ data_dir: join(this.folder, "data"), ...config }, null, 2));
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get running(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts it and waits for `ready`. Throws with what it printed when it ends before. */
  async start(): Promise<void> {
    this.stdout = "";
    this.stderr = "";
    const [program = "", ...words] = this.#command;
    const child = spawn(program, [...words, "run", "--json", "--config", this.configFile], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NODE_OPTIONS: "", NODE_TEST_CONTEXT: "", ...this.#env },
    });
    this.#child = child;
    child.stderr.on("data", (text: Buffer) => {
      this.stderr += text;
    });
    await new Promise<void>((done, fail) => {
      const timer = setTimeout(
        () => fail(new Error(`no ready line in ${READY_MS} ms\n${this.stdout}${this.stderr}`)),
        READY_MS,
      );
      child.stdout.on("data", (text: Buffer) => {
        this.stdout += text;
        const line = this.stdout.split("\n").find((candidate) => candidate.includes('"ready"'));
        if (line === undefined) return;
        clearTimeout(timer);
        this.listeners = (JSON.parse(line) as { listeners: BoundListener[] }).listeners;
        done();
      });
      child.once("exit", (code, signal) => {
        clearTimeout(timer);
        fail(new Error(`the gateway ended with ${code ?? signal} before it was ready\n${this.stdout}${this.stderr}`));
      });
    });
  }

  /** Port of the n-th listener of a type, as bound. */
  port(type = "mqtt", nth = 0): number {
    const listener = this.listeners.filter((candidate) => candidate.type === type)[nth];
    if (listener === undefined) throw new Error(`no ${type} listener ${nth} among ${JSON.stringify(this.listeners)}`);
    return Number(listener.address.slice(listener.address.lastIndexOf(":") + 1));
  }

  /** How often `word` is in its log since it was started. */
  logged(word: string): number {
    return this.stderr.split(word).length - 1;
  }

  /** Waits until serial lines have been opened so often since it was started. */
  async opened(times = 1): Promise<void> {
    await eventually(`${times} openings of serial lines`, () => this.logged("serial-open") >= times);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Sends the signal and waits for the end. @returns exit code, or the signal it died of */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<number | string> {
    const child = this.#child;
    if (child === null || !this.running) return child?.exitCode ?? "";
    child.kill(signal);
    const [code, died] = (await once(child, "exit")) as [number | null, string | null];
    return code ?? died ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}

/** Runs the product's command line to its end. */
export async function sluice(
  args: readonly string[],
  input = "",
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [BUNDLE, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, NODE_OPTIONS: "", NODE_TEST_CONTEXT: "" },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (text: Buffer) => {
    stdout += text;
  });
  child.stderr.on("data", (text: Buffer) => {
    stderr += text;
  });
  child.stdin.on("error", () => {}); // a verb that reads nothing may have ended
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}
