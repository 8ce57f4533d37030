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
import { type Level, levelOf, ON_MEDIUM } from "./level.ts";
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
  /** Messages whose topic has a durability of its own, and the longest delay that any of them had. */
  #own = 0;
  #ownDelayMsMax = 0;
  /** Messages that are to be written, and their bytes (Message.size). */
  count = 0;
  bytes = 0;
  /** Messages without a row of their own in the log: what waits is their retained value. */
  readonly rowless: Message[] = [];
  barriers: Barrier[] = [];
  /** Receivers with rows in it; filled when it is written. */
  readonly places: Place[] = [];
  /** The commit that has to be on the medium before its last waiters are told; 0 = none, or not written yet. */
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
    if (message.durability !== null) this.#addOwn(message.durability.commitDelayMs);
  }

  #addOwn(delayMs: number | null): void {
    this.#own++;
    if (delayMs !== null && delayMs > this.#ownDelayMsMax) this.#ownDelayMsMax = delayMs;
  }

  /** Places for messages, those of elided ones between others included. */
  get length(): number {
    return this.#messages.length;
  }

  /** The lowest number that a message still in it may have. */
  get openSeq(): number {
    return this.#firstSeq + this.#oldest;
  }

  /** When its messages are due with this `commit_delay`, and no delay of a topic's own but 0 under `leastMs`; Infinity when there are none. */
  dueMs(delayMs: number, leastMs: number): number {
    if (this.count === 0) return Number.POSITIVE_INFINITY;
    if (this.#own === 0) return (this.#enteredMs[this.#oldest] as number) + delayMs;
    let dueMs = Number.POSITIVE_INFINITY;
    for (let i = this.#oldest; i < this.#messages.length; i++) {
      const message = this.#messages[i];
      if (message === null || message === undefined) continue;
      const ownMs = message.durability === null ? null : message.durability.commitDelayMs;
      dueMs = Math.min(
        dueMs,
        (this.#enteredMs[i] as number) + (ownMs === null ? delayMs : ownMs === 0 ? 0 : Math.max(ownMs, leastMs)),
      );
    }
    return dueMs;
  }

  /** The longest delay that a message in it may have with this `commit_delay`; 0 when there are none. */
  delayMsMax(delayMs: number): number {
    return this.count === 0 ? 0 : Math.max(delayMs, this.#ownDelayMsMax);
  }

  /** Takes out a message that need not be written any more. */
  elide(message: Message): void {
    const index = message.seq - this.#firstSeq;
    if (this.#messages[index] !== message) return;
    this.#messages[index] = null;
    this.count--;
    this.bytes -= message.size;
    if (message.durability !== null) this.#own--;
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

  // ---- when its waiters are told -----------------------------------------------------------------------------

  /** What the most careful of its messages asks for. @param storeLevel of messages without a durability of their own, and of all else */
  level(storeLevel: Level): Level {
    if (this.barriers.length > 0 || (this.count === 0 && this.rowless.length === 0))
      return this.#highest(storeLevel, storeLevel);
    return this.#highest(0, storeLevel);
  }

  #highest(from: Level, storeLevel: Level): Level {
    if (this.#own === 0 && this.rowless.length === 0) return storeLevel;
    let level = from;
    const raise = (message: Message): void => {
      const own = levelOf(message, storeLevel);
      if (own > level) level = own;
    };
    this.visit(raise);
    for (const message of this.rowless) raise(message);
    return level;
  }

  // ---- what became of it -------------------------------------------------------------------------------------

  markWritten(): void {
    this.visit((message) => {
      message.state = WRITTEN;
    });
  }

  /** It is in the log of the database: the publishers for whom that is enough are told. */
  tellWritten(storeLevel: Level): void {
    if (storeLevel === ON_MEDIUM && this.#own === 0 && this.rowless.length === 0) return;
    const told: Message[] = [];
    const take = (message: Message): void => {
      if (levelOf(message, storeLevel) !== ON_MEDIUM) told.push(message);
    };
    this.visit(take);
    for (const message of this.rowless) take(message);
    if (told.length === 0) return;
    for (const message of told) if (message.seq !== 0) message.state = DURABLE;
    for (const message of told) message.tellWaiter(SETTLED);
    for (const place of this.places) place.receiver?.onDurable();
  }

  /** It is safe at the durability that each of its messages has. */
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
