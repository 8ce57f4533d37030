import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { KeptProcess, lineOf } from "../kept/kept-process.ts";

const SCRIPT = fileURLToPath(new URL("cloud.ts", import.meta.url));
const START_TIMEOUT_MS = 10_000;

/** Starts and kills the stand-in cloud broker; it keeps its port. */
export class CloudProcess {
  readonly #directory: string;
  #process: KeptProcess | null = null;
  #port = 0;

  /** `directory` holds the certificates (see cloud.ts); the password is made here. */
  constructor(directory: string) {
    this.#directory = directory;
    writeFileSync(`${directory}/cloud.pw`, `${randomBytes(12).toString("base64url")}\n`, { mode: 0o600 });
  }

  get url(): string {
    return `mqtts://127.0.0.1:${this.#port}`;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  async start(): Promise<void> {
    const started = await KeptProcess.start(process.execPath, [SCRIPT, this.#directory, String(this.#port)]);
    this.#process = started;
    started.stderr.pipe(process.stderr);
    this.#port = await lineOf(
      started.stdout,
      (line) => Number(/^port (\d+)/.exec(line)?.[1]) || null,
      START_TIMEOUT_MS,
    ).catch((error: Error) => {
      throw new Error(`the stand-in cloud ${error.message}`);
    });
  }

  /** As a power cut would: no farewell. */
  async kill(): Promise<void> {
    this.#process?.signal("SIGKILL");
    await this.#process?.exited;
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
  }
}
