/**
 * Retained values on their way to a new subscription. A filter may match thousands, so they are not written at once:
 * the feed holds their topics and goes on as the connection takes them.
 */

import { Message } from "./message.ts";
import { TAKES } from "./queue-limits.ts";
import { deliveryOptions } from "./receiver.ts";
import type { Session } from "./session.ts";
import type { SessionHost } from "./session-registry.ts";

interface Due {
  readonly topic: string;
  readonly grantedQos: number;
  readonly subscriptionId: number;
}

/** Retained values in the queue at a time: more wait in the feed, so that they never fill the session's queue. */
const QUEUED_MAX = 32;

export class RetainedFeed {
  readonly #session: Session;
  readonly #host: SessionHost;
  #due: Due[] = [];
  #at = 0;

  constructor(session: Session, host: SessionHost) {
    this.#session = session;
    this.#host = host;
  }

  /** Enters the topics of all retained values that match a new subscription. */
  add(filter: string, grantedQos: number, subscriptionId: number): void {
    const { retained, authority } = this.#host;
    retained.match(filter, (topic) => {
      if (authority.mayRead(this.#session.principal, topic)) this.#due.push({ topic, grantedQos, subscriptionId });
    });
  }

  get empty(): boolean {
    return this.#at === this.#due.length;
  }

  clear(): void {
    this.#due = [];
    this.#at = 0;
  }

  /** Sends what the connection takes now. */
  pump(): void {
    const { outlet, queue } = this.#session;
    while (outlet !== null && this.#at < this.#due.length && outlet.writable() && queue.count < QUEUED_MAX) {
      const { topic, grantedQos, subscriptionId } = this.#due[this.#at++] as Due;
      const message = this.#host.retained.get(topic);
      if (message === undefined) continue;
      const qos = Math.min(message.qos, grantedQos);
      const options = deliveryOptions(qos, true);
      const ids = subscriptionId === 0 ? null : [subscriptionId];
      if (qos === 0) {
        outlet.sendPublish(message, 0, options, ids, 0, false);
        continue;
      }
      const copy = copyOf(message);
      if (queue.admit(copy.size) !== TAKES) {
        queue.dropNewest(() => topic);
        continue;
      }
      if (queue.persistent) {
        if (ids !== null) copy.subscriptionIds = new Map([[0, ids]]);
        copy.addReceiver(queue.id, options);
        this.#host.store.append(copy, false);
      }
      queue.enqueue(copy, options, ids);
    }
    if (this.empty) this.clear();
  }
}

/** Shares the bytes; sequence number and receivers are its own. */
function copyOf(m: Message): Message {
  return new Message(m.bytes, m.topicEnd, m.propertiesEnd, m.qos, m.retain, m.acceptedMs, m.expiresMs, -1);
}
