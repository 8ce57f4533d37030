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
import { deliver, type FrameDecoder, type FrameEncoder, type FrameSink } from "./framing.ts";

const END = 0xc0;
const ESC = 0xdb;
const ESC_END = 0xdc;
const ESC_ESC = 0xdd;

export interface SlipOptions {
  readonly frameBytesMax: number;
}

export class SlipDecoder implements FrameDecoder {
  readonly gapMs = null;
  readonly busy = false;
  readonly #check: FrameCheck | null;
  readonly #frame: Buffer;
  #length = 0;
  #escaped = false;
  /** Up to the next END. */
  #discarding = false;

  constructor({ frameBytesMax }: SlipOptions, check: FrameCheck | null) {
    this.#check = check;
    this.#frame = Buffer.allocUnsafeSlow(frameBytesMax);
  }

  get pendingBytes(): number {
    return this.#length;
  }

  feed(chunk: Buffer, from: number, sink: FrameSink): number {
    for (let i = from; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (byte === END) {
        if (!this.#end(sink)) return i + 1;
      } else if (this.#discarding) {
        // Part of what was thrown away.
      } else if (this.#escaped) {
        this.#escaped = false;
        if (byte === ESC_END) this.#push(END, sink);
        else if (byte === ESC_ESC) this.#push(ESC, sink);
        else this.#discard("escape", sink);
      } else if (byte === ESC) {
        this.#escaped = true;
      } else {
        this.#push(byte, sink);
      }
    }
    return chunk.length;
  }

  onGap(): void {}

  reset(): void {
    this.#length = 0;
    this.#escaped = false;
    this.#discarding = false;
  }

  #end(sink: FrameSink): boolean {
    if (this.#escaped) this.#discard("escape", sink);
    const length = this.#length;
    this.reset();
    return length === 0 || deliver(sink, this.#check, this.#frame, 0, length);
  }

  #push(byte: number, sink: FrameSink): void {
    if (this.#length === this.#frame.length) this.#discard("too-long", sink);
    else this.#frame[this.#length++] = byte;
  }

  #discard(cause: "escape" | "too-long", sink: FrameSink): void {
    sink.onBadFrame(cause, this.#frame, 0, this.#length);
    this.#length = 0;
    this.#discarding = true;
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
  let next = at;
  out[next++] = END;
  for (let i = from; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte !== END && byte !== ESC) {
      out[next++] = byte;
      continue;
    }
    out[next++] = ESC;
    out[next++] = byte === END ? ESC_END : ESC_ESC;
  }
  out[next++] = END;
  return next;
}
