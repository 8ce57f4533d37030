/** Messages in memory that wait for a receiver's window, in order; bounded in number and bytes. */
import { RingBuffer } from "../base/ring-buffer.ts";
import type { Message } from "./message.ts";

/** Messages that wait in memory for one receiver, at most; beyond it the log holds them. */
export const WAITING_MAX = 1024;

export interface WaitingEntry {
  readonly message: Message;
  readonly options: number;
  readonly subscriptionIds: readonly number[] | null;
  /** Parts sent already, when the window closed in the middle. */
  partsSent: number;
}

export class Waiting {
  readonly #ring = new RingBuffer<WaitingEntry>(WAITING_MAX);
  #bytes = 0;

  get length(): number {
    return this.#ring.length;
  }

  peek(): WaitingEntry | undefined {
    return this.#ring.peek();
  }

  /** Whether one more may enter; the first always may, however large. */
  hasRoom(bytesMax: number): boolean {
    return this.#ring.length === 0 || (this.#bytes < bytesMax && this.#ring.length < WAITING_MAX);
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
