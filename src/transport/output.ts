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
import type { Flusher } from "./flusher.ts";
import { isOneOff, LARGE_BYTES } from "./output-buffers.ts";

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
/** Up to this many bytes a loop beats the call into the runtime: 1.2 ns a byte against 36 ns. */
const LOOP_BYTES_MAX = 28;

interface WaitingBuffer {
  readonly buffer: Buffer;
  readonly end: number;
}

export class Output {
  /** Where to write what was reserved. Another one after each `reserve`. */
  buffer: Buffer = NOTHING;
  readonly #flusher: Flusher;
  readonly #writer: Writer;
  readonly #owner: OutputOwner;
  /** Bytes in `buffer`. */
  #end = 0;
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
    return this.#closed ? this.#behindBytes : this.#end + this.#behindBytes;
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
    const buffer = this.buffer;
    if (bytes <= LOOP_BYTES_MAX) for (let i = 0; i < bytes; i++) buffer[at + i] = source[from + i] as number;
    else source.copy(buffer, at, from, end);
    this.commit(at + bytes);
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
      if (!this.#write(next.buffer, next.end)) return;
      this.#flusher.buffers.give(next.buffer);
    }
    this.flush();
    if (this.pendingBytes === 0) this.#owner.onEmpty();
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

  /** Moves what is in a small buffer to a large one, if there is one and that helps. */
  #grow(bytes: number): boolean {
    if (this.#end === 0 || this.buffer.length >= LARGE_BYTES || this.#end + bytes > LARGE_BYTES) return false;
    const large = this.#flusher.buffers.takeLarge();
    if (large === null) return false;
    this.buffer.copy(large, 0, 0, this.#end);
    this.#flusher.buffers.give(this.buffer);
    this.buffer = large;
    return true;
  }

  /** `buffer` goes to the socket, or behind what waits for it; it stays ours, empty, if the kernel took all at once. */
  #handOver(): void {
    const { buffer } = this;
    const end = this.#end;
    this.#end = 0;
    if (this.#inFlight !== null) {
      this.#waiting ??= [];
      this.#waiting.push({ buffer, end });
      this.#behindBytes += end;
      this.buffer = NOTHING;
    } else if (!this.#write(buffer, end)) {
      this.buffer = NOTHING;
    }
  }

  /** False when the socket kept the buffer. */
  #write(buffer: Buffer, end: number): boolean {
    this.#writer.write(buffer.subarray(0, end));
    this.#flusher.bytesSent.value += end;
    if (this.#writer.writableLength === 0) return true;
    this.#inFlight = buffer;
    this.#inFlightBytes = end;
    this.#behindBytes += end;
    this.#flusher.busy.add(this);
    return false;
  }

  #giveBuffer(): void {
    if (this.buffer.length > 0 && !this.#closed) this.#flusher.buffers.give(this.buffer);
    this.buffer = NOTHING;
    this.#end = 0;
  }

  #giveInFlight(): void {
    if (this.#inFlight !== null) this.#flusher.buffers.give(this.#inFlight);
    this.#inFlight = null;
    this.#behindBytes -= this.#inFlightBytes;
    this.#inFlightBytes = 0;
    this.#flusher.busy.delete(this);
  }
}
