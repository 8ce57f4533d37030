/**
 * Consistent Overhead Byte Stuffing: frames end with a zero and hold none. A frame is a row of blocks, each with a code
 * before up to 254 bytes that are not zero; a zero follows behind each block but the last and those of 254 bytes.
 *
 *     code n | n - 1 bytes | code m | m - 1 bytes | ... | 0
 *
 * @see Cheshire and Baker, Consistent Overhead Byte Stuffing, IEEE/ACM Transactions on Networking 7(2), 1999
 */
import type { FrameCheck } from "./check.ts";
import { Collector } from "./collector.ts";
import type { FrameDecoder, FrameEncoder, FrameSink } from "./framing.ts";

/** Code of a block of 254 bytes, behind which there is no zero. */
const FULL = 0xff;

export interface CobsOptions {
  readonly frameBytesMax: number;
}

export class CobsDecoder implements FrameDecoder {
  readonly gapMs = null;
  readonly busy = false;
  readonly #content: Collector;
  /** Of the block under way; 0 = no frame has begun. */
  #code = 0;
  /** Bytes of the block that have not come. */
  #left = 0;

  constructor({ frameBytesMax }: CobsOptions, check: FrameCheck | null) {
    this.#content = new Collector(frameBytesMax, check);
  }

  get pendingBytes(): number {
    return this.#content.length;
  }

  feed(chunk: Buffer, from: number, sink: FrameSink): number {
    const content = this.#content;
    for (let i = from; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (byte === 0) {
        if (!this.#end(sink)) return i + 1;
      } else if (content.discarding) {
        // Part of what was thrown away.
      } else if (this.#left > 0) {
        this.#left--;
        content.push(byte, sink);
      } else {
        if (this.#code !== 0 && this.#code !== FULL) content.push(0, sink);
        this.#code = byte;
        this.#left = byte - 1;
      }
    }
    return chunk.length;
  }

  onGap(): void {}

  reset(): void {
    this.#content.reset();
    this.#code = 0;
    this.#left = 0;
  }

  #end(sink: FrameSink): boolean {
    const content = this.#content;
    const begun = this.#code !== 0;
    if (this.#left > 0 && !content.discarding) content.discard("cut", sink);
    this.#code = 0;
    this.#left = 0;
    return !begun || content.deliver(sink);
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
