/** Frames that end when nothing comes for a while. Time is the caller's: it says so by `onGap`. */
import type { FrameCheck } from "./check.ts";
import { deliver, type FrameDecoder, type FrameEncoder, type FrameSink } from "./framing.ts";

export interface IdleOptions {
  readonly gapMs: number;
  readonly frameBytesMax: number;
}

export class IdleDecoder implements FrameDecoder {
  readonly gapMs: number;
  readonly busy = false;
  readonly #check: FrameCheck | null;
  readonly #frame: Buffer;
  #length = 0;
  #discarding = false;

  constructor({ gapMs, frameBytesMax }: IdleOptions, check: FrameCheck | null) {
    this.gapMs = gapMs;
    this.#check = check;
    this.#frame = Buffer.allocUnsafeSlow(frameBytesMax);
  }

  /** Also of a frame that is thrown away: its gap has not come. */
  get pendingBytes(): number {
    return this.#length;
  }

  feed(chunk: Buffer, from: number, sink: FrameSink): number {
    if (this.#discarding) return chunk.length;
    const n = Math.min(chunk.length - from, this.#frame.length - this.#length);
    chunk.copy(this.#frame, this.#length, from, from + n);
    this.#length += n;
    if (from + n === chunk.length) return chunk.length;
    this.#discarding = true;
    sink.onBadFrame("too-long", this.#frame, 0, this.#length);
    return chunk.length;
  }

  onGap(sink: FrameSink): void {
    const length = this.#discarding ? 0 : this.#length;
    this.reset();
    if (length > 0) deliver(sink, this.#check, this.#frame, 0, length);
  }

  reset(): void {
    this.#length = 0;
    this.#discarding = false;
  }
}

/** The gap between two frames is the writer's. */
export class IdleEncoder implements FrameEncoder {
  readonly #frameBytesMax: number;

  constructor({ frameBytesMax }: IdleOptions) {
    this.#frameBytesMax = frameBytesMax;
  }

  problem(payload: Buffer): "too-large" | "invalid" | null {
    if (payload.length > this.#frameBytesMax) return "too-large";
    return payload.length === 0 ? "invalid" : null;
  }

  encode(payload: Buffer): Buffer {
    return Buffer.from(payload);
  }
}
