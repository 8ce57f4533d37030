/**
 * Enters what is closed in its priority class, and keeps the books until the store has it: the rows that it was made of
 * are done with from now on, in the transaction that writes it. If the disk refuses it they are needed again.
 */
import type { ForwardRule } from "../../config/uplink-rules.ts";
import { Message, OPEN } from "../../core/message.ts";
import { SETTLED, type Store, type StoredReceiver, type StoreWaiter, type TimeSource } from "../../core/ports.ts";
import { DROPS, REFUSES } from "../../core/queue-limits.ts";
import type { ReceiverQueue } from "../../core/receiver.ts";
import type { Tally } from "./gathering.ts";
import { type Closed, ENTERED, LATER } from "./outbox.ts";
import type { MarkBefore, Place } from "./place.ts";

/** The class of the rule's priority: uplink/out/spool-class.ts. */
export interface Door {
  readonly queue: ReceiverQueue;
  /** @returns TAKES, DROPS or REFUSES; only TAKES has entered it */
  enter(message: Message, qos: number, retain: boolean): number;
}

/** Entered, and not known to be stored. */
interface Entered {
  /** Lowest row that it was made of. */
  readonly firstSeq: number;
  readonly marks: readonly MarkBefore[];
}

export interface EnteringParts {
  readonly rule: ForwardRule;
  readonly door: Door;
  readonly store: Store;
  readonly time: TimeSource;
  readonly place: Place;
  readonly tally: Tally;
  readonly receiver: StoredReceiver;
  /** What was entered is stored. */
  onSettled(): void;
  /** Rows from `seq` on are needed again: they are to be read again. */
  onRefused(seq: number): void;
}

export class Entering implements StoreWaiter {
  readonly #parts: EnteringParts;
  readonly #entered = new Map<number, Entered>();
  #token = 0;

  constructor(parts: EnteringParts) {
    this.#parts = parts;
  }

  /** Entered, and the store has not said whether it has it. */
  get pending(): number {
    return this.#entered.size;
  }

  readonly enter = (closed: Closed): number => {
    const { rule, door, store, time, tally } = this.#parts;
    const { topic } = closed;
    if (topic === null) {
      this.#release(closed);
      return ENTERED;
    }
    const message = messageOf(closed, topic, rule.qos === 2 ? 2 : 1, time);
    if (store.admits(message.size) !== SETTLED) return LATER;
    message.waiter = this;
    message.waiterToken = ++this.#token;
    const answer = door.enter(message, message.qos, closed.retain);
    if (answer === REFUSES) return LATER;
    if (answer === DROPS) door.queue.dropNewest(() => message.topic);
    else tally.out++;
    const entered = this.#release(closed);
    if (answer !== DROPS) this.#entered.set(message.waiterToken, entered);
    return ENTERED;
  };

  #release({ holds }: Closed): Entered {
    const { store, place, receiver } = this.#parts;
    let firstSeq = Number.POSITIVE_INFINITY;
    const marks: MarkBefore[] = [];
    for (const hold of holds) {
      const open = hold.open.filter(({ state }) => state === OPEN);
      store.absorb(receiver, open);
      firstSeq = Math.min(firstSeq, hold.firstSeq);
      marks.push(place.release(hold, open[0]?.seq ?? Number.POSITIVE_INFINITY));
    }
    return { firstSeq, marks };
  }

  onStored(token: number, reason: number): void {
    const entered = this.#entered.get(token);
    if (entered === undefined) return;
    this.#entered.delete(token);
    const { place, receiver, tally } = this.#parts;
    if (reason === SETTLED) {
      if (this.#entered.size === 0) place.trim(receiver.headSeq);
      this.#parts.onSettled();
      return;
    }
    tally.out--;
    for (const mark of entered.marks) place.restore(mark);
    this.#parts.onRefused(entered.firstSeq);
  }
}

function messageOf(closed: Closed, topic: Buffer, qos: number, time: TimeSource): Message {
  const { properties, payload } = closed;
  const bytes = Buffer.allocUnsafeSlow(topic.length + properties.length + payload.length);
  let at = topic.copy(bytes, 0);
  at += properties.copy(bytes, at);
  payload.copy(bytes, at);
  const acceptedMs = closed.acceptedMs === 0 ? time.ageMs() : closed.acceptedMs;
  return new Message(bytes, topic.length, at, qos, closed.retain, acceptedMs, closed.expiresMs, -1);
}
