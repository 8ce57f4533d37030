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
import type { LineSettings } from "../config/serial-port.ts";

/** What is used of the binding's open port. */
export interface BoundPort {
  readonly fd: number;
  readonly poller: {
    on(event: "readable" | "writable", listener: (error: Error | null) => void): unknown;
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
  // Through serialport's own place: the binding is its dependency, not ours.
  const require = createRequire(createRequire(import.meta.url).resolve("serialport"));
  const { autoDetect } = require("@serialport/bindings-cpp") as Binding;
  const port = await autoDetect().open(bindingOptions(path, settings));
  if (!("poller" in port)) throw new Error("serial lines are not supported on this system");
  return port as BoundPort;
};

/** The settings in the binding's words. It has no mark and no space parity: `serial-driver.ts` sets them afterwards. */
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
}

interface Binding {
  autoDetect(): { open(options: BindingOptions): Promise<object> };
}
