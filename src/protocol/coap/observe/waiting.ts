/**
 * Messages that wait for their turn to be notified. One message is one object however many observers it waits for, so
 * its bytes count once.
 */
import type { Message } from "../../../core/message.ts";

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
    const waiters = this.#waiters.get(message);
    if (waiters === undefined) {
      if (this.bytes + message.size > this.#bytesMax) return false;
      this.bytes += message.size;
    }
    this.#waiters.set(message, (waiters ?? 0) + 1);
    return true;
  }

  give(message: Message): void {
    const waiters = this.#waiters.get(message) ?? 0;
    if (waiters > 1) {
      this.#waiters.set(message, waiters - 1);
    } else if (this.#waiters.delete(message)) {
      this.bytes -= message.size;
    }
  }
}
