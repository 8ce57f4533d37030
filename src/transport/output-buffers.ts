/**
 * The memory of all outputs together: two pools and an allowance for one-offs. An output starts with a small buffer
 * and moves to a large one when that is full: a turn that sends a little to everybody needs little, and so does a
 * connection that sends little to a slow peer. One-offs are for messages larger than a large buffer and for when a
 * pool is empty.
 */
import type { Counter, Counters } from "../base/counters.ts";
import { BufferPool } from "../base/pool.ts";

export const SMALL_BYTES = 1024;
export const LARGE_BYTES = 64 * 1024;

/** How many there may be of each. */
export interface OutputMemory {
  readonly smallMax: number;
  readonly largeMax: number;
  readonly oneOffBytesMax: number;
}

/** A small buffer for half of the connections at a time, and what the few that send much need. */
export function outputMemory(maxConnections: number): OutputMemory {
  return { smallMax: Math.ceil(maxConnections / 2), largeMax: 10, oneOffBytesMax: 256 * 1024 };
}

export class OutputBuffers {
  readonly #small: BufferPool;
  readonly #large: BufferPool;
  readonly #oneOffBytesMax: number;
  readonly #poolEmpty: Counter;
  #oneOffBytes = 0;

  constructor(memory: OutputMemory, counters: Counters) {
    this.#small = new BufferPool(SMALL_BYTES, memory.smallMax);
    this.#large = new BufferPool(LARGE_BYTES, memory.largeMax);
    this.#oneOffBytesMax = memory.oneOffBytesMax;
    this.#poolEmpty = counters.counter("transport.pool_empty");
    counters.gauge("transport.output_bytes", () => this.bytesInUse);
  }

  get bytesInUse(): number {
    return this.#small.inUse * SMALL_BYTES + this.#large.inUse * LARGE_BYTES + this.#oneOffBytes;
  }

  /** One-offs have used up their allowance. */
  get exhausted(): boolean {
    return this.#oneOffBytes > this.#oneOffBytesMax;
  }

  /** A buffer of at least `bytes`; a one-off when no pool can serve. */
  take(bytes: number): Buffer {
    if (bytes > LARGE_BYTES) return this.#oneOff(bytes);
    const pooled = (bytes <= SMALL_BYTES ? this.#small : this.#large).take();
    if (pooled !== null) return pooled;
    this.#poolEmpty.value++;
    return this.#oneOff(bytes);
  }

  /** A large buffer, or null when all are out. */
  takeLarge(): Buffer | null {
    return this.#large.take();
  }

  give(buffer: Buffer): void {
    if (buffer.length === SMALL_BYTES) this.#small.give(buffer);
    else if (buffer.length === LARGE_BYTES) this.#large.give(buffer);
    else this.#oneOffBytes -= buffer.length;
  }

  #oneOff(bytes: number): Buffer {
    const buffer = Buffer.allocUnsafeSlow((bytes | (SMALL_BYTES - 1)) + 2);
    this.#oneOffBytes += buffer.length;
    return buffer;
  }
}

/** One-offs have an odd length, which tells them from pooled buffers. */
export function isOneOff(buffer: Buffer): boolean {
  return (buffer.length & 1) === 1;
}
