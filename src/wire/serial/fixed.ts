/** Frames that all have the same length, check included. */
import type { FrameEncoder } from "./framing.ts";
import type { FrameMeasure } from "./window.ts";

export interface FixedOptions {
  readonly bytes: number;
}

export class FixedMeasure implements FrameMeasure {
  readonly skipped = 0;
  readonly wholeBytesMax: number;

  constructor({ bytes }: FixedOptions) {
    this.wholeBytesMax = bytes;
  }

  measure(): number {
    return this.wholeBytesMax;
  }
}

export class FixedEncoder implements FrameEncoder {
  readonly #bytes: number;

  constructor({ bytes }: FixedOptions) {
    this.#bytes = bytes;
  }

  problem(payload: Buffer): "too-large" | "invalid" | null {
    if (payload.length > this.#bytes) return "too-large";
    return payload.length < this.#bytes ? "invalid" : null;
  }

  encode(payload: Buffer): Buffer {
    return Buffer.from(payload);
  }
}
