/**
 * A link over a node socket: TCP, TLS, unix. The listeners are shared functions that find their link in the socket
 * (`this`), so that a connection costs no closures; the packet path is socket -> onData -> handler and
 * output -> write -> socket.
 */
import type { Socket } from "node:net";
import { assert } from "../base/assert.ts";
import { type Expirable, Timer } from "../base/timer-wheel.ts";
import type { TurnListener } from "./flusher.ts";
import { END_DEADLINE_MS, type Link, type LinkHandler, NO_HANDLER } from "./link.ts";
import { Output, type OutputOwner, type Writer } from "./output.ts";
import { addressAndPort, isLoopback, plainAddress } from "./peer-address.ts";
import { describeError } from "./socket-error.ts";
import type { Transport } from "./transport.ts";
import type { TurnTaker } from "./turn-queue.ts";

const LINK = Symbol("link");
interface LinkedSocket extends Socket {
  [LINK]: SocketLink;
}

const OPEN = 0;
/** `end` was called, or the peer's FIN has arrived: what is in the output goes out, nothing comes in. */
const ENDING = 1;
const CLOSED = 2;

const NOTHING = Buffer.alloc(0);
/** Chunks of less are left to the garbage collector: giving one back costs 0.3 us. */
const GIVEN_BACK_BYTES_MIN = 1024;

/** What was put back of a chunk. */
interface Rest {
  readonly bytes: Buffer;
  /** The chunk, given back at the end. */
  whole: Buffer;
}

export class SocketLink implements Link, Writer, OutputOwner, TurnListener, TurnTaker, Expirable {
  readonly remoteAddress: string;
  readonly loopback: boolean;
  readonly certificateName: string | null;
  readonly output: Output;
  readonly #socket: LinkedSocket;
  readonly #transport: Transport;
  /** -1 for a unix socket. */
  readonly #remotePort: number;
  #handler: LinkHandler = NO_HANDLER;
  #state = OPEN;
  #paused = false;
  /** In the queue for turns, or kept out of it by `#paused`. */
  #waitsForTurn = false;
  /** What was put back, for `takeTurn`. */
  #rest: Rest | null = null;
  /** The turn that `#turnBytes` were read in. */
  #turn = 0;
  #turnBytes = 0;
  #error: string | null = null;
  #deadline: Timer | null = null;
  /** TLS never takes bytes at once. */
  readonly #encrypted: boolean;
  /** Made when the socket first keeps bytes. */
  #onTaken: (() => void) | null = null;

  /** @param socket connected, with nobody listening for data */
  constructor(socket: Socket, transport: Transport, certificateName: string | null) {
    const address = socket.remoteAddress;
    this.remoteAddress = address === undefined ? "unix" : plainAddress(address);
    this.loopback = address === undefined || isLoopback(this.remoteAddress);
    this.#remotePort = socket.remotePort ?? -1;
    this.certificateName = certificateName;
    this.#encrypted = "encrypted" in socket;
    this.output = new Output(transport.flusher, this, this);
    this.#transport = transport;
    this.#socket = socket as LinkedSocket;
    this.#socket[LINK] = this;
    socket.on("error", onError);
    socket.on("close", onClose);
    // Before node's own, which ends writing: what is in the output goes to the socket first.
    socket.prependListener("end", onEnd);
  }

  get remote(): string {
    return this.#remotePort < 0 ? this.remoteAddress : addressAndPort(this.remoteAddress, this.#remotePort);
  }

  get paused(): boolean {
    return this.#paused;
  }

  get handler(): LinkHandler {
    return this.#handler;
  }

  set handler(handler: LinkHandler) {
    const first = this.#handler === NO_HANDLER;
    this.#handler = handler;
    if (!first) return;
    this.#socket.on("data", onData);
    if (!this.#paused) this.#socket.resume();
  }

  pause(): void {
    if (this.#paused || this.#state !== OPEN) return;
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#waitsForTurn) return;
    if (this.#rest === null) this.#socket.resume();
    else this.#enterTurns();
  }

  putBack(bytes: Buffer, from: number, end: number): boolean {
    assert(this.#rest === null, "one rest at a time");
    if (this.#state !== OPEN) return true;
    const { turns } = this.#transport.flusher;
    const has = turns.hold(end - from);
    this.#socket.pause();
    if (has) {
      this.#rest = { bytes: bytes.subarray(from, end), whole: bytes };
      this.#enterTurns();
    } else {
      this.#waitsForTurn = true;
      turns.wait(this);
      this.#transport.flusher.scheduleEnd();
    }
    return has;
  }

  end(): void {
    if (this.#state !== OPEN) return;
    this.#beginEnding();
    if (this.output.pendingBytes === 0) this.#socket.end();
    // Unread bytes would turn our FIN into a RST, and the peer would never see our last packet.
    this.#paused = false;
    this.#socket.resume();
  }

  destroy(): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#forgetRest();
    this.output.drop();
    this.#socket.destroy();
  }

  // ---- Writer ------------------------------------------------------------------------------------------------

  write(bytes: Buffer): void {
    const socket = this.#socket;
    if (this.#encrypted) {
      socket.write(bytes, this.#takenCallback());
      return;
    }
    socket.write(bytes);
    // Rare, so the callback hangs on an empty write behind the bytes instead of costing every write a tick.
    if (socket.writableLength > 0) socket.write(NOTHING, this.#takenCallback());
  }

  get writableLength(): number {
    return this.#socket.writableLength;
  }

  #takenCallback(): () => void {
    this.#onTaken ??= () => this.output.onTaken();
    return this.#onTaken;
  }

  // ---- OutputOwner -------------------------------------------------------------------------------------------

  onEmpty(): void {
    if (this.#state === OPEN) this.#handler.onDrain();
    else if (this.#state === ENDING) this.#socket.end();
  }

  onOverflow(): void {
    this.#error ??= "output overflow: the peer reads too slowly";
    this.destroy();
  }

  // ---- what the socket says ----------------------------------------------------------------------------------

  onTimer(): void {
    this.destroy();
  }

  takeData(chunk: Buffer): void {
    const { bytesReceived, flusher } = this.#transport;
    bytesReceived.value += chunk.length;
    if (this.#state !== OPEN) return;
    if (this.#turn !== flusher.turn) {
      this.#turn = flusher.turn;
      this.#turnBytes = 0;
      flusher.readers++;
      flusher.scheduleEnd();
    }
    const before = this.#turnBytes;
    this.#turnBytes += chunk.length;
    this.#handler.onData(chunk);
    this.#doneWith(chunk, chunk);
    const { readBudgetBytes } = flusher;
    if (this.#turnBytes >= readBudgetBytes && before < readBudgetBytes) {
      this.#socket.pause();
      flusher.awaitEnd(this);
    }
  }

  /** The read budget was spent; now there is a new one. */
  onTurnEnd(): void {
    if (!this.#paused && !this.#waitsForTurn && this.#rest === null) this.#socket.resume();
  }

  takeTurn(): void {
    this.#waitsForTurn = false;
    if (this.#paused) return;
    const rest = this.#rest;
    if (rest === null) {
      this.#socket.resume();
      return;
    }
    const { turns } = this.#transport.flusher;
    this.#rest = null;
    turns.give(rest.bytes.length);
    this.#handler.onData(rest.bytes);
    this.#doneWith(rest.bytes, rest.whole);
    if (this.#state !== OPEN || this.#paused || this.#waitsForTurn) return;
    this.#waitsForTurn = true;
    turns.wait(this);
  }

  #enterTurns(): void {
    this.#waitsForTurn = true;
    this.#transport.flusher.turns.enter(this);
    this.#transport.flusher.scheduleEnd();
  }

  /** Nothing more comes in: what was put back is not wanted, and no turn either. */
  #forgetRest(): void {
    const { turns } = this.#transport.flusher;
    if (this.#waitsForTurn) turns.leave(this);
    this.#waitsForTurn = false;
    if (this.#rest !== null) turns.give(this.#rest.bytes.length);
    this.#rest = null;
  }

  /** The handler has returned from `bytes`, which are of `whole`: unless it put some back, nobody needs it. */
  #doneWith(bytes: Buffer, whole: Buffer): void {
    if (this.#rest !== null && this.#rest.whole === bytes) this.#rest.whole = whole;
    else this.#giveBack(whole);
  }

  /**
   * The handler is done with a chunk and nobody keeps any part of it. As messages make no garbage there are few minor
   * collections, so that chunks piled up until major ones freed them: 27 a second in a firehose, for a quarter of all
   * CPU (0.167 us a message, 0.134 without them), and a peak of 112 MB against 78.
   */
  #giveBack(chunk: Buffer): void {
    const { buffer } = chunk;
    // A chunk from elsewhere may be part of a pool.
    if (chunk.length < GIVEN_BACK_BYTES_MIN || buffer.byteLength !== chunk.length) return;
    (buffer as ArrayBuffer).transfer(0);
  }

  takeEnd(): void {
    if (this.#state === OPEN) this.#beginEnding();
  }

  takeError(error: Error): void {
    this.#error ??= describeError(error);
  }

  takeClose(): void {
    this.#state = CLOSED;
    this.#forgetRest();
    this.output.onSocketClosed();
    if (this.#deadline !== null) this.#transport.wheel.cancel(this.#deadline);
    this.#handler.onClose(this.#error);
  }

  #beginEnding(): void {
    this.#state = ENDING;
    this.#forgetRest();
    this.output.seal();
    this.#deadline = new Timer(this, 0);
    this.#transport.wheel.schedule(this.#deadline, END_DEADLINE_MS);
  }
}

function onData(this: Socket, chunk: Buffer): void {
  (this as LinkedSocket)[LINK].takeData(chunk);
}

function onEnd(this: Socket): void {
  (this as LinkedSocket)[LINK].takeEnd();
}

function onError(this: Socket, error: Error): void {
  (this as LinkedSocket)[LINK].takeError(error);
}

function onClose(this: Socket): void {
  (this as LinkedSocket)[LINK].takeClose();
}
