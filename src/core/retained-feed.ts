/**
 * Retained values on their way to new subscriptions. A filter may match thousands, so they are not written at once:
 * the feed holds the place in the index that each filter has come to, and goes on as the connection takes them. It has
 * at most one entry per subscription of the session.
 */

import { copyOf } from "./message.ts";
import type { Outlet } from "./outlet.ts";
import { TAKES } from "./queue-limits.ts";
import { deliveryOptions } from "./receiver.ts";
import type { Session } from "./session.ts";
import type { SessionHost } from "./session-host.ts";

interface Due {
  readonly topics: Generator<string>;
  readonly grantedQos: number;
  readonly subscriptionId: number;
}

/** Retained values in the queue at a time: more wait in the feed, so that they never fill the session's queue. */
const QUEUED_MAX = 32;

export class RetainedFeed {
  readonly #session: Session;
  readonly #host: SessionHost;
  /** By filter. */
  readonly #due = new Map<string, Due>();

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

  /** Sends what the connection takes now. */
  pump(): void {
    for (const [filter, due] of this.#due) {
      for (;;) {
        const { outlet, queue } = this.#session;
        if (outlet === null || !outlet.writable() || queue.count >= QUEUED_MAX) return;
        const next = due.topics.next();
        if (next.done === true) break;
        this.#send(next.value, due, outlet);
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
