/**
 * What leaves through a link. Packets are written into a buffer in place; the bytes go to the socket once per turn of
 * the event loop (one `Flusher` for all outputs) or when the buffer is full.
 *
 *     writers ─ reserve/commit ─> buffer ──flush──> socket took all at once:  buffer is free again
 *                                   │               socket kept some:         buffer is `#inFlight`, next bytes go
 *                                   │                                         to another one
 *                                   └──full while one is in flight──> `#waiting`, in order
 *
 * The socket holds one buffer at a time, and it goes back to the pool only when the kernel has taken all of it. An
 * output with nothing to send holds no buffer.
 */
import { copyBytes } from "../base/copy-bytes.ts";
import type { Flusher } from "./flusher.ts";
import { isOneOff, LARGE_BYTES, LARGE_KEPT, MEDIUM_BYTES } from "./output-buffers.ts";

/** What takes the bytes: a socket, a WebSocket. Calls nobody back from within `write`. */
export interface Writer {
  /** The bytes stay unchanged until `writableLength` is 0; then, if it was not 0 after `write`, `Output.onTaken` is called. */
  write(bytes: Buffer): void;
  /** Bytes written and not yet taken by the kernel. */
  readonly writableLength: number;
}

/** Who owns an output: the link. */
export interface OutputOwner {
  /** All that was written has been taken by the kernel. Never called from within reserve, commit or flush. */
  onEmpty(): void;
  /** The peer takes too little: the link must go. The output takes nothing more. */
  onOverflow(): void;
}

const NOTHING: Buffer = Buffer.alloc(0);

interface WaitingBuffer {
  readonly buffer: Buffer;
  readonly end: number;
}

export class Output {
  /** Where to write what was reserved. Another one after each `reserve`. */
  buffer: Buffer = NOTHING;
  /** Times that bytes were handed over. */
  writes = 0;
  readonly #flusher: Flusher;
  readonly #writer: Writer;
  readonly #owner: OutputOwner;
  /** What is not handed over: up to here in `buffer`; while running from `#from` up to here in `Flusher.shared`. */
  #end = 0;
  #from = 0;
  #running = false;
  /** In the flusher's list; for ever once closed, so that nothing enters it there again. */
  #dirty = false;
  #closed = false;
  /** Bytes in flight and waiting. */
  #behindBytes = 0;
  #inFlight: Buffer | null = null;
  #inFlightBytes = 0;
  #waiting: WaitingBuffer[] | null = null;

  constructor(flusher: Flusher, writer: Writer, owner: OutputOwner) {
    this.#flusher = flusher;
    this.#writer = writer;
    this.#owner = owner;
  }

  /** Bytes not yet taken by the kernel. */
  get pendingBytes(): number {
    return this.#closed ? this.#behindBytes : this.#end - this.#from + this.#behindBytes;
  }

  /**
   * Whether to send more that can wait or be dropped; when not, `OutputOwner.onEmpty` follows. A peer that is far behind
   * is to wait already when the memory of all is short: at its end, the one that holds most is given up.
   * @param bytesMax  not yet taken by the kernel
   */
  hasRoom(bytesMax: number): boolean {
    const pending = this.pendingBytes;
    return pending < bytesMax && (pending < LARGE_BYTES || !this.#flusher.buffers.short);
  }

  /**
   * Makes room for `bytes` in `buffer`; at most the largest packet and 16. No other output is to be touched before
   * `commit`. A closed output gives room too, and forgets what is written there.
   * @returns the index to write at
   */
  reserve(bytes: number): number {
    const end = this.#end;
    return end + bytes <= this.buffer.length ? end : this.#makeRoom(bytes);
  }

  /** The bytes of `buffer` up to `end` are written. */
  commit(end: number): void {
    this.#end = end;
    if (!this.#dirty) {
      this.#dirty = true;
      this.#flusher.mark(this);
    }
  }

  /** Copies `source[from..end)`. */
  append(source: Buffer, from: number, end: number): void {
    const bytes = end - from;
    const at = this.reserve(bytes);
    this.commit(copyBytes(source, from, bytes, this.buffer, at));
  }

  /** As `append`, of bytes that stay as they are until `settleLate`. */
  appendLate(source: Buffer, from: number, end: number): void {
    const bytes = end - from;
    const at = this.reserve(bytes);
    this.#flusher.late.add(source, from, end, this.buffer, at);
    this.commit(at + bytes);
  }

  /** What was appended late to any output of its flusher is there now. */
  settleLate(): void {
    this.#flusher.late.settle();
  }

  /**
   * As `append`, of bytes that other outputs take, too: they are copied once for all who can send from that copy.
   * @param ticket  what the last of them answered; NO_COPY for the first
   */
  appendShared(source: Buffer, from: number, end: number, ticket: number): number {
    const at = this.#flusher.shared.placeOf(ticket);
    if (at !== this.#end || !this.#running) return this.#appendShared(source, from, end, ticket);
    this.#end = at + end - from;
    return ticket;
  }

  /** Hands over what is there, unless the socket is still busy with earlier bytes. */
  flush(): void {
    if (this.#closed || this.#inFlight !== null) return;
    if (this.#end > 0) this.#handOver();
    this.#giveBuffer();
  }

  /** The flusher's: the turn is over. */
  endTurn(): void {
    if (this.#closed) return;
    this.#dirty = false;
    this.flush();
    if (this.pendingBytes === 0) this.#owner.onEmpty();
  }

  /** The writer's: the kernel has taken what was in flight. */
  onTaken(): void {
    if (this.#inFlight === null || this.#writer.writableLength > 0) return;
    this.#giveInFlight();
    while (this.#waiting !== null) {
      const next = this.#waiting.shift();
      if (next === undefined) {
        this.#waiting = null;
        break;
      }
      this.#behindBytes -= next.end;
      if (!this.#write(next.buffer, 0, next.end)) return;
      this.#flusher.buffers.give(next.buffer);
    }
    this.flush();
    if (this.pendingBytes === 0) this.#owner.onEmpty();
  }

  /** `Flusher.shared`'s: the bytes of the run go elsewhere. */
  endRun(): void {
    if (this.#running) this.#handOver();
  }

  /** What was written still goes out; nothing more is taken: later bytes vanish. */
  seal(): void {
    if (this.#closed) return;
    if (this.#end > 0) this.#handOver();
    this.#close();
  }

  /** Nothing more goes out, but what the socket holds. */
  drop(): void {
    this.#close();
    for (const { buffer, end } of this.#waiting ?? []) {
      this.#behindBytes -= end;
      this.#flusher.buffers.give(buffer);
    }
    this.#waiting = null;
    // A one-off is not used again: it need not count until the socket is closed.
    if (this.#inFlight !== null && isOneOff(this.#inFlight)) this.#giveInFlight();
  }

  /** The socket is closed and has let go of its buffer. */
  onSocketClosed(): void {
    this.drop();
    if (this.#inFlight !== null) this.#giveInFlight();
  }

  /** The peer takes too little. */
  overflow(): void {
    this.drop();
    this.#owner.onOverflow();
  }

  #close(): void {
    this.#giveBuffer();
    this.#closed = true;
    this.#dirty = true;
  }

  #makeRoom(bytes: number): number {
    if (this.#running) this.#leaveRun(bytes);
    if (this.#end + bytes <= this.buffer.length) return this.#end;
    if (!this.#closed && this.#behindBytes > this.#flusher.outputBytesMax) {
      this.#flusher.overflows.value++;
      this.overflow();
    }
    if (!this.#closed && this.#grow(bytes)) return this.#end;
    if (!this.#closed) {
      if (this.#end > 0) this.#handOver();
      if (this.buffer.length < bytes) {
        this.#giveBuffer();
        const buffer = this.#flusher.take(bytes);
        // Making space may have closed this very output.
        if (this.#closed) this.#flusher.buffers.give(buffer);
        else this.buffer = buffer;
      }
    }
    if (this.#closed) {
      this.buffer = this.#flusher.wasteland(bytes);
      this.#end = 0;
    }
    return this.#end;
  }

  /** Moves what is in the buffer to a larger one, if there is one and that helps. */
  #grow(bytes: number): boolean {
    if (this.#end === 0 || this.buffer.length >= LARGE_BYTES || this.#end + bytes > LARGE_BYTES) return false;
    const { buffers } = this.#flusher;
    const larger = buffers.takeLarger(this.#end + bytes, this.#inFlight === null ? 0 : LARGE_KEPT);
    if (larger === null) return false;
    this.#flusher.late.settle();
    this.buffer.copy(larger, 0, 0, this.#end);
    buffers.give(this.buffer);
    this.buffer = larger;
    return true;
  }

  #appendShared(source: Buffer, from: number, end: number, ticket: number): number {
    const { shared } = this.#flusher;
    const bytes = end - from;
    let copied = ticket;
    if (shared.placeOf(ticket) < 0 && (this.#runsTo(shared.end) || this.#mayRun(bytes)))
      copied = shared.copy(source, from, end);
    const at = shared.placeOf(copied);
    if (at >= 0 && !this.#runsTo(at) && this.#mayRun(bytes)) this.#beginRun(at);
    if (this.#runsTo(at)) this.#end = at + bytes;
    else this.append(source, from, end);
    return copied;
  }

  #runsTo(at: number): boolean {
    return this.#running && this.#end === at;
  }

  /**
   * Whether there is nothing before a run that it would overtake. A little that is there is better continued by a copy
   * than written for itself: `bytes` more.
   */
  #mayRun(bytes: number): boolean {
    if (this.#closed || this.#inFlight !== null) return false;
    if (this.#running) this.#leaveRun(bytes);
    if (this.#end === 0) return this.#inFlight === null;
    if (this.#end + bytes <= this.buffer.length) return false;
    if (this.buffer.length < MEDIUM_BYTES && this.#grow(bytes)) return false;
    this.#handOver();
    return this.#inFlight === null;
  }

  #beginRun(at: number): void {
    this.#giveBuffer();
    this.#running = true;
    this.#from = at;
    this.commit(at);
    this.#flusher.shared.enter(this);
  }

  /** Own bytes follow the run: a short one is copied in front of them, a long one is handed over. */
  #leaveRun(bytes: number): void {
    const { buffers, shared } = this.#flusher;
    const length = this.#end - this.#from;
    const own = length + bytes <= MEDIUM_BYTES ? buffers.takePooled(length + bytes) : null;
    if (own === null) {
      this.#handOver();
      return;
    }
    shared.buffer.copy(own, 0, this.#from, this.#end);
    this.buffer = own;
    this.#running = false;
    this.#from = 0;
    this.#end = length;
  }

  /** What is there goes to the socket, or behind what waits for it; the buffer stays ours if the kernel took all at once. */
  #handOver(): void {
    this.#flusher.late.settle();
    const { buffer } = this;
    const from = this.#from;
    const end = this.#end;
    this.#from = 0;
    this.#end = 0;
    if (this.#running) {
      this.#running = false;
      const { buffers, shared } = this.#flusher;
      if (!this.#write(shared.buffer, from, end)) buffers.hold(shared.buffer);
    } else if (this.#inFlight !== null) {
      this.#waiting ??= [];
      this.#waiting.push({ buffer, end });
      this.#behindBytes += end;
      this.buffer = NOTHING;
    } else if (!this.#write(buffer, 0, end)) {
      this.buffer = NOTHING;
    }
  }

  /** False when the socket kept the buffer. */
  #write(buffer: Buffer, from: number, end: number): boolean {
    const bytes = end - from;
    this.writes++;
    this.#writer.write(buffer.subarray(from, end));
    this.#flusher.bytesSent.value += bytes;
    if (this.#writer.writableLength === 0) return true;
    this.#inFlight = buffer;
    this.#inFlightBytes = bytes;
    this.#behindBytes += bytes;
    this.#flusher.busy.add(this);
    return false;
  }

  #giveBuffer(): void {
    this.#flusher.late.settle();
    if (this.buffer.length > 0 && !this.#closed) this.#flusher.buffers.give(this.buffer);
    this.buffer = NOTHING;
    this.#end = 0;
    this.#from = 0;
    this.#running = false;
  }

  #giveInFlight(): void {
    if (this.#inFlight !== null) this.#flusher.buffers.give(this.#inFlight);
    this.#inFlight = null;
    this.#behindBytes -= this.#inFlightBytes;
    this.#inFlightBytes = 0;
    this.#flusher.busy.delete(this);
  }
}
