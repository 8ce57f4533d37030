/**
 * A serial device that is open.
 *
 * What was written counts as sent when it has left the machine: the driver says how much it still has, and when that is
 * nothing the hardware's FIFO is drained. So no thread of libuv's pool waits for a device that holds the line up (CTS, XOFF),
 * which may do so for as long as it likes.
 *
 * Where the gateway switches an RS-485 transmitter itself, it is on from before a write until it is drained:
 *
 *     write -> RTS on -> bytes to the kernel -> time to send them -> drain -> RTS off -> onSent
 */
import { readSync, writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { Semaphore } from "../../base/semaphore.ts";
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import type { LineSettings } from "../../config/serial-port.ts";
import type { TtyAddon } from "../../native/tty/binding.ts";
import { describeError } from "../socket-error.ts";
import {
  type BoundPort,
  type ControlLines,
  type OpenBoundPort,
  openWithBinding,
  UV_READABLE,
  UV_WRITABLE,
} from "./binding.ts";
import { type DriverLine, SerialDriver, setUpLine, ttyAddon } from "./driver.ts";
import { explainTrouble, refuseIfHeld } from "./port-access.ts";
import { ReadPace } from "./read-pace.ts";
import { type LineFacts, READ_BYTES, type SerialStream, type SerialStreamHandler, transmitMs } from "./stream.ts";

/** The most a tty's own buffer holds. */
const KERNEL_BYTES = 4096;
/** Draining blocks a thread of libuv's pool of four, which eight busy lines would never give back. */
const DRAIN_MS_MAX = 2;
/**
 * Of lines that their devices may hold up, where nobody tells what has left: at most two threads wait for them, so that the
 * store has its own.
 */
const BLIND_DRAINS = new Semaphore(2);
/** The timer wheel is too coarse for less. */
const FINE_MS = 50;
/** Between two reads of a device whose bytes come one by one. */
const GATHER_MS = 1;
/** Between two looks at a line that goes on: what is USB all the way takes its bytes sooner than its baud rate says. */
const LOOK_MS_MAX = 10;
/** How often a line that is held up is looked at. */
const HELD_MS_MAX = 1000;

const HUNG_UP = "the device is gone";
const NOTHING: Buffer = Buffer.alloc(0);

/**
 * @param addon or the reason why there is none
 * @throws Error in words
 */
export async function openTty(
  path: string,
  settings: LineSettings,
  wheel: TimerWheel,
  open: OpenBoundPort = openWithBinding,
  addon: TtyAddon | string = ttyAddon(),
): Promise<TtyStream> {
  refuseIfHeld(path); // the binding would change its settings before it sees the lock
  const port = await open(path, settings).catch((error: unknown) => {
    throw explainTrouble(error, path);
  });
  try {
    const line = await setUpLine(port, settings, addon);
    const stream = new TtyStream(port, settings, line, typeof addon === "string" ? null : addon, wheel);
    if (line.rs485 === "rts") await stream.listen();
    return stream;
  } catch (error) {
    await port.close().catch(ignore);
    throw error;
  }
}

export class TtyStream implements SerialStream, Expirable {
  readonly #port: BoundPort;
  readonly #settings: LineSettings;
  readonly #line: DriverLine;
  readonly #driver: SerialDriver | null;
  /** The gateway switches the transmitter. */
  readonly #switched: boolean;
  /** It may be drained when the rest takes no longer. */
  readonly #drainMsMax: number;
  readonly #wheel: TimerWheel;
  readonly #transmitted = new Timer(this, 0);
  readonly #input = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #pace = new ReadPace();
  #handler: SerialStreamHandler | null = null;
  #paused = false;
  #output: Buffer | null = null;
  #outputAt = 0;
  /** The transmitter is on, or needs no switch. */
  #mayTransmit: boolean;
  /** RTS as it is being set. */
  #switching: Promise<void> = Promise.resolve();
  /** Between two looks at what the driver still has. */
  #lookMs = 0;
  /** What it had at the last one; negative: there was none. */
  #waiting = -1;

  constructor(port: BoundPort, settings: LineSettings, line: DriverLine, addon: TtyAddon | null, wheel: TimerWheel) {
    this.#port = port;
    this.#settings = settings;
    this.#line = line;
    this.#driver = addon === null ? null : new SerialDriver(addon, port.fd);
    this.#switched = line.rs485 === "rts";
    this.#drainMsMax = this.#switched ? FINE_MS : DRAIN_MS_MAX; // a slave answers as soon as the last byte has left
    this.#mayTransmit = !this.#switched;
    this.#wheel = wheel;
  }

  /** Switches the transmitter off. */
  listen(): Promise<void> {
    return this.#transmitter(false);
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
    if (this.#switched) {
      void this.#transmitOn();
      return;
    }
    if (this.#handler === null) return; // `start` sees that there is something to write
    try {
      this.#writeOn(bytes);
    } catch {
      this.#watch(); // for room, or to hear of the error in a later turn
    }
  }

  async close(): Promise<void> {
    this.#handler = null;
    this.#wheel.cancel(this.#transmitted);
    // The kernel would wait half a minute for a device that holds the line up. What is lost so is written again.
    if (this.#output !== null && this.#settings.flow !== "none") this.#driver?.discardOutput();
    this.#output = null;
    // By its descriptor, which may be another's once it is closed.
    if (this.#switched) await this.#switching.catch(ignore);
    if (this.#switched && this.#mayTransmit) await this.#transmitter(false).catch(ignore);
    await this.#port.close().catch(ignore);
  }

  facts(): LineFacts {
    // A USB adapter is asked for CTS over USB, so only when that is the question.
    const heldBy = this.#output === null ? null : this.#holder();
    return { heldBy, driver: { ...this.#line, errors: this.#driver?.errors() ?? null } };
  }

  onTimer(): void {
    this.#awaitSent();
  }

  #holder(): string {
    const { flow } = this.#settings;
    if (flow === "rts-cts" && this.#driver?.clearToSend === false) return "CTS is off";
    return flow === "xon-xoff" ? "XOFF, or the device takes nothing" : "the device takes nothing";
  }

  #transmitter(on: boolean): Promise<void> {
    const { rs485Line, lowLatency } = this.#settings;
    this.#switching = this.#port.set(controlLines(on === rs485Line.rtsOnSend, lowLatency));
    return this.#switching;
  }

  async #transmitOn(): Promise<void> {
    const { delayBeforeMs } = this.#settings.rs485Line;
    try {
      await this.#transmitter(true);
      if (delayBeforeMs > 0) await pause(delayBeforeMs);
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
    const reading = !this.#paused && !this.#pace.timed;
    this.#port.poller.poll((reading ? UV_READABLE : 0) | (writing ? UV_WRITABLE : 0));
  }

  readonly #onReadable = (error: Error | null): void => {
    if (this.#handler === null) return;
    if (error !== null) {
      this.#gone(HUNG_UP);
      return;
    }
    if (!this.#pace.timed && this.#take()) setTimeout(this.#onGathered, GATHER_MS);
    this.#watch();
  };

  readonly #onGathered = (): void => {
    if (this.#handler === null) return;
    if (this.#take()) setTimeout(this.#onGathered, GATHER_MS);
    else this.#watch();
  };

  /** @returns whether the next read is the timer's */
  #take(): boolean {
    const length = this.#read();
    if (length > 0) this.#handler?.onData(this.#input.subarray(0, length));
    if (this.#handler === null || this.#handler.prompt === true) return false;
    return this.#pace.onRead(length, performance.now());
  }

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
    if (this.#output === null || this.#outputAt >= this.#output.length) return;
    try {
      this.#writeOn(this.#output);
    } catch (error) {
      if (!isBusy(error)) this.#gone(describeError(error));
    }
    this.#watch();
  };

  /** @throws what the kernel says, also that it has no room for all of it now */
  #writeOn(output: Buffer): void {
    while (this.#outputAt < output.length) {
      this.#outputAt += writeSync(this.#port.fd, output, this.#outputAt, output.length - this.#outputAt);
    }
    if (this.#handler?.answered === true && !this.#switched) {
      setImmediate(this.#onTaken);
      return;
    }
    this.#waiting = -1;
    const ms = transmitMs(Math.min(output.length, KERNEL_BYTES), this.#settings.baud);
    if (this.#driver !== null || ms < this.#drainMsMax) this.#awaitSent();
    else this.#lookAfter(ms); // nobody tells what has left
  }

  /** Its answer says that it has left. */
  readonly #onTaken = (): void => {
    this.#output = null;
    this.#handler?.onSent();
  };

  /** Drains what cannot take long any more; looks again later at what may. */
  #awaitSent(): void {
    if (this.#handler === null) return;
    const waiting = this.#driver?.outputBytes ?? 0;
    const ms = transmitMs(waiting, this.#settings.baud);
    const moves = waiting !== this.#waiting;
    this.#waiting = waiting;
    if (waiting === 0 || (this.#settings.flow === "none" && ms < this.#drainMsMax && moves)) {
      void this.#drain();
      return;
    }
    this.#lookMs = moves ? Math.max(1, Math.min(ms, LOOK_MS_MAX)) : Math.min(HELD_MS_MAX, 2 * this.#lookMs);
    this.#lookAfter(this.#lookMs);
  }

  #lookAfter(ms: number): void {
    if (ms < FINE_MS) setTimeout(this.#onLook, ms);
    else this.#wheel.schedule(this.#transmitted, ms);
  }

  readonly #onLook = (): void => this.#awaitSent();

  async #drain(): Promise<void> {
    const { delayAfterMs } = this.#settings.rs485Line;
    try {
      if (this.#driver === null && this.#settings.flow !== "none") await BLIND_DRAINS.run(() => this.#port.drain());
      else await this.#port.drain();
      // A hang-up ends the wait for the last bit as if it had left; what is called after it fails.
      if (this.#handler !== null) writeSync(this.#port.fd, NOTHING);
      if (this.#switched && delayAfterMs > 0) await pause(delayAfterMs);
      if (this.#switched && this.#handler !== null) {
        this.#mayTransmit = false;
        await this.#transmitter(false);
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

function controlLines(rts: boolean, lowLatency: boolean): ControlLines {
  return { rts, dtr: true, cts: false, dsr: false, brk: false, lowLatency };
}

function isBusy(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "EAGAIN" || code === "EINTR";
}

function ignore(): void {}
