/**
 * The content of a frame as it comes, byte by byte, for framings whose delimiter cannot occur in it. A frame that is none
 * is told at once, and the rest of it up to the delimiter belongs to it.
 *
 *     COLLECTING --- more than frameBytesMax, or `discard` ---> DISCARDING --- end ---> COLLECTING
 */
import type { FrameCheck } from "./check.ts";
import { type BadFrame, deliver, type FrameSink } from "./framing.ts";

export class Collector {
  /** Of what has come of the frame; 0 while it is thrown away. */
  length = 0;
  discarding = false;
  readonly #check: FrameCheck | null;
  readonly #frame: Buffer;

  constructor(frameBytesMax: number, check: FrameCheck | null) {
    this.#check = check;
    this.#frame = Buffer.allocUnsafeSlow(frameBytesMax);
  }

  push(byte: number, sink: FrameSink): void {
    if (this.length === this.#frame.length) this.discard("too-long", sink);
    else this.#frame[this.length++] = byte;
  }

  discard(cause: BadFrame, sink: FrameSink): void {
    sink.onBadFrame(cause, this.#frame, 0, this.length);
    this.length = 0;
    this.discarding = true;
  }

  /** The delimiter is there. @returns false when the sink takes no more */
  deliver(sink: FrameSink): boolean {
    const { length, discarding } = this;
    this.reset();
    return discarding || deliver(sink, this.#check, this.#frame, 0, length);
  }

  reset(): void {
    this.length = 0;
    this.discarding = false;
  }
}
