/**
 * From a publication to its receivers: looks the topic up, asks every durable receiver before anybody gets it
 * ("admission before effect"), copies it to the live ones and enters it once in the store for the durable ones.
 *
 * @see src/README.md, "The way of one PUBLISH"
 */
import type { Counter, Counters } from "../base/counters.ts";
import type { Ledger } from "./ledger.ts";
import { MESSAGE_OVERHEAD_BYTES, type Message, messageOf } from "./message.ts";
import type { Authority, Durability, Principal, Store, StoreWaiter, TimeSource } from "./ports.ts";
import type { Publication } from "./publication.ts";
import { DROPS, REFUSES, TAKES } from "./queue-limits.ts";
import { deliveryOptions, type Receiver } from "./receiver.ts";
import type { Retained } from "./retained.ts";
import { GRANT_NO_LOCAL, GRANT_QOS, GRANT_RETAIN_AS_PUBLISHED, Route, RouteCache } from "./route-cache.ts";
import { hasWildcard } from "./topic.ts";
import { type Subscription, TopicTree } from "./topic-tree.ts";

/** `publish` answers: acknowledge now. */
export const ROUTED = 0;
/** Acknowledge now; nobody has subscribed (MQTT 5 reason 0x10). */
export const NO_SUBSCRIBERS = 0x10;
/** The waiter will be told. */
export const STORED_LATER = -2;
/** Refused, nobody got it: a limit is reached (MQTT 5 reason 0x97). */
export const QUOTA_EXCEEDED = 0x97;
/** Refused, nobody got it: the program that embeds the gateway does not let it pass (MQTT 5 reason 0x87). */
export const FORBIDDEN = 0x87;

/** Who may refuse besides queues, see `Router.refusedBy`. */
export const RETAINED = "retained";
/** For ever: the payload is too large for a retained value. */
export const RETAINED_PAYLOAD = "retained-payload";
export const STORE = "store";

/** For publications that nobody waits for. */
export const NO_WAITER: StoreWaiter = { onStored(): void {} };

export interface RouterParts {
  readonly store: Store;
  readonly retained: Retained;
  readonly authority: Authority;
  readonly time: TimeSource;
  readonly ledger: Ledger;
  readonly counters: Counters;
  /** What a topic has instead of the store's own settings, null = nothing; null = no topic has anything. */
  readonly durabilityOf: ((topic: string) => Durability | null) | null;
  /** Whether a publication may pass; null = all may (core/hooks.ts). */
  readonly gate: ((p: Publication, publisher: Principal | null) => boolean) | null;
}

export class Router {
  readonly #parts: RouterParts;
  readonly #gate: RouterParts["gate"];
  readonly #tree = new TopicTree();
  readonly #cache = new RouteCache();
  readonly #receivers: (Receiver | null)[] = [];
  readonly #freeSlots: number[] = [];
  #authorityGeneration = 0;
  /** After `publish` at QoS >= 1: a receiver that is so far behind that the publisher should be slowed down; null = none. */
  slowReceiver: Receiver | null = null;
  /** After `publish` refused: the label of the queue that is full, RETAINED or STORE. */
  refusedBy = "";
  readonly #published: Counter;
  readonly #refused: Counter;
  /** Scratch of `#built`: index + 1 in the route under construction, by slot. */
  readonly #indexOfSlot: number[] = [];
  #building: Route | null = null;
  /** A route is being gone through. */
  #publishing = false;
  /** Serves where a route is not kept. */
  readonly #passing = new Route();

  constructor(parts: RouterParts) {
    this.#parts = parts;
    this.#gate = parts.gate;
    this.#published = parts.counters.counter("router.published");
    this.#refused = parts.counters.counter("router.refused");
    parts.counters.gauge("router.subscriptions", () => this.#tree.count);
    parts.counters.gauge("router.cache_misses", () => this.#cache.misses);
    parts.counters.gauge("router.cache_width", () => this.#cache.width);
  }

  get subscriptionCount(): number {
    return this.#tree.count;
  }

  // ---- receivers and subscriptions ---------------------------------------------------------------------------

  join(receiver: Receiver): void {
    const slot = this.#freeSlots.pop() ?? this.#receivers.length;
    this.#receivers[slot] = receiver;
    this.#indexOfSlot[slot] = 0;
    receiver.slot = slot;
  }

  /** The receiver must have unsubscribed from all it had. */
  leave(receiver: Receiver): void {
    this.#receivers[receiver.slot] = null;
    this.#freeSlots.push(receiver.slot);
    receiver.slot = -1;
  }

  /** Enters or replaces. @param options QoS bits 0-1, No Local bit 2, Retain As Published bit 3  @returns true when new */
  subscribe(receiver: Receiver, filter: string, options: number, subscriptionId: number): boolean {
    const isNew = this.#tree.add(filter, { slot: receiver.slot, options: options & 0x0f, subscriptionId });
    this.#changed(filter);
    return isNew;
  }

  unsubscribe(receiver: Receiver, filter: string): boolean {
    const found = this.#tree.remove(filter, receiver.slot);
    if (found) this.#changed(filter);
    return found;
  }

  /** Whether anybody may get topics under `level`, which begins with a $. */
  hasSubscriptionsUnder(level: string): boolean {
    return this.#tree.hasUnder(level);
  }

  #changed(filter: string): void {
    if (hasWildcard(filter)) this.#cache.generation++;
    else this.#cache.forget(Buffer.from(filter));
  }

  // ---- publications ------------------------------------------------------------------------------------------

  /**
   * Routes one publication whose topic and rights the caller has checked.
   * @returns ROUTED, NO_SUBSCRIBERS, STORED_LATER (then `waiter.onStored(token, reason)` follows, once), or the reason
   *          why nobody got it. At QoS 0 the answer is never STORED_LATER.
   */
  publish(p: Publication, waiter: StoreWaiter, token: number): number {
    this.#published.value++;
    this.slowReceiver = null;
    if (this.#gate !== null && !this.#gate(p, this.#receivers[p.publisher]?.principal ?? null)) return FORBIDDEN;
    // A receiver that publishes while it is given something must not change the route that is gone through.
    const isInner = this.#publishing;
    const route = isInner ? this.#built(p.bytes, p.topicFrom, p.topicEnd) : this.#route(p);
    this.#publishing = true;
    try {
      return this.#publishTo(p, route, waiter, token);
    } finally {
      this.#publishing = isInner;
    }
  }

  #publishTo(p: Publication, route: Route, waiter: StoreWaiter, token: number): number {
    p.kept = null;
    const { count } = route;
    p.shared = count > 1 && p.qos === 0 && !p.retain;
    p.sharedTicket = -1;
    if (p.qos > 0 || p.retain || route.raises) return this.#publishKept(p, route, waiter, token);
    for (let i = 0; i < count; i++) this.#deliverLive(p, route, i, 0);
    return count === 0 ? NO_SUBSCRIBERS : ROUTED;
  }

  /**
   * Copies a publication of QoS 0 to those whose connection is there, and keeps it for nobody, whatever they were
   * granted. The route is not remembered: rarely used, it would take the place of others.
   * @returns whom it missed, as `awayFrom` would answer
   */
  publishLive(p: Publication): string {
    const isInner = this.#publishing;
    const route = this.#built(p.bytes, p.topicFrom, p.topicEnd);
    p.kept = null;
    p.shared = false;
    this.#publishing = true;
    try {
      for (let i = 0; i < route.count; i++) if (!this.#isAway(route, i)) this.#deliverLive(p, route, i, 0);
    } finally {
      this.#publishing = isInner;
    }
    return this.#away(route);
  }

  /** Who gets `topic` and is not there, in a text to be compared: "" = nobody. */
  awayFrom(topic: string): string {
    const bytes = Buffer.from(topic);
    return this.#away(this.#built(bytes, 0, bytes.length));
  }

  #away(route: Route): string {
    let away = "";
    for (let i = 0; i < route.count; i++) if (this.#isAway(route, i)) away += ` ${route.slotAt(i)}`;
    return away;
  }

  #isAway(route: Route, i: number): boolean {
    return (this.#receivers[route.slotAt(i)] as Receiver).queue?.online === false;
  }

  /** The way of everything that may have to be stored. */
  #publishKept(p: Publication, route: Route, waiter: StoreWaiter, token: number): number {
    const size = p.length + MESSAGE_OVERHEAD_BYTES;
    const refusal = this.#admission(p, route, size);
    // A QoS 0 publisher has no acknowledgement to withhold: the live receivers are served all the same.
    const storing = refusal === ROUTED;
    if (!storing && p.qos > 0) {
      this.#refused.value++;
      return refusal;
    }
    let message: Message | null = null;
    const { count } = route;
    for (let i = 0; i < count; i++) {
      const receiver = this.#receivers[route.slotAt(i)] as Receiver;
      const qos = receiver.effectiveQos(p.qos, route.grantAt(i) & GRANT_QOS);
      if (qos > 0 && receiver.congested()) this.slowReceiver = receiver;
      if (qos === 0 || !receiver.durable || receiver.queue === null) {
        this.#deliverLive(p, route, i, qos);
        continue;
      }
      if (this.#isOwn(p, route, i)) continue;
      if (!storing || receiver.queue.admit(size) !== TAKES) {
        receiver.queue.dropNewest(() => p.topic);
        continue;
      }
      message ??= this.keep(p);
      const ids = route.subscriptionIds[i] as number[] | null;
      if (ids !== null) {
        message.subscriptionIds ??= new Map();
        message.subscriptionIds.set(message.receiverIds.length, ids);
      }
      message.addReceiver(receiver.queue.id, this.#optionsOf(p, route, i, qos));
    }
    const retains = p.retain && (storing || this.#parts.store.health !== "failed") && this.#parts.retained.takes(p);
    if (retains) message ??= this.keep(p);
    if (message !== null) this.#store(message, p, route, retains, waiter, token);
    if (message !== null && p.qos > 0) return STORED_LATER;
    return count === 0 ? NO_SUBSCRIBERS : ROUTED;
  }

  #store(message: Message, p: Publication, route: Route, retains: boolean, waiter: StoreWaiter, token: number): void {
    const { store, retained } = this.#parts;
    message.durability = route.durability;
    if (p.qos > 0) {
      message.waiter = waiter;
      message.waiterToken = token;
      if (retains) message.pending++;
    }
    const receivers = message.receiverIds.length;
    if (receivers > 0) store.append(message);
    if (retains) retained.put(message);
    if (receivers === 0) return;
    // Only after append: a queue needs the sequence number. It may also acknowledge at once, so read the list by queue.
    let entry = 0;
    for (let i = 0; i < route.count && entry < receivers; i++) {
      const queue = this.#receivers[route.slotAt(i)]?.queue;
      if (queue?.id !== message.receiverIds[entry] || queue === undefined || queue === null || queue.id === 0) continue;
      queue.enqueue(message, message.receiverOptions[entry] as number, message.subscriptionIds?.get(entry) ?? null);
      entry++;
    }
  }

  /** Asks everybody who would have to keep it. @returns ROUTED, or why it must be refused */
  #admission(p: Publication, route: Route, size: number): number {
    let takes = 0;
    let drops = 0;
    for (let i = 0; i < route.count; i++) {
      const receiver = this.#receivers[route.slotAt(i)] as Receiver;
      if (!receiver.durable || receiver.queue === null || this.#isOwn(p, route, i)) continue;
      if (receiver.effectiveQos(p.qos, route.grantAt(i) & GRANT_QOS) === 0) continue;
      const answer = receiver.queue.admit(size);
      if (answer !== TAKES) this.refusedBy = receiver.queue.label;
      if (answer === REFUSES) return QUOTA_EXCEEDED;
      if (answer === TAKES) takes++;
      if (answer === DROPS) drops++;
    }
    if (p.retain && p.qos > 0) {
      if (!this.#parts.retained.takes(p)) {
        this.refusedBy = this.#parts.retained.takesPayload(p) ? RETAINED : RETAINED_PAYLOAD;
        return QUOTA_EXCEEDED;
      }
      takes++;
    }
    if (takes > 0) {
      this.refusedBy = STORE;
      return this.#parts.store.admits(size);
    }
    return drops > 0 ? QUOTA_EXCEEDED : ROUTED;
  }

  #deliverLive(p: Publication, route: Route, i: number, qos: number): void {
    if (this.#isOwn(p, route, i)) return;
    const receiver = this.#receivers[route.slotAt(i)] as Receiver;
    receiver.deliver(p, this.#optionsOf(p, route, i, qos), route.subscriptionIds[i] as number[] | null);
  }

  #optionsOf(p: Publication, route: Route, i: number, qos: number): number {
    return p.retain ? deliveryOptions(qos, (route.grantAt(i) & GRANT_RETAIN_AS_PUBLISHED) !== 0) : qos;
  }

  /** [MQTT5-3.8.3-3] No Local. */
  #isOwn(p: Publication, route: Route, i: number): boolean {
    if (p.publisher < 0 || (route.grantAt(i) & GRANT_NO_LOCAL) === 0) return false;
    const slot = route.slotAt(i);
    return slot === p.publisher || this.#receivers[slot]?.kinSlot === p.publisher;
  }

  /** The message made of `p`, one for all who keep it. */
  keep(p: Publication): Message {
    p.kept ??= messageOf(p, this.#parts.time.ageMs());
    return p.kept;
  }

  // ---- routes ------------------------------------------------------------------------------------------------

  #route(p: Publication): Route {
    if (this.#authorityGeneration !== this.#parts.authority.generation) {
      this.#authorityGeneration = this.#parts.authority.generation;
      this.#cache.generation++;
    }
    return this.#cache.find(p.bytes, p.topicFrom, p.topicEnd) ?? this.#missed(p, this.#cache.place);
  }

  /** @param place  for `RouteCache.keep` */
  #missed(p: Publication, place: number): Route {
    const { bytes, topicFrom, topicEnd } = p;
    return this.#cache.keep(place, this.#built(bytes, topicFrom, topicEnd), bytes, topicFrom, topicEnd);
  }

  /** The route of the topic in `bytes[from..end)`, valid until the next; within `publish` for good. */
  #built(bytes: Buffer, from: number, end: number): Route {
    // Whoever is asked about rights may publish meanwhile.
    const route = this.#building === null && !this.#publishing ? this.#passing : new Route();
    const outer = this.#building;
    this.#building = route;
    route.clear();
    this.#tree.match(bytes, from, end, this.#visit);
    let asks = false;
    for (let i = 0; i < route.count; i++) {
      const slot = route.slotAt(i);
      this.#indexOfSlot[slot] = 0;
      const receiver = this.#receivers[slot] as Receiver;
      if (receiver.effectiveQos(0, 2) > 0) route.raises = true;
      if (receiver.grantOf !== undefined) asks = true;
    }
    if (asks) this.#askGrants(route, bytes.toString("utf8", from, end));
    const { authority, durabilityOf } = this.#parts;
    if (!authority.open || durabilityOf !== null) {
      const topic = bytes.toString("utf8", from, end);
      route.durability = durabilityOf === null ? null : durabilityOf(topic);
      if (!authority.open) this.#leaveOut(route, topic);
    }
    this.#building = outer;
    return route;
  }

  /** Receivers that stand for one peer settle who sends what. */
  #askGrants(route: Route, topic: string): void {
    let stay = 0;
    for (let i = 0; i < route.count; i++) {
      const receiver = this.#receivers[route.slotAt(i)] as Receiver;
      if (receiver.grantOf !== undefined) {
        const grant = receiver.grantOf(topic);
        if (grant < 0) continue;
        route.grantAnew(i, (route.grantAt(i) & ~GRANT_QOS) | grant);
      }
      route.move(i, stay++);
    }
    route.count = stay;
  }

  /** Rights are part of the route: who may not read a topic is not in it, at no cost per message. */
  #leaveOut(route: Route, topic: string): void {
    let stay = 0;
    for (let i = 0; i < route.count; i++) {
      const { principal } = this.#receivers[route.slotAt(i)] as Receiver;
      if (principal === null || this.#parts.authority.mayRead(principal, topic)) route.move(i, stay++);
    }
    route.count = stay;
  }

  /** Overlapping subscriptions of one receiver become one entry: highest QoS, all identifiers ([MQTT5-3.3.4-2]). */
  readonly #visit = (subscription: Subscription): void => {
    const route = this.#building as Route;
    const { slot, options, subscriptionId } = subscription;
    let index = (this.#indexOfSlot[slot] as number) - 1;
    if (index < 0) {
      index = route.add(slot, options);
      this.#indexOfSlot[slot] = index + 1;
    } else {
      const grant = route.grantAt(index);
      route.grantAnew(
        index,
        Math.max(grant & GRANT_QOS, options & GRANT_QOS) |
          (grant & options & GRANT_NO_LOCAL) |
          ((grant | options) & GRANT_RETAIN_AS_PUBLISHED),
      );
    }
    if (subscriptionId === 0) return;
    const ids = route.subscriptionIds[index];
    if (ids === null || ids === undefined) route.subscriptionIds[index] = [subscriptionId];
    else ids.push(subscriptionId);
  };
}
