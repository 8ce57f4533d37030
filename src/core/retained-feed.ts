/**
 * Retained values on their way to new subscriptions. A filter may match thousands, or none in an index of thousands, so
 * the feed holds the place in the index that each filter has come to. A few steps are made at once, so that a device
 * has its values together with SUBACK; the others in slices, one for each turn that the feed gets (turns.ts), as long
 * as the connection takes them. It has at most one entry per subscription of the session.
 *
 *     SUBSCRIBE, room in the output, PUBACK ──> STEPS_AT_ONCE ──more──> turn: STEPS_PER_TURN ──more──> turn ...
 */

import { copyOf } from "./message.ts";
import type { Outlet } from "./outlet.ts";
import { TAKES } from "./queue-limits.ts";
import { deliveryOptions } from "./receiver.ts";
import type { Session } from "./session.ts";
import type { SessionHost } from "./session-host.ts";
import type { Sliced } from "./turns.ts";

interface Due {
  readonly topics: Generator<string | null>;
  readonly grantedQos: number;
  readonly subscriptionId: number;
}

/** Retained values in the queue at a time: more wait in the feed, so that they never fill the session's queue. */
const QUEUED_MAX = 32;
/** A step is a value that is sent (340 ns; into the log 1.5 us), or a level of the index that was looked at in vain. */
const STEPS_AT_ONCE = 16;
/** About 0.3 ms. */
export const STEPS_PER_TURN = 1024;

export class RetainedFeed implements Sliced {
  readonly #session: Session;
  readonly #host: SessionHost;
  /** By filter. */
  readonly #due = new Map<string, Due>();
  /** Its turn comes. */
  #scheduled = false;

  constructor(session: Session, host: SessionHost) {
    this.#session = session;
    this.#host = host;
  }

  /** Enters a subscription: all retained values that match it are to be sent. One that is under way begins anew. */
  add(filter: string, grantedQos: number, subscriptionId: number): void {
    this.#due.set(filter, { topics: this.#host.retained.match(filter), grantedQos, subscriptionId });
  }

  /** The subscription is gone. */
  remove(filter: string): void {
    this.#due.delete(filter);
  }

  get empty(): boolean {
    return this.#due.size === 0;
  }

  clear(): void {
    this.#due.clear();
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
    for (const [filter, due] of this.#due) {
      for (;;) {
        const { outlet, queue } = this.#session;
        if (outlet === null || !outlet.writable() || queue.count >= QUEUED_MAX) return;
        if (steps-- === 0) {
          this.#scheduled = true;
          this.#host.schedule(this);
          return;
        }
        const next = due.topics.next();
        if (next.done === true) break;
        if (next.value !== null) this.#send(next.value, due, outlet);
      }
      this.#due.delete(filter);
    }
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
