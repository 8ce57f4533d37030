/**
 * All shared subscriptions by ShareName and filter: a group is made by its first member's SUBSCRIBE and ends with its
 * last member, and its messages with it.
 *
 * @see MQTT 5.0 section 4.8.2
 */
import type { Allowance } from "../base/allowance.ts";
import type { Counters } from "../base/counters.ts";
import type { DeliveryQueue } from "./delivery-queue.ts";
import type { SubscriptionRecord } from "./ports.ts";
import type { Router } from "./router.ts";
import type { Session } from "./session.ts";
import type { SessionHost } from "./session-host.ts";
import { type GroupCounts, SharedGroup } from "./shared-group.ts";

const PREFIX = "$share/";
/** Kind of a group's record in the store; its name is `{ShareName}/{filter}`. */
const KIND = "share";

/** Measured bytes of a group without what waits for it (its place in the log included), and of a character of its name. */
const GROUP_BYTES = 3072;
const NAME_BYTES = 4;

/** Measured bytes of a membership besides the subscription's own. */
export const MEMBER_BYTES = 448;

export function isShared(filter: string): boolean {
  return filter.startsWith(PREFIX);
}

/** What `$share/{ShareName}/{filter}` matches; the filter itself when it is not shared. */
export function plainFilterOf(filter: string): string {
  return isShared(filter) ? filter.slice(filter.indexOf("/", PREFIX.length) + 1) : filter;
}

function nameOf(filter: string): string {
  return filter.slice(PREFIX.length);
}

export class SharedGroups {
  readonly #host: SessionHost;
  readonly #router: Router;
  readonly #memory: Allowance;
  readonly #groups = new Map<string, SharedGroup>();
  readonly #counts: GroupCounts;

  /** @param memory what all subscriptions together may take */
  constructor(host: SessionHost, router: Router, counters: Counters, memory: Allowance) {
    this.#host = host;
    this.#router = router;
    this.#memory = memory;
    this.#counts = { rerouted: counters.counter("share.rerouted"), reclaimed: counters.counter("share.reclaimed") };
    counters.gauge("share.groups", () => this.#groups.size);
    counters.gauge("share.subscriptions", () => this.#count(({ size }) => size));
    counters.gauge("share.waiting", () => this.#count(({ queue }) => queue.count));
  }

  /** Of all groups. */
  *queues(): Generator<DeliveryQueue> {
    for (const { queue } of this.#groups.values()) yield queue;
  }

  #count(of: (group: SharedGroup) => number): number {
    let sum = 0;
    for (const group of this.#groups.values()) sum += of(group);
    return sum;
  }

  /** Makes room for the group of a subscription. @returns false when subscriptions take too much already */
  admit(filter: string): boolean {
    return this.#groups.has(nameOf(filter)) || this.#memory.take(bytesOf(filter));
  }

  /** The session becomes a member, or its options change; `admit` said yes. It gets nothing before `Shares.pump`. */
  join(session: Session, { filter, options, subscriptionId }: SubscriptionRecord): void {
    const group = this.#groups.get(nameOf(filter)) ?? this.#begin(filter);
    group.enter(session, options, subscriptionId);
    session.sharesOf.add(group);
    this.#router.subscribe(group, group.filter, group.grant, 0);
  }

  /** As `join`, of a session that the store has kept. */
  restore(session: Session, subscription: SubscriptionRecord): void {
    if (!this.#groups.has(nameOf(subscription.filter))) this.#memory.takeAnyway(bytesOf(subscription.filter));
    this.join(session, subscription);
  }

  /** All sessions are restored: what the store has for groups without members goes. */
  restored(): void {
    const { store, ledger, time } = this.#host;
    store.deleteOthers(KIND, (name) => {
      if (this.#groups.has(name)) return true;
      const messages = store.loadReceiver(KIND, name)?.count ?? 0;
      if (messages > 0) ledger.record(`share:${name}`, () => "", "session-ended", time.wallMs(), messages);
      return false;
    });
  }

  leave(session: Session, filter: string): void {
    const group = this.#groups.get(nameOf(filter));
    if (group === undefined) return;
    group.remove(session);
    session.shares?.remove(group);
    if (group.size === 0) {
      this.#end(group, filter);
      return;
    }
    this.#router.subscribe(group, group.filter, group.grant, 0);
    group.onMemberGone();
  }

  #begin(filter: string): SharedGroup {
    const { store } = this.#host;
    const name = nameOf(filter);
    const group = new SharedGroup(this.#host, store.createReceiver(KIND, name), plainFilterOf(filter), this.#counts);
    store.register(group.queue);
    this.#router.join(group);
    this.#groups.set(name, group);
    return group;
  }

  #end(group: SharedGroup, filter: string): void {
    const { store, ledger, time } = this.#host;
    const { count, label } = group.queue;
    if (count > 0) ledger.record(label, () => "", "session-ended", time.wallMs(), count);
    group.ended = true;
    group.queue.detach();
    group.queue.end();
    this.#router.unsubscribe(group, group.filter);
    this.#router.leave(group);
    this.#groups.delete(nameOf(filter));
    this.#memory.give(bytesOf(filter));
    store.deleteReceiver(group.queue);
  }
}

function bytesOf(filter: string): number {
  return GROUP_BYTES + NAME_BYTES * filter.length;
}
