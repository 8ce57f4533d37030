/**
 * Publications of a wire that knows no acknowledgement: what the gateway refuses is held here, with its owner paused, and
 * tried again for `refusal_hold`.
 *
 *     FLOWING --- refused ---> HOLDING --- taken ---> FLOWING
 *                                 |
 *                                 +-- refusal_hold --> DROPPING --- one is taken ---> FLOWING
 *
 * When the hold is over, the held ones are dropped and counted, and so is each refused one after them, until one is
 * taken again: holding every single one would stop the wire for ever.
 *
 *     pending  | settled | waiting for the store | refused | waiting |     in order of arrival, bounded
 */
import type { Counter } from "../../base/counters.ts";
import { RingBuffer } from "../../base/ring-buffer.ts";
import { type Expirable, Timer } from "../../base/timer-wheel.ts";
import { messageOf } from "../../core/message.ts";
import { SETTLED, type StoreWaiter } from "../../core/ports.ts";
import { Publication } from "../../core/publication.ts";
import { FORBIDDEN, NO_WAITER, STORED_LATER } from "../../core/router.ts";
import { QUOTA_EXCEEDED } from "../../wire/mqtt/codes.ts";
import type { SerialParts } from "./parts.ts";

/** Counted for each that is not settled, besides its bytes: an entry, a Buffer, and what holds its memory. */
export const PENDING_ENTRY_BYTES = 320;
const RETRY_MS = 500;

const WAITING = 0;
const TAKEN = 1;
const REFUSED = 2;

/** Laid out as a message is, and one's bytes where the store has it: a part of a slab would pin all of that. */
interface Pending {
  readonly bytes: Buffer;
  readonly topicEnd: number;
  readonly propertiesEnd: number;
  readonly qos: number;
  readonly retain: boolean;
  ticket: number;
  state: number;
}

/** Who publishes. */
export interface HeldOwner {
  /** No more is to come until `onRoom`. */
  onHold(): void;
  /** There is room again, or may be. */
  onRoom(): void;
  /** The publication with this ticket is over: stored, dropped or denied. Not told of ticket 0. */
  onSettled(ticket: number): void;
}

/** What is published here, in counters and in the log. */
export interface HeldKind {
  /** That are not settled. */
  readonly pendingMax: number;
  /** Of those that are not settled, with PENDING_ENTRY_BYTES each: no more is to come when they are as many. */
  readonly bytesMax: number;
  /** Most that the owner publishes before it looks at `isOpen` again. */
  readonly atOnceMax: number;
  readonly refused: Counter;
  readonly denied: Counter;
  readonly words: { readonly refused: string; readonly taken: string; readonly denied: string };
}

export class HeldPublications implements StoreWaiter, Expirable {
  readonly #parts: SerialParts;
  readonly #owner: HeldOwner;
  readonly #kind: HeldKind;
  readonly #publication = new Publication();
  readonly #pending: RingBuffer<Pending>;
  #pendingBytes = 0;
  /** Store token of the oldest pending one. */
  #headToken = 0;
  readonly #retry = new Timer(this, 0);
  /** In state REFUSED. */
  #refused = 0;
  #holdUntilMs = 0;
  #dropping = false;
  #droppedInARow = 0;
  #denied = false;
  #closed = false;
  /** Slot of the line's write side, whose own subscription must not bring what the device says back to it. */
  publisherSlot = -1;

  constructor(parts: SerialParts, owner: HeldOwner, kind: HeldKind) {
    this.#parts = parts;
    this.#owner = owner;
    this.#kind = kind;
    this.#pending = new RingBuffer(kind.pendingMax);
  }

  /** Whether more can be taken. */
  get isOpen(): boolean {
    const { atOnceMax, bytesMax, pendingMax } = this.#kind;
    return this.#refused === 0 && this.#pending.length <= pendingMax - atOnceMax && this.#pendingBytes < bytesMax;
  }

  /**
   * Behind a refused one it waits, so that order is kept.
   * @param payload    valid until return, as `properties`, an MQTT 5 property block
   * @param ticket     for `onSettled`, which may be called before this returns
   */
  publish(topic: string, payload: Buffer, qos: number, retain: boolean, properties: Buffer, ticket: number): void {
    const { authority, principal } = this.#parts;
    if (!authority.mayPublish(principal, topic)) {
      this.deny(topic, ticket);
    } else if (this.#refused > 0) {
      this.#publication.setParts(topic, payload, qos, retain, properties);
      this.#publication.kept = null;
      this.#keep(REFUSED, ticket);
    } else {
      this.#publication.setParts(topic, payload, qos, retain, properties);
      this.#publishNew(topic, ticket);
    }
  }

  /** There is no place for it. */
  refuse(topic: string): void {
    const { ledger, clock, principal } = this.#parts;
    this.#kind.refused.value++;
    ledger.record(principal.name, () => topic, "queue-full", clock.wallMs());
  }

  /** It may not be published. */
  deny(topic: string, ticket: number): void {
    this.#kind.denied.value++;
    if (!this.#denied) {
      this.#denied = true;
      this.#parts.log.warn(this.#kind.words.denied, { name: this.#parts.principal.name, topic });
    }
    this.#settled(ticket);
  }

  /** The tickets given so far stand for nothing any more. */
  forgetTickets(): void {
    for (let i = 0; i < this.#pending.length; i++) (this.#pending.at(i) as Pending).ticket = 0;
  }

  /** Nobody tries again: what is held is dropped, and what the store refuses from now on. */
  close(): void {
    this.#closed = true;
    this.#parts.wheel.cancel(this.#retry);
    for (let i = 0; i < this.#pending.length; i++) {
      const pending = this.#pending.at(i) as Pending;
      if (pending.state === REFUSED) this.refuse(topicOf(pending));
    }
  }

  #publishNew(topic: string, ticket: number): void {
    const outcome = this.#publish(this.#headToken + this.#pending.length);
    if (outcome === STORED_LATER) {
      this.#keep(WAITING, ticket);
    } else if (outcome < 0x80) {
      this.#taken();
      this.#settled(ticket);
    } else if (outcome === FORBIDDEN) {
      this.deny(topic, ticket);
    } else if (this.#dropping) {
      this.#drop(topic, outcome, ticket);
    } else {
      this.#keep(REFUSED, ticket);
      this.#hold();
    }
  }

  /** Publishes what is in `#publication`. */
  #publish(token: number): number {
    const publication = this.#publication;
    publication.publisher = this.publisherSlot;
    return this.#parts.router.publish(publication, publication.qos === 0 ? NO_WAITER : this, token);
  }

  #keep(state: number, ticket: number): void {
    const publication = this.#publication;
    const { bytes, topicEnd, propertiesEnd, qos, retain } = publication.kept ?? messageOf(publication, 0);
    publication.kept = null;
    this.#pending.push({ bytes, topicEnd, propertiesEnd, qos, retain, ticket, state });
    this.#pendingBytes += PENDING_ENTRY_BYTES + bytes.length;
    if (state === REFUSED) this.#refused++;
  }

  onStored(token: number, reason: number): void {
    const pending = this.#pending.at(token - this.#headToken) as Pending;
    if (reason === SETTLED) {
      pending.state = TAKEN;
      this.#taken();
      this.#settled(pending.ticket);
    } else if (this.#dropping || this.#closed) {
      pending.state = TAKEN;
      this.#drop(topicOf(pending), reason, pending.ticket);
    } else {
      pending.state = REFUSED;
      this.#refused++;
      this.#hold();
    }
    this.#forget();
    this.#owner.onRoom();
  }

  /** Those that nothing has to be done for any more leave at the front. */
  #forget(): void {
    for (let first = this.#pending.peek(); first?.state === TAKEN; first = this.#pending.peek()) {
      this.#pending.shift();
      this.#pendingBytes -= PENDING_ENTRY_BYTES + first.bytes.length;
      this.#headToken++;
    }
  }

  // ---- refusals ----------------------------------------------------------------------------------------------

  #hold(): void {
    this.#owner.onHold();
    if (this.#retry.armed) return;
    this.#holdUntilMs = this.#parts.clock.nowMs() + this.#parts.limits.refusalHoldMs;
    this.#parts.wheel.schedule(this.#retry, RETRY_MS);
  }

  /** Tries the refused ones again, in order; at the end of the hold drops them. */
  onTimer(): void {
    const last = this.#parts.clock.nowMs() >= this.#holdUntilMs;
    for (let i = 0; i < this.#pending.length && this.#refused > 0; i++) {
      const pending = this.#pending.at(i) as Pending;
      if (pending.state !== REFUSED) continue;
      const { bytes, topicEnd, propertiesEnd, qos, retain, ticket } = pending;
      this.#publication.setLaidOut(bytes, topicEnd, propertiesEnd, qos, retain);
      const outcome = this.#publish(this.#headToken + i);
      if (outcome >= 0x80 && outcome !== FORBIDDEN && !last) break;
      this.#refused--;
      pending.state = outcome === STORED_LATER ? WAITING : TAKEN;
      if (outcome === STORED_LATER) continue;
      if (outcome === FORBIDDEN) {
        this.deny(topicOf(pending), ticket);
      } else if (outcome >= 0x80) {
        this.#drop(topicOf(pending), outcome, ticket);
      } else {
        this.#taken();
        this.#settled(ticket);
      }
    }
    this.#forget();
    if (this.#refused > 0) this.#parts.wheel.schedule(this.#retry, RETRY_MS);
    else this.#owner.onRoom();
  }

  #drop(topic: string, reason: number, ticket: number): void {
    const { ledger, log, clock, principal } = this.#parts;
    if (!this.#dropping) log.warn(this.#kind.words.refused, { name: principal.name, reason });
    this.#dropping = true;
    this.#droppedInARow++;
    this.#kind.refused.value++;
    const cause = reason === QUOTA_EXCEEDED ? "queue-full" : "disk-full";
    ledger.record(principal.name, () => topic, cause, clock.wallMs());
    this.#settled(ticket);
  }

  #taken(): void {
    if (!this.#dropping) return;
    this.#dropping = false;
    this.#parts.log.info(this.#kind.words.taken, { name: this.#parts.principal.name, dropped: this.#droppedInARow });
    this.#droppedInARow = 0;
  }

  #settled(ticket: number): void {
    if (ticket !== 0) this.#owner.onSettled(ticket);
  }
}

function topicOf({ bytes, topicEnd }: Pending): string {
  return bytes.toString("utf8", 0, topicEnd);
}
