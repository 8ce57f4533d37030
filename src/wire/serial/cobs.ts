/**
 * Consistent Overhead Byte Stuffing: frames end with a zero and hold none. A frame is a row of blocks, each with a code
 * before up to 254 bytes that are not zero; a zero follows behind each block but the last and those of 254 bytes.
 *
 *     code n | n - 1 bytes | code m | m - 1 bytes | ... | 0
 *
 * @see Cheshire and Baker, Consistent Overhead Byte Stuffing, IEEE/ACM Transactions on Networking 7(2), 1999
 */
import type { FrameCheck } from "./check.ts";
import { deliver, type FrameDecoder, type FrameEncoder, type FrameSink } from "./framing.ts";

/** Code of a block of 254 bytes, behind which there is no zero. */
const FULL = 0xff;

export interface CobsOptions {
  readonly frameBytesMax: number;
}

export class CobsDecoder implements FrameDecoder {
  readonly gapMs = null;
  readonly busy = false;
  readonly #check: FrameCheck | null;
  readonly #frame: Buffer;
  #length = 0;
  /** Of the block under way; 0 = no frame has begun. */
  #code = 0;
  /** Bytes of the block that have not come. */
  #left = 0;
  #discarding = false;

  constructor({ frameBytesMax }: CobsOptions, check: FrameCheck | null) {
    this.#check = check;
    this.#frame = Buffer.allocUnsafeSlow(frameBytesMax);
  }

  get pendingBytes(): number {
    return this.#length;
  }

  feed(chunk: Buffer, from: number, sink: FrameSink): number {
    for (let i = from; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (byte === 0) {
        if (!this.#end(sink)) return i + 1;
      } else if (this.#discarding) {
        // Part of what was thrown away.
      } else if (this.#left > 0) {
        this.#left--;
        this.#push(byte, sink);
      } else {
        if (this.#code !== 0 && this.#code !== FULL) this.#push(0, sink);
        this.#code = byte;
        this.#left = byte - 1;
      }
    }
    return chunk.length;
  }

  onGap(): void {}

  reset(): void {
    this.#length = 0;
    this.#code = 0;
    this.#left = 0;
    this.#discarding = false;
  }

  #end(sink: FrameSink): boolean {
    const whole = this.#code !== 0 && this.#left === 0 && !this.#discarding;
    const cut = this.#left > 0 && !this.#discarding;
    const length = this.#length;
    this.reset();
    if (cut) sink.onBadFrame("cut", this.#frame, 0, length);
    return !whole || deliver(sink, this.#check, this.#frame, 0, length);
  }

  #push(byte: number, sink: FrameSink): void {
    if (this.#length < this.#frame.length) {
      this.#frame[this.#length++] = byte;
      return;
    }
    sink.onBadFrame("too-long", this.#frame, 0, this.#length);
    this.#length = 0;
    this.#discarding = true;
  }
}

export class CobsEncoder implements FrameEncoder {
  readonly #frameBytesMax: number;

  constructor({ frameBytesMax }: CobsOptions) {
    this.#frameBytesMax = frameBytesMax;
  }

  problem(payload: Buffer): "too-large" | null {
    return payload.length > this.#frameBytesMax ? "too-large" : null;
  }

  encode(payload: Buffer): Buffer {
    const frame = Buffer.allocUnsafe(payload.length + Math.floor(payload.length / 254) + 2);
    let codeAt = 0;
    let at = 1;
    for (let i = 0; i < payload.length; i++) {
      const byte = payload[i] as number;
      if (byte !== 0) frame[at++] = byte;
      const full = at - codeAt === FULL;
      if (byte !== 0 && !(full && i + 1 < payload.length)) continue;
      frame[codeAt] = at - codeAt;
      codeAt = at++;
    }
    frame[codeAt] = at - codeAt;
    frame[at++] = 0;
    return frame.subarray(0, at);
  }
}
