/**
 * Lines of bytes, in and out: a line ends with the delimiter, or the first of several; with \n alone, one \r before it is
 * not part of it.
 *
 * Only a line that spans chunks is copied. One that grows beyond the limit is thrown away up to its delimiter: the next
 * one is whole again.
 *
 *     READING     --- more than frameBytesMax ---> DISCARDING
 *        ^                                            |
 *        +---------------- delimiter -----------------+
 */
import type { FrameCheck } from "./check.ts";
import { deliver, type FrameDecoder, type FrameEncoder, type FrameSink } from "./framing.ts";
import { FirstOf, Matcher } from "./matcher.ts";

const LF = 0x0a;
const CR = 0x0d;
const DELIMITER_BYTES_MAX = 8;

export interface LineOptions {
  /** 1 to 8 bytes; it ends what is written. */
  readonly delimiter: ArrayLike<number>;
  /** Others that end what is read, too. */
  readonly delimitersToo?: readonly ArrayLike<number>[];
  readonly frameBytesMax: number;
}

export class LineDecoder implements FrameDecoder {
  readonly gapMs = null;
  readonly busy = false;
  readonly #frameBytesMax: number;
  readonly #check: FrameCheck | null;
  /** The delimiter's first byte, and null: it is the only one. */
  readonly #first: number;
  readonly #finder: Matcher | FirstOf | null;
  readonly #dropsCr: boolean;
  /** Beginning of a line whose end has not come; room for all of the delimiter but its last byte, and a \r. */
  readonly #partial: Buffer;
  #length = 0;
  #discarding = false;

  constructor(options: LineOptions, check: FrameCheck | null) {
    const { delimiter, frameBytesMax } = options;
    this.#frameBytesMax = frameBytesMax;
    this.#check = check;
    this.#first = delimiter[0] as number;
    this.#finder = finderOf(options);
    this.#dropsCr = this.#finder === null && this.#first === LF;
    this.#partial = Buffer.allocUnsafeSlow(frameBytesMax + DELIMITER_BYTES_MAX);
  }

  get pendingBytes(): number {
    return this.#discarding ? 0 : this.#length;
  }

  feed(chunk: Buffer, from: number, sink: FrameSink): number {
    let at = from;
    while (at < chunk.length) {
      const next = this.#finder === null ? chunk.indexOf(this.#first, at) + 1 : this.#finder.search(chunk, at);
      if (next <= 0) {
        this.#keep(chunk, at, chunk.length, sink);
        return chunk.length;
      }
      const more = this.#take(chunk, at, next, sink);
      at = next;
      if (!more) return at;
    }
    return at;
  }

  onGap(): void {}

  reset(): void {
    this.#length = 0;
    this.#discarding = false;
    this.#finder?.reset();
  }

  /** @param next index behind the delimiter, of which the beginning may be in `#partial` */
  #take(chunk: Buffer, from: number, next: number, sink: FrameSink): boolean {
    if (this.#length > 0 && !this.#discarding) this.#keep(chunk, from, next - 1, sink);
    if (this.#discarding) {
      this.#length = 0;
      this.#discarding = false;
      return true;
    }
    const spans = this.#length > 0;
    const bytes = spans ? this.#partial : chunk;
    const start = spans ? 0 : from;
    let end = (spans ? this.#length : next - 1) - ((this.#finder?.foundBytes ?? 1) - 1);
    if (this.#dropsCr && end > start && bytes[end - 1] === CR) end--;
    this.#length = 0;
    if (end - start > this.#frameBytesMax) {
      sink.onBadFrame("too-long", bytes, start, start + this.#frameBytesMax);
      return true;
    }
    return deliver(sink, this.#check, bytes, start, end);
  }

  #keep(chunk: Buffer, from: number, end: number, sink: FrameSink): void {
    if (this.#discarding) return;
    const room = this.#partial.length - this.#length;
    chunk.copy(this.#partial, this.#length, from, Math.min(end, from + room));
    this.#length += Math.min(end - from, room);
    if (end - from <= room) return;
    this.#discarding = true;
    sink.onBadFrame("too-long", this.#partial, 0, this.#frameBytesMax);
  }
}

/** null: a single byte, for which there is a faster way. */
function finderOf({ delimiter, delimitersToo = [] }: LineOptions): Matcher | FirstOf | null {
  const first = Buffer.from(delimiter);
  if (delimitersToo.length > 0) return new FirstOf([first, ...delimitersToo.map((other) => Buffer.from(other))]);
  return first.length === 1 ? null : new Matcher(first);
}

export class LineEncoder implements FrameEncoder {
  readonly #delimiter: Buffer;
  readonly #finder: Matcher | FirstOf | null;
  readonly #frameBytesMax: number;

  constructor(options: LineOptions) {
    this.#delimiter = Buffer.from(options.delimiter);
    this.#finder = finderOf(options);
    this.#frameBytesMax = options.frameBytesMax;
  }

  /**
   * A delimiter inside would make several lines of it; so would one that begins at its end. Of several delimiters the one
   * that is written may hold another: behind it an empty line is read, which is none.
   */
  problem(payload: Buffer): "too-large" | "invalid" | null {
    const delimiter = this.#delimiter;
    const finder = this.#finder;
    if (payload.length > this.#frameBytesMax) return "too-large";
    if (finder === null) {
      const isInside = payload.includes(delimiter) || (delimiter[0] === LF && payload.includes(CR));
      return isInside ? "invalid" : null;
    }
    finder.reset();
    const ends = finder.search(payload, 0) >= 0;
    return ends || finder.search(delimiter, 0) !== finder.foundBytes ? "invalid" : null;
  }

  encode(payload: Buffer): Buffer {
    const line = Buffer.allocUnsafe(payload.length + this.#delimiter.length);
    payload.copy(line);
    this.#delimiter.copy(line, payload.length);
    return line;
  }
}
