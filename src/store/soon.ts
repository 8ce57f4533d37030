/** Tells waiters in a microtask: after whoever called the store has returned, and before the turn of the event loop ends. */
import type { Message } from "../core/message.ts";
import { SETTLED, type StoreWaiter } from "../core/ports.ts";

export class Soon {
  #messages: Message[] = [];
  #others: { waiter: StoreWaiter; token: number; reason: number }[] = [];

  /** Every receiver has acknowledged `message`. */
  settled(message: Message): void {
    if (message.waiter !== null && this.#messages.push(message) === 1) queueMicrotask(this.#tellMessages);
  }

  tell(waiter: StoreWaiter, token: number, reason: number): void {
    if (this.#others.push({ waiter, token, reason }) === 1) queueMicrotask(this.#tellOthers);
  }

  readonly #tellMessages = (): void => {
    const messages = this.#messages;
    this.#messages = [];
    for (const message of messages) message.tellWaiter(SETTLED);
  };

  readonly #tellOthers = (): void => {
    const others = this.#others;
    this.#others = [];
    for (const { waiter, token, reason } of others) waiter.onStored(token, reason);
  };
}
