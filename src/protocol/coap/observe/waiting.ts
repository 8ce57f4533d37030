/**
 * Messages that wait for their turn to be notified. One message is one object however many observers it waits for, so
 * its bytes count once; each observer has a place in its list.
 */
import type { Message } from "../../../core/message.ts";

/** Of the account of a message, and of a place in an observer's list. */
export const ENTRY_BYTES = 48;
export const PLACE_BYTES = 16;

export class WaitingMessages {
  readonly #bytesMax: number;
  /** For how many observers each waits. */
  readonly #waiters = new Map<Message, number>();
  bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** @returns false when there is no room for it */
  take(message: Message): boolean {
    const waiters = this.#waiters.get(message) ?? 0;
    const bytes = waiters === 0 ? message.size + ENTRY_BYTES + PLACE_BYTES : PLACE_BYTES;
    if (this.bytes + bytes > this.#bytesMax) return false;
    this.bytes += bytes;
    this.#waiters.set(message, waiters + 1);
    return true;
  }

  give(message: Message): void {
    const waiters = this.#waiters.get(message) ?? 0;
    if (waiters === 0) return;
    this.bytes -= PLACE_BYTES;
    if (waiters > 1) {
      this.#waiters.set(message, waiters - 1);
    } else {
      this.#waiters.delete(message);
      this.bytes -= message.size + ENTRY_BYTES;
    }
  }
}
