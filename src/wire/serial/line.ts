/**
 * Lines of bytes, in and out: a line ends with the delimiter; with \n, one \r before it is not part of it.
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
import { Matcher } from "./matcher.ts";

const LF = 0x0a;
const CR = 0x0d;

export interface LineOptions {
  /** 1 to 8 bytes. */
  readonly delimiter: ArrayLike<number>;
  readonly frameBytesMax: number;
}

export class LineDecoder implements FrameDecoder {
  readonly gapMs = null;
  readonly busy = false;
  readonly #frameBytesMax: number;
  readonly #check: FrameCheck | null;
  /** The delimiter's last byte, and null: it is the only one. */
  readonly #last: number;
  readonly #matcher: Matcher | null;
  /** Bytes of a whole delimiter, and of a \r that may belong to it. */
  readonly #delimiterBytes: number;
  readonly #dropsCr: boolean;
  /** Beginning of a line whose end has not come; room for all of the delimiter but its last byte, and a \r. */
  readonly #partial: Buffer;
  #length = 0;
  #discarding = false;

  constructor({ delimiter, frameBytesMax }: LineOptions, check: FrameCheck | null) {
    this.#frameBytesMax = frameBytesMax;
    this.#check = check;
    this.#last = delimiter[delimiter.length - 1] as number;
    this.#matcher = delimiter.length === 1 ? null : new Matcher(Buffer.from(delimiter));
    this.#delimiterBytes = delimiter.length;
    this.#dropsCr = delimiter.length === 1 && this.#last === LF;
    this.#partial = Buffer.allocUnsafeSlow(frameBytesMax + delimiter.length);
  }

  get pendingBytes(): number {
    return this.#discarding ? 0 : this.#length;
  }

  feed(chunk: Buffer, from: number, sink: FrameSink): number {
    let at = from;
    while (at < chunk.length) {
      const next = this.#matcher === null ? chunk.indexOf(this.#last, at) + 1 : this.#matcher.search(chunk, at);
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
    this.#matcher?.reset();
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
    let end = (spans ? this.#length : next - 1) - (this.#delimiterBytes - 1);
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

export class LineEncoder implements FrameEncoder {
  readonly #delimiter: Buffer;
  readonly #frameBytesMax: number;

  constructor({ delimiter, frameBytesMax }: LineOptions) {
    this.#delimiter = Buffer.from(delimiter);
    this.#frameBytesMax = frameBytesMax;
  }

  /** A delimiter inside would make several lines of it; so would the beginning of one at its end. */
  problem(payload: Buffer): "too-large" | "invalid" | null {
    const delimiter = this.#delimiter;
    if (payload.length > this.#frameBytesMax) return "too-large";
    if (payload.indexOf(delimiter) >= 0) return "invalid";
    if (delimiter.length === 1) return delimiter[0] === LF && payload.indexOf(CR) >= 0 ? "invalid" : null;
    for (let n = 1; n < delimiter.length && n <= payload.length; n++) {
      if (payload.compare(delimiter, 0, n, payload.length - n) !== 0) continue;
      // The line would end with the first n bytes of the delimiter, then the delimiter: found too early if they overlap.
      if (delimiter.compare(delimiter, 0, delimiter.length - n, n) === 0) return "invalid";
    }
    return null;
  }

  encode(payload: Buffer): Buffer {
    const line = Buffer.allocUnsafe(payload.length + this.#delimiter.length);
    payload.copy(line);
    this.#delimiter.copy(line, payload.length);
    return line;
  }
}
