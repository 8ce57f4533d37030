/**
 * The door to `serialport`: opens a device.
 *
 * Only the binding is loaded (bindings-cpp; without the streams and parsers around it 9 MB less), and used for what it
 * alone can do: open with line settings, poll, drain, set RTS. Reading and writing are plain non-blocking calls on the
 * descriptor, so a paused port holds nothing in memory, and no thread of libuv's pool is taken for them.
 *
 * `SerialPort.list()` is never called: it starts `udevadm`, and where that is missing the process dies.
 */
import { createRequire } from "node:module";
import type { LineSettings } from "../../config/serial-port.ts";

/** What is used of the binding's open port. */
export interface BoundPort {
  readonly fd: number;
  readonly poller: {
    on(event: "readable" | "writable", listener: (error: Error | null) => void): void;
    poll(events: number): void;
  };
  /** Sets all of them; what is not named is off. */
  set(lines: ControlLines): Promise<void>;
  getBaudRate(): Promise<{ readonly baudRate: number }>;
  /** Takes a thread of libuv's pool of four until all has left, so it is called only when that is soon. */
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

export const UV_READABLE = 1;
export const UV_WRITABLE = 2;

/** Loads the binding at the first call. */
export const openWithBinding: OpenBoundPort = async (path, settings) => {
  native ??= load();
  const fd = await native.open(path, bindingOptions(path, settings));
  try {
    return new OpenPort(native, fd);
  } catch (error) {
    await native.close(fd);
    throw error;
  }
};

let native: Native | null = null;

/** Its own functions, and not the objects around them, whose poller is never freed: each opening would cost 9 kB for ever. */
function load(): Native {
  // Through serialport's own place: the binding is its dependency, not ours.
  const require = createRequire(createRequire(import.meta.url).resolve("serialport"));
  const calls = require("@serialport/bindings-cpp/dist/load-bindings.js") as NativeCalls;
  const { binding } = require("@serialport/bindings-cpp/dist/serialport-bindings.js") as NativeModule;
  const { Poller } = binding;
  if (Poller === undefined) throw new Error("serial lines are not supported on this system");
  const { asyncOpen, asyncClose, asyncDrain, asyncSet, asyncGetBaudRate } = calls;
  const pollers = new Map<number, SharedPoller>();
  const pollerOf = (fd: number): SharedPoller => {
    const poller = pollers.get(fd) ?? new SharedPoller(Poller, fd);
    pollers.set(fd, poller);
    return poller;
  };
  const open = asyncOpen;
  return { open, close: asyncClose, drain: asyncDrain, set: asyncSet, getBaudRate: asyncGetBaudRate, pollerOf };
}

type PollListener = (error: Error | null) => void;

/**
 * What polls descriptors of one number, one port after another. It is kept: freed, it would stop the polling of whatever
 * has its number by then.
 */
class SharedPoller {
  readonly #poller: NativePoller;
  #readable: PollListener | null = null;
  #writable: PollListener | null = null;

  constructor(Poller: new (fd: number, onEvents: NativeListener) => NativePoller, fd: number) {
    this.#poller = new Poller(fd, (error, events) => this.#onEvents(error ?? null, events));
  }

  on(event: "readable" | "writable", listener: PollListener): void {
    if (event === "readable") this.#readable = listener;
    else this.#writable = listener;
  }

  poll(events: number): void {
    this.#poller.poll(events);
  }

  stop(): void {
    this.#readable = null;
    this.#writable = null;
    this.#poller.stop();
  }

  #onEvents(error: Error | null, events: number): void {
    if (error !== null || events & UV_READABLE) this.#readable?.(error);
    if (error !== null || events & UV_WRITABLE) this.#writable?.(error);
  }
}

class OpenPort implements BoundPort {
  readonly fd: number;
  readonly poller: SharedPoller;
  readonly #native: Native;
  #closed = false;

  constructor(calls: Native, fd: number) {
    this.#native = calls;
    this.fd = fd;
    this.poller = calls.pollerOf(fd);
  }

  async set(lines: ControlLines): Promise<void> {
    if (!this.#closed) await this.#native.set(this.fd, lines);
  }

  getBaudRate(): Promise<{ readonly baudRate: number }> {
    return this.#native.getBaudRate(this.fd);
  }

  async drain(): Promise<void> {
    if (!this.#closed) await this.#native.drain(this.fd);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true; // its number may be another's soon
    this.poller.stop();
    await this.#native.close(this.fd);
  }
}

/** The settings in the binding's words. It has no mark and no space parity: `driver.ts` sets them afterwards. */
export function bindingOptions(path: string, settings: LineSettings): BindingOptions {
  const { baud, dataBits, parity, stopBits, flow } = settings;
  const xonXoff = flow === "xon-xoff";
  return {
    path,
    baudRate: baud,
    dataBits,
    parity: parity === "mark" || parity === "space" ? "odd" : parity,
    stopBits: Math.ceil(stopBits), // with five data bits the hardware makes one and a half of two
    rtscts: flow === "rts-cts",
    xon: xonXoff,
    xoff: xonXoff,
    xany: false,
    lock: true,
    // Where RTS off is the transmitter's on it must not go off at the end.
    hupcl: settings.rs485 === "none" || settings.rs485Line.rtsOnSend,
    vmin: 1,
    vtime: 0,
  };
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
  readonly xany: boolean;
  /** Nobody else that asks for a lock gets it. */
  readonly lock: boolean;
  /** DTR and RTS go off with the last descriptor. */
  readonly hupcl: boolean;
  readonly vmin: number;
  readonly vtime: number;
}

interface Native {
  open(path: string, options: BindingOptions): Promise<number>;
  close(fd: number): Promise<void>;
  drain(fd: number): Promise<void>;
  set(fd: number, lines: ControlLines): Promise<void>;
  getBaudRate(fd: number): Promise<{ readonly baudRate: number }>;
  pollerOf(fd: number): SharedPoller;
}

interface NativeCalls {
  asyncOpen(path: string, options: BindingOptions): Promise<number>;
  asyncClose(fd: number): Promise<void>;
  asyncDrain(fd: number): Promise<void>;
  asyncSet(fd: number, lines: ControlLines): Promise<void>;
  asyncGetBaudRate(fd: number): Promise<{ readonly baudRate: number }>;
}

type NativeListener = (error: Error | null | undefined, events: number) => void;

interface NativePoller {
  poll(events: number): void;
  stop(): void;
}

interface NativeModule {
  readonly binding: { readonly Poller?: new (fd: number, onEvents: NativeListener) => NativePoller };
}
