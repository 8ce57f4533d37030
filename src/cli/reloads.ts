/** Reloads of the running gateway, one at a time, asked for by SIGHUP or over the control socket. */
import type { Log } from "../base/log.ts";
import { type Complaint, ConfigurationError } from "../config/complaint.ts";
import { keyName } from "../config/names.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { readInChild } from "./child-configuration.ts";
import type { Systemd } from "./systemd.ts";

/** What a reload did, as the control socket says it. */
export interface ReloadAnswer {
  /** In words. */
  readonly applied: readonly string[];
  /** Keys that changed and hold only after a restart. */
  readonly restartRequired: readonly string[];
  /** Why nothing was done; none = it was. */
  readonly complaints: readonly Complaint[];
  /** The configuration; null = there is none. */
  readonly file: string | null;
}

export interface ReloadsParts {
  readonly gateway: Gateway;
  readonly file: string | null;
  readonly log: Log;
  readonly systemd: Systemd;
}

export class Reloads {
  readonly #parts: ReloadsParts;
  #running: Promise<ReloadAnswer> | null = null;
  /** For all who asked while one was running: it may have read the files before they changed. */
  #next: Promise<ReloadAnswer> | null = null;

  constructor(parts: ReloadsParts) {
    this.#parts = parts;
  }

  /** Resolves when no reload is under way. */
  async settled(): Promise<void> {
    for (let last = this.#last(); last !== null; last = this.#last()) await last;
  }

  #last(): Promise<ReloadAnswer> | null {
    return this.#next ?? this.#running;
  }

  run(): Promise<ReloadAnswer> {
    if (this.#running === null) return this.#begin();
    this.#next ??= this.#running.then(() => {
      this.#next = null;
      return this.#begin();
    });
    return this.#next;
  }

  #begin(): Promise<ReloadAnswer> {
    const running = this.#reload().finally(() => {
      if (this.#running === running) this.#running = null;
    });
    this.#running = running;
    return running;
  }

  async #reload(): Promise<ReloadAnswer> {
    const { gateway, file, log, systemd } = this.#parts;
    systemd.reloading();
    try {
      const { config, complaints } = await readInChild(file);
      if (config === null) return this.#refused(complaints);
      const { applied, restartRequired } = await gateway.reload(config);
      const keys = restartRequired.map(keyName);
      log.info("reloaded", { applied: applied.join("; ") });
      if (keys.length > 0) log.warn("restart-required", { keys: keys.join(", ") });
      return { applied, restartRequired: keys, complaints: [], file };
    } catch (error) {
      if (error instanceof ConfigurationError) return this.#refused(error.complaints);
      const { message } = error as Error;
      log.error("reload-refused", { reason: message });
      const complaint = { file: null, path: "", line: 0, problem: message, advice: "" };
      return { applied: [], restartRequired: [], complaints: [complaint], file };
    } finally {
      systemd.ready("reloaded");
    }
  }

  #refused(complaints: readonly Complaint[]): ReloadAnswer {
    const { file: configFile, log } = this.#parts;
    for (const { file, path, line, problem, advice } of complaints) {
      log.error("reload-refused", { file: file ?? configFile, line, path, problem, advice });
    }
    return { applied: [], restartRequired: [], complaints, file: configFile };
  }
}
