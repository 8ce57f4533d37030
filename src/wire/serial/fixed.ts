/** Frames that all have the same length, check included. */
import type { FrameEncoder } from "./framing.ts";
import { beginsWith, type FrameMeasure, STRANGE } from "./window.ts";

export interface FixedOptions {
  readonly bytes: number;
  /** What every frame begins with; part of its content. */
  readonly start?: ArrayLike<number>;
}

export class FixedMeasure implements FrameMeasure {
  readonly skipped = 0;
  readonly wholeBytesMax: number;
  readonly #start: Buffer;

  constructor({ bytes, start = [] }: FixedOptions) {
    this.wholeBytesMax = bytes;
    this.#start = Buffer.from(start);
  }

  measure(bytes: Buffer, from: number, end: number): number {
    return beginsWith(bytes, from, end, this.#start) ? this.wholeBytesMax : STRANGE;
  }
}

export class FixedEncoder implements FrameEncoder {
  readonly #bytes: number;
  readonly #start: Buffer;

  constructor({ bytes, start = [] }: FixedOptions) {
    this.#bytes = bytes;
    this.#start = Buffer.from(start);
  }

  problem(payload: Buffer): "too-large" | "invalid" | null {
    if (payload.length > this.#bytes) return "too-large";
    const isFrame = payload.length === this.#bytes && beginsWith(payload, 0, payload.length, this.#start);
    return isFrame ? null : "invalid";
  }

  encode(payload: Buffer): Buffer {
    return Buffer.from(payload);
  }
}
