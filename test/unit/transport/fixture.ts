/** A transport of one's own per test, certificates made on the spot, and a peer that remembers. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Clock, SystemClock } from "../../../src/base/clock.ts";
import { Counters } from "../../../src/base/counters.ts";
import { Log } from "../../../src/base/log.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import type { Link, LinkHandler } from "../../../src/transport/link.ts";
import type { Listener } from "../../../src/transport/listener.ts";
import { Transport, type TransportLimits } from "../../../src/transport/transport.ts";

export interface Bench {
  readonly transport: Transport;
  readonly counters: Counters;
  readonly wheel: TimerWheel;
  readonly logged: string[];
  /** Closed when the test ends. */
  readonly listeners: Listener[];
}

export function bench(t: TestContext, limits: Partial<TransportLimits> = {}, clock: Clock = new SystemClock()): Bench {
  const counters = new Counters();
  const wheel = new TimerWheel(clock, 10);
  const logged: string[] = [];
  const log = new Log({ level: "debug", format: "text", write: (line) => logged.push(line) });
  const transport = new Transport(
    {
      maxConnections: 100,
      connectionsPerAddress: 100,
      connectTimeoutMs: 10_000,
      handshakesPerSecond: 1000,
      outputBytes: 1024 * 1024,
      ...limits,
    },
    { clock, wheel, counters, log },
    // Enough for one slow reader of some megabytes: what a small pool does when it is empty is a test of its own.
    { smallMax: 100, mediumMax: 0, largeMax: 32, oneOffBytesMax: 1024 * 1024 },
  );
  const made: Bench = { transport, counters, wheel, logged, listeners: [] };
  wheel.start();
  t.after(async () => {
    for (const listener of made.listeners) await listener.close();
    for (const recorder of recorders) recorder.link.destroy();
    recorders.clear();
    wheel.stop();
  });
  return made;
}

export function portOf(listener: Listener): number {
  return Number(listener.address.slice(listener.address.lastIndexOf(":") + 1));
}

/** Of the test under way; its links are destroyed with it. */
const recorders = new Set<Recorder>();

/** The accepting or the dialling end, with everything that happened to it. */
export class Recorder implements LinkHandler {
  readonly link: Link;
  readonly chunks: Buffer[] = [];
  received = 0;
  drains = 0;
  closed: string | null | undefined = undefined;
  closes = 0;
  #changed: () => void = () => {};

  constructor(link: Link) {
    this.link = link;
    link.handler = this;
    recorders.add(this);
  }

  onData(chunk: Buffer): void {
    this.chunks.push(Buffer.from(chunk));
    this.received += chunk.length;
    this.#changed();
  }

  onClose(error: string | null): void {
    this.closed = error;
    this.closes++;
    this.#changed();
  }

  onDrain(): void {
    this.drains++;
    this.#changed();
  }

  text(): string {
    return Buffer.concat(this.chunks).toString("latin1");
  }

  async until(condition: (self: Recorder) => boolean): Promise<void> {
    while (!condition(this)) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }
}

/** Waits for links that a listener hands out. */
export class Door {
  readonly links: Recorder[] = [];
  #changed: () => void = () => {};
  readonly accept = (link: Link): void => {
    this.links.push(new Recorder(link));
    this.#changed();
  };

  async link(index = 0): Promise<Recorder> {
    while (this.links.length <= index) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
    return this.links[index] as Recorder;
  }
}

/** A plain client, connected. */
export async function client(t: TestContext, listener: Listener): Promise<Socket> {
  const socket = connect(portOf(listener), "127.0.0.1");
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Everything the peer sends from now to its FIN. */
export async function readToEnd(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "close");
  return Buffer.concat(chunks);
}

export function temporaryDirectory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "transport-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export class Authority {
  readonly directory: string;
  readonly ca: string;
  readonly #name: string;

  constructor(t: TestContext, name = "ca") {
    this.directory = temporaryDirectory(t);
    this.#name = name;
    this.ca = this.#path("crt");
    openssl(...newKey(this.#path("key")), "-x509", "-subj", `/CN=${name}`, "-days", "2", "-out", this.ca);
  }

  /** @param names  "DNS:localhost,IP:127.0.0.1"  @returns paths of certificate and key */
  issue(commonName: string, names = "DNS:localhost,IP:127.0.0.1"): { cert: string; key: string } {
    const cert = join(this.directory, `${commonName}.crt`);
    const key = join(this.directory, `${commonName}.key`);
    const signer = ["-CA", this.ca, "-CAkey", this.#path("key")];
    const subject = ["-subj", `/CN=${commonName}`, "-addext", `subjectAltName=${names}`];
    openssl(...newKey(key), "-x509", ...signer, ...subject, "-days", "2", "-out", cert);
    return { cert, key };
  }

  #path(kind: string): string {
    return join(this.directory, `${this.#name}.${kind}`);
  }
}

function newKey(path: string): string[] {
  return ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path];
}

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
}

/** Sends `begin`, then a byte every 20 ms, until the other side has closed. @returns how many bytes after `begin` */
export async function drip(socket: Socket, begin: string | Buffer): Promise<number> {
  let sent = 0;
  socket.on("error", () => {});
  socket.resume();
  socket.write(begin);
  const timer = setInterval(() => {
    sent++;
    socket.write("x");
  }, 20);
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
  clearInterval(timer);
  return sent;
}
