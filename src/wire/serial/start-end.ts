/**
 * Frames between a start and an end of 1 to 8 bytes each. With an escape, what would be taken for a start, an end or an
 * escape is sent behind one: as it is, or exclusively or-ed with `escapeXor` (0x20 in PPP and HDLC).
 *
 *     HUNTING --- start ---> INSIDE --- end ---> HUNTING
 *        ^                    |  ^
 *        +---- too long ------+  +--- start: the frame is cut, the next one begins
 *
 * When start and end are the same, the end of one frame is also the start of the next, and frames without content are
 * none.
 */
import type { FrameCheck } from "./check.ts";
import { type BadFrame, deliver, type FrameDecoder, type FrameEncoder, type FrameSink } from "./framing.ts";
import { Matcher } from "./matcher.ts";

export interface StartEndOptions {
  readonly start: ArrayLike<number>;
  readonly end: ArrayLike<number>;
  /** -1 = none. */
  readonly escape: number;
  readonly escapeXor: number;
  readonly frameBytesMax: number;
}

export class StartEndDecoder implements FrameDecoder {
  readonly gapMs = null;
  readonly busy = false;
  readonly #options: StartEndOptions;
  readonly #check: FrameCheck | null;
  readonly #start: Matcher;
  readonly #end: Matcher;
  readonly #same: boolean;
  /** Content, and the end as far as it has come. */
  readonly #frame: Buffer;
  #length = 0;
  #inside = false;
  #escaped = false;
  /** The bytes before the next start have been counted. */
  #noticed = false;

  constructor(options: StartEndOptions, check: FrameCheck | null) {
    this.#options = options;
    this.#check = check;
    this.#start = new Matcher(Buffer.from(options.start));
    this.#end = new Matcher(Buffer.from(options.end));
    this.#same = this.#start.pattern.equals(this.#end.pattern);
    this.#frame = Buffer.allocUnsafeSlow(options.frameBytesMax + options.end.length);
  }

  get pendingBytes(): number {
    return this.#length;
  }

  feed(chunk: Buffer, from: number, sink: FrameSink): number {
    for (let i = from; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (!this.#inside) this.#hunt(byte, chunk, i, sink);
      else if (this.#escaped) this.#unescape(byte, chunk, i, sink);
      else if (byte === this.#options.escape) this.#escaped = true;
      else if (!this.#take(byte, sink)) return i + 1;
    }
    return chunk.length;
  }

  onGap(): void {}

  reset(): void {
    this.#begin();
    this.#inside = false;
    this.#noticed = false;
  }

  #begin(): void {
    this.#inside = true;
    this.#length = 0;
    this.#escaped = false;
    this.#start.reset();
    this.#end.reset();
  }

  #hunt(byte: number, chunk: Buffer, at: number, sink: FrameSink): void {
    if (this.#start.step(byte)) {
      this.#begin();
    } else if (!this.#noticed && this.#start.matched === 0) {
      this.#noticed = true;
      sink.onBadFrame("noise", chunk, at, chunk.length);
    }
  }

  /** With `escapeXor` no start, end or escape can follow an escape. */
  #unescape(byte: number, chunk: Buffer, at: number, sink: FrameSink): void {
    const { start, end, escape: escapeByte, escapeXor } = this.#options;
    this.#escaped = false;
    this.#start.reset();
    this.#end.reset();
    if (escapeXor !== 0 && (byte === start[0] || byte === end[0] || byte === escapeByte)) {
      this.#lose("escape", sink);
      this.#hunt(byte, chunk, at, sink);
    } else {
      this.#push(byte ^ escapeXor, sink);
    }
  }

  #take(byte: number, sink: FrameSink): boolean {
    if (!this.#push(byte, sink)) return true;
    const starts = this.#start.step(byte);
    if (this.#end.step(byte)) {
      const length = this.#length - this.#options.end.length;
      this.#begin();
      this.#inside = this.#same;
      this.#noticed = false;
      return (this.#same && length === 0) || deliver(sink, this.#check, this.#frame, 0, length);
    }
    if (starts) {
      sink.onBadFrame("cut", this.#frame, 0, this.#length - this.#options.start.length);
      this.#begin();
    }
    return true;
  }

  #push(byte: number, sink: FrameSink): boolean {
    if (this.#length === this.#frame.length) {
      this.#lose("too-long", sink);
      return false;
    }
    this.#frame[this.#length++] = byte;
    return true;
  }

  /** What follows up to the next start belongs to the lost frame. */
  #lose(cause: BadFrame, sink: FrameSink): void {
    sink.onBadFrame(cause, this.#frame, 0, Math.min(this.#length, this.#options.frameBytesMax));
    this.reset();
    this.#noticed = true;
  }
}

export class StartEndEncoder implements FrameEncoder {
  readonly #options: StartEndOptions;
  readonly #start: Buffer;
  readonly #end: Buffer;

  constructor(options: StartEndOptions) {
    this.#options = options;
    this.#start = Buffer.from(options.start);
    this.#end = Buffer.from(options.end);
  }

  /** Without an escape, neither start nor end may be inside, nor begin there. */
  problem(payload: Buffer): "too-large" | "invalid" | null {
    const { escape: escapeByte, frameBytesMax } = this.#options;
    const start = this.#start;
    const end = this.#end;
    if (payload.length > frameBytesMax) return "too-large";
    if (start.equals(end) && payload.length === 0) return "invalid";
    if (escapeByte >= 0) return null;
    const closed = Buffer.allocUnsafe(payload.length + end.length);
    payload.copy(closed);
    end.copy(closed, payload.length);
    const startAt = closed.indexOf(start);
    const isInside = closed.indexOf(end) < payload.length || (startAt >= 0 && startAt < payload.length);
    return isInside ? "invalid" : null;
  }

  encode(payload: Buffer): Buffer {
    const { escape: escapeByte, escapeXor } = this.#options;
    const start = this.#start;
    const end = this.#end;
    let escapes = 0;
    for (let i = 0; i < payload.length; i++) if (this.#isSpecial(payload[i] as number)) escapes++;
    const frame = Buffer.allocUnsafe(start.length + payload.length + escapes + end.length);
    let at = start.copy(frame);
    for (let i = 0; i < payload.length; i++) {
      const byte = payload[i] as number;
      const special = this.#isSpecial(byte);
      if (special) frame[at++] = escapeByte;
      frame[at++] = special ? byte ^ escapeXor : byte;
    }
    end.copy(frame, at);
    return frame;
  }

  #isSpecial(byte: number): boolean {
    const { start, end, escape: escapeByte } = this.#options;
    return escapeByte >= 0 && (byte === escapeByte || byte === start[0] || byte === end[0]);
  }
}
