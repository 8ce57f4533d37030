/**
 * Sends one message of a queue that does not keep the order of the log: QoS 1 at once, QoS 2 when the store knows its
 * packet ids. Several topics, or QoS 2, take their ordinals first (`AnyOrderPlace.reserve`) and are sent when they may be.
 */
import type { AnyOrderPlace } from "./any-order-place.ts";
import { UNSENT } from "./inflight.ts";
import type { DropCause } from "./ledger.ts";
import { WITHDRAWN } from "./message.ts";
import { type Outlet, PART_EXPIRED, partCause, type QueueHost } from "./outlet.ts";
import type { StoredReceiver, StoreWaiter } from "./ports.ts";
import { type QueueLimits, staleCause } from "./queue-limits.ts";
import { DELIVERY_QOS } from "./receiver.ts";
import type { Waiting, WaitingEntry } from "./waiting.ts";

/** Outcomes of `send`: all of it went out; the message is over; nothing can be sent now; this cannot; it waits for the store. */
export const SENT = 0;
export const OVER = 1;
export const PEER_BUSY = 2;
export const NOT_NOW = 3;
export const NOT_STORED = 4;

/** The queue. */
export interface Sender extends StoredReceiver, StoreWaiter {
  readonly limits: QueueLimits;
  drop(topic: () => string, cause: DropCause): void;
}

export class AnyOrderSending {
  readonly #host: QueueHost;
  readonly #queue: Sender;
  readonly #place: AnyOrderPlace;
  /** Entries below this ordinal are stored, or were asked to be. */
  #storedNext: number;
  #storingNext = 0;

  /** @param queue waits for the store: `onStored` has an ordinal as its token */
  constructor(host: QueueHost, queue: Sender, place: AnyOrderPlace) {
    this.#host = host;
    this.#queue = queue;
    this.#place = place;
    this.#storedNext = place.inflight.next;
  }

  /** The entries below an ordinal are stored. */
  onStored(next: number): void {
    this.#storedNext = Math.max(this.#storedNext, next);
  }

  send(entry: WaitingEntry, outlet: Outlet): number {
    const { message, options } = entry;
    if (message.state === WITHDRAWN) {
      this.#place.leave(message.seq, entry.ordinal);
      return SENT;
    }
    if (!outlet.writable()) return PEER_BUSY; // only a peer that is there says what it takes
    const parts = outlet.parts(message, options);
    if (entry.ordinal >= 0) {
      if (parts > 0 && !this.#place.isPart(message.seq, entry.ordinal + parts - 1))
        this.#renumber(entry, parts, outlet);
      return this.#sendParts(entry, parts, outlet);
    }
    if (!this.#place.inflight.hasPlace) return PEER_BUSY;
    const stale = staleCause(this.#queue.limits, message, this.#host.time);
    const first = parts === 0 ? 0 : outlet.partOptions(message, 0, options);
    const cause = parts !== 1 || first < PART_EXPIRED ? stale : partCause(first, stale);
    if (cause !== null) this.#queue.drop(() => message.topic, cause);
    if (parts === 0 || cause !== null) return OVER;
    const qos = first & DELIVERY_QOS;
    if (parts > 1 || qos === 2) {
      if (!this.#place.hasPlaces(parts)) return PEER_BUSY;
      if (!this.#place.mayReserve(parts)) return NOT_NOW;
      entry.ordinal = this.#place.reserve(message, parts);
      return this.#sendParts(entry, parts, outlet);
    }
    if (!outlet.writable(message, options)) return NOT_NOW;
    if (qos === 1 && !this.#place.inflight.hasRoom) return PEER_BUSY;
    if (qos === 0) {
      outlet.sendPublish(message, 0, first, entry.subscriptionIds, 0, false);
      return OVER;
    }
    const packetId = this.#place.inflight.packetIdOf(this.#place.send(message));
    outlet.sendPublish(message, 0, first, entry.subscriptionIds, packetId, this.#place.mayHaveBeenSent(message.seq));
    return SENT;
  }

  /**
   * A message with fewer ordinals than parts: rules have changed over a restart, or another queue gave it one. It begins
   * anew; what the peer may hold under an id is released, so that it does not take another message for it.
   */
  #renumber(entry: WaitingEntry, parts: number, outlet: Outlet): void {
    const { seq } = entry.message;
    const { inflight } = this.#place;
    for (let ordinal = entry.ordinal; this.#place.isPart(seq, ordinal); ordinal++) {
      if (inflight.stateAt(ordinal) === UNSENT && inflight.qosAt(ordinal) !== 1)
        outlet.sendPubrel(inflight.packetIdOf(ordinal));
    }
    this.#place.leave(seq, entry.ordinal);
    entry.ordinal = this.#place.reserve(entry.message, parts);
  }

  /** A message whose parts have ordinals: those that are due. */
  #sendParts(entry: WaitingEntry, parts: number, outlet: Outlet): number {
    const { message, ordinal: first, subscriptionIds } = entry;
    const { inflight } = this.#place;
    const stale = staleCause(this.#queue.limits, message, this.#host.time);
    let dropped: DropCause | null = null;
    for (let ordinal = first; this.#place.isPart(message.seq, ordinal); ordinal++) {
      if (inflight.stateAt(ordinal) !== UNSENT) continue;
      const part = ordinal - first;
      if (part >= parts) {
        inflight.answer(ordinal);
        continue;
      }
      if (!outlet.writable(message, entry.options)) return NOT_NOW;
      const options = outlet.partOptions(message, part, entry.options);
      const qos = options & DELIVERY_QOS;
      const cause = options < PART_EXPIRED ? stale : partCause(options, stale);
      const dup = inflight.wasSentBefore(ordinal);
      // What the peer may have goes on until it says so, expired or not ([MQTT5-4.3.3-7], [MQTT5-4.4.0-1]).
      if (cause !== null && (cause === "too-large" || qos === 0 || !dup)) {
        dropped = cause;
        inflight.answer(ordinal);
      } else if (qos === 0) {
        outlet.sendPublish(message, part, options, subscriptionIds, 0, false);
        inflight.answer(ordinal);
      } else {
        if (qos === 2 && ordinal >= this.#storedNext) return this.#storing();
        if (inflight.outstanding >= inflight.windowMax) return PEER_BUSY;
        inflight.refill(ordinal, qos, message);
        outlet.sendPublish(message, part, options, subscriptionIds, inflight.packetIdOf(ordinal), dup);
      }
    }
    if (dropped !== null) this.#queue.drop(() => message.topic, dropped);
    return this.#place.awaits(message.seq) ? SENT : OVER;
  }

  /** The entries up to now are to be stored: the messages wait for that. */
  #storing(): number {
    if (this.#storingNext < this.#place.inflight.next) {
      this.#storingNext = this.#place.inflight.next;
      this.#host.store.touch(this.#queue);
      this.#host.store.barrier(this.#queue, this.#storingNext);
    }
    return NOT_STORED;
  }

  /** QoS 2 messages behind the first get their ordinals with it, as many as the window takes: they are stored together. */
  reserveAhead(waiting: Waiting, outlet: Outlet): void {
    const { windowMax } = this.#place.inflight;
    for (let i = 1; i < Math.min(waiting.length, windowMax); i++) {
      const entry = waiting.at(i) as WaitingEntry;
      const { message, options } = entry;
      if (entry.ordinal >= 0 || message.state === WITHDRAWN) continue;
      const parts = outlet.parts(message, options);
      // One that needs several must not wait for those behind it.
      if (parts > 1) break;
      if (parts === 0) continue;
      const first = outlet.partOptions(message, 0, options);
      if (first >= PART_EXPIRED || (first & DELIVERY_QOS) !== 2) continue;
      if (staleCause(this.#queue.limits, message, this.#host.time) !== null) continue;
      if (!this.#place.hasPlaces(1) || !this.#place.mayReserve(1)) break;
      entry.ordinal = this.#place.reserve(message, 1);
    }
    this.#storing();
  }
}
