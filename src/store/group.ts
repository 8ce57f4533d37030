/**
 * The messages of one commit group. Sequence numbers inside it are dense, so a message is found by its number:
 *
 *     #messages  | null | null |  m  | null |  m  |  m  |      null: elided
 *     number      first         ^#oldest
 *
 * A group that is written but not yet on the medium keeps its messages until it is.
 */
import { DURABLE, type Message, WITHDRAWN, WRITTEN } from "../core/message.ts";
import { SETTLED, type StoreWaiter } from "../core/ports.ts";
import type { Place, Places } from "./places.ts";

/** Elided places in front of the oldest message before the arrays are moved up. */
const COMPACT_AT = 1024;

interface Barrier {
  readonly waiter: StoreWaiter;
  readonly token: number;
}

let groups = 0;

export class Group {
  /** Tells groups apart without holding on to them. */
  readonly id = ++groups;
  #firstSeq: number;
  #messages: (Message | null)[] = [];
  #enteredMs: number[] = [];
  #oldest = 0;
  /** Messages that are to be written, and their bytes (Message.size). */
  count = 0;
  bytes = 0;
  /** Messages without a row of their own in the log: what waits is their retained value. */
  readonly rowless: Message[] = [];
  barriers: Barrier[] = [];
  /** Receivers with rows in it; filled when it is written. */
  readonly places: Place[] = [];
  /** Commits until and with its own; 0 while open. */
  number = 0;
  /** One more than the last sequence number given out when it was written. */
  writtenEndSeq = 0;

  /** @param firstSeq number of the first message it may hold */
  constructor(firstSeq: number) {
    this.#firstSeq = firstSeq;
  }

  /** Number of the first message it may hold. */
  get firstSeq(): number {
    return this.#firstSeq;
  }

  add(message: Message, nowMs: number): void {
    this.#messages.push(message);
    this.#enteredMs.push(nowMs);
    this.count++;
    this.bytes += message.size;
  }

  /** When the oldest message entered; Infinity when there is none. */
  get oldestMs(): number {
    return this.count === 0 ? Number.POSITIVE_INFINITY : (this.#enteredMs[this.#oldest] as number);
  }

  /** Takes out a message that need not be written any more. */
  elide(message: Message): void {
    const index = message.seq - this.#firstSeq;
    if (this.#messages[index] !== message) return;
    this.#messages[index] = null;
    this.count--;
    this.bytes -= message.size;
    while (this.#oldest < this.#messages.length && this.#messages[this.#oldest] === null) this.#oldest++;
    if (this.#oldest >= COMPACT_AT && this.#oldest * 2 >= this.#messages.length) this.#compact();
  }

  #compact(): void {
    this.#messages.splice(0, this.#oldest);
    this.#enteredMs.splice(0, this.#oldest);
    this.#firstSeq += this.#oldest;
    this.#oldest = 0;
  }

  /** The first message with number `seq` or higher; null when there is none. */
  from(seq: number): Message | null {
    for (let i = Math.max(seq - this.#firstSeq, this.#oldest); i < this.#messages.length; i++) {
      const message = this.#messages[i];
      if (message !== null && message !== undefined) return message;
    }
    return null;
  }

  visit(visit: (message: Message) => void): void {
    for (let i = this.#oldest; i < this.#messages.length; i++) {
      const message = this.#messages[i];
      if (message !== null && message !== undefined) visit(message);
    }
  }

  // ---- what became of it -------------------------------------------------------------------------------------

  markWritten(): void {
    this.visit((message) => {
      message.state = WRITTEN;
    });
  }

  /** It is on the medium at the configured durability. */
  tellDurable(): void {
    this.visit((message) => {
      message.state = DURABLE;
    });
    this.tellWaiters(SETTLED);
    for (const place of this.places) place.receiver?.onDurable();
  }

  /** None of its messages is in the log: the receivers forget them, then their publishers are told. */
  refuse(reason: number, places: Places): void {
    this.visit((message) => {
      message.state = WITHDRAWN;
    });
    this.visit((message) => {
      for (const id of message.receiverIds) {
        if (id !== 0) places.get(id)?.receiver?.onWithdrawn(message);
      }
    });
    this.tellWaiters(reason);
  }

  tellWaiters(reason: number): void {
    this.visit((message) => {
      message.tellWaiter(reason);
    });
    for (const message of this.rowless) message.tellWaiter(reason);
    for (const { waiter, token } of this.barriers) waiter.onStored(token, reason);
  }
}
