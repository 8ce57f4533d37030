/**
 * Frames that say their length.
 *
 *     | offset bytes, `start` first | length: 1, 2 or 4 bytes | length + adjust bytes |
 *     |<----------------- header ----------------------->|<------- body -------->|
 *
 * The content is the body, or with `keepHeader` the whole frame. The check is in it and covers what else is in it.
 */
import type { FrameEncoder } from "./framing.ts";
import { beginsWith, type FrameMeasure, IMPOSSIBLE, STRANGE, UNKNOWN } from "./window.ts";

export interface LengthOptions {
  readonly bytes: 1 | 2 | 4;
  readonly endian: "big" | "little";
  /** Bytes before the length. */
  readonly offset: number;
  /** Of them, those that every frame begins with; at most `offset`. */
  readonly start?: ArrayLike<number>;
  /** Added to the length that was read to get the bytes behind it: -(offset + bytes) for lengths of the whole frame. */
  readonly adjust: number;
  readonly keepHeader: boolean;
  readonly frameBytesMax: number;
}

export class LengthMeasure implements FrameMeasure {
  readonly skipped: number;
  readonly wholeBytesMax: number;
  readonly #options: LengthOptions;
  readonly #headerBytes: number;
  readonly #start: Buffer;

  constructor(options: LengthOptions) {
    this.#options = options;
    this.#start = Buffer.from(options.start ?? []);
    this.#headerBytes = options.offset + options.bytes;
    this.skipped = options.keepHeader ? 0 : this.#headerBytes;
    this.wholeBytesMax = this.skipped + Math.max(options.frameBytesMax, this.#headerBytes);
  }

  measure(bytes: Buffer, from: number, end: number): number {
    const { offset, adjust, frameBytesMax } = this.#options;
    if (!beginsWith(bytes, from, end, this.#start)) return STRANGE;
    if (end - from < this.#headerBytes) return UNKNOWN;
    const body = readLength(bytes, from + offset, this.#options) + adjust;
    const whole = this.#headerBytes + body;
    return body < 0 || whole - this.skipped > frameBytesMax ? IMPOSSIBLE : whole;
  }
}

function readLength(bytes: Buffer, at: number, { bytes: width, endian }: LengthOptions): number {
  return endian === "big" ? bytes.readUIntBE(at, width) : bytes.readUIntLE(at, width);
}

/** A header that is not published is written with `start` and zeros before the length; a kept one comes with the payload. */
export class LengthEncoder implements FrameEncoder {
  readonly #options: LengthOptions;
  readonly #start: Buffer;

  constructor(options: LengthOptions) {
    this.#options = options;
    this.#start = Buffer.from(options.start ?? []);
  }

  problem(payload: Buffer): "too-large" | "invalid" | null {
    const { bytes, offset, adjust, keepHeader, frameBytesMax } = this.#options;
    if (payload.length > frameBytesMax) return "too-large";
    const header = offset + bytes;
    const length = payload.length - (keepHeader ? header : 0) - adjust;
    if (keepHeader && payload.length < header) return "invalid";
    if (keepHeader && !beginsWith(payload, 0, payload.length, this.#start)) return "invalid";
    if (length < 0) return "invalid";
    if (length >= 2 ** (8 * bytes)) return "too-large";
    return keepHeader && readLength(payload, offset, this.#options) !== length ? "invalid" : null;
  }

  encode(payload: Buffer): Buffer {
    const { bytes, endian, offset, adjust, keepHeader } = this.#options;
    if (keepHeader) return Buffer.from(payload);
    const frame = Buffer.alloc(offset + bytes + payload.length);
    this.#start.copy(frame);
    if (endian === "big") frame.writeUIntBE(payload.length - adjust, offset, bytes);
    else frame.writeUIntLE(payload.length - adjust, offset, bytes);
    payload.copy(frame, offset + bytes);
    return frame;
  }
}
