/**
 * What becomes of a message that is over, in a queue that does not keep the order of the log: it is settled while it is
 * in the open group, struck while something older was never sent, and has no entry in flight otherwise. An entry whose
 * row the store cannot strike yet stays until it can.
 */
import type { AnyOrderPlace } from "./any-order-place.ts";
import { ANSWERED, RECEIVED } from "./inflight.ts";
import { type Message, OPEN, WITHDRAWN } from "./message.ts";
import type { Store, StoredReceiver, StoreWaiter } from "./ports.ts";
import type { Unread } from "./unread.ts";

/** Token of the barrier after which the store takes strikes again; ordinals are never negative. */
export const STRIKES = -1;

export class AnyOrderOver {
  readonly #store: Store;
  readonly #queue: StoredReceiver & StoreWaiter;
  readonly #place: AnyOrderPlace;
  readonly #unread: Unread;
  #waits = false;

  /** @param queue waits for the store: after STRIKES it calls `strikeKept` */
  constructor(store: Store, queue: StoredReceiver & StoreWaiter, place: AnyOrderPlace, unread: Unread) {
    this.#store = store;
    this.#queue = queue;
    this.#place = place;
    this.#unread = unread;
  }

  /** @param message null = not kept in memory  @param ordinal of its entry when it has one, or -1 */
  over(seq: number, message: Message | null, ordinal: number): void {
    this.#store.touch(this.#queue);
    if (message?.state === OPEN) this.#store.settle(message, this.#queue.id);
    else if (message?.state !== WITHDRAWN && !this.#strike(seq)) {
      this.#place.keep(seq, ordinal);
      return;
    }
    this.#place.leave(seq, ordinal);
  }

  #strike(seq: number): boolean {
    if (seq < this.#unread.base || this.#store.strike(seq, this.#queue.id)) return true;
    if (!this.#waits) {
      this.#waits = true;
      this.#store.barrier(this.#queue, STRIKES);
    }
    return false;
  }

  /** The store may take strikes again. */
  onStored(): void {
    this.#waits = false;
    this.strikeKept();
  }

  /** Strikes what is over and was not struck. */
  strikeKept(): void {
    const { inflight } = this.#place;
    for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
      const state = inflight.stateAt(ordinal);
      const seq = inflight.seqAt(ordinal);
      if ((state !== ANSWERED && state !== RECEIVED) || seq === 0) continue;
      if (this.#place.multipart && this.#place.awaits(seq)) continue;
      if (!this.#strike(seq)) return;
      this.#place.leave(seq, ordinal);
    }
  }
}
