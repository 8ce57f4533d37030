/**
 * One serial line, wherever it is: opened, and opened again for ever when it goes away.
 *
 *     AWAY ---- open ----> OPENING ----> OPEN ---- hang-up, error ----> AWAY      backoff between tries
 *
 * What it is while open is a stream: a device (`serial-tty.ts`) or a socket (`serial-socket.ts`).
 */
import { Backoff } from "../base/backoff.ts";
import type { Counter, Counters } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { type Expirable, Timer, type TimerWheel } from "../base/timer-wheel.ts";
import { type LineSettings, placeText, type SerialPlace } from "../config/serial-port.ts";
import { openSocket } from "./serial-socket.ts";
import type { OpenSerialStream, SerialStream, SerialStreamHandler } from "./serial-stream.ts";
import { openTty } from "./serial-tty.ts";
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

export interface SerialOptions extends LineSettings {
  /** For logs. */
  readonly name: string;
  readonly place: SerialPlace;
}

export interface SerialParts {
  readonly wheel: TimerWheel;
  readonly random: Random;
  readonly counters: Counters;
  readonly log: Log;
}

/** How a port stands, as plain JSON. */
export interface SerialPortStatus extends LineSettings {
  readonly name: string;
  readonly port: string;
  /** Path of the device that is open; null = none, or it is behind a socket. */
  readonly device: string | null;
  readonly open: boolean;
  /** Why it is not open. */
  readonly error: string | null;
  /** How often it was. */
  readonly opened: number;
}

const REOPEN_MS = { baseMs: 250, capMs: 5_000 };
/** Who stays open so long is not one of those that hang up at once. */
const PROVEN_MS = 1_000;

const REOPEN = 0;
const PROVEN = 1;

const AWAY = 0;
const OPENING = 1;
const OPEN = 2;
const CLOSED = 3;

export class SerialPort implements Expirable, SerialStreamHandler {
  readonly #options: SerialOptions;
  readonly #parts: SerialParts;
  readonly #open: OpenSerialStream;
  readonly #backoff: Backoff;
  readonly #reopen = new Timer(this, REOPEN);
  readonly #proven = new Timer(this, PROVEN);
  readonly #opened: Counter;
  readonly #bytesRead: Counter;
  readonly #bytesWritten: Counter;
  handler: SerialHandler | null = null;
  #state = AWAY;
  #stream: SerialStream | null = null;
  #opening: Promise<void> = Promise.resolve();
  #closing: Promise<void> = Promise.resolve();
  #writingBytes = 0;
  #timesOpened = 0;
  /** Path of the device that was opened last. */
  #device: string | null = null;
  /** What the log said last; a port that stays away for the same reason is not news. */
  #lastWords = "";

  /** @param open instead of what the options say */
  constructor(options: SerialOptions, parts: SerialParts, open: OpenSerialStream | null = null) {
    this.#options = options;
    this.#parts = parts;
    this.#open = open ?? (() => this.#openPlace());
    this.#backoff = new Backoff(REOPEN_MS, parts.random);
    this.#opened = parts.counters.counter("serial.opened");
    this.#bytesRead = parts.counters.counter("serial.bytes_read");
    this.#bytesWritten = parts.counters.counter("serial.bytes_written");
  }

  get isOpen(): boolean {
    return this.#state === OPEN;
  }

  status(): SerialPortStatus {
    const { name, place, baud, dataBits, parity, stopBits, flow, rs485 } = this.#options;
    const open = this.isOpen;
    return {
      name,
      port: placeText(place),
      device: open ? this.#device : null,
      open,
      error: open || this.#lastWords === "" ? null : this.#lastWords,
      opened: this.#timesOpened,
      ...{ baud, dataBits, parity, stopBits, flow, rs485 },
    };
  }

  /** Opens it now, and again whenever it is away, until `close`. */
  start(): void {
    if (this.#state !== AWAY) return;
    this.#state = OPENING;
    this.#opening = this.#tryOpen();
  }

  /** Resolves when what was open is closed. */
  async close(): Promise<void> {
    this.#leave(CLOSED);
    this.#parts.wheel.cancel(this.#reopen);
    await this.#opening;
    await this.#closing;
  }

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }

  /**
   * Writes `bytes`, which must not change until `onWritten`, in a later turn. One write at a time, and only while open.
   */
  write(bytes: Buffer): void {
    this.#writingBytes = bytes.length;
    this.#stream?.write(bytes);
  }

  onTimer(kind: number): void {
    if (kind === REOPEN) this.start();
    else this.#backoff.reset();
  }

  // ---- the stream --------------------------------------------------------------------------------------------

  onData(chunk: Buffer): void {
    this.#bytesRead.value += chunk.length;
    this.handler?.onData(chunk);
  }

  onSent(): void {
    this.#bytesWritten.value += this.#writingBytes;
    this.#backoff.reset();
    this.handler?.onWritten();
  }

  onGone(words: string): void {
    this.#failed(words);
  }

  // ---- opening -----------------------------------------------------------------------------------------------

  async #openPlace(): Promise<SerialStream> {
    const { place, baud } = this.#options;
    const { wheel } = this.#parts;
    if (place.kind === "tcp") return openSocket({ host: place.host, port: place.port }, baud, wheel);
    if (place.kind === "unix") return openSocket({ path: place.path }, baud, wheel);
    const path = place.kind === "match" ? await (await import("./serial-devices.ts")).pathOf(place) : place.path;
    this.#device = path;
    return openTty(path, this.#options, wheel);
  }

  async #tryOpen(): Promise<void> {
    let stream: SerialStream;
    try {
      await this.#closing; // its lock, and a socket that takes one connection
      stream = await this.#open();
    } catch (error) {
      this.#failed(describeError(error).replace(/^Error: /, ""));
      return;
    }
    if (this.#state === CLOSED) {
      await stream.close();
      return;
    }
    this.#stream = stream;
    this.#state = OPEN;
    this.#opened.value++;
    this.#timesOpened++;
    this.#lastWords = "";
    const { name, place, baud } = this.#options;
    const device = place.kind === "match" ? { device: this.#device } : {};
    this.#parts.log.info("serial-open", { name, path: placeText(place), ...device, baud });
    this.#parts.wheel.schedule(this.#proven, PROVEN_MS);
    this.handler?.onOpen();
    if (this.#stream === stream) stream.start(this);
  }

  /** One line of log per change of state. */
  #failed(words: string): void {
    if (this.#state === CLOSED) return;
    if (words !== this.#lastWords) {
      this.#lastWords = words;
      const { name, place } = this.#options;
      this.#parts.log.warn("serial-away", { name, path: placeText(place), error: words });
    }
    this.#leave(AWAY);
    this.#parts.wheel.schedule(this.#reopen, this.#backoff.next());
  }

  #leave(state: number): void {
    const wasOpen = this.#state === OPEN;
    this.#state = state;
    if (this.#stream !== null) this.#closing = this.#stream.close();
    this.#stream = null;
    this.#parts.wheel.cancel(this.#proven);
    if (wasOpen) this.handler?.onAway();
  }
}
