/**
 * Retained values on their way to new subscriptions. A filter may match thousands, or none in an index of thousands, so
 * the feed holds the place in the index that each filter has come to, as a string. A few steps are made at once, so that a device
 * has its values together with SUBACK; the others in slices, one for each turn that the feed gets (turns.ts), as long
 * as the connection takes them. It has at most one entry per subscription of the session, and one that is under way: the
 * filters have their turns one after the other.
 *
 *     SUBSCRIBE, room in the output, PUBACK ──> STEPS_AT_ONCE ──more──> turn: STEPS_PER_TURN ──more──> turn ...
 */

import { ownString } from "../base/own-string.ts";
import { copyOf } from "./message.ts";
import type { Outlet } from "./outlet.ts";
import { TAKES } from "./queue-limits.ts";
import { deliveryOptions } from "./receiver.ts";
import type { WalkPlace } from "./retained-index.ts";
import type { Session } from "./session.ts";
import type { SessionHost } from "./session-host.ts";
import type { Sliced } from "./turns.ts";

interface Due extends WalkPlace {
  readonly grantedQos: number;
  readonly subscriptionId: number;
  /** Of the place, taken from the memory of what waits. */
  keptBytes: number;
}

/** Retained values in the queue at a time: more wait in the feed, so that they never fill the session's queue. */
const QUEUED_MAX = 32;
/** A step is a value that is sent (340 ns; into the log 1.5 us), or a level of the index that was looked at in vain. */
const STEPS_AT_ONCE = 16;
/** About 0.3 ms. */
export const STEPS_PER_TURN = 1024;

const NOTHING: ReadonlyMap<string, Due> = new Map();

export class RetainedFeed implements Sliced {
  readonly #session: Session;
  readonly #host: SessionHost;
  /** By filter; null = nothing is due. */
  #due: Map<string, Due> | null = null;
  /** Its turn comes. */
  #scheduled = false;

  constructor(session: Session, host: SessionHost) {
    this.#session = session;
    this.#host = host;
  }

  /** Enters a subscription: all retained values that match it are to be sent. One that is under way begins anew. */
  add(filter: string, grantedQos: number, subscriptionId: number): void {
    this.remove(filter);
    this.#due ??= new Map();
    this.#due.set(filter, { grantedQos, subscriptionId, place: "", keptBytes: 0 });
  }

  /** The subscription is gone. */
  remove(filter: string): void {
    const due = this.#due?.get(filter);
    if (due === undefined) return;
    this.#host.waitingMemory.give(due.keptBytes);
    this.#due?.delete(filter);
    if (this.#due?.size === 0) this.#due = null;
  }

  get empty(): boolean {
    return this.#due === null;
  }

  clear(): void {
    for (const filter of (this.#due ?? NOTHING).keys()) this.remove(filter);
  }

  /** The connection takes some: goes on, at once or in the turn that it waits for. */
  pump(): void {
    if (!this.#scheduled) this.#slice(STEPS_AT_ONCE);
  }

  runScheduled(): void {
    this.#scheduled = false;
    this.#slice(STEPS_PER_TURN);
  }

  #slice(steps: number): void {
    let left = steps;
    for (const [filter, due] of this.#due ?? NOTHING) {
      left = this.#walk(filter, due, left);
      if (left < 0) {
        this.#stopAt(filter, due);
        return;
      }
      this.remove(filter);
    }
  }

  /** @returns the steps that are left, when it has come to the end; negative when it has to go on later */
  #walk(filter: string, due: Due, steps: number): number {
    const topics = this.#host.retained.match(filter, due);
    for (let left = steps; ; left--) {
      const { outlet, queue } = this.#session;
      if (outlet === null || !outlet.writable() || queue.count >= QUEUED_MAX) return -1;
      if (left === 0) {
        this.#scheduled = true;
        this.#host.schedule(this);
        return -1;
      }
      const next = topics.next();
      if (next.done === true) return left - 1;
      if (next.value !== null) this.#send(next.value, due, outlet);
    }
  }

  /** The walk is left: a place is all that is kept of it. With the connection gone nothing is due any more. */
  #stopAt(filter: string, due: Due): void {
    if (this.#due?.get(filter) !== due) return;
    due.place = ownString(due.place);
    const bytes = due.place.length;
    this.#host.waitingMemory.takeAnyway(bytes - due.keptBytes);
    due.keptBytes = bytes;
  }

  #send(topic: string, { grantedQos, subscriptionId }: Due, outlet: Outlet): void {
    const { principal, queue } = this.#session;
    if (!this.#host.authority.mayRead(principal, topic)) return;
    const message = this.#host.retained.get(topic);
    if (message === undefined) return;
    const qos = Math.min(message.qos, grantedQos);
    const options = deliveryOptions(qos, true);
    const ids = subscriptionId === 0 ? null : [subscriptionId];
    if (qos === 0) {
      outlet.sendPublish(message, 0, options, ids, 0, false);
      return;
    }
    const copy = copyOf(message);
    if (queue.admit(copy.size) !== TAKES) {
      queue.dropNewest(() => topic);
      return;
    }
    this.#session.keep(copy, options, ids);
  }
}
