/**
 * Lines of bytes, in and out: a line ends with \n; one \r before it is not part of it.
 *
 * The decoder is fed chunks as they come and gives lines where they lie; only a line that spans chunks is copied. A
 * line that grows beyond the limit is thrown away up to its \n and counted: the next one is whole again.
 *
 *     READING     --- more than lineBytesMax ---> DISCARDING
 *        ^                                            |
 *        +------------------- \n ---------------------+
 */
const LF = 0x0a;
const CR = 0x0d;

export interface LineSink {
  /**
   * One line, `bytes[from..end)`, valid until return.
   * @returns false to be given no more for now
   */
  onLine(bytes: Buffer, from: number, end: number): boolean;
}

export class LineDecoder {
  readonly lineBytesMax: number;
  /** Lines thrown away because they were too long. */
  tooLong = 0;
  /** Beginning of a line whose end has not come; room for a \r behind the longest. */
  readonly #partial: Buffer;
  #length = 0;
  #discarding = false;

  constructor(lineBytesMax: number) {
    this.lineBytesMax = lineBytesMax;
    this.#partial = Buffer.allocUnsafeSlow(lineBytesMax + 1);
  }

  /** Bytes of a line whose end has not come. */
  get pendingBytes(): number {
    return this.#length;
  }

  /**
   * Takes `chunk[from..)`.
   * @returns the index to go on from: chunk.length, or less when the sink said false
   */
  feed(chunk: Buffer, from: number, sink: LineSink): number {
    let at = from;
    while (at < chunk.length) {
      const lineEnd = chunk.indexOf(LF, at);
      if (lineEnd < 0) {
        this.#keep(chunk, at, chunk.length);
        return chunk.length;
      }
      const more = this.#take(chunk, at, lineEnd, sink);
      at = lineEnd + 1;
      if (!more) return at;
    }
    return at;
  }

  /** Forgets the line that is under way: the port was closed in between. */
  reset(): void {
    this.#length = 0;
    this.#discarding = false;
  }

  #take(chunk: Buffer, from: number, lineEnd: number, sink: LineSink): boolean {
    if (this.#length > 0 && !this.#discarding) this.#keep(chunk, from, lineEnd);
    if (this.#discarding) {
      this.reset();
      return true;
    }
    const spans = this.#length > 0;
    const bytes = spans ? this.#partial : chunk;
    const start = spans ? 0 : from;
    let end = spans ? this.#length : lineEnd;
    if (end > start && bytes[end - 1] === CR) end--;
    this.#length = 0;
    if (end - start > this.lineBytesMax) {
      this.tooLong++;
      return true;
    }
    return sink.onLine(bytes, start, end);
  }

  #keep(chunk: Buffer, from: number, end: number): void {
    if (this.#discarding) return;
    if (this.#length + end - from > this.#partial.length) {
      this.tooLong++;
      this.#discarding = true;
      return;
    }
    chunk.copy(this.#partial, this.#length, from, end);
    this.#length += end - from;
  }
}

/** Whether `payload` can be a line: one that holds a \n or \r would arrive as several, or as another. */
export function isLine(payload: Buffer): boolean {
  return payload.indexOf(LF) < 0 && payload.indexOf(CR) < 0;
}

/** Appends the line end. */
export function encodeLine(payload: Uint8Array): Buffer {
  const line = Buffer.allocUnsafe(payload.length + 1);
  line.set(payload);
  line[payload.length] = LF;
  return line;
}
