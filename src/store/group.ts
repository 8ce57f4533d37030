/**
 * One commit group: its messages, who waits beside them, and what becomes of them. A group that is written but not yet
 * on the medium keeps its messages until it is.
 */
import { DURABLE, type Message, WITHDRAWN, WRITTEN } from "../core/message.ts";
import { SETTLED, type StoreWaiter } from "../core/ports.ts";
import { type Level, type Levels, levelOf, ON_MEDIUM, syncLevelOf } from "./level.ts";
import { OpenMessages } from "./open-messages.ts";
import type { Place, Places } from "./places.ts";

interface Barrier {
  readonly waiter: StoreWaiter;
  readonly token: number;
}

let groups = 0;

export class Group {
  /** Tells groups apart without holding on to them. */
  readonly id = ++groups;
  readonly #messages: OpenMessages;
  /** Messages whose topic has a durability of its own, and the longest delay that any of them had. */
  #own = 0;
  #ownDelayMsMax = 0;
  /** Bytes of the messages that are to be written (Message.size). */
  bytes = 0;
  /** Messages without a row of their own in the log: what waits is their retained value. */
  readonly rowless: Message[] = [];
  barriers: Barrier[] = [];
  /** Receivers' records rely on messages in it: they are not written without them. */
  isWhole = false;
  /** Receivers with rows in it; filled when it is written. */
  readonly places: Place[] = [];
  /** The commit that has to be on the medium before its last waiters are told; 0 = none, or not written yet. */
  number = 0;
  /** One more than the last sequence number given out when it was written. */
  writtenEndSeq = 0;

  /** @param firstSeq number of the first message it may hold */
  constructor(firstSeq: number) {
    this.#messages = new OpenMessages(firstSeq);
  }

  /** Messages that are to be written. */
  get count(): number {
    return this.#messages.count;
  }

  /** No message in it, or yet to come, has a lower number. */
  get firstSeq(): number {
    return this.#messages.firstSeq;
  }

  add(message: Message, nowMs: number): void {
    this.#messages.add(message, nowMs);
    this.bytes += message.size;
    if (message.durability !== null) this.#addOwn(message.durability.commitDelayMs);
  }

  #addOwn(delayMs: number | null): void {
    this.#own++;
    if (delayMs !== null && delayMs > this.#ownDelayMsMax) this.#ownDelayMsMax = delayMs;
  }

  /** When its messages are due with this `commit_delay`, and no delay of a topic's own but 0 under `leastMs`; Infinity when there are none. */
  dueMs(delayMs: number, leastMs: number): number {
    if (this.count === 0) return Number.POSITIVE_INFINITY;
    if (this.#own === 0) return this.#messages.oldestMs + delayMs;
    let dueMs = Number.POSITIVE_INFINITY;
    this.#messages.visit(({ durability }, enteredMs) => {
      const ownMs = durability === null ? null : durability.commitDelayMs;
      const waitsMs = ownMs === null ? delayMs : ownMs === 0 ? 0 : Math.max(ownMs, leastMs);
      dueMs = Math.min(dueMs, enteredMs + waitsMs);
    });
    return dueMs;
  }

  /** The longest delay that a message in it may have with this `commit_delay`; 0 when there are none. */
  delayMsMax(delayMs: number): number {
    return this.count === 0 ? 0 : Math.max(delayMs, this.#ownDelayMsMax);
  }

  /** Takes out a message that need not be written any more. */
  elide(message: Message): void {
    if (!this.#messages.remove(message)) return;
    this.bytes -= message.size;
    if (message.durability !== null) this.#own--;
  }

  /** The first message with number `seq` or higher; null when there is none. */
  from(seq: number): Message | null {
    return this.#messages.from(seq);
  }

  /** The last message with number `seq` or a lower one; null when there is none. */
  upTo(seq: number): Message | null {
    return this.#messages.upTo(seq);
  }

  visit(visit: (message: Message) => void): void {
    this.#messages.visit(visit);
  }

  // ---- when its waiters are told -----------------------------------------------------------------------------

  /** How soon it has to be on the medium: as soon as the most careful of its messages, or whoever waits beside them. */
  level(levels: Levels): Level {
    const { plain, highest } = levels;
    if (this.barriers.length > 0 || (this.count === 0 && this.rowless.length === 0)) return highest;
    if (plain === highest && this.#own === 0 && this.rowless.length === 0) return highest;
    let level: Level = 0;
    const raise = (message: Message): void => {
      if (level === ON_MEDIUM) return;
      const own = syncLevelOf(message, levels);
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
  tellWritten(levels: Levels): void {
    if (levels.plain === ON_MEDIUM && this.#own === 0 && this.rowless.length === 0) return;
    const told: Message[] = [];
    const take = (message: Message): void => {
      if (levelOf(message, levels) !== ON_MEDIUM) told.push(message);
    };
    this.visit(take);
    for (const message of this.rowless) take(message);
    for (const message of told) message.tellWaiter(SETTLED);
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
