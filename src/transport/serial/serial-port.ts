/**
 * One serial line, wherever it is: opened, and opened again for ever when it goes away.
 *
 *     AWAY ---- open ----> OPENING ----> OPEN ---- hang-up, error ----> AWAY      backoff between tries
 *
 * What it is while open is a stream: a device (`tty.ts`) or a socket (`socket.ts`).
 *
 * No real line brings as much at once as a terminal server or a pseudo terminal can: after a large read, and when the
 * handler has done enough for one turn of the event loop, the port waits in `turn-queue.ts` as links do.
 */
import { realpath } from "node:fs/promises";
import { Backoff } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import type { Counter, Counters } from "../../base/counters.ts";
import type { Log, LogFields } from "../../base/log.ts";
import type { Random } from "../../base/random.ts";
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import { type LineSettings, placeText, type SerialPlace } from "../../config/serial-port.ts";
import type { Flusher } from "../flusher.ts";
import { describeError } from "../socket-error.ts";
import type { TurnTaker } from "../turn-queue.ts";
import { SerialNews } from "./news.ts";
import { openSocket } from "./socket.ts";
import {
  type DriverFacts,
  type OpenSerialStream,
  READ_BYTES,
  type SerialStream,
  type SerialStreamHandler,
  transmitMs,
} from "./stream.ts";

export interface SerialHandler {
  /** Silences of a few ms say something: bytes that come one by one are not gathered for a millisecond. Absent: no. */
  readonly prompt?: boolean;
  /** All that is written is answered: it counts as sent when the kernel has it, but where RTS switches. Absent: no. */
  readonly answered?: boolean;
  onOpen(): void;
  /** `chunk` is valid until return. Not called while the port is paused. */
  onData(chunk: Buffer): void;
  /** The bytes of the last `write` have left the machine. */
  onWritten(): void;
  /** The port is away; a write under way is not confirmed any more. */
  onAway(): void;
  /** The turn that `awaitTurn` asked for; the port may be away by then. */
  onTurn?(): void;
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
  readonly clock: Clock;
  /** Where ports wait for their turn. */
  readonly flusher: Pick<Flusher, "turns" | "scheduleEnd">;
}

/** How a port stands, as plain JSON. */
export interface SerialPortStatus extends LineSettings {
  readonly name: string;
  readonly port: string;
  /** Path of the device that is open, behind links; null = none, or it is behind a socket. */
  readonly device: string | null;
  readonly open: boolean;
  /** Wall time of the last change: opened, or gone. */
  readonly sinceMs: number;
  /** Why it is not open. */
  readonly error: string | null;
  /** Why it was not, the last time, and when that was; null = it always was. */
  readonly lastError: { readonly words: string; readonly atMs: number } | null;
  /** How often it was opened. */
  readonly opened: number;
  /** Of all openings. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Why what is being written does not leave; null = it does, or nothing is. */
  readonly heldBy: string | null;
  /** null = away, or behind a socket. */
  readonly driver: DriverFacts | null;
}

/** More than a line at 115,200 baud brings in 80 ms: most likely there is more. A terminal gives less than is asked for. */
const LARGE_READ_BYTES = READ_BYTES / 4;
const REOPEN_MS = { baseMs: 250, capMs: 5_000 };
/** Who stays open so long is not one of those that hang up at once. */
const PROVEN_MS = 1_000;

/** What takes so much longer to write than the line needs for it is held up. */
const HELD_MS = 10_000;

const REOPEN = 0;
const PROVEN = 1;
const HELD = 2;

const AWAY = 0;
const OPENING = 1;
const OPEN = 2;
const CLOSED = 3;

export class SerialPort implements Expirable, SerialStreamHandler, TurnTaker {
  readonly #options: SerialOptions;
  readonly #parts: SerialParts;
  readonly #open: OpenSerialStream;
  readonly #backoff: Backoff;
  readonly #news: SerialNews;
  readonly #reopen = new Timer(this, REOPEN);
  readonly #proven = new Timer(this, PROVEN);
  readonly #held = new Timer(this, HELD);
  readonly #opened: Counter;
  readonly #bytesRead: Counter;
  readonly #bytesWritten: Counter;
  readonly #turnsCut: Counter;
  handler: SerialHandler | null = null;
  #state = AWAY;
  #stream: SerialStream | null = null;
  #opening: Promise<void> = Promise.resolve();
  readonly #closes = new AbortController();
  #closing: Promise<void> = Promise.resolve();
  /** The handler has paused it. */
  #paused = false;
  #waitsForTurn = false;
  #writingBytes = 0;
  #isHeld = false;
  #timesOpened = 0;
  #read = 0;
  #written = 0;
  #sinceMs: number;
  #lastError: { words: string; atMs: number } | null = null;
  /** Path of the device that was opened last, behind links. */
  #device: string | null = null;
  #error: string | null = null;

  /** @param open instead of what the options say */
  constructor(options: SerialOptions, parts: SerialParts, open: OpenSerialStream | null = null) {
    this.#options = options;
    this.#parts = parts;
    this.#open = open ?? ((givenUp) => this.#openPlace(givenUp));
    this.#sinceMs = parts.clock.wallMs();
    this.#backoff = new Backoff(REOPEN_MS, parts.random);
    this.#news = new SerialNews(parts.log, options.name, placeText(options.place));
    this.#opened = parts.counters.counter("serial.opened");
    this.#bytesRead = parts.counters.counter("serial.bytes_read");
    this.#turnsCut = parts.counters.counter("serial.turns_cut");
    this.#bytesWritten = parts.counters.counter("serial.bytes_written");
  }

  get isOpen(): boolean {
    return this.#state === OPEN;
  }

  status(): SerialPortStatus {
    const { name, place, baud, dataBits, parity, stopBits, flow, rs485, rs485Line, lowLatency, keepAliveMs } =
      this.#options;
    const open = this.isOpen;
    const facts = this.#stream?.facts() ?? null;
    return {
      name,
      port: placeText(place),
      device: open ? this.#device : null,
      open,
      sinceMs: this.#sinceMs,
      error: open ? null : this.#error,
      lastError: this.#lastError,
      opened: this.#timesOpened,
      bytesRead: this.#read,
      bytesWritten: this.#written,
      heldBy: this.#isHeld ? (facts?.heldBy ?? null) : null,
      driver: facts?.driver ?? null,
      ...{ baud, dataBits, parity, stopBits, flow, rs485, rs485Line, lowLatency, keepAliveMs },
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
    this.#closes.abort();
    this.#parts.wheel.cancel(this.#reopen);
    this.#parts.flusher.turns.leave(this);
    await this.#opening;
    await this.#closing;
  }

  pause(): void {
    this.#paused = true;
    this.#stream?.pause();
  }

  resume(): void {
    this.#paused = false;
    if (!this.#waitsForTurn) this.#stream?.resume();
  }

  /** Nothing more in this turn of the event loop; the handler hears `onTurn` in a later one, once. */
  awaitTurn(): void {
    if (this.#waitsForTurn) return;
    this.#waitsForTurn = true;
    this.#turnsCut.value++;
    this.#stream?.pause();
    this.#parts.flusher.turns.wait(this);
    this.#parts.flusher.scheduleEnd();
  }

  takeTurn(): void {
    this.#waitsForTurn = false;
    this.handler?.onTurn?.();
    if (!this.#paused && !this.#waitsForTurn) this.#stream?.resume();
  }

  /**
   * Writes `bytes`, which must not change until `onWritten`, in a later turn. One write at a time, and only while open.
   */
  write(bytes: Buffer): void {
    if (this.#stream === null) return;
    this.#writingBytes = bytes.length;
    this.#parts.wheel.schedule(this.#held, HELD_MS + 2 * transmitMs(bytes.length, this.#options.baud));
    this.#stream.write(bytes);
  }

  /** Closes it, to be opened anew soon. */
  hangUp(why: string): void {
    if (this.#state === OPEN) this.#failed(why);
  }

  onTimer(kind: number): void {
    if (kind === REOPEN) this.start();
    else if (kind === PROVEN) this.#prove();
    else this.#setHeld(true);
  }

  // ---- the stream --------------------------------------------------------------------------------------------

  get prompt(): boolean {
    return this.handler?.prompt === true;
  }

  get answered(): boolean {
    return this.handler?.answered === true;
  }

  onData(chunk: Buffer): void {
    this.#bytesRead.value += chunk.length;
    this.#read += chunk.length;
    this.handler?.onData(chunk);
    if (chunk.length >= LARGE_READ_BYTES && this.#stream !== null) this.awaitTurn();
  }

  onSent(): void {
    this.#bytesWritten.value += this.#writingBytes;
    this.#written += this.#writingBytes;
    this.#parts.wheel.cancel(this.#held);
    if (this.#isHeld) this.#setHeld(false);
    this.#prove();
    this.handler?.onWritten();
  }

  onGone(words: string): void {
    this.#failed(words);
  }

  // ---- opening -----------------------------------------------------------------------------------------------

  async #openPlace(givenUp: AbortSignal): Promise<SerialStream> {
    const { place } = this.#options;
    const { wheel } = this.#parts;
    if (place.kind === "unix") return openSocket(place, this.#options, wheel, givenUp);
    if (place.kind === "tcp") {
      const stream = await openSocket(place, this.#options, wheel, givenUp);
      const addon = (await import("./driver.ts")).ttyAddon();
      if (typeof addon !== "string") stream.addon = addon;
      return stream;
    }
    const path = place.kind === "match" ? await (await import("./devices.ts")).pathOf(place) : place.path;
    this.#device = place.kind === "match" ? path : await realpath(path).catch(() => path);
    return (await import("./tty.ts")).openTty(path, this.#options, wheel);
  }

  async #tryOpen(): Promise<void> {
    let stream: SerialStream;
    try {
      await this.#closing; // its lock, and a socket that takes one connection
      stream = await this.#open(this.#closes.signal);
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
    this.#error = null;
    this.#sinceMs = this.#parts.clock.wallMs();
    this.#news.opened(this.#openFields(stream.facts().driver));
    this.#parts.wheel.schedule(this.#proven, PROVEN_MS);
    this.#paused = false;
    if (this.#waitsForTurn) stream.pause();
    this.handler?.onOpen();
    if (this.#stream === stream) stream.start(this);
  }

  #openFields(driver: DriverFacts | null): LogFields {
    const { baud } = this.#options;
    if (driver === null) return { baud };
    const real = driver.baud ?? baud;
    return {
      ...(this.#device === null || this.#device === placeText(this.#options.place) ? {} : { device: this.#device }),
      ...(real === baud ? { baud } : { baud: real, wanted_baud: baud }),
      ...(driver.rs485 === null ? {} : { rs485: driver.rs485 }),
      ...(driver.refused.length === 0 ? {} : { not_by_driver: driver.refused.join("; ") }),
    };
  }

  /** It lasts, or was of use: the next time it is away it is tried soon. */
  #prove(): void {
    this.#backoff.reset();
    this.#news.proven();
  }

  #setHeld(held: boolean): void {
    this.#isHeld = held;
    if (held) this.#news.held(this.#stream?.facts().heldBy ?? "");
    else this.#news.flows();
  }

  #failed(words: string): void {
    if (this.#state === CLOSED) return;
    const nowMs = this.#parts.clock.wallMs();
    if (this.#state === OPEN) this.#sinceMs = nowMs;
    this.#error = words;
    this.#lastError = { words, atMs: nowMs };
    this.#news.away(words);
    this.#leave(AWAY);
    this.#parts.wheel.schedule(this.#reopen, this.#backoff.next());
  }

  #leave(state: number): void {
    const wasOpen = this.#state === OPEN;
    this.#state = state;
    if (this.#stream !== null) this.#closing = this.#stream.close();
    this.#stream = null;
    this.#parts.wheel.cancel(this.#proven);
    this.#parts.wheel.cancel(this.#held);
    this.#isHeld = false;
    if (wasOpen) this.handler?.onAway();
  }
}
