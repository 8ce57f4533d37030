// Independent slaves for the Modbus master, as processes: Debian's pymodbus and npm's modbus-serial.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { createServer } from "node:net";
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
    const tcpPort = await freePort();
    this.port = way === "terminal" ? this.#terminal : `tcp://127.0.0.1:${tcpPort}`;
    const other =
      way === "terminal"
        ? `pty,raw,echo=0,link=${this.#terminal}`
        : `tcp-listen:${tcpPort},bind=127.0.0.1,reuseaddr,nodelay`;
    this.#ends = [`pty,raw,echo=0,wait-slave,link=${path}`, other];
    if (way === "terminal") this.#ends[0] = `pty,raw,echo=0,link=${path}`;
    await this.plug();
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
    this.#socat = spawn(peerPath("socat"), this.#ends, { stdio: "inherit" });
    if (!this.port.startsWith("tcp")) await eventually("socat's terminal", () => existsSync(this.port));
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

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

async function ended(child: ChildProcess | null): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}
