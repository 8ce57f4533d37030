/**
 * Frames between END bytes; END and ESC inside are sent as ESC and a stand-in.
 *
 *     END | content ... ESC ESC_END ... ESC ESC_ESC ... | END
 *
 * An END is sent before the frame, too: noise on an idle line then is a frame of its own. Frames without content are
 * none. RFC 1055 leaves open what an ESC before another byte is; here the frame is thrown away up to its END.
 * @see RFC 1055
 */
import type { FrameCheck } from "./check.ts";
import { Collector } from "./collector.ts";
import type { FrameDecoder, FrameEncoder, FrameSink } from "./framing.ts";

/** RFC 1055. */
export const SLIP_END = 0xc0;
const END = SLIP_END;
const ESC = 0xdb;
const ESC_END = 0xdc;
const ESC_ESC = 0xdd;

export interface SlipOptions {
  readonly frameBytesMax: number;
}

export class SlipDecoder implements FrameDecoder {
  readonly gapMs = null;
  readonly busy = false;
  readonly #content: Collector;
  #escaped = false;

  constructor({ frameBytesMax }: SlipOptions, check: FrameCheck | null) {
    this.#content = new Collector(frameBytesMax, check);
  }

  get pendingBytes(): number {
    return this.#content.length;
  }

  feed(chunk: Buffer, from: number, sink: FrameSink): number {
    const content = this.#content;
    for (let i = from; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (byte === END) {
        if (!this.#end(sink)) return i + 1;
      } else if (content.discarding) {
        // Part of what was thrown away.
      } else if (this.#escaped) {
        this.#escaped = false;
        if (byte === ESC_END) content.push(END, sink);
        else if (byte === ESC_ESC) content.push(ESC, sink);
        else content.discard("escape", sink);
      } else if (byte === ESC) {
        this.#escaped = true;
      } else {
        content.push(byte, sink);
      }
    }
    return chunk.length;
  }

  onGap(): void {}

  reset(): void {
    this.#content.reset();
    this.#escaped = false;
  }

  #end(sink: FrameSink): boolean {
    const content = this.#content;
    if (this.#escaped) content.discard("escape", sink);
    this.#escaped = false;
    if (content.length > 0) return content.deliver(sink);
    content.reset();
    return true;
  }
}

export class SlipEncoder implements FrameEncoder {
  readonly #frameBytesMax: number;

  constructor({ frameBytesMax }: SlipOptions) {
    this.#frameBytesMax = frameBytesMax;
  }

  problem(payload: Buffer): "too-large" | "invalid" | null {
    if (payload.length > this.#frameBytesMax) return "too-large";
    return payload.length === 0 ? "invalid" : null;
  }

  encode(payload: Buffer): Buffer {
    let length = payload.length + 2;
    for (let i = 0; i < payload.length; i++) if (payload[i] === END || payload[i] === ESC) length++;
    const frame = Buffer.allocUnsafe(length);
    writeSlip(payload, 0, payload.length, frame, 0);
    return frame;
  }
}

/** Most bytes of the frame of a content of so many. */
export function slipBytesMax(contentBytes: number): number {
  return 2 + 2 * contentBytes;
}

/** Writes the frame of `bytes[from..end)` at `at`, where there is room for it. @returns the index after it */
export function writeSlip(bytes: Buffer, from: number, end: number, out: Buffer, at: number): number {
  out[at] = END;
  const next = writeSlipContent(bytes, from, end, out, at + 1);
  out[next] = END;
  return next + 1;
}

/** A part of what a frame contains, escaped. @returns the index after it */
export function writeSlipContent(bytes: Buffer, from: number, end: number, out: Buffer, at: number): number {
  let next = at;
  for (let i = from; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte !== END && byte !== ESC) {
      out[next++] = byte;
      continue;
    }
    out[next++] = ESC;
    out[next++] = byte === END ? ESC_END : ESC_ESC;
  }
  return next;
}
