// Devices at the end of a serial line that lose nothing by themselves: what the gateway may count as sent was heard.
//
// What "sent" can mean: to a terminal, that its buffer is drained; over TCP, that the other end's kernel has it. A cable of
// socat (cable.ts) has two buffers behind that, which are lost with it; these devices read theirs to the end first.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Cable } from "./cable.ts";

const SCRIPT = join(import.meta.dirname, "pty_device.py");

export interface LineDevice extends AsyncDisposable {
  /** As the configuration has it. */
  readonly port: string;
  /** All that was heard so far. */
  readonly heard: string;
  plug(): Promise<void>;
  unplug(): Promise<void>;
  /** The gateway is dead: what it wrote is heard now. */
  read(): Promise<void>;
}

/** Behind a pseudo terminal. */
export class PtyDevice implements LineDevice {
  readonly port: string;
  readonly #log: string;
  readonly #child: ChildProcess;
  readonly #said: AsyncIterator<string>;

  /** @param answer put in front of each line to answer it; null: the device is silent */
  constructor(folder: string, name: string, answer: string | null) {
    this.port = join(folder, `${name}.tty`);
    this.#log = join(folder, `${name}.log`);
    const words = [SCRIPT, this.port, this.#log, ...(answer === null ? [] : [answer])];
    this.#child = spawn("/usr/bin/python3", words, { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdin?.on("error", () => {}); // it died, and says nothing any more
    this.#said = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  }

  get heard(): string {
    return existsSync(this.#log) ? readFileSync(this.#log, "latin1") : "";
  }

  plug(): Promise<void> {
    return this.#tell("plug");
  }

  unplug(): Promise<void> {
    return this.#tell("unplug");
  }

  read(): Promise<void> {
    return this.#tell("read");
  }

  async #tell(word: string): Promise<void> {
    this.#child.stdin?.write(`${word}\n`);
    const { value } = await this.#said.next();
    if (value !== word) throw new Error(`${word}: the device said ${value}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.stdin?.end();
    await once(this.#child, "exit");
  }
}

/** Behind a terminal server: unplugged, it hangs up, and hears out what was on the way. */
export class TcpDevice implements LineDevice {
  #port = 0;
  #heard = "";
  #line = "";
  #server: Server | null = null;
  readonly #sockets = new Set<Socket>();
  readonly #answer: string | null;

  constructor(answer: string | null) {
    this.#answer = answer;
  }

  /** After the first `plug`. */
  get port(): string {
    return `tcp://127.0.0.1:${this.#port}`;
  }

  get heard(): string {
    return this.#heard;
  }

  async plug(): Promise<void> {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#onConnection(socket));
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as { port: number }).port;
  }

  #onConnection(socket: Socket): void {
    this.#sockets.add(socket);
    this.#line = "";
    socket.on("error", () => {}); // the gateway may be killed
    socket.on("end", () => socket.end());
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("data", (chunk: Buffer) => {
      this.#heard += chunk.toString("latin1");
      if (this.#answer === null) return;
      const lines = (this.#line + chunk.toString("latin1")).split("\n");
      this.#line = lines.pop() ?? "";
      if (socket.writable) for (const line of lines) socket.write(`${this.#answer}${line}\n`);
    });
  }

  async unplug(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.close();
    for (const socket of this.#sockets) socket.end();
    await this.read();
  }

  async read(): Promise<void> {
    await Promise.all([...this.#sockets].map((socket) => once(socket, "close")));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** At the far end of socat's cable, which loses what it holds when it is unplugged. */
export class SocatDevice implements LineDevice {
  readonly #cable: Cable;
  readonly #answer: string;
  #heard = "";
  #line = "";
  #timer: NodeJS.Timeout | null = null;

  constructor(folder: string, answer: string) {
    this.#cable = new Cable(folder);
    this.#answer = answer;
  }

  get port(): string {
    return this.#cable.port;
  }

  get heard(): string {
    return this.#heard;
  }

  async plug(): Promise<void> {
    await this.#cable.plug();
    this.#line = "";
    this.#timer = setInterval(() => this.#listen(), 2);
  }

  #listen(): void {
    const chunk = this.#cable.hear().toString("latin1");
    this.#heard += chunk;
    const lines = (this.#line + chunk).split("\n");
    this.#line = lines.pop() ?? "";
    for (const line of lines) this.#cable.say(`${this.#answer}${line}\n`);
  }

  async unplug(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#cable.unplug();
  }

  async read(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unplug();
  }
}
