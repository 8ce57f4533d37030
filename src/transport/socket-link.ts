/**
 * A link over a node socket: TCP, TLS, unix. The listeners are shared functions that find their link in the socket
 * (`this`), so that a connection costs one closure; the packet path is socket -> push -> intake -> handler and
 * output -> write -> socket.
 *
 * Both pass by the states of node's streams, which would keep bytes for those who are not there to take them: a link
 * takes a chunk as it comes, and an output hands over one piece at a time and keeps what waits. With one message per
 * read and write they were a sixth of the instructions in user space; of a backlog over TLS whose acknowledgements come in
 * a record each, too. What is paused or ends goes through the stream as ever, so does what is written to TLS, and so would all
 * if node ceased to call `push`.
 */
import { Socket } from "node:net";
import { type Expirable, Timer } from "../base/timer-wheel.ts";
import { Intake, type IntakeOwner } from "./intake.ts";
import { END_DEADLINE_MS, type Link, type LinkHandler, NO_HANDLER, type ReadCount } from "./link.ts";
import { Output, type OutputOwner, type Writer } from "./output.ts";
import { addressAndPort, isLoopback, plainAddress } from "./peer-address.ts";
import { sendQueueBytes } from "./send-queue.ts";
import { describeError } from "./socket-error.ts";
import type { Transport } from "./transport.ts";

const LINK = Symbol("link");
interface LinkedSocket extends Socket {
  [LINK]: SocketLink;
}

const OPEN = 0;
/** `end` was called, or the peer's FIN has arrived: what is in the output goes out, nothing comes in. */
const ENDING = 1;
const CLOSED = 2;

/** The encoding that a stream gives for bytes; the types do not know it. */
const AS_BYTES = "buffer" as BufferEncoding;
const pushOfNode = Socket.prototype.push;
/** Chunks of less are left to the garbage collector: giving one back costs 0.3 us. */
const GIVEN_BACK_BYTES_MIN = 1024;

export class SocketLink implements Link, Writer, OutputOwner, IntakeOwner, Expirable {
  readonly remoteAddress: string;
  readonly loopback: boolean;
  readonly certificateName: string | null;
  readonly output: Output;
  readonly #socket: LinkedSocket;
  readonly #intake: Intake;
  readonly #transport: Transport;
  /** -1 for a unix socket. */
  readonly #remotePort: number;
  #handler: LinkHandler = NO_HANDLER;
  #state = OPEN;
  #error: string | null = null;
  #deadline: Timer | null = null;
  /** TLS never takes bytes at once. */
  readonly #encrypted: boolean;
  /** Bytes written and not taken, unless encrypted. */
  #untakenBytes = 0;
  /** Within `write`. */
  #writing = false;
  /** Made with the first write. */
  #onWritten: ((error?: Error | null) => void) | null = null;

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
    this.#intake = new Intake(socket, this, transport.flusher);
    this.#socket[LINK] = this;
    socket.on("error", onError);
    socket.on("close", onClose);
    // Before node's own, which ends writing: what is in the output goes to the socket first.
    socket.prependListener("end", onEnd);
    socket.push = push;
  }

  get remote(): string {
    return this.#remotePort < 0 ? this.remoteAddress : addressAndPort(this.remoteAddress, this.#remotePort);
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
    const first = this.#handler === NO_HANDLER;
    this.#handler = handler;
    if (!first) return;
    this.#socket.on("data", onData);
    if (!this.#intake.paused) this.#socket.resume();
  }

  pause(): void {
    this.#intake.pause();
  }

  resume(): void {
    this.#intake.resume();
  }

  putBack(bytes: Buffer, from: number, end: number): boolean {
    return this.#intake.putBack(bytes, from, end);
  }

  countReads(reads: ReadCount): void {
    this.#intake.reads = reads;
  }

  end(): void {
    if (this.#state !== OPEN) return;
    this.#beginEnding();
    if (this.output.pendingBytes === 0) this.#socket.end();
    // Unread bytes would turn our FIN into a RST, and the peer would never see our last packet.
    this.#intake.end();
  }

  destroy(): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#intake.close();
    this.output.drop();
    this.#socket.destroy();
  }

  // ---- Writer ------------------------------------------------------------------------------------------------

  write(bytes: Buffer): void {
    this.#onWritten ??= (error) => this.#takeWritten(error);
    if (this.#encrypted) {
      this.#socket.write(bytes, this.#onWritten);
      return;
    }
    this.#untakenBytes = bytes.length;
    this.#writing = true;
    this.#socket._write(bytes, AS_BYTES, this.#onWritten);
    this.#writing = false;
  }

  get writableLength(): number {
    return this.#encrypted ? this.#socket.writableLength : this.#untakenBytes;
  }

  /** The kernel has taken what was written, at once or later; or it never will. */
  #takeWritten(error: Error | null | undefined): void {
    this.#untakenBytes = 0;
    if (error && !this.#encrypted) this.#socket.destroy(error);
    else if (!this.#writing && this.#state !== CLOSED) this.output.onTaken();
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
    this.#transport.bytesReceived.value += chunk.length;
    if (this.#state === OPEN) this.#intake.take(chunk);
  }

  takeIn(bytes: Buffer, goesOn: boolean): void {
    this.#handler.onData(bytes, goesOn);
  }

  /**
   * The handler is done with a chunk and nobody keeps any part of it. As messages make no garbage there are few minor
   * collections, so that chunks piled up until major ones freed them: 27 a second in a firehose, for a quarter of all
   * CPU (0.167 us a message, 0.134 without them), and a peak of 112 MB against 78.
   */
  release(chunk: Buffer): void {
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
    this.#intake.close();
    this.output.onSocketClosed();
    if (this.#deadline !== null) this.#transport.wheel.cancel(this.#deadline);
    this.#handler.onClose(this.#error);
  }

  #beginEnding(): void {
    this.#state = ENDING;
    this.#intake.close();
    this.output.seal();
    this.#deadline = new Timer(this, 0);
    this.#transport.wheel.schedule(this.#deadline, END_DEADLINE_MS);
  }
}

/** Node's door into a stream for what it read; null is the end. */
function push(this: Socket, chunk: unknown): boolean {
  if (chunk === null || this.readableFlowing !== true || this.readableLength > 0) return pushOfNode.call(this, chunk);
  (this as LinkedSocket)[LINK].takeData(chunk as Buffer);
  return true;
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
