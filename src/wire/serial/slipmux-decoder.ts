/**
 * Frames out of a slipmux line: SLIP (RFC 1055) with its escapes undone. Fed chunks as they come; a frame without
 * escapes that lies in one chunk is given where it lies, any other is gathered.
 *
 *     READING     --- too long, or an ESC before what is no escape ---> DISCARDING
 *        ^                                                                  |
 *        +------------------------------- END ------------------------------+
 *
 * An ESC right before the END is how a sender takes a frame back. Empty frames are what lies between two ENDs.
 */
const END = 0xc0;
const ESC = 0xdb;
const ESC_END = 0xdc;
const ESC_ESC = 0xdd;

export type SlipmuxFault = "too-long" | "bad-escape";

export interface SlipmuxSink {
  /** One frame, `bytes[from..end)`, never empty, valid until return. */
  onFrame(bytes: Buffer, from: number, end: number): void;
  /** A frame was thrown away. Told once for each, when that is clear. */
  onBadFrame(cause: SlipmuxFault): void;
}

export class SlipmuxDecoder {
  readonly #frame: Buffer;
  #length = 0;
  #escaped = false;
  #discarding = false;

  constructor(frameBytesMax: number) {
    this.#frame = Buffer.allocUnsafeSlow(frameBytesMax);
  }

  /** Bytes of a frame whose end has not come. */
  get pendingBytes(): number {
    return this.#length;
  }

  feed(chunk: Buffer, sink: SlipmuxSink): void {
    let at = 0;
    while (at < chunk.length) {
      const end = chunk.indexOf(END, at);
      const stop = end < 0 ? chunk.length : end;
      const inPlace = end >= 0 && this.#isFresh && stop - at <= this.#frame.length;
      if (inPlace && isPlain(chunk, at, stop)) {
        if (stop > at) sink.onFrame(chunk, at, stop);
      } else {
        if (!this.#discarding) this.#gather(chunk, at, stop, sink);
        if (end >= 0) this.#finish(sink);
      }
      at = stop + 1;
    }
  }

  /** Forgets the frame that is under way: the port was closed in between. */
  reset(): void {
    this.#length = 0;
    this.#escaped = false;
    this.#discarding = false;
  }

  get #isFresh(): boolean {
    return this.#length === 0 && !this.#escaped && !this.#discarding;
  }

  #gather(chunk: Buffer, from: number, end: number, sink: SlipmuxSink): void {
    const frame = this.#frame;
    for (let i = from; i < end && !this.#discarding; i++) {
      const byte = chunk[i] as number;
      if (byte === ESC && !this.#escaped) {
        this.#escaped = true;
        continue;
      }
      if (this.#escaped && byte !== ESC_END && byte !== ESC_ESC) {
        this.#discard("bad-escape", sink);
      } else if (this.#length === frame.length) {
        this.#discard("too-long", sink);
      } else {
        frame[this.#length++] = !this.#escaped ? byte : byte === ESC_END ? END : ESC;
        this.#escaped = false;
      }
    }
  }

  #finish(sink: SlipmuxSink): void {
    const length = this.#length;
    const broken = this.#discarding;
    const takenBack = this.#escaped;
    this.reset();
    if (broken) return;
    if (takenBack) sink.onBadFrame("bad-escape");
    else if (length > 0) sink.onFrame(this.#frame, 0, length);
  }

  #discard(cause: SlipmuxFault, sink: SlipmuxSink): void {
    this.#length = 0;
    this.#escaped = false;
    this.#discarding = true;
    sink.onBadFrame(cause);
  }
}

/** Whether there is nothing to undo. */
function isPlain(bytes: Buffer, from: number, end: number): boolean {
  for (let i = from; i < end; i++) if (bytes[i] === ESC) return false;
  return true;
}
