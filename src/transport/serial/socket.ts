/**
 * A serial line behind a socket: a terminal server (ser2net, raw TCP) or a unix socket.
 *
 * Over TCP the kernel takes bytes long before anybody has them, so what was written counts as sent when the peer's
 * kernel has acknowledged it (`send-queue.ts`), and no sooner than the line can have sent it, or the peer has answered. The
 * tty addon asks the kernel for this one connection, 1, 2, 4, ... ms long. Behind that, and without it, the list of all
 * connections is read, at most once a tick and once a read.
 *
 * A peer that vanished without a word is found either way: by TCP keepalive when nothing is under way, else because
 * nothing is acknowledged. One that takes nothing because its device holds the line up is there all the same: it answers
 * when its kernel is asked whether it takes more.
 */
import { connect, type Socket } from "node:net";
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import type { LineSettings } from "../../config/serial-port.ts";
import { listedQueue, type OutputAsker, type SendQueue, unacknowledgedBytes } from "../send-queue.ts";
import { describeError } from "../socket-error.ts";
import { type LineFacts, READ_BYTES, type SerialStream, type SerialStreamHandler, transmitMs } from "./stream.ts";

export type SocketSettings = Pick<LineSettings, "baud" | "keepAliveMs">;

export type SocketPlace = { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * After so much silence as the line's `keepalive` says node has the kernel send ten probes, a second apart. A peer may leave
 * as long unanswered what was written.
 */
const PROBES_MS = 10_000;
const CONNECT_MS = 10_000;
const CHECK_MS = 20;
const CHECK_MS_MAX = 1000;
/** The addon is asked after 1, 2, 4, ... ms; then there is the list. */
const SOON_MS_MAX = 32;

/**
 * @param givenUp it is not to be opened any more: a host that does not answer would be waited for
 * @param look what the kernel still has of what was written
 * @throws Error with the reason in words
 */
export function openSocket(
  place: SocketPlace,
  settings: SocketSettings,
  wheel: TimerWheel,
  givenUp: AbortSignal | null = null,
  look: (socket: Socket) => SendQueue | null = listedQueue,
): Promise<SocketStream> {
  return new Promise((resolve, reject) => {
    const stream = new SocketStream(place, settings, wheel, look, (error) => {
      givenUp?.removeEventListener("abort", giveUp);
      if (error === null) resolve(stream);
      else reject(error);
    });
    const giveUp = (): void => void stream.close();
    if (givenUp?.aborted) giveUp();
    else givenUp?.addEventListener("abort", giveUp);
  });
}

export class SocketStream implements SerialStream, Expirable {
  readonly #socket: Socket;
  readonly #tcp: boolean;
  readonly #settings: SocketSettings;
  readonly #wheel: TimerWheel;
  readonly #look: (socket: Socket) => SendQueue | null;
  readonly #check = new Timer(this, 0);
  readonly #closed: Promise<void>;
  #handler: SerialStreamHandler | null = null;
  /** The peer is to acknowledge the write under way. */
  #awaited = false;
  /** Bytes of it that were not acknowledged when that was looked at last. */
  #left = 0;
  /** How long they have been as many, and nobody has answered. */
  #checkedMs = 0;
  /** Asked before the list is; null = there is none. */
  addon: OutputAsker | null = null;
  #soonMs = 0;
  #soon: NodeJS.Timeout | null = null;
  #error = "closed by peer";
  #paused = false;

  /** @param onOpened called once, in a later turn */
  constructor(
    place: SocketPlace,
    settings: SocketSettings,
    wheel: TimerWheel,
    look: (socket: Socket) => SendQueue | null,
    onOpened: (error: Error | null) => void,
  ) {
    this.#look = look;
    this.#tcp = "port" in place;
    this.#settings = settings;
    this.#wheel = wheel;
    const socket = connect({
      ...place,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: settings.keepAliveMs,
      onread: { buffer: Buffer.allocUnsafeSlow(READ_BYTES), callback: this.#onRead },
    });
    this.#socket = socket;
    socket.pause();
    const timeout = setTimeout(() => socket.destroy(new Error("no answer")), CONNECT_MS);
    socket.once("connect", () => {
      clearTimeout(timeout);
      onOpened(null);
    });
    socket.on("error", (error) => {
      this.#error = describeError(error);
    });
    this.#closed = new Promise((resolve) => {
      socket.once("close", () => {
        clearTimeout(timeout);
        onOpened(new Error(this.#error)); // nobody listens any more once it was open
        this.#gone(this.#error);
        resolve();
      });
    });
  }

  /** What has come in the meantime waits in the kernel. */
  start(handler: SerialStreamHandler): void {
    this.#handler = handler;
    if (this.#socket.destroyed) setImmediate(() => this.#gone(this.#error));
    else if (!this.#paused) this.#socket.resume();
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#socket.resume();
  }

  write(bytes: Buffer): void {
    if (this.#tcp) {
      this.#awaited = true;
      this.#left = Number.POSITIVE_INFINITY;
      this.#checkedMs = 0;
      const ms = transmitMs(Math.min(bytes.length, READ_BYTES), this.#settings.baud);
      this.#checkAfter(Math.max(CHECK_MS, ms));
      this.#soonMs = 1;
      if (this.addon !== null && !this.#sentWhenTaken) this.#soon = setTimeout(this.#onSoon, Math.max(1, ms));
    }
    this.#socket.write(bytes, (error) => {
      if (!error && this.#sentWhenTaken) this.#handler?.onSent(); // after an error "close" follows
    });
  }

  facts(): LineFacts {
    return { heldBy: "the other end takes nothing", driver: null };
  }

  get #sentWhenTaken(): boolean {
    return !this.#tcp || this.#handler?.answered === true;
  }

  async close(): Promise<void> {
    this.#forget();
    this.#socket.destroy();
    await this.#closed;
  }

  onTimer(): void {
    if (this.#acknowledged()) return;
    const unansweredMs = this.#settings.keepAliveMs + PROBES_MS;
    if (this.#checkedMs >= unansweredMs) this.#gone("what was written is not acknowledged");
    else this.#checkAfter(Math.min(CHECK_MS_MAX, Math.max(CHECK_MS, this.#checkedMs)));
  }

  #checkAfter(ms: number): void {
    this.#checkedMs += ms;
    this.#wheel.schedule(this.#check, ms);
  }

  readonly #onSoon = (): void => {
    if (!this.#awaited || this.#saysAddon()) return;
    if (this.#soonMs <= SOON_MS_MAX) this.#soon = setTimeout(this.#onSoon, this.#soonMs);
    this.#soonMs *= 2;
  };

  /** As `#acknowledged`. What node still has to write, or failed to, is not the kernel's. */
  #saysAddon(): boolean {
    const addon = this.addon;
    const socket = this.#socket;
    if (addon === null || socket.destroyed || socket.writableLength > 0) return false;
    if (unacknowledgedBytes(addon, socket) !== 0) return false;
    this.#sent();
    return true;
  }

  /** It has most likely brought the acknowledgement along. Where it is itself what was waited for, nobody looks. */
  #onAnswer(): void {
    if (this.#sentWhenTaken) this.#awaitNothing();
    else if (!this.#saysAddon() && this.addon === null) this.#acknowledged();
  }

  /** Tells the handler if it is so. */
  #acknowledged(): boolean {
    const listed = this.#socket.destroyed ? null : this.#look(this.#socket);
    const left = listed === null ? Number.POSITIVE_INFINITY : listed.bytes + this.#socket.writableLength;
    if (left < this.#left || listed?.held) this.#checkedMs = 0; // slow, or held up, but there
    this.#left = left;
    if (left > 0) return false;
    this.#sent();
    return true;
  }

  #sent(): void {
    this.#awaitNothing();
    if (!this.#sentWhenTaken) this.#handler?.onSent();
  }

  #awaitNothing(): void {
    this.#awaited = false;
    this.#wheel.cancel(this.#check);
    if (this.#soon !== null) clearTimeout(this.#soon);
    this.#soon = null;
  }

  readonly #onRead = (length: number, buffer: Uint8Array): boolean => {
    if (this.#awaited) this.#onAnswer();
    const chunk = buffer as Buffer;
    this.#handler?.onData(length === chunk.length ? chunk : chunk.subarray(0, length));
    return true;
  };

  #forget(): void {
    this.#handler = null;
    this.#awaitNothing();
  }

  #gone(words: string): void {
    const handler = this.#handler;
    this.#forget();
    handler?.onGone(words);
  }
}
