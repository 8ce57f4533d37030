/** A link over a WebSocket: each chunk of output is one binary message; messages that come in are chunks of input. */
import type { Socket } from "node:net";
import { type Expirable, Timer } from "../base/timer-wheel.ts";
import { END_DEADLINE_MS, type HeldBytes, type Link, type LinkHandler, NO_HANDLER } from "./link.ts";
import { Output, type OutputOwner, type Writer } from "./output.ts";
import { addressAndPort, isLoopback, plainAddress } from "./peer-address.ts";
import { certificateName } from "./peer-certificate.ts";
import { describeError } from "./socket-error.ts";
import type { Transport } from "./transport.ts";
import type { TurnTaker } from "./turn-queue.ts";
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

const SEND_OPTIONS = { binary: true, compress: false, fin: true };

export class WsLink implements Link, Writer, OutputOwner, TurnTaker, Expirable {
  readonly remoteAddress: string;
  readonly remote: string;
  readonly loopback: boolean;
  readonly certificateName: string | null;
  readonly output: Output;
  held: HeldBytes | null = null;
  readonly #ws: WebSocket;
  readonly #transport: Transport;
  readonly #deadline = new Timer(this, 0);
  readonly #onSent: () => void;
  /** Chunks whose `#onSent` has not come yet. */
  #unsent = 0;
  #handler: LinkHandler = NO_HANDLER;
  #state = OPEN;
  #paused = false;
  #waitsForTurn = false;
  #error: string | null = null;

  /** @param socket what carries the WebSocket */
  constructor(ws: WebSocket, socket: Socket, transport: Transport) {
    this.remoteAddress = plainAddress(socket.remoteAddress ?? "");
    this.remote = addressAndPort(this.remoteAddress, socket.remotePort ?? 0);
    this.loopback = isLoopback(this.remoteAddress);
    this.certificateName = certificateName(socket);
    this.output = new Output(transport.flusher, this, this);
    this.#ws = ws;
    this.#transport = transport;
    this.#onSent = () => {
      this.#unsent--;
      this.output.onTaken();
    };
    // Behind the listener of ws itself: what is whole has been handed on.
    socket.on("data", () => this.#onKept(bytesKept(ws)));
    ws.on("message", (data, isBinary) => this.#takeMessage(data, isBinary));
    ws.on("error", (error) => {
      this.#error ??= describeError(error);
    });
    ws.on("close", (code) => this.#takeClose(code));
    ws.pause();
  }

  get paused(): boolean {
    return this.#paused;
  }

  get handler(): LinkHandler {
    return this.#handler;
  }

  set handler(handler: LinkHandler) {
    this.#handler = handler;
    if (!this.#paused) this.#ws.resume();
  }

  pause(): void {
    if (this.#paused || this.#state !== OPEN) return;
    this.#paused = true;
    this.#ws.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#waitsForTurn) this.#ws.resume();
  }

  /** ws hands on all frames of a read whatever we say: there is nowhere to put the rest, but no more is read. */
  putBack(): boolean {
    const { flusher } = this.#transport;
    flusher.turns.overrun();
    if (this.#state !== OPEN || this.#waitsForTurn) return false;
    this.#waitsForTurn = true;
    this.#ws.pause();
    flusher.turns.wait(this);
    flusher.scheduleEnd();
    return false;
  }

  takeTurn(): void {
    this.#waitsForTurn = false;
    if (!this.#paused) this.#ws.resume();
  }

  end(): void {
    this.#end(NORMAL);
  }

  destroy(): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.output.drop();
    this.#ws.terminate();
  }

  // ---- Writer ------------------------------------------------------------------------------------------------

  /** ws hands the bytes on as they are and calls back when the socket has taken them. */
  write(bytes: Buffer): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return;
    this.#unsent++;
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

  /** [MQTT311-6.0.0-1] [MQTT5-6.0.0-1] MQTT comes in binary frames only, else the connection is closed. */
  #takeMessage(data: unknown, isBinary: boolean): void {
    if (this.#state !== OPEN) return;
    const chunk = data as Buffer; // binaryType is "nodebuffer"
    this.#transport.bytesReceived.value += chunk.length;
    if (isBinary) {
      this.held?.hold(0);
      this.#handler.onData(chunk);
      return;
    }
    this.#transport.refused("text_frame");
    this.#error ??= "text frame";
    this.#end(UNSUPPORTED_DATA);
  }

  /** While it ends, nobody answers for what comes: a peer that goes on with a message is not waited for. */
  #onKept(bytes: number): void {
    if (this.#state === OPEN) this.held?.hold(bytes);
    else if (bytes > CLOSE_FRAME_BYTES_MAX) this.destroy();
  }

  #takeClose(code: number): void {
    if (this.#state === OPEN && code !== NORMAL && code !== GOING_AWAY && code !== NO_STATUS) {
      this.#error ??= `connection lost (${code})`;
    }
    this.#state = CLOSED;
    this.#transport.flusher.turns.leave(this);
    this.output.onSocketClosed();
    this.#transport.wheel.cancel(this.#deadline);
    this.#handler.onClose(this.#error);
  }

  #end(code: number): void {
    if (this.#state !== OPEN) return;
    this.#state = ENDING;
    this.output.seal();
    this.#transport.wheel.schedule(this.#deadline, END_DEADLINE_MS);
    if (this.output.pendingBytes === 0 || code !== NORMAL) this.#ws.close(code);
    this.#paused = false;
    this.#ws.resume();
  }
}

/** The part of ws's receiver that says what it keeps: chunks of a frame, and frames of a message, that are not whole. */
interface Receiver {
  readonly _bufferedBytes: number;
  readonly _messageLength: number;
}

/** ws has no public word for it. */
function bytesKept(ws: WebSocket): number {
  const { _receiver: receiver } = ws as unknown as { readonly _receiver: Receiver };
  return receiver._bufferedBytes + receiver._messageLength;
}
