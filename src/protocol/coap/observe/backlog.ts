/**
 * What is still to be notified: messages as they were published, the newest of each topic, and retained values from the
 * place on that a new observation has come to. Eventual consistency is all that is promised (RFC 7641 section 1.3): a
 * newer message takes the place of what waits, and beyond its limits the oldest topic of a wildcard gives way.
 */
import type { Counter, Counters } from "../../../base/counters.ts";
import { ownString } from "../../../base/own-string.ts";
import type { Message } from "../../../core/message.ts";
import type { Authority } from "../../../core/ports.ts";
import type { Publication } from "../../../core/publication.ts";
import type { WalkPlace } from "../../../core/retained-index.ts";
import type { Observer } from "./observer.ts";
import { WaitingMessages } from "./waiting.ts";

/** Topics of a wildcard that wait for one observer. */
export const WAITING_TOPICS_MAX = 16;
/** Levels of the index of retained values that are looked at for one notification. */
const WALK_STEPS = 64;

export interface ObservedValues {
  get(topic: string): Message | undefined;
  has(topic: string): boolean;
  match(filter: string, walk?: WalkPlace): Generator<string | null>;
}

export interface BacklogParts {
  readonly retained: ObservedValues;
  readonly authority: Pick<Authority, "mayRead">;
  readonly router: { keep(publication: Publication): Message };
  readonly counters: Counters;
}

export class Backlog {
  readonly #parts: BacklogParts;
  readonly #waiting: WaitingMessages;
  readonly #superseded: Counter;
  readonly #dropped: Counter;
  /** Where the walk stood that the last `next` went on with; null = it gave something else. */
  #walkedFrom: string | null = null;

  /** @param waitingBytesMax  of messages (Message.size) that wait for all observers together */
  constructor(parts: BacklogParts, waitingBytesMax: number) {
    this.#parts = parts;
    this.#waiting = new WaitingMessages(waitingBytesMax);
    this.#superseded = parts.counters.counter("coap.notifications_superseded");
    this.#dropped = parts.counters.counter("coap.notifications_dropped");
    parts.counters.gauge("coap.notifications_waiting_bytes", () => this.#waiting.bytes);
  }

  add(observer: Observer, publication: Publication): void {
    const message = this.#parts.router.keep(publication);
    const { waiting, isWildcard } = observer;
    const at = indexOf(waiting, message);
    if (at >= 0) {
      this.#superseded.value++;
      this.#waiting.give(waiting[at] as Message);
    } else if (waiting.length === WAITING_TOPICS_MAX) {
      this.#waiting.give(waiting.shift() as Message);
      this.#dropped.value++;
    }
    if (this.#waiting.take(message)) {
      if (at >= 0) waiting[at] = message;
      else if (waiting.length === 0) observer.waiting = [message];
      else waiting.push(message);
      return;
    }
    if (at >= 0) waiting.splice(at, 1);
    // What is retained can be read when its turn comes.
    if (publication.retain && !isWildcard) observer.stale = true;
    else this.#dropped.value++;
  }

  /** What is to be notified next: a message, null = that there is no value, undefined = nothing, or not in this slice. */
  next(observer: Observer): Message | null | undefined {
    this.#walkedFrom = null;
    if (observer.final !== 0) return null;
    const first = observer.waiting[0];
    if (first !== undefined) return first;
    if (!observer.stale) return this.#walk(observer);
    return observer.isWildcard ? null : (this.#parts.retained.get(observer.filter) ?? null);
  }

  /** What `next` gave goes on its way, or nowhere. @returns whether `done` is to be called for it when it has come to its end */
  take(observer: Observer, message: Message | null): boolean {
    if (message !== null && observer.waiting[0] === message) {
      observer.waiting.shift();
      if (!observer.isWildcard) observer.stale = false;
      return true;
    }
    if (this.#walkedFrom === null) observer.stale = false;
    return false;
  }

  done(message: Message): void {
    this.#waiting.give(message);
  }

  /** It is not to be notified at all. */
  drop(observer: Observer, message: Message | null): void {
    if (this.take(observer, message)) this.done(message as Message);
    this.#dropped.value++;
  }

  /** `next` is to give the same again. */
  putBack(observer: Observer): void {
    if (this.#walkedFrom !== null) observer.walk = { place: this.#walkedFrom };
  }

  /** The newest message of the topic of `message`, or of the observer's only one; null = there is none newer. */
  newerThan({ waiting, isWildcard }: Observer, message: Message | null): Message | null {
    if (!isWildcard) return waiting[0] ?? null;
    return message === null ? null : (waiting[indexOf(waiting, message)] ?? null);
  }

  /** What `newerThan` gave goes on its way in the place of an older one. */
  takeNewer(observer: Observer, message: Message): void {
    observer.waiting.splice(observer.waiting.indexOf(message), 1);
    this.#superseded.value++;
  }

  /** Takes back what was taken out, but when there is a newer one by now. */
  takeBack(observer: Observer, message: Message): void {
    if (indexOf(observer.waiting, message) >= 0) this.done(message);
    else if (observer.waiting.length === 0) observer.waiting = [message];
    else observer.waiting.unshift(message);
  }

  clear(observer: Observer): void {
    for (const message of observer.waiting) this.done(message);
    observer.waiting = [];
    observer.walk = null;
    observer.stale = false;
  }

  /** The next retained value that it may read. */
  #walk(observer: Observer): Message | undefined {
    const { walk, principal, filter } = observer;
    if (walk === null) return undefined;
    const { retained, authority } = this.#parts;
    this.#walkedFrom = walk.place;
    const topics = retained.match(filter, walk);
    for (let steps = 0; steps < WALK_STEPS; steps++) {
      const { done, value: topic } = topics.next();
      if (done === true) {
        observer.walk = null;
        return undefined;
      }
      walk.place = ownString(walk.place);
      const message = topic !== null && authority.mayRead(principal, topic) ? retained.get(topic) : undefined;
      if (message !== undefined) return message;
    }
    return undefined;
  }
}

/** Place of the message of the same topic; -1 = there is none. */
function indexOf(messages: readonly Message[], { bytes, topicEnd }: Message): number {
  for (let i = 0; i < messages.length; i++) {
    const other = messages[i] as Message;
    if (other.topicEnd === topicEnd && other.bytes.compare(bytes, 0, topicEnd, 0, topicEnd) === 0) return i;
  }
  return -1;
}
