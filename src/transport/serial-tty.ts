/**
 * The door to `serialport`: a device that is open.
 *
 * Only the binding is loaded (bindings-cpp; without the streams and parsers around it 9 MB less), and used for what it
 * alone can do: open with line settings, poll, drain, set RTS. Reading and writing are plain non-blocking calls on the
 * descriptor, so a paused port holds nothing in memory, and no thread of libuv's pool is taken for them.
 *
 * `SerialPort.list()` is never called: it starts `udevadm`, and where that is missing the process dies.
 *
 * With `rs485: rts` the transmitter is on from before a write until it is drained:
 *
 *     write -> RTS on -> bytes to the kernel -> time to send them -> drain -> RTS off -> onSent
 */
import { readSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { type Expirable, Timer, type TimerWheel } from "../base/timer-wheel.ts";
import type { LineSettings } from "../config/serial-port.ts";
import { READ_BYTES, type SerialStream, type SerialStreamHandler, transmitMs } from "./serial-stream.ts";
import { describeError } from "./socket-error.ts";

/** What is used of the binding's open port. */
export interface BoundPort {
  readonly fd: number;
  readonly poller: {
    on(event: "readable" | "writable", listener: (error: Error | null) => void): unknown;
    poll(events: number): void;
  };
  /** Sets all of them; what is not named is off. */
  set(lines: ControlLines): Promise<void>;
  drain(): Promise<void>;
  close(): Promise<void>;
}

export interface ControlLines {
  readonly rts: boolean;
  readonly dtr: boolean;
  readonly cts: boolean;
  readonly dsr: boolean;
  readonly brk: boolean;
  readonly lowLatency: boolean;
}

export type OpenBoundPort = (path: string, settings: LineSettings) => Promise<BoundPort>;

/** The most a tty's own buffer holds. */
const KERNEL_BYTES = 4096;
/** Draining blocks a thread of libuv's pool of four, so for no longer than this. */
const DRAIN_AT_ONCE_MS = 50;
const UV_READABLE = 1;
const UV_WRITABLE = 2;

const HUNG_UP = "the device is gone";
const NOTHING: Buffer = Buffer.alloc(0);

/** @throws Error in the words of the system */
export async function openTty(
  path: string,
  settings: LineSettings,
  wheel: TimerWheel,
  open: OpenBoundPort = openWithBinding,
): Promise<TtyStream> {
  const port = await open(path, settings);
  if (settings.rs485 === "rts") {
    try {
      await port.set(linesWithRts(false));
    } catch (error) {
      await port.close().catch(ignore);
      throw error;
    }
  }
  return new TtyStream(port, settings, wheel);
}

export class TtyStream implements SerialStream, Expirable {
  readonly #port: BoundPort;
  readonly #baud: number;
  readonly #switched: boolean;
  readonly #wheel: TimerWheel;
  readonly #transmitted = new Timer(this, 0);
  readonly #input = Buffer.allocUnsafeSlow(READ_BYTES);
  #handler: SerialStreamHandler | null = null;
  #paused = false;
  #output: Buffer | null = null;
  #outputAt = 0;
  /** The transmitter is on, or needs no switch. */
  #mayTransmit: boolean;

  constructor(port: BoundPort, settings: LineSettings, wheel: TimerWheel) {
    this.#port = port;
    this.#baud = settings.baud;
    this.#switched = settings.rs485 === "rts";
    this.#mayTransmit = !this.#switched;
    this.#wheel = wheel;
  }

  start(handler: SerialStreamHandler): void {
    this.#handler = handler;
    this.#port.poller.on("readable", this.#onReadable);
    this.#port.poller.on("writable", this.#onWritable);
    this.#watch();
  }

  pause(): void {
    this.#paused = true;
    this.#watch();
  }

  resume(): void {
    this.#paused = false;
    this.#watch();
  }

  write(bytes: Buffer): void {
    this.#output = bytes;
    this.#outputAt = 0;
    if (this.#switched) void this.#transmitOn();
    else this.#watch();
  }

  async close(): Promise<void> {
    this.#handler = null;
    this.#output = null;
    this.#wheel.cancel(this.#transmitted);
    await this.#port.close().catch(ignore);
  }

  onTimer(): void {
    void this.#drain();
  }

  async #transmitOn(): Promise<void> {
    try {
      await this.#port.set(linesWithRts(true));
    } catch (error) {
      this.#gone(describeError(error));
      return;
    }
    this.#mayTransmit = true;
    this.#watch();
  }

  /** The poller forgets what it waits for when it is told another thing, so it is always told all of it. */
  #watch(): void {
    if (this.#handler === null) return;
    const writing = this.#mayTransmit && this.#output !== null && this.#outputAt < this.#output.length;
    this.#port.poller.poll((this.#paused ? 0 : UV_READABLE) | (writing ? UV_WRITABLE : 0));
  }

  readonly #onReadable = (error: Error | null): void => {
    if (this.#handler === null) return;
    if (error !== null) {
      this.#gone(HUNG_UP);
      return;
    }
    const length = this.#read();
    if (length > 0) this.#handler?.onData(this.#input.subarray(0, length));
    this.#watch();
  };

  /** @returns 0 when there is nothing, or the device has just gone away */
  #read(): number {
    if (this.#paused) return 0;
    try {
      const length = readSync(this.#port.fd, this.#input, 0, READ_BYTES, null);
      if (length === 0) this.#gone(HUNG_UP); // a tty whose other side is gone reads as its end
      return length;
    } catch (error) {
      if (!isBusy(error)) this.#gone(describeError(error));
      return 0;
    }
  }

  readonly #onWritable = (error: Error | null): void => {
    if (error !== null || !this.#mayTransmit) return; // #onReadable hears of errors, too
    if (this.#output !== null && this.#outputAt < this.#output.length) this.#writeOn(this.#output);
  };

  #writeOn(output: Buffer): void {
    try {
      while (this.#outputAt < output.length) {
        this.#outputAt += writeSync(this.#port.fd, output, this.#outputAt, output.length - this.#outputAt);
      }
    } catch (error) {
      if (isBusy(error)) this.#watch();
      else this.#gone(describeError(error));
      return;
    }
    const ms = transmitMs(Math.min(output.length, KERNEL_BYTES), this.#baud);
    if (ms < DRAIN_AT_ONCE_MS) void this.#drain();
    else this.#wheel.schedule(this.#transmitted, ms);
    this.#watch();
  }

  async #drain(): Promise<void> {
    try {
      await this.#port.drain();
      // A hang-up ends the wait for the last bit as if it had left; what is called after it fails.
      if (this.#handler !== null) writeSync(this.#port.fd, NOTHING);
      if (this.#switched && this.#handler !== null) {
        this.#mayTransmit = false;
        await this.#port.set(linesWithRts(false));
      }
    } catch (error) {
      this.#gone(describeError(error));
      return;
    }
    this.#output = null;
    this.#handler?.onSent();
  }

  #gone(words: string): void {
    const handler = this.#handler;
    this.#handler = null;
    handler?.onGone(words);
  }
}

function linesWithRts(rts: boolean): ControlLines {
  return { rts, dtr: true, cts: false, dsr: false, brk: false, lowLatency: false };
}

function isBusy(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "EAGAIN" || code === "EINTR";
}

function ignore(): void {}

/** Loads the binding at the first call. */
const openWithBinding: OpenBoundPort = async (path, settings) => {
  // Through serialport's own place: the binding is its dependency, not ours.
  const require = createRequire(createRequire(import.meta.url).resolve("serialport"));
  const { autoDetect } = require("@serialport/bindings-cpp") as Binding;
  const port = await autoDetect().open(bindingOptions(path, settings));
  if (!("poller" in port)) throw new Error("serial lines are not supported on this system");
  return port as BoundPort;
};

/** The settings in the binding's words. */
export function bindingOptions(path: string, settings: LineSettings): BindingOptions {
  const { baud, dataBits, parity, stopBits, flow } = settings;
  const xonXoff = flow === "xon-xoff";
  return { path, baudRate: baud, dataBits, parity, stopBits, rtscts: flow === "rts-cts", xon: xonXoff, xoff: xonXoff };
}

export interface BindingOptions {
  readonly path: string;
  readonly baudRate: number;
  readonly dataBits: number;
  readonly parity: string;
  readonly stopBits: number;
  readonly rtscts: boolean;
  readonly xon: boolean;
  readonly xoff: boolean;
}

interface Binding {
  autoDetect(): { open(options: BindingOptions): Promise<object> };
}
