/** Messages in memory that wait for a receiver's window, in order; bounded in number and bytes. */
import { RingBuffer } from "../base/ring-buffer.ts";
import { MESSAGE_OVERHEAD_BYTES, type Message } from "./message.ts";
import type { QueueLimits } from "./queue-limits.ts";

/** Messages that wait in memory for one receiver with a log, at most; beyond it the log holds them. */
export const WAITING_MAX = 1024;

export interface WaitingEntry {
  readonly message: Message;
  readonly options: number;
  readonly subscriptionIds: readonly number[] | null;
  /** Parts sent already, when the window closed in the middle. */
  partsSent: number;
}

export class Waiting {
  readonly #bytesMax: number;
  readonly #ring: RingBuffer<WaitingEntry>;
  #bytes = 0;

  /**
   * @param hasLog  the log takes over beyond `limits.windowBytes`; without one, memory holds all that admission took:
   *   as many as the smallest messages make, and the one that drop-oldest makes room for
   */
  constructor(limits: QueueLimits, hasLog: boolean) {
    this.#bytesMax = hasLog ? limits.windowBytes : Number.POSITIVE_INFINITY;
    this.#ring = new RingBuffer(hasLog ? WAITING_MAX : 1 + Math.ceil(limits.onlineBytes / MESSAGE_OVERHEAD_BYTES));
  }

  get length(): number {
    return this.#ring.length;
  }

  peek(): WaitingEntry | undefined {
    return this.#ring.peek();
  }

  /** Whether one more may enter; the first always may, however large. */
  hasRoom(): boolean {
    return this.#ring.length === 0 || (this.#bytes < this.#bytesMax && this.#ring.length < this.#ring.capacityMax);
  }

  push(message: Message, options: number, subscriptionIds: readonly number[] | null): void {
    if (this.#ring.push({ message, options, subscriptionIds, partsSent: 0 })) this.#bytes += message.size;
  }

  shift(): WaitingEntry | undefined {
    const entry = this.#ring.shift();
    if (entry !== undefined) this.#bytes -= entry.message.size;
    return entry;
  }

  clear(): void {
    this.#ring.clear();
    this.#bytes = 0;
  }
}
