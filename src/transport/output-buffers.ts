/**
 * The memory of all outputs together: three pools and an allowance for one-offs. An output starts with a small buffer
 * and moves to a larger one when that is full: a turn that sends a little to everybody needs little, and so does a
 * connection that sends little to a slow peer. One-offs are for messages larger than a large buffer and for when a
 * pool is empty.
 *
 * Twenty who send much write 16 KiB at a time, the first five of them 64: with ten large buffers and none between, the
 * other ten wrote 1 KiB at a time, at three times the CPU.
 */
import type { Counter, Counters } from "../base/counters.ts";
import { BufferPool } from "../base/pool.ts";

export const SMALL_BYTES = 1024;
export const MEDIUM_BYTES = 16 * 1024;
export const LARGE_BYTES = 64 * 1024;
/** Large buffers that who waits for a slow socket leaves to the others. */
export const LARGE_KEPT = 2;

/** How many there may be of each. */
export interface OutputMemory {
  readonly smallMax: number;
  readonly mediumMax: number;
  readonly largeMax: number;
  readonly oneOffBytesMax: number;
}

/** A small buffer for half of the connections at a time, and what the few that send much need. */
export function outputMemory(maxConnections: number): OutputMemory {
  return { smallMax: Math.ceil(maxConnections / 2), mediumMax: 20, largeMax: 5, oneOffBytesMax: 256 * 1024 };
}

export class OutputBuffers {
  readonly #small: BufferPool;
  readonly #medium: BufferPool;
  readonly #large: BufferPool;
  readonly #oneOffBytesMax: number;
  readonly #poolEmpty: Counter;
  #oneOffBytes = 0;
  /** Holders beyond the first, of buffers that have any. */
  readonly #holders = new Map<Buffer, number>();

  constructor(memory: OutputMemory, counters: Counters) {
    this.#small = new BufferPool(SMALL_BYTES, memory.smallMax);
    this.#medium = new BufferPool(MEDIUM_BYTES, memory.mediumMax);
    this.#large = new BufferPool(LARGE_BYTES, memory.largeMax);
    this.#oneOffBytesMax = memory.oneOffBytesMax;
    this.#poolEmpty = counters.counter("transport.pool_empty");
    counters.gauge("transport.output_bytes", () => this.bytesInUse);
  }

  get bytesInUse(): number {
    return (
      this.#small.inUse * SMALL_BYTES +
      this.#medium.inUse * MEDIUM_BYTES +
      this.#large.inUse * LARGE_BYTES +
      this.#oneOffBytes
    );
  }

  /** Half of the allowance for one-offs is used: who holds a large buffer's worth and more should wait. */
  get short(): boolean {
    return this.#oneOffBytes > this.#oneOffBytesMax / 2;
  }

  /** One-offs have used up their allowance. */
  get exhausted(): boolean {
    return this.#oneOffBytes > this.#oneOffBytesMax;
  }

  /** A buffer of at least `bytes`; a one-off when no pool can serve. */
  take(bytes: number): Buffer {
    if (bytes > LARGE_BYTES) return this.#oneOff(bytes);
    const pooled = this.takePooled(bytes);
    if (pooled !== null) return pooled;
    this.#poolEmpty.value++;
    return this.#oneOff(bytes);
  }

  /** A buffer of at least `bytes`, or null when all of that size are out. */
  takePooled(bytes: number): Buffer | null {
    return bytes <= SMALL_BYTES ? this.#small.take() : this.takeLarger(bytes);
  }

  /**
   * A buffer of at least `bytes` that is not small, or null when all are out.
   * @param largeKept  as many large ones stay for others
   */
  takeLarger(bytes: number, largeKept = 0): Buffer | null {
    const medium = bytes <= MEDIUM_BYTES ? this.#medium.take() : null;
    if (medium !== null) return medium;
    return this.#large.countMax - this.#large.inUse > largeKept ? this.#large.take() : null;
  }

  /** A large buffer, if need be a one-off within the allowance, or null. */
  takeLarge(): Buffer | null {
    const large = this.#large.take();
    if (large !== null) return large;
    this.#poolEmpty.value++;
    return this.#oneOffBytes + LARGE_BYTES <= this.#oneOffBytesMax ? this.#oneOff(LARGE_BYTES) : null;
  }

  /** One more holds the buffer: it is free when all have given it. */
  hold(buffer: Buffer): void {
    this.#holders.set(buffer, (this.#holders.get(buffer) ?? 0) + 1);
  }

  give(buffer: Buffer): void {
    if (this.#holders.size > 0 && this.#heldByOthers(buffer)) return;
    if (buffer.length === SMALL_BYTES) this.#small.give(buffer);
    else if (buffer.length === MEDIUM_BYTES) this.#medium.give(buffer);
    else if (buffer.length === LARGE_BYTES) this.#large.give(buffer);
    else this.#oneOffBytes -= buffer.length;
  }

  #heldByOthers(buffer: Buffer): boolean {
    const others = this.#holders.get(buffer);
    if (others === undefined) return false;
    if (others === 1) this.#holders.delete(buffer);
    else this.#holders.set(buffer, others - 1);
    return true;
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
