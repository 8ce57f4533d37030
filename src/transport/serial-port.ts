/**
 * The door to `serialport`: one serial line that is opened by its path, and opened again for ever when it goes away.
 *
 *     AWAY ---- open ----> OPENING ----> OPEN ---- hang-up, error ----> AWAY      backoff between tries
 *
 * Only the binding of `serialport` is loaded (bindings-cpp; without the streams and parsers around it 9 MB less), and
 * used for what it alone can do: open with line settings, poll, drain. Reading and writing are plain non-blocking
 * calls on the descriptor, so a paused port holds nothing in memory, and no thread of libuv's pool is taken for them.
 *
 * `SerialPort.list()` is never called: it starts `udevadm`, and where that is missing the process dies.
 */
import { readSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { Backoff } from "../base/backoff.ts";
import type { Counter, Counters } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { type Expirable, Timer, type TimerWheel } from "../base/timer-wheel.ts";
import { describeError } from "./socket-error.ts";

export interface SerialHandler {
  onOpen(): void;
  /** `chunk` is valid until return. Not called while the port is paused. */
  onData(chunk: Buffer): void;
  /** The bytes of the last `write` have left the machine. */
  onWritten(): void;
  /** The port is away; a write under way is not confirmed any more. */
  onAway(): void;
}

export interface SerialOptions {
  /** For logs. */
  readonly name: string;
  readonly path: string;
  readonly baud: number;
}

export interface SerialParts {
  readonly wheel: TimerWheel;
  readonly random: Random;
  readonly counters: Counters;
  readonly log: Log;
}

/** What is used of the binding's open port. */
export interface BoundPort {
  readonly fd: number;
  readonly poller: {
    on(event: "readable" | "writable", listener: (error: Error | null) => void): unknown;
    poll(events: number): void;
  };
  drain(): Promise<void>;
  close(): Promise<void>;
}

export type OpenBoundPort = (path: string, baud: number) => Promise<BoundPort>;

export const READ_BYTES = 4096;
/** The most a tty's own buffer holds. */
const KERNEL_BYTES = 4096;
const BITS_PER_BYTE = 10;
const REOPEN_MS = { baseMs: 250, capMs: 5_000 };
const UV_READABLE = 1;
const UV_WRITABLE = 2;

const HUNG_UP = "the device is gone";

const REOPEN = 0;
const TRANSMITTED = 1;

const AWAY = 0;
const OPENING = 1;
const OPEN = 2;
const CLOSED = 3;

export class SerialPort implements Expirable {
  readonly #options: SerialOptions;
  readonly #parts: SerialParts;
  readonly #open: OpenBoundPort;
  readonly #backoff: Backoff;
  readonly #reopen = new Timer(this, REOPEN);
  readonly #transmitted = new Timer(this, TRANSMITTED);
  readonly #input = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #opened: Counter;
  readonly #bytesRead: Counter;
  readonly #bytesWritten: Counter;
  handler: SerialHandler | null = null;
  #state = AWAY;
  #port: BoundPort | null = null;
  #opening: Promise<void> = Promise.resolve();
  #paused = false;
  #output: Buffer | null = null;
  #outputAt = 0;
  /** What the log said last; a port that stays away for the same reason is not news. */
  #lastWords = "";

  constructor(options: SerialOptions, parts: SerialParts, open: OpenBoundPort = openWithBinding) {
    this.#options = options;
    this.#parts = parts;
    this.#open = open;
    this.#backoff = new Backoff(REOPEN_MS, parts.random);
    this.#opened = parts.counters.counter("serial.opened");
    this.#bytesRead = parts.counters.counter("serial.bytes_read");
    this.#bytesWritten = parts.counters.counter("serial.bytes_written");
  }

  get isOpen(): boolean {
    return this.#state === OPEN;
  }

  /** Opens it now, and again whenever it is away, until `close`. */
  start(): void {
    if (this.#state !== AWAY) return;
    this.#state = OPENING;
    this.#opening = this.#tryOpen();
  }

  /** Resolves when the descriptor is closed. */
  async close(): Promise<void> {
    const port = this.#port;
    this.#leave(CLOSED);
    this.#parts.wheel.cancel(this.#reopen);
    await this.#opening;
    await port?.close().catch(ignore);
  }

  pause(): void {
    this.#paused = true;
    this.#watch();
  }

  resume(): void {
    this.#paused = false;
    this.#watch();
  }

  /**
   * Writes `bytes`, which must not change until `onWritten`, in a later turn. One write at a time, and only while open.
   */
  write(bytes: Buffer): void {
    this.#output = bytes;
    this.#outputAt = 0;
    this.#watch();
  }

  onTimer(kind: number): void {
    if (kind === REOPEN) this.start();
    else this.#drain();
  }

  async #tryOpen(): Promise<void> {
    const { name, path, baud } = this.#options;
    try {
      const port = await this.#open(path, baud);
      if (this.#state === CLOSED) {
        await port.close();
        return;
      }
      this.#port = port;
    } catch (error) {
      this.#failed(describeError(error).replace(/^Error: /, ""));
      return;
    }
    this.#state = OPEN;
    this.#paused = false;
    this.#opened.value++;
    this.#backoff.reset();
    this.#lastWords = "";
    this.#parts.log.info("serial-open", { name, path, baud });
    this.#port.poller.on("readable", this.#onReadable);
    this.#port.poller.on("writable", this.#onWritable);
    this.handler?.onOpen();
    this.#watch();
  }

  /** The poller forgets what it waits for when it is told another thing, so it is always told all of it. */
  #watch(): void {
    if (this.#state !== OPEN) return;
    const writing = this.#output !== null && this.#outputAt < this.#output.length;
    this.#port?.poller.poll((this.#paused ? 0 : UV_READABLE) | (writing ? UV_WRITABLE : 0));
  }

  readonly #onReadable = (error: Error | null): void => {
    if (this.#state !== OPEN) return;
    if (error !== null) {
      this.#failed(HUNG_UP);
      return;
    }
    const length = this.#read();
    if (length > 0) {
      this.#bytesRead.value += length;
      this.handler?.onData(this.#input.subarray(0, length));
    }
    this.#watch();
  };

  /** @returns 0 when there is nothing, or the port has just gone away */
  #read(): number {
    if (this.#paused) return 0;
    try {
      const length = readSync(this.#port?.fd as number, this.#input, 0, READ_BYTES, null);
      if (length === 0) this.#failed(HUNG_UP); // a tty whose other side is gone reads as its end
      return length;
    } catch (error) {
      if (!isBusy(error)) this.#failed(describeError(error));
      return 0;
    }
  }

  readonly #onWritable = (error: Error | null): void => {
    if (this.#state !== OPEN || this.#output === null || error !== null) return; // #onReadable hears of errors, too
    if (this.#outputAt < this.#output.length) this.#writeOn();
  };

  #writeOn(): void {
    const output = this.#output as Buffer;
    try {
      while (this.#outputAt < output.length) {
        const length = writeSync(this.#port?.fd as number, output, this.#outputAt, output.length - this.#outputAt);
        this.#outputAt += length;
        this.#bytesWritten.value += length;
      }
    } catch (error) {
      if (isBusy(error)) this.#watch();
      else this.#failed(describeError(error));
      return;
    }
    // Draining blocks a thread of libuv's pool of four, so it begins when the line has had time to send.
    const bytes = Math.min(output.length, KERNEL_BYTES);
    const transmitMs = (bytes * BITS_PER_BYTE * 1000) / this.#options.baud;
    if (transmitMs < 50) this.#drain();
    else this.#parts.wheel.schedule(this.#transmitted, transmitMs);
    this.#watch();
  }

  #drain(): void {
    const port = this.#port;
    port?.drain().then(
      () => {
        if (this.#port !== port) return;
        this.#output = null;
        this.handler?.onWritten();
      },
      (error) => {
        if (this.#port === port) this.#failed(describeError(error));
      },
    );
  }

  /** One line of log per change of state. */
  #failed(words: string): void {
    if (this.#state === CLOSED) return;
    const port = this.#port;
    if (words !== this.#lastWords) {
      this.#lastWords = words;
      this.#parts.log.warn("serial-away", { name: this.#options.name, path: this.#options.path, error: words });
    }
    this.#leave(AWAY);
    port?.close().catch(ignore);
    this.#parts.wheel.schedule(this.#reopen, this.#backoff.next());
  }

  #leave(state: number): void {
    const wasOpen = this.#state === OPEN;
    this.#state = state;
    this.#port = null;
    this.#output = null;
    this.#parts.wheel.cancel(this.#transmitted);
    if (wasOpen) this.handler?.onAway();
  }
}

function isBusy(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "EAGAIN" || code === "EINTR";
}

function ignore(): void {}

/** Loads the binding at the first call. */
const openWithBinding: OpenBoundPort = async (path, baud) => {
  // Through serialport's own place: the binding is its dependency, not ours.
  const require = createRequire(createRequire(import.meta.url).resolve("serialport"));
  const { autoDetect } = require("@serialport/bindings-cpp") as Binding;
  const port = await autoDetect().open({ path, baudRate: baud });
  if (!("poller" in port)) throw new Error("serial lines are not supported on this system");
  return port as BoundPort;
};

interface Binding {
  autoDetect(): { open(options: { path: string; baudRate: number }): Promise<object> };
}
