/**
 * Frames between a start and an end of 1 to 8 bytes each. With an escape, what would be taken for a start, an end or an
 * escape is sent behind one: as it is, or exclusively or-ed with `escapeXor` (0x20 in PPP and HDLC).
 *
 *     HUNTING --- start ---> INSIDE --- end ---> HUNTING
 *        ^                    |  ^
 *        +---- too long ------+  +--- start: the frame is cut, the next one begins
 *
 * A check may stand behind the end, as it is, without escapes (IEC 62056-21, DSMR's P1). Line ends between frames are no noise.
 * What is under way lies in one piece:
 *
 *     | start | content | end | check |
 *
 * When start and end are the same, the end of one frame is also the start of the next, and frames without content are
 * none.
 */
import type { FrameCheck } from "./check.ts";
import { type BadFrame, deliver, type FrameDecoder, type FrameEncoder, type FrameSink } from "./framing.ts";
import { Matcher } from "./matcher.ts";

const LF = 0x0a;
const CR = 0x0d;

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
  /** The start, the content, and end and check as far as they have come. */
  readonly #frame: Buffer;
  readonly #contentAt: number;
  /** Of content and end. */
  readonly #lengthMax: number;
  /** Without the start. */
  #length = 0;
  /** Bytes of the check behind the end that have not come. */
  #missing = 0;
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
    this.#contentAt = options.start.length;
    this.#lengthMax = options.frameBytesMax + options.end.length;
    this.#frame = Buffer.allocUnsafeSlow(this.#contentAt + this.#lengthMax + (check?.aside ?? 0));
    this.#start.pattern.copy(this.#frame);
  }

  get pendingBytes(): number {
    return this.#length;
  }

  feed(chunk: Buffer, from: number, sink: FrameSink): number {
    for (let i = from; i < chunk.length; i++) if (!this.#step(chunk, i, sink)) return i + 1;
    return chunk.length;
  }

  /** @returns false when the sink takes no more */
  #step(bytes: Buffer, at: number, sink: FrameSink): boolean {
    const byte = bytes[at] as number;
    if (!this.#inside) this.#hunt(byte, bytes, at, sink);
    else if (this.#missing > 0) return this.#takeCheck(byte, sink);
    else if (this.#escaped) this.#unescape(byte, bytes, at, sink);
    else if (byte === this.#options.escape) this.#escaped = true;
    else return this.#take(byte, sink);
    return true;
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
    this.#missing = 0;
    this.#escaped = false;
    this.#start.reset();
    this.#end.reset();
  }

  #hunt(byte: number, chunk: Buffer, at: number, sink: FrameSink): void {
    if (this.#start.step(byte)) {
      this.#begin();
    } else if (!this.#noticed && this.#start.matched === 0 && byte !== LF && byte !== CR) {
      this.#noticed = true;
      const next = chunk.indexOf(this.#start.pattern, at);
      sink.onBadFrame("noise", chunk, at, next < 0 ? chunk.length : next);
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
    const starts = this.#start.step(byte);
    if (!this.#push(byte, sink)) {
      if (starts) this.#begin(); // the longest frame has lost its end
      return true;
    }
    if (this.#end.step(byte)) {
      if (this.#check !== null && this.#check.aside > 0) {
        this.#missing = this.#check.aside;
        return true;
      }
      const end = this.#contentAt + this.#length - this.#options.end.length;
      this.#finish(this.#same);
      return (this.#same && end === this.#contentAt) || deliver(sink, this.#check, this.#frame, this.#contentAt, end);
    }
    if (starts) {
      this.#bad("cut", this.#length - this.#options.start.length, sink);
      this.#begin();
    }
    return true;
  }

  #takeCheck(byte: number, sink: FrameSink): boolean {
    const check = this.#check as FrameCheck;
    const checkAt = this.#contentAt + this.#length;
    const end = checkAt + check.aside;
    this.#frame[end - this.#missing] = byte;
    if (--this.#missing > 0) return true;
    const contentEnd = checkAt - this.#options.end.length;
    const { covers, keep } = check.options;
    const sumFrom = covers === "both" ? 0 : this.#contentAt;
    const sumEnd = covers === "both" || covers === "end" ? checkAt : contentEnd;
    this.#finish(false);
    if (check.says(this.#frame, sumFrom, sumEnd, checkAt)) {
      return sink.onFrame(this.#frame, this.#contentAt, keep ? end : contentEnd);
    }
    sink.onBadFrame("check", this.#frame, this.#contentAt, end);
    this.#noticed = true;
    // If a byte of the check was lost, the next frame's start is in its place; too few bytes to be a whole frame.
    for (let at = checkAt; at < end; at++) this.#step(this.#frame, at, sink);
    return true;
  }

  #push(byte: number, sink: FrameSink): boolean {
    if (this.#length === this.#lengthMax) {
      this.#lose("too-long", sink);
      return false;
    }
    this.#frame[this.#contentAt + this.#length++] = byte;
    return true;
  }

  /** @param inside the next frame has begun with the end of this one */
  #finish(inside: boolean): void {
    this.#begin();
    this.#inside = inside;
    this.#noticed = false;
  }

  #bad(cause: BadFrame, length: number, sink: FrameSink): void {
    sink.onBadFrame(cause, this.#frame, this.#contentAt, this.#contentAt + length);
  }

  /** What follows up to the next start, which may have begun, belongs to the lost frame. */
  #lose(cause: BadFrame, sink: FrameSink): void {
    this.#bad(cause, Math.min(this.#length, this.#options.frameBytesMax), sink);
    this.#inside = false;
    this.#length = 0;
    this.#noticed = true;
  }
}

export class StartEndEncoder implements FrameEncoder {
  readonly #options: StartEndOptions;
  readonly #start: Buffer;
  readonly #end: Buffer;
  /** Behind the end. */
  readonly #check: FrameCheck | null;

  constructor(options: StartEndOptions, check: FrameCheck | null) {
    this.#options = options;
    this.#check = check;
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
    const frameEnd = start.length + payload.length + escapes + end.length;
    const frame = Buffer.allocUnsafe(frameEnd + (this.#check?.aside ?? 0));
    let at = start.copy(frame);
    for (let i = 0; i < payload.length; i++) {
      const byte = payload[i] as number;
      const special = this.#isSpecial(byte);
      if (special) frame[at++] = escapeByte;
      frame[at++] = special ? byte ^ escapeXor : byte;
    }
    end.copy(frame, at);
    if (this.#check !== null) this.#writeCheck(this.#check, payload, frame, frameEnd);
    return frame;
  }

  /** The sum is over the payload without escapes. */
  #writeCheck(check: FrameCheck, payload: Buffer, frame: Buffer, at: number): void {
    const { covers } = check.options;
    const before = covers === "both" ? this.#start.length : 0;
    const plain = Buffer.concat([this.#start.subarray(0, before), payload, this.#end]);
    const behind = covers === "both" || covers === "end" ? this.#end.length : 0;
    check.write(frame, at, plain, 0, before + payload.length + behind);
  }

  #isSpecial(byte: number): boolean {
    const { start, end, escape: escapeByte } = this.#options;
    return escapeByte >= 0 && (byte === escapeByte || byte === start[0] || byte === end[0]);
  }
}
