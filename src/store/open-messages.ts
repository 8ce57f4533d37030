/**
 * The messages of a group in log order, each with the time it entered. Sequence numbers are dense, so a message is found
 * by its number. Elided ones leave gaps, and gaps are given back: those in front when the arrays are moved up, those
 * behind a message that stays when all that stay are gathered in a list of their own.
 *
 *     stayed      |  m  |  m  |                                    ascending, looked for
 *     places      | null | null |  m  | null |  m  |  m  |         null: elided
 *     number      first         ^oldest
 *
 * So there are some thousand places more than twice the messages at most.
 */
import type { Message } from "../core/message.ts";

/** Gaps, in front or behind the oldest message, before they are given back; half of all places have to be such, too. */
const GAPS_MIN = 1024;

export class OpenMessages {
  #stayed: Message[] = [];
  #stayedMs: number[] = [];
  #places: (Message | null)[] = [];
  #enteredMs: number[] = [];
  #firstSeq: number;
  #oldest = 0;
  count = 0;

  /** @param firstSeq number of the first message it may hold */
  constructor(firstSeq: number) {
    this.#firstSeq = firstSeq;
  }

  /** No message in it, or yet to come, has a lower number. */
  get firstSeq(): number {
    const [first] = this.#stayed;
    return first === undefined ? this.#firstSeq + this.#oldest : first.seq;
  }

  /** When the oldest entered; there must be one. */
  get oldestMs(): number {
    return (this.#stayedMs.length > 0 ? this.#stayedMs[0] : this.#enteredMs[this.#oldest]) as number;
  }

  /** Places taken, gaps included. */
  get places(): number {
    return this.#places.length + this.#stayed.length;
  }

  /** Its number is the next. */
  add(message: Message, nowMs: number): void {
    this.#places.push(message);
    this.#enteredMs.push(nowMs);
    this.count++;
  }

  /** @returns whether it was there */
  remove(message: Message): boolean {
    const index = message.seq - this.#firstSeq;
    if (index < 0) return this.#removeStayed(message);
    if (this.#places[index] !== message) return false;
    this.#places[index] = null;
    this.count--;
    const { length } = this.#places;
    while (this.#oldest < length && this.#places[this.#oldest] === null) this.#oldest++;
    if (this.#oldest >= GAPS_MIN && this.#oldest * 2 >= length) this.#moveUp();
    else if (length - this.#oldest >= 2 * GAPS_MIN && (this.count - this.#stayed.length) * 2 < length) this.#gather();
    return true;
  }

  #moveUp(): void {
    this.#places.splice(0, this.#oldest);
    this.#enteredMs.splice(0, this.#oldest);
    this.#firstSeq += this.#oldest;
    this.#oldest = 0;
  }

  #gather(): void {
    for (let i = this.#oldest; i < this.#places.length; i++) {
      const message = this.#places[i];
      if (message === null || message === undefined) continue;
      this.#stayed.push(message);
      this.#stayedMs.push(this.#enteredMs[i] as number);
    }
    this.#firstSeq += this.#places.length;
    this.#places = [];
    this.#enteredMs = [];
    this.#oldest = 0;
  }

  #removeStayed(message: Message): boolean {
    const index = this.#stayedFrom(message.seq);
    if (this.#stayed[index] !== message) return false;
    this.#stayed.splice(index, 1);
    this.#stayedMs.splice(index, 1);
    this.count--;
    return true;
  }

  /** Index in `#stayed` of the first message with this number or a higher one. */
  #stayedFrom(seq: number): number {
    let from = 0;
    let end = this.#stayed.length;
    while (from < end) {
      const middle = (from + end) >>> 1;
      if ((this.#stayed[middle] as Message).seq < seq) from = middle + 1;
      else end = middle;
    }
    return from;
  }

  /** The first message with number `seq` or higher; null when there is none. */
  from(seq: number): Message | null {
    const stayed = this.#stayed.length === 0 ? undefined : this.#stayed[this.#stayedFrom(seq)];
    if (stayed !== undefined) return stayed;
    for (let i = Math.max(seq - this.#firstSeq, this.#oldest); i < this.#places.length; i++) {
      const message = this.#places[i];
      if (message !== null && message !== undefined) return message;
    }
    return null;
  }

  /** The last message with number `seq` or a lower one; null when there is none. */
  upTo(seq: number): Message | null {
    for (let i = Math.min(seq - this.#firstSeq, this.#places.length - 1); i >= this.#oldest; i--) {
      const message = this.#places[i];
      if (message !== null && message !== undefined) return message;
    }
    return this.#stayed[this.#stayedFrom(seq + 1) - 1] ?? null;
  }

  /** In log order. */
  visit(visit: (message: Message, enteredMs: number) => void): void {
    for (let i = 0; i < this.#stayed.length; i++) visit(this.#stayed[i] as Message, this.#stayedMs[i] as number);
    for (let i = this.#oldest; i < this.#places.length; i++) {
      const message = this.#places[i];
      if (message !== null && message !== undefined) visit(message, this.#enteredMs[i] as number);
    }
  }
}
