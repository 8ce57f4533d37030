/**
 * A link over a WebSocket: each chunk of output is one binary message; messages that come in are chunks of input.
 *
 *     socket ── intake ──> slice ──> ws's receiver ──> messages, gathered ──> handler       slice after slice, until
 *                                                                                           the turn's work is done
 *
 * What `ws` is given it hands on to the last frame, and a frame costs it 1.5 us whatever is in it. So a read is given to it
 * in slices, and what is left of the read waits when its messages, or the handler's work with them, are enough for a turn.
 */
import type { Socket } from "node:net";
import { type Expirable, Timer } from "../base/timer-wheel.ts";
import { Intake, type IntakeOwner } from "./intake.ts";
import { END_DEADLINE_MS, type HeldBytes, type Link, type LinkHandler, NO_HANDLER, type ReadCount } from "./link.ts";
import { Output, type OutputOwner, type Writer } from "./output.ts";
import { addressAndPort, isLoopback, plainAddress } from "./peer-address.ts";
import { certificateName } from "./peer-certificate.ts";
import { sendQueueBytes } from "./send-queue.ts";
import { describeError } from "./socket-error.ts";
import type { Transport } from "./transport.ts";
import type { WebSocket } from "./ws.ts";

const OPEN = 0;
const ENDING = 1;
const CLOSED = 2;

/** Close codes: RFC 6455 section 7.4.1. */
const NORMAL = 1000;
const GOING_AWAY = 1001;
const UNSUPPORTED_DATA = 1003;
const NO_STATUS = 1005;

/** A close frame with its reason. */
const CLOSE_FRAME_BYTES_MAX = 256;

const NOTHING: Buffer = Buffer.alloc(0);
/** What ws is given at a time; below its high-water mark of 16 KiB, from which on it stops the socket by itself. */
const SLICE_BYTES = 4096;
/** Messages of a turn, and at most those of a slice more: 0.4 to 1 ms. */
const MESSAGES_PER_TURN = 256;
/** What is left of a larger message is counted where the message was while it came in (HeldBytes): rests have no room for it. */
const LARGE_BYTES = 32 * 1024;
/** Where the messages of a slice are put together, for all links: the handler is called once for all of them. */
const GATHERED = Buffer.allocUnsafeSlow(SLICE_BYTES);

const LINK = Symbol("link");
interface Linked {
  [LINK]: WsLink;
}

const SEND_OPTIONS = { binary: true, compress: false, fin: true };

export class WsLink implements Link, Writer, OutputOwner, IntakeOwner, Expirable {
  readonly remoteAddress: string;
  readonly remote: string;
  readonly loopback: boolean;
  readonly certificateName: string | null;
  readonly output: Output;
  held: HeldBytes | null = null;
  readonly #ws: WebSocket;
  readonly #socket: Socket;
  readonly #receiver: Receiver;
  readonly #transport: Transport;
  readonly #intake: Intake;
  #deadline: Timer | null = null;
  /** Made with the first chunk. */
  #onSent: (() => void) | null = null;
  /** Chunks whose `#onSent` has not come yet. */
  #unsent = 0;
  #handler: LinkHandler = NO_HANDLER;
  #state = OPEN;
  /** Slices are being taken in. */
  #feeding = false;
  /** Messages of the present slice: one as it is, or several in GATHERED. */
  #slice: Buffer | null = null;
  #gathered = 0;
  /** Messages of this go. */
  #messages = 0;
  #goesOn = false;
  /** What the handler put back; null = nothing. */
  #kept: Buffer | null = null;
  /** There is no room for rests: nothing can be put back. */
  #hurries = false;
  #error: string | null = null;

  /** @param socket what carries the WebSocket */
  constructor(ws: WebSocket, socket: Socket, transport: Transport) {
    this.remoteAddress = plainAddress(socket.remoteAddress ?? "");
    this.remote = addressAndPort(this.remoteAddress, socket.remotePort ?? 0);
    this.loopback = isLoopback(this.remoteAddress);
    this.certificateName = certificateName(socket);
    this.output = new Output(transport.flusher, this, this);
    this.#ws = ws;
    this.#socket = socket;
    this.#transport = transport;
    this.#receiver = (ws as unknown as { readonly _receiver: Receiver })._receiver;
    this.#intake = new Intake(socket, this, transport.flusher);
    socket.pause();
    // Instead of ws's own, which hands on whole reads.
    socket.removeAllListeners("data");
    Object.assign(socket, { [LINK]: this });
    Object.assign(ws, { [LINK]: this });
    socket.on("data", onData);
    ws.on("message", onMessage);
    ws.on("error", onError);
    ws.on("close", onClose);
  }

  get localAddress(): string {
    return this.#socket.localAddress ?? "";
  }

  sendQueueBytes(): number {
    return sendQueueBytes(this.#socket);
  }

  get paused(): boolean {
    return this.#intake.paused;
  }

  get handler(): LinkHandler {
    return this.#handler;
  }

  set handler(handler: LinkHandler) {
    this.#handler = handler;
    if (!this.#intake.paused) this.#socket.resume();
  }

  pause(): void {
    this.#intake.pause();
  }

  resume(): void {
    this.#intake.resume();
  }

  putBack(bytes: Buffer, from: number, end: number): boolean {
    if (this.#hurries) return false;
    // What was gathered is gone with the next slice.
    const rest = bytes.subarray(from, end);
    this.#kept = rest.buffer === GATHERED.buffer ? Buffer.from(rest) : rest;
    if (this.#feeding) return true;
    if (this.#intake.putBack(NOTHING, 0, 0, this.#kept.length)) return true;
    this.#kept = null;
    return false;
  }

  countReads(reads: ReadCount): void {
    this.#intake.reads = reads;
  }

  end(): void {
    this.#end(NORMAL);
  }

  destroy(): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#kept = null;
    this.#intake.close();
    this.output.drop();
    this.#ws.terminate();
  }

  // ---- Writer ------------------------------------------------------------------------------------------------

  /** ws hands the bytes on as they are and calls back when the socket has taken them. */
  write(bytes: Buffer): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return;
    this.#unsent++;
    this.#onSent ??= () => {
      this.#unsent--;
      this.output.onTaken();
    };
    this.#ws.send(bytes, SEND_OPTIONS, this.#onSent);
  }

  /** ws counts its answers to pings, too; they are no concern of the output's. */
  get writableLength(): number {
    return this.#unsent === 0 ? 0 : this.#ws.bufferedAmount;
  }

  // ---- OutputOwner, Expirable --------------------------------------------------------------------------------

  onEmpty(): void {
    if (this.#state === OPEN) this.#handler.onDrain();
    else if (this.#state === ENDING) this.#ws.close(NORMAL);
  }

  onOverflow(): void {
    this.#error ??= "output overflow: the peer reads too slowly";
    this.destroy();
  }

  onTimer(): void {
    this.destroy();
  }

  // ---- what ws says ------------------------------------------------------------------------------------------

  takeRead(chunk: Buffer): void {
    if (this.#state === OPEN) {
      this.#intake.take(chunk);
    } else if (this.#state === ENDING) {
      this.#feed(chunk);
      this.#onKept();
    }
  }

  takeIn(bytes: Buffer, goesOn: boolean): void {
    this.#feeding = true;
    this.#goesOn = goesOn;
    if (!goesOn) this.#messages = 0;
    const { length } = bytes;
    let at = 0;
    this.#handOnKept();
    while (this.#state === OPEN && (at < length || this.#kept !== null)) {
      if (this.#kept !== null || this.#messages >= MESSAGES_PER_TURN) {
        const kept = this.#kept?.length ?? 0;
        if (!this.#hurries && this.#intake.putBack(bytes, at, length, kept < LARGE_BYTES ? kept : 0)) break;
        this.#hurries = true;
        this.#messages = Number.NEGATIVE_INFINITY;
        this.#handOnKept();
        continue;
      }
      const end = Math.min(at + SLICE_BYTES, length);
      this.#feed(length <= SLICE_BYTES ? bytes : bytes.subarray(at, end));
      at = end;
      this.#handOnSlice();
    }
    this.#hurries = false;
    this.#feeding = false;
    // Ended on the way: nobody takes it, but the peer's close frame may be in it.
    if (this.#state === ENDING && at < length) this.#feed(bytes.subarray(at, length));
    if (this.#state !== CLOSED) this.#onKept();
  }

  #feed(bytes: Buffer): void {
    if (this.#receiver.writable) this.#receiver.write(bytes);
  }

  #handOnKept(): void {
    const kept = this.#kept;
    this.#kept = null;
    if (kept !== null) this.#handOn(kept);
  }

  #handOn(bytes: Buffer): void {
    if (this.#state !== OPEN) return;
    if (this.#kept !== null) {
      this.#kept = Buffer.concat([this.#kept, bytes]);
      return;
    }
    const goesOn = this.#goesOn;
    this.#goesOn = true;
    this.#handler.onData(bytes, goesOn);
  }

  /** The messages of a slice, all at once. */
  #handOnSlice(): void {
    const bytes = this.#gathered > 0 ? GATHERED.subarray(0, this.#gathered) : this.#slice;
    this.#slice = null;
    this.#gathered = 0;
    if (bytes !== null) this.#handOn(bytes);
  }

  /** [MQTT311-6.0.0-1] [MQTT5-6.0.0-1] MQTT comes in binary frames only, else the connection is closed. */
  takeMessage(chunk: Buffer, isBinary: boolean): void {
    if (this.#state !== OPEN || !this.#feeding) return;
    this.#transport.bytesReceived.value += chunk.length;
    if (!isBinary) {
      this.#handOnSlice();
      this.#transport.refused("text_frame");
      this.#error ??= "text frame";
      this.#end(UNSUPPORTED_DATA);
      return;
    }
    this.held?.hold(0);
    this.#messages++;
    this.#gather(chunk);
  }

  #gather(message: Buffer): void {
    const first = this.#slice;
    if (first === null) {
      this.#slice = message;
      return;
    }
    // The first message of a slice may have begun before it, and be longer.
    const length = this.#gathered > 0 ? this.#gathered : first.length;
    if (length + message.length > SLICE_BYTES) {
      this.#handOnSlice();
      this.#slice = message;
      return;
    }
    if (this.#gathered === 0) this.#gathered = first.copy(GATHERED);
    this.#gathered += message.copy(GATHERED, this.#gathered);
  }

  takeError(error: Error): void {
    this.#error ??= describeError(error);
  }

  /** While it ends, nobody answers for what comes: a peer that goes on with a message is not waited for. */
  #onKept(): void {
    const kept = this.#kept?.length ?? 0;
    const bytes = this.#receiver._bufferedBytes + this.#receiver._messageLength + (kept < LARGE_BYTES ? 0 : kept);
    if (this.#state === OPEN) this.held?.hold(bytes);
    else if (bytes > CLOSE_FRAME_BYTES_MAX) this.destroy();
  }

  takeClose(code: number): void {
    if (this.#state === OPEN && code !== NORMAL && code !== GOING_AWAY && code !== NO_STATUS) {
      this.#error ??= `connection lost (${code})`;
    }
    this.#state = CLOSED;
    this.#intake.close();
    this.output.onSocketClosed();
    if (this.#deadline !== null) this.#transport.wheel.cancel(this.#deadline);
    this.#handler.onClose(this.#error);
  }

  #end(code: number): void {
    if (this.#state !== OPEN) return;
    this.#state = ENDING;
    this.#kept = null;
    this.output.seal();
    this.#deadline = new Timer(this, 0);
    this.#transport.wheel.schedule(this.#deadline, END_DEADLINE_MS);
    if (this.output.pendingBytes === 0 || code !== NORMAL) this.#ws.close(code);
    const rest = this.#intake.end();
    if (rest !== null) this.#feed(rest);
  }
}

/** The part of ws's receiver that takes what was read, and says what it keeps: ws has no public word for these. */
interface Receiver {
  /** Chunks of a frame that is not whole. */
  readonly _bufferedBytes: number;
  /** Frames of a message that is not whole. */
  readonly _messageLength: number;
  /** False once a close frame or an error was seen. */
  readonly writable: boolean;
  write(bytes: Buffer): boolean;
}

function onData(this: Socket, chunk: Buffer): void {
  (this as unknown as Linked)[LINK].takeRead(chunk);
}

function onMessage(this: WebSocket, data: unknown, isBinary: boolean): void {
  // binaryType is "nodebuffer".
  (this as unknown as Linked)[LINK].takeMessage(data as Buffer, isBinary);
}

function onError(this: WebSocket, error: Error): void {
  (this as unknown as Linked)[LINK].takeError(error);
}

function onClose(this: WebSocket, code: number): void {
  (this as unknown as Linked)[LINK].takeClose(code);
}
