/**
 * Tells systemd how the service is (sd_notify). Node has no unix datagrams, so `systemd-notify` sends them; the unit
 * needs NotifyAccess=all. Without NOTIFY_SOCKET nothing happens.
 *
 * WATCHDOG=1 comes from a timer of the event loop: when the loop hangs it stays away, and systemd restarts us.
 */
import { spawn } from "node:child_process";

export class Systemd {
  readonly #socket: string;
  readonly #watchdogMs: number;
  readonly #onError: (error: Error) => void;
  #watchdog: NodeJS.Timeout | null = null;

  constructor(env: NodeJS.ProcessEnv, onError: (error: Error) => void) {
    this.#socket = env["NOTIFY_SOCKET"] ?? "";
    this.#watchdogMs = watchdogMs(env);
    this.#onError = onError;
  }

  /** Whether somebody starts us again when we end. */
  get present(): boolean {
    return this.#socket !== "";
  }

  ready(status: string): void {
    this.#notify("READY=1", `STATUS=${status}`);
    if (this.#socket === "" || this.#watchdogMs === 0 || this.#watchdog !== null) return;
    this.#watchdog = setInterval(() => this.#notify("WATCHDOG=1"), this.#watchdogMs / 2);
    this.#watchdog.unref();
  }

  reloading(): void {
    this.#notify("RELOADING=1");
  }

  stopping(): void {
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
    this.#notify("STOPPING=1");
  }

  #notify(...assignments: string[]): void {
    if (this.#socket === "") return;
    const child = spawn("systemd-notify", assignments, { stdio: "ignore" });
    child.once("error", this.#onError);
    child.unref();
  }
}

/** 0 = no watchdog, or one that means another process. */
function watchdogMs(env: NodeJS.ProcessEnv): number {
  const microseconds = Number(env["WATCHDOG_USEC"] ?? "0");
  const pid = env["WATCHDOG_PID"];
  if (pid !== undefined && pid !== String(process.pid)) return 0;
  return Number.isSafeInteger(microseconds) && microseconds > 0 ? microseconds / 1000 : 0;
}
