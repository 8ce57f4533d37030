/**
 * All sessions by client id: made at CONNECT, taken over, kept while away, ended by expiry. Also sends wills.
 */
import type { Allowance } from "../base/allowance.ts";
import type { Counter, Counters } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import type { CuttingShared } from "./cutting.ts";
import type { DeliveryQueue } from "./delivery-queue.ts";
import type { Ledger } from "./ledger.ts";
import type { QueueHost } from "./outlet.ts";
import type {
  Authority,
  Principal,
  SessionRecord,
  Store,
  SubscriptionRecord,
  TimeSource,
  WillRecord,
} from "./ports.ts";
import type { QueueLimits } from "./queue-limits.ts";
import type { Retained } from "./retained.ts";
import type { Router } from "./router.ts";
import { Session, type SessionOutlet, WILL_TIMER, type Will } from "./session.ts";
import type { SessionHost } from "./session-host.ts";
import { allowancesOf, bytesOfSubscription } from "./session-memory.ts";
import { SessionRoom } from "./session-room.ts";
import { isShared, SharedGroups } from "./shared-groups.ts";
import type { Sliced } from "./turns.ts";
import { Wills } from "./wills.ts";

export interface RegistryLimits {
  readonly maxSessions: number;
  readonly sessionExpiryMaxMs: number;
  readonly subscriptionsPerClient: number;
  readonly inflight: number;
  readonly inflightLive: number;
}

export interface RegistryParts extends QueueHost {
  readonly wheel: TimerWheel;
  readonly retained: Retained;
  readonly authority: Authority;
  readonly router: Router;
  readonly counters: Counters;
  readonly log: Log;
  readonly limits: RegistryLimits;
  readonly memoryLimitBytes: number;
  readonly queueLimits: QueueLimits;
}

/** `open` found no room for one more session. */
export const SESSIONS_FULL = "full";
/** `open` found a session that belongs to another principal. */
export const SESSION_FOREIGN = "foreign";

export class SessionRegistry implements SessionHost {
  readonly store: Store;
  readonly time: TimeSource;
  readonly ledger: Ledger;
  readonly waitingMemory: Allowance;
  readonly cuts: CuttingShared;
  readonly retained: Retained;
  readonly authority: Authority;
  readonly queueLimits: QueueLimits;
  readonly inflightMax: number;
  readonly inflightLiveMax: number;
  readonly outputDrops: Counter;
  readonly schedule: (sliced: Sliced) => void;
  readonly #router: Router;
  readonly #wheel: TimerWheel;
  readonly #limits: RegistryLimits;
  readonly #sessions = new Map<string, Session>();
  readonly #room: SessionRoom;
  readonly inboundMemory: Allowance;
  readonly ringMemory: Allowance;
  readonly #subscriptionMemory: Allowance;
  readonly wills: Wills;
  readonly #groups: SharedGroups;
  readonly #subscriptionsRefused: Counter;
  /** Sessions whose client is there; and the most that ever were. */
  connectedCount = 0;
  connectedMax = 0;
  readonly #takenOver: Counter;
  readonly #expired: Counter;

  constructor(parts: RegistryParts) {
    this.store = parts.store;
    this.time = parts.time;
    this.ledger = parts.ledger;
    this.waitingMemory = parts.waitingMemory;
    this.cuts = parts.cuts;
    this.retained = parts.retained;
    this.authority = parts.authority;
    this.queueLimits = parts.queueLimits;
    this.inflightMax = parts.limits.inflight;
    this.inflightLiveMax = parts.limits.inflightLive;
    this.schedule = parts.schedule;
    this.outputDrops = parts.counters.counter("session.output_full");
    this.#router = parts.router;
    this.#wheel = parts.wheel;
    this.#limits = parts.limits;
    this.#takenOver = parts.counters.counter("session.taken_over");
    this.#expired = parts.counters.counter("session.expired");
    const { sessions, extras, subscriptions, rings } = allowancesOf(parts.memoryLimitBytes);
    const { maxSessions: sessionsMax } = parts.limits;
    const end = (session: Session): void => this.#end(session);
    this.#room = new SessionRoom({ ...parts, sessions: this.#sessions, sessionsMax, memory: sessions, end });
    this.#subscriptionMemory = subscriptions;
    this.inboundMemory = extras;
    this.ringMemory = rings;
    parts.counters.gauge("session.ring_bytes", () => rings.used);
    this.wills = new Wills(parts, this.inboundMemory, (session) => this.#onCut(session));
    this.#groups = new SharedGroups(this, parts.router, parts.counters, this.#subscriptionMemory);
    this.#subscriptionsRefused = parts.counters.counter("session.subscriptions_refused");
    parts.counters.gauge("session.subscription_bytes", () => this.#subscriptionMemory.used);
    parts.counters.gauge("session.count", () => this.#sessions.size);
    parts.counters.gauge("session.connected", () => this.connectedCount);
    parts.counters.gauge("session.connected_max", () => this.connectedMax);
    parts.counters.gauge("session.in_flight", () => this.inFlight);
    this.store.loadSessions((record) => this.#restore(record));
    this.#groups.restored();
    this.store.loadWills((record) => this.#restoreWill(record));
  }

  /**
   * Everybody who gets messages is there, and no client yet: the wills of the connections that the end of the last run
   * cut go out, or wait for the rest of their delay ([MQTT5-3.1.2-8]).
   */
  resumeWills(): void {
    this.wills.resume();
  }

  get count(): number {
    return this.#sessions.size;
  }

  /** Messages of QoS 1 and 2 that clients have not acknowledged. */
  get inFlight(): number {
    let messages = 0;
    for (const { queue } of this.#sessions.values()) messages += queue.inFlight;
    return messages;
  }

  /** Of the durable receivers here: sessions with subscriptions of their own, there or not, and shared groups. */
  *durableQueues(): Generator<DeliveryQueue> {
    for (const { subscriptions, shares, queue } of this.#sessions.values()) {
      if (queue.persistent && subscriptions.size > (shares?.count ?? 0)) yield queue;
    }
    yield* this.#groups.queues();
  }

  /** All sessions, for status. */
  sessions(): IterableIterator<Session> {
    return this.#sessions.values();
  }

  /**
   * The session of a CONNECT, its old connection told to go. The caller answers CONNACK and then calls `attach`.
   * @param expirySeconds 0: it ends with the connection
   * @returns the session and whether it was there before (Session Present), or why not
   */
  open(
    clientId: string,
    principal: Principal,
    cleanStart: boolean,
    expirySeconds: number,
  ): { session: Session; present: boolean } | typeof SESSIONS_FULL | typeof SESSION_FOREIGN {
    const cut = this.#sessions.get(clientId);
    if (cut?.expirySeconds === 0 && !cut.connected) this.#end(cut); // cut off by a crash, and not dealt with yet
    const old = this.#sessions.get(clientId);
    if (old !== undefined && old.principal.name !== principal.name) return SESSION_FOREIGN;
    if (old === undefined && !this.#room.admit(expirySeconds > 0)) return SESSIONS_FULL;
    const expiry = Math.min(expirySeconds, this.#limits.sessionExpiryMaxMs / 1000);
    if (old?.connected) this.#takeOver(old);
    // A session that was to end with its connection has just ended, if it was taken over.
    const kept = this.#sessions.get(clientId);
    if (kept !== undefined && !cleanStart) {
      this.#wheel.cancel(kept.expiryTimer);
      this.#room.onBack(kept);
      this.wills.onBack(kept);
      kept.principal = principal;
      kept.expirySeconds = expiry;
      kept.disconnectedMs = 0;
      this.#save(kept);
      return { session: kept, present: true };
    }
    if (kept !== undefined) this.#end(kept);
    const record = expiry > 0 ? this.store.createReceiver("session", clientId) : null;
    const session = new Session(this, clientId, principal, record, expiry);
    if (session.queue.persistent) this.store.register(session.queue);
    this.#enter(session);
    this.#save(session);
    return { session, present: false };
  }

  /** Ends the session that a client does not want back. @returns whether its end is to be stored before the client is told */
  discard(clientId: string, principal: Principal): boolean {
    const old = this.#sessions.get(clientId);
    if (!old?.durable || old.principal.name !== principal.name) return false;
    if (old.connected) this.#takeOver(old);
    if (this.#sessions.get(clientId) === old) this.#end(old);
    return this.store.health === "ok";
  }

  /** Makes room for the will of a CONNECT; `attach` takes it over. @returns false when sessions and wills together take too much (counted) */
  admitWill(will: Will | null): boolean {
    return this.wills.admit(will);
  }

  /** The will is no more. */
  releaseWill(will: Will | null): void {
    this.wills.release(will);
  }

  /** The connection is ready: what waited and what was in flight goes out. Call after CONNACK is written. */
  attach(session: Session, outlet: SessionOutlet, windowMax: number, will: Will | null, present: boolean): void {
    this.connectedCount++;
    this.connectedMax = Math.max(this.connectedMax, this.connectedCount);
    this.wills.keep(session, will);
    session.attach(outlet, windowMax, present);
    session.shares?.pump();
  }

  /**
   * The connection is gone. Does nothing when another one has taken the session over.
   * @param sendWill false after a normal DISCONNECT
   */
  detach(session: Session, outlet: SessionOutlet, sendWill: boolean): void {
    if (session.outlet !== outlet) return;
    session.outlet = null;
    this.connectedCount--;
    session.feed.clear();
    session.shares?.onGone();
    session.queue.detach();
    session.disconnectedMs = this.time.ageMs();
    if (!sendWill) this.wills.cancel(session);
    if (session.expirySeconds === 0) {
      this.#end(session);
      return;
    }
    this.wills.send(session);
    this.#scheduleExpiry(session);
    this.#save(session);
    this.#room.onAway(session);
  }

  /** Off-time was counted: who has been away before it may end sooner, and its will go out. */
  onAged(): void {
    for (const session of this.#sessions.values()) {
      if (session.willTimer.armed) this.wills.send(session);
      if (session.expiryTimer.armed) this.#scheduleExpiry(session);
    }
  }

  /** @returns null when the client has too many, or all clients together have (counted) */
  subscribe(session: Session, subscription: SubscriptionRecord): { isNew: boolean } | null {
    const { filter } = subscription;
    const isNew = !session.subscriptions.has(filter);
    if (isNew && !this.#admit(session, filter)) {
      this.#subscriptionsRefused.value++;
      return null;
    }
    session.subscriptions.set(filter, subscription);
    if (isShared(filter)) this.#groups.join(session, subscription);
    else this.#route(session, subscription);
    if (session.durable) this.store.putSubscription(session.queue.id, subscription);
    return { isNew };
  }

  unsubscribe(session: Session, filter: string): boolean {
    if (!session.subscriptions.delete(filter)) return false;
    session.feed.remove(filter);
    this.#leave(session, filter);
    if (session.durable) this.store.deleteSubscription(session.queue.id, filter);
    return true;
  }

  // ---- SessionHost -------------------------------------------------------------------------------------------

  onSessionTimer(session: Session, kind: number): void {
    if (session.connected) return;
    if (kind === WILL_TIMER) {
      this.wills.publish(session);
      return;
    }
    this.#expired.value++;
    this.#end(session);
  }

  // ------------------------------------------------------------------------------------------------------------

  /** Makes room for a subscription that is new. */
  #admit(session: Session, filter: string): boolean {
    if (session.subscriptions.size >= this.#limits.subscriptionsPerClient) return false;
    if (!this.#subscriptionMemory.take(bytesOfSubscription(filter))) return false;
    if (!isShared(filter) || this.#groups.admit(filter)) return true;
    this.#subscriptionMemory.give(bytesOfSubscription(filter));
    return false;
  }

  #route(session: Session, { filter, options, subscriptionId }: SubscriptionRecord): void {
    this.#router.subscribe(session, filter, options, subscriptionId);
  }

  /** The end of a subscription, but for the session's list and the store's. */
  #leave(session: Session, filter: string): void {
    this.#subscriptionMemory.give(bytesOfSubscription(filter));
    if (isShared(filter)) this.#groups.leave(session, filter);
    else this.#router.unsubscribe(session, filter);
  }

  #takeOver(session: Session): void {
    this.#takenOver.value++;
    const outlet = session.outlet as SessionOutlet;
    outlet.onTakenOver();
    // [MQTT5-3.1.4-3]: the will of the old connection is published unless its delay spans the new one.
    this.detach(session, outlet, true);
  }

  /** Its connection ended with the last run. */
  #onCut(session: Session): void {
    if (session.expirySeconds === 0) this.#end(session);
    else this.wills.send(session);
  }

  #end(session: Session): void {
    this.#wheel.cancel(session.expiryTimer);
    this.wills.publish(session);
    for (const filter of session.subscriptions.keys()) this.#leave(session, filter);
    this.#router.leave(session);
    const { queue } = session;
    this.#sessions.delete(session.clientId);
    session.inbound.end();
    this.#room.leave(session);
    if (!queue.persistent) return;
    queue.end();
    this.store.deleteSession(session.clientId, queue);
  }

  #save(session: Session): void {
    const { queue } = session;
    if (!queue.persistent) return;
    this.store.putSession({
      receiver: queue.save(),
      clientId: session.clientId,
      principal: session.principal.name,
      expirySeconds: session.expirySeconds,
      disconnectedMs: session.disconnectedMs,
      subscriptions: [],
      inboundIds: [],
    });
  }

  #restore(record: SessionRecord): void {
    const principal: Principal = { name: record.principal, clientId: record.clientId };
    const session = new Session(this, record.clientId, principal, record.receiver, record.expirySeconds);
    for (const id of record.inboundIds) session.inbound.add(id);
    if (session.queue.persistent) this.store.register(session.queue);
    this.#enter(session);
    for (const subscription of record.subscriptions) {
      session.subscriptions.set(subscription.filter, subscription);
      this.#subscriptionMemory.takeAnyway(bytesOfSubscription(subscription.filter));
      if (isShared(subscription.filter)) this.#groups.restore(session, subscription);
      else this.#route(session, subscription);
    }
    // Connected when the gateway stopped: it counts as gone from now on.
    session.disconnectedMs = record.disconnectedMs === 0 ? this.time.ageMs() : record.disconnectedMs;
    this.#scheduleExpiry(session);
    this.#room.onAway(session);
    // Not from now on again, should the gateway be cut off again.
    if (record.disconnectedMs === 0) this.#save(session);
  }

  #scheduleExpiry(session: Session): void {
    const restMs = session.expirySeconds * 1000 - this.time.elapsedMs(session.disconnectedMs);
    this.#wheel.schedule(session.expiryTimer, Math.max(0, restMs));
  }

  #restoreWill(record: WillRecord): void {
    const { clientId } = record;
    let session = this.#sessions.get(clientId);
    if (session === undefined) {
      // It ended with its connection; who it was is still asked for.
      session = new Session(this, clientId, { name: record.principal, clientId }, null, 0);
      this.#enter(session);
    }
    this.wills.restore(session, record);
  }

  #enter(session: Session): void {
    this.#room.enter(session);
    this.#router.join(session);
    this.#sessions.set(session.clientId, session);
  }
}
