/** `sluice run`: the gateway, from the configuration to the last byte written. */
import { isAbsolute } from "node:path";
import { Log } from "../base/log.ts";
import { budgetTable, fits } from "../config/budget.ts";
import { ConfigurationError } from "../config/complaint.ts";
import type { Config } from "../config/config.ts";
import { controlSocket } from "../config/names.ts";
import { memoryBill } from "../gateway/bill.ts";
import type { BoundListener } from "../gateway/bound-listener.ts";
import { Gateway } from "../gateway/gateway.ts";
import { FAILED, OK, parse, say, sayError, USAGE } from "./arguments.ts";
import { readInChild } from "./child-configuration.ts";
import { complaintsText } from "./complaints-text.ts";
import { type Asker, type ControlRequest, ControlServer } from "./control.ts";
import { Reloads } from "./reloads.ts";
import { storeRestartable } from "./store-watch.ts";
import { Systemd } from "./systemd.ts";

/** Flushing and committing take less; a disk that hangs must not keep the supervisor waiting. */
const STOP_DEADLINE_MS = 20_000;
/** Between words about how far a long answer is. */
const PROGRESS_MS = 500;

export async function run(args: string[]): Promise<number> {
  const { values } = parse({
    args,
    options: { config: { type: "string" }, json: { type: "boolean", default: false } },
  });
  const file = values.config ?? null;
  // Until there is something to reload, a hang-up must not end us.
  process.on("SIGHUP", () => {});
  const { config, complaints } = await readInChild(file);
  if (config === null) {
    report(complaintsText(complaints, file, values.json), values.json);
    return USAGE;
  }
  const lines = await memoryBill(config);
  if (!fits(lines, config.memoryLimitBytes)) {
    const bill = budgetTable(lines, config.memoryLimitBytes);
    report(values.json ? JSON.stringify({ event: "bill", lines, fits: false }) : bill, values.json);
    return USAGE;
  }
  return new Runner(config, file, values.json).run();
}

/** Complaints are for stderr; a program that asked for JSON reads stdout. */
function report(text: string, json: boolean): void {
  (json ? process.stdout : process.stderr).write(`${text}\n`);
}

class Runner {
  readonly #dataDir: string;
  readonly #file: string | null;
  readonly #json: boolean;
  readonly #log: Log;
  readonly #gateway: Gateway;
  readonly #control: ControlServer;
  readonly #systemd: Systemd;
  readonly #reloads: Reloads;
  /** Resolves with the first signal to stop. */
  readonly #stopSignal: Promise<string>;

  constructor(config: Config, file: string | null, json: boolean) {
    this.#dataDir = config.dataDir;
    this.#file = file;
    this.#json = json;
    this.#log = new Log(config.log);
    this.#gateway = new Gateway(config, this.#log);
    this.#control = new ControlServer(controlSocket(config.dataDir), (request, asker) => this.#answer(request, asker));
    this.#systemd = new Systemd(process.env, (error) =>
      this.#log.warn("systemd-notify-failed", { reason: error.message }),
    );
    this.#reloads = new Reloads({ gateway: this.#gateway, file, log: this.#log, systemd: this.#systemd });
    this.#stopSignal = this.#onSignals();
  }

  async run(): Promise<number> {
    let listeners: readonly BoundListener[];
    try {
      listeners = await this.#gateway.start();
      await this.#listenForControl();
    } catch (error) {
      await this.#gateway.stop();
      return this.#explain(error);
    }
    say(this.#json ? JSON.stringify({ event: "ready", listeners }) : readyLine(listeners));
    this.#systemd.ready(`${listeners.length} listeners`);
    const reason = await Promise.race([this.#stopSignal, this.#storeWorksAgain()]);
    if (reason !== null) this.#log.info("stopping", { signal: reason });
    return this.#stop(reason === null ? FAILED : OK);
  }

  /** Without its disk a gateway that can route goes on all the same. */
  async #listenForControl(): Promise<void> {
    try {
      await this.#control.listen();
    } catch (error) {
      if (!this.#gateway.storeFailed) throw error;
      this.#log.warn("control-unavailable", { reason: (error as Error).message });
    }
  }

  /** A store that failed comes back with a restart only, which systemd gives us when we end. */
  async #storeWorksAgain(): Promise<null> {
    if (!this.#systemd.present) return new Promise(() => {});
    await storeRestartable(this.#dataDir, () => this.#gateway.storeFailed);
    this.#log.warn("restarting", { reason: "the disk works again" });
    return null;
  }

  async #stop(code: number): Promise<number> {
    this.#systemd.stopping();
    const deadline = setTimeout(() => {
      this.#log.error("stop-timed-out", { afterMs: STOP_DEADLINE_MS });
      process.exit(FAILED);
    }, STOP_DEADLINE_MS);
    await this.#reloads.settled();
    await this.#control.close();
    await this.#gateway.stop();
    clearTimeout(deadline);
    this.#log.info("stopped");
    // Whatever still holds the event loop has nothing left to do.
    return exitWhenWritten(code);
  }

  #explain(error: unknown): number {
    if (error instanceof ConfigurationError) {
      report(complaintsText(error.complaints, this.#file, this.#json), this.#json);
      return exitWhenWritten(USAGE);
    }
    if (!(error instanceof Error)) throw error;
    if (error.name === "AssertionFailure" || error instanceof TypeError) throw error;
    sayError(error.message);
    return exitWhenWritten(FAILED);
  }

  #onSignals(): Promise<string> {
    process.on("SIGHUP", () => void this.#reloads.run());
    return new Promise((resolve) => {
      let signalled = false;
      for (const signal of ["SIGTERM", "SIGINT"] as const) {
        process.on(signal, () => {
          if (signalled) process.exit(FAILED);
          signalled = true;
          resolve(signal);
        });
      }
    });
  }

  #answer(request: ControlRequest, asker: Asker): unknown {
    if (request.verb === "status") return this.#gateway.status(request["drops"] === true);
    if (request.verb === "reload") return answering(asker, () => this.#reloads.run());
    if (request.verb === "check") return answering(asker, () => this.#gateway.checkStore());
    if (request.verb === "backup") return this.#backup(request["target"], asker);
    throw new Error(`there is no verb ${JSON.stringify(request.verb)}`);
  }

  #backup(target: unknown, asker: Asker): Promise<unknown> {
    if (typeof target !== "string" || !isAbsolute(target)) throw new Error("backup needs the whole path of a file");
    let latest = {};
    const onProgress = (progress: object): void => {
      latest = progress;
    };
    const copy = async (): Promise<unknown> => ({
      bytes: await this.#gateway.backup(target, onProgress, () => asker.present),
    });
    return answering(asker, copy, () => latest);
  }
}

/** Tells who asked now and then how far it is, so that the connection does not count as idle. */
async function answering<T>(asker: Asker, work: () => Promise<T>, progress: () => object = () => ({})): Promise<T> {
  const timer = setInterval(() => asker.progress(progress()), PROGRESS_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

function readyLine(listeners: readonly BoundListener[]): string {
  return ["ready", ...listeners.map(({ type, address }) => `${type}=${address}`)].join(" ");
}

/** Ends the process once stdout and stderr have taken everything. */
function exitWhenWritten(code: number): number {
  process.exitCode = code;
  process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));
  return code;
}
