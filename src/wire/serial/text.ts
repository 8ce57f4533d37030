/**
 * Around a framing whose frames are text: what the device says becomes UTF-8, without blanks around it if that is asked for,
 * and what is written is turned back. `max_frame` holds for the bytes on the wire and for the UTF-8.
 *
 *     bytes --- ascii7: top bit off ---> framing and check ---> encoding ---> trim ---> frame
 *     bytes ---------------------------> framing ---> hex ---> check ---> frame
 */
import { AS_IT_IS, type Encoding, INVALID, type Transcoder, transcoderOf } from "./charset.ts";
import type { FrameCheck } from "./check.ts";
import {
  type BadFrame,
  deliver,
  type EncoderProblem,
  type FrameDecoder,
  type FrameEncoder,
  type FrameSink,
} from "./framing.ts";

const BLANK = 0x20;
const MASKED_BYTES = 512;

export interface TextOptions {
  /** null: bytes are as they are. */
  readonly encoding?: Encoding | null;
  /** Blanks and control characters around the text are dropped. */
  readonly trim?: boolean;
}

export class TextFrameDecoder implements FrameDecoder, FrameSink {
  readonly gapMs: number | null;
  readonly #inner: FrameDecoder;
  readonly #transcoder: Transcoder | null;
  readonly #masks: boolean;
  readonly #trim: boolean;
  readonly #check: FrameCheck | null;
  readonly #out: Buffer;
  #sink: FrameSink = NOBODY;
  /** What the sink said last. */
  #more = true;

  /** @param check of the bytes that hexadecimal digits say; others are the framing's */
  constructor(inner: FrameDecoder, options: TextOptions, frameBytesMax: number, check: FrameCheck | null) {
    const { encoding = null, trim = false } = options;
    this.gapMs = inner.gapMs;
    this.#inner = inner;
    this.#transcoder = encoding === null ? null : transcoderOf(encoding);
    this.#masks = encoding === "ascii7";
    this.#trim = trim && encoding !== "hex";
    this.#check = check;
    this.#out = Buffer.allocUnsafeSlow(frameBytesMax);
  }

  get pendingBytes(): number {
    return this.#inner.pendingBytes;
  }

  get busy(): boolean {
    return this.#inner.busy;
  }

  /** With `ascii7`, `chunk` is changed. */
  feed(chunk: Buffer, from: number, sink: FrameSink): number {
    this.#sink = sink;
    return this.#masks ? this.#feedMasked(chunk, from) : this.#inner.feed(chunk, from, this);
  }

  /** In pieces: what comes behind a frame after which the sink takes no more is fed, and masked, again. */
  #feedMasked(chunk: Buffer, from: number): number {
    this.#more = true;
    let at = from;
    do {
      const end = Math.min(at + MASKED_BYTES, chunk.length);
      for (let i = at; i < end; i++) chunk[i] = (chunk[i] as number) & 0x7f;
      at = this.#inner.feed(end === chunk.length ? chunk : chunk.subarray(0, end), at, this);
    } while (at < chunk.length && this.#more && !this.busy);
    return at;
  }

  onGap(sink: FrameSink): void {
    this.#sink = sink;
    this.#inner.onGap(this);
  }

  reset(): void {
    this.#inner.reset();
  }

  onFrame(bytes: Buffer, from: number, end: number): boolean {
    const length = this.#transcoder?.decode(bytes, from, end, this.#out) ?? AS_IT_IS;
    if (length === AS_IT_IS) return this.#give(bytes, from, end);
    if (length >= 0) return this.#give(this.#out, 0, length);
    this.#sink.onBadFrame(length === INVALID ? "encoding" : "too-long", bytes, from, end);
    return true;
  }

  onBadFrame(cause: BadFrame, bytes: Buffer, from: number, end: number): void {
    this.#sink.onBadFrame(cause, bytes, from, end);
  }

  #give(bytes: Buffer, from: number, end: number): boolean {
    if (this.#trim) {
      while (from < end && (bytes[from] as number) <= BLANK) from++;
      while (from < end && (bytes[end - 1] as number) <= BLANK) end--;
    }
    this.#more = deliver(this.#sink, this.#check, bytes, from, end);
    return this.#more;
  }
}

const NOBODY: FrameSink = { onFrame: () => true, onBadFrame: () => {} };

export class TextFrameEncoder implements FrameEncoder {
  readonly #inner: FrameEncoder;
  readonly #transcoder: Transcoder;

  constructor(inner: FrameEncoder, encoding: Encoding) {
    this.#inner = inner;
    this.#transcoder = transcoderOf(encoding);
  }

  problem(payload: Buffer): EncoderProblem | null {
    const bytes = this.#transcoder.encode(payload);
    return bytes === null ? "encoding" : this.#inner.problem(bytes);
  }

  /** @throws nothing: `problem` has seen it */
  encode(payload: Buffer): Buffer {
    return this.#inner.encode(this.#transcoder.encode(payload) as Buffer);
  }
}
