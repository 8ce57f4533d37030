// Independent slaves for the Modbus master, as processes: Debian's pymodbus and npm's modbus-serial.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { eventually } from "./eventually.ts";
import { peerPath } from "./peers.ts";

const PYMODBUS = resolve(import.meta.dirname, "modbus_slave.py");
const MODBUS_SERIAL = resolve(import.meta.dirname, "modbus-serial-slave.mjs");

export type SlaveKind = "pymodbus" | "modbus-serial";
/** How the gateway reaches it: Modbus TCP, RTU on a terminal, RTU through a raw TCP port. */
export type SlaveWay = "tcp" | "terminal" | "rtu over tcp";

/** A slave whose holding registers begin with `registers`, and what lies between it and the gateway. */
export class ModbusSlaves {
  /** As in the configuration. */
  port = "";
  readonly #terminal: string;
  readonly #folder: string;
  #slave: ChildProcess | null = null;
  #socat: ChildProcess | null = null;
  /** Of socat, to be plugged in again. */
  #ends: string[] = [];
  /** Its port, when it listens. */
  #listening = "";

  constructor(folder: string) {
    this.#folder = folder;
    this.#terminal = join(folder, "bus");
  }

  async start(kind: SlaveKind, way: SlaveWay, registers: readonly number[]): Promise<void> {
    if (kind === "pymodbus") await this.#startPymodbus(way, registers);
    else await this.#startModbusSerial(way, registers);
  }

  /** It speaks RTU over TCP by itself. */
  async #startPymodbus(way: SlaveWay, registers: readonly number[]): Promise<void> {
    const framing = way === "tcp" ? "tcp" : "rtu";
    const tcpPort = await this.#spawn("/usr/bin/python3", [PYMODBUS, JSON.stringify({ framing, registers })]);
    this.port = `tcp://127.0.0.1:${tcpPort}`;
    if (way !== "terminal") return;
    this.port = this.#terminal;
    this.#ends = [`pty,raw,echo=0,link=${this.#terminal}`, `tcp:127.0.0.1:${tcpPort},nodelay`];
    await this.plug();
  }

  /** It speaks RTU on a terminal. */
  async #startModbusSerial(way: SlaveWay, registers: readonly number[]): Promise<void> {
    if (way === "tcp") {
      const options = JSON.stringify({ mode: "tcp", registers });
      this.port = `tcp://127.0.0.1:${await this.#spawn(process.execPath, [MODBUS_SERIAL, options])}`;
      return;
    }
    const path = join(this.#folder, "slave");
    const isTerminal = way === "terminal";
    if (isTerminal) this.port = this.#terminal;
    this.#ends = [
      `pty,raw,echo=0,link=${path}`,
      isTerminal ? `pty,raw,echo=0,link=${this.#terminal}` : "tcp-listen:0,bind=127.0.0.1,nodelay",
    ];
    await this.plug();
    if (!isTerminal) await eventually("socat listens", () => this.#listening !== "");
    if (!isTerminal) this.port = `tcp://127.0.0.1:${this.#listening}`;
    await eventually("the slave's terminal", () => existsSync(path));
    await this.#spawn(process.execPath, [MODBUS_SERIAL, JSON.stringify({ mode: "serial", path, registers })]);
  }

  /** @returns the port that it says */
  async #spawn(program: string, words: string[]): Promise<number> {
    const slave = spawn(program, words, { stdio: ["ignore", "pipe", "inherit"] });
    this.#slave = slave;
    let text = "";
    slave.stdout.on("data", (chunk: Buffer) => {
      text += chunk;
    });
    await eventually("the slave is there", () => text.includes("}"));
    return (JSON.parse(text) as { port: number }).port;
  }

  async plug(): Promise<void> {
    const socat = spawn(peerPath("socat"), ["-d", "-d", ...this.#ends], { stdio: ["ignore", "ignore", "pipe"] });
    this.#socat = socat;
    socat.stderr.on("data", (text: Buffer) => {
      this.#listening ||= /listening on AF=2 127\.0\.0\.1:(\d+)/.exec(String(text))?.[1] ?? "";
    });
    if (this.port === this.#terminal) await eventually("socat's terminal", () => existsSync(this.port));
  }

  async unplug(): Promise<void> {
    await ended(this.#socat);
    this.#socat = null;
    // Killed it leaves its link, to a terminal that may be another program's next.
    rmSync(this.#terminal, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unplug();
    await ended(this.#slave);
  }
}

async function ended(child: ChildProcess | null): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}
