/**
 * The list of observers (RFC 7641 section 4.1) of all CoAP listeners of a gateway: who is in it, who may come in, and
 * who has to go. An entry is named by its client and token; a client is a peer of a listener.
 *
 * Bounded by entries, entries of a client, and bytes of text. When it is full, an entry of a client that never showed
 * that it is at its address gives way; else who comes is answered without being entered.
 */
import type { Counter } from "../../../base/counters.ts";
import { type Expirable, Timer } from "../../../base/timer-wheel.ts";
import type { Message } from "../../../core/message.ts";
import { RETRY_AFTER_SECONDS } from "../../../core/plain-publish.ts";
import type { Authority, Principal } from "../../../core/ports.ts";
import type { Receiver } from "../../../core/receiver.ts";
import { FORBIDDEN, MAX_AGE, SERVICE_UNAVAILABLE } from "../../../wire/coap/codes.ts";
import { uintOption } from "../../../wire/coap/options.ts";
import type { Peer } from "../message/peer.ts";
import { type ObserverLimits, textBytesOf } from "./limits.ts";
import type { Notification } from "./notification.ts";
import { Notifier, type NotifierHost, type NotifierParts, SILENCE_MS } from "./notifier.ts";
import { Observer, type Wanted } from "./observer.ts";
import { type ObserverRecord, ObserverRecords, type RecordStore } from "./records.ts";
import { type ObservedListener, Watcher } from "./watcher.ts";

/** How often rights, expiry and silence are looked at. */
const LOOK_MS = 1_000;
/** A client that has not shown in so long that it is at its address gives way to another. */
const UNPROVEN_MS = 10_000;
/** Records of listeners that are not there after so long are deleted. */
const LISTENERS_MS = 60_000;
/** SUBSCRIBE's No Local. */
const NO_LOCAL = 0b100;
const NO_BYTES: Buffer = Buffer.alloc(0);

export interface ObserverParts extends NotifierParts {
  readonly router: NotifierParts["router"] & {
    join(receiver: Receiver): void;
    leave(receiver: Receiver): void;
    subscribe(receiver: Receiver, filter: string, options: number, subscriptionId: number): boolean;
    unsubscribe(receiver: Receiver, filter: string): boolean;
  };
  readonly authority: Pick<Authority, "mayRead" | "maySubscribe" | "generation">;
  readonly store: RecordStore;
  /** Keeps a value that was notified with its first block, for the client to fetch the rest. */
  readonly largeValues: { keep(peer: Peer, filter: string, message: Message): boolean };
}

/** Who registers, and for what. */
export interface Registration {
  readonly listener: ObservedListener;
  readonly peer: Peer;
  /** A character for each byte. */
  readonly token: string;
  readonly filter: string;
  readonly principal: Principal;
  readonly wanted: Wanted;
  /** Largest datagram for the client while its address is not proven. */
  readonly bytesMax: number;
  /** It is to outlive the process. */
  readonly keeps: boolean;
}

export class Observers implements NotifierHost, Expirable {
  readonly #parts: ObserverParts;
  readonly #limits: ObserverLimits;
  readonly #notifier: Notifier;
  readonly #records: ObserverRecords;
  readonly #watchers = new Map<Peer, Watcher>();
  readonly #timer = new Timer(this, 0);
  #count = 0;
  #textBytes = 0;
  #generation: number;
  /** Those that there are, whether their clients are there or not. */
  readonly #listeners = new Set<ObservedListener>();
  /** Until then a listener may come whose records are there. */
  #leftUntilMs: number;
  readonly #refused: Counter;
  readonly #evicted: Counter;

  constructor(parts: ObserverParts, limits: ObserverLimits) {
    const { counters, authority, clock } = parts;
    this.#parts = parts;
    this.#limits = limits;
    this.#notifier = new Notifier(parts, this, limits);
    this.#records = new ObserverRecords(parts.store);
    this.#leftUntilMs = clock.nowMs() + LISTENERS_MS;
    this.#generation = authority.generation;
    this.#refused = counters.counter("coap.observers_refused");
    this.#evicted = counters.counter("coap.observers_evicted");
    counters.gauge("coap.observers", () => this.#count);
    if (this.#records.left > 0) this.#look();
  }

  get clients(): number {
    return this.#watchers.size;
  }

  get count(): number {
    return this.#count;
  }

  /** @param token  a character for each byte */
  find(peer: Peer, token: string): Observer | null {
    return this.#watchers.get(peer)?.find(token) ?? null;
  }

  /** Slot of the client's observers, for No Local; -1 = it has none. */
  slotOf(peer: Peer): number {
    return this.#watchers.get(peer)?.kinSlot ?? -1;
  }

  // ---- in ----------------------------------------------------------------------------------------------------

  /** Enters an observer, or renews the entry that its client has under the token. @returns null when it is full */
  register(registration: Registration): Observer | null {
    const { listener, peer, token, filter, principal, wanted, bytesMax } = registration;
    const known = this.find(peer, token);
    if (known !== null && known.filter === filter && isSame(known.principal, principal) && known.final === 0) {
      this.#renew(known, registration);
      return known;
    }
    if (known !== null) this.remove(known);
    if (registration.keeps) this.#removeElsewhere(registration);
    if (listener.line !== null) this.#removeForgotten(registration);
    const watcher = this.#watchers.get(peer) ?? new Watcher(listener, peer);
    if (!this.#hasRoom(watcher, textBytesOf(filter, principal)) || !this.#hold(watcher)) {
      this.#refused.value++;
      return null;
    }
    const { router, clock } = this.#parts;
    const observer = new Observer(this.#notifier, watcher, filter, token, principal, wanted, bytesMax);
    observer.place = known?.place ?? 0;
    observer.interestMs = clock.nowMs();
    watcher.add(observer);
    this.#count++;
    this.#textBytes += textBytesOf(filter, principal);
    listener.endpoint.begin(observer.out, peer, bytesMax);
    if (watcher.isProven()) watcher.prove();
    router.join(observer);
    this.#subscribe(observer);
    if (registration.keeps) this.#records.keep(observer);
    if (!this.#timer.armed) this.#look();
    return observer;
  }

  #renew(observer: Observer, { wanted, keeps }: Registration): void {
    const { accept, szx, qos, noLocal } = observer.wanted;
    const isOther = qos !== wanted.qos || noLocal !== wanted.noLocal;
    if (!keeps || isOther || accept !== wanted.accept || szx !== wanted.szx) this.#records.forget(observer);
    observer.wanted = wanted;
    observer.restored = false;
    observer.interestMs = this.#parts.clock.nowMs();
    if (isOther) this.#subscribe(observer);
    this.#notifier.renew(observer);
    if (keeps && !observer.kept) this.#records.keep(observer);
  }

  /** A client whose address changed: its observation at the old one is over. */
  #removeElsewhere({ peer, token, filter, principal }: Registration): void {
    for (const watcher of this.#watchers.values()) {
      if (watcher.peer === peer) continue;
      const other = watcher.find(token);
      if (other?.kept && other.filter === filter && isSame(other.principal, principal)) this.remove(other);
    }
  }

  /**
   * A device that was reset begins with new tokens, and should reset those that it does not know (RFC 7641 section 3.2).
   * Simple ones acknowledge all; their places would run out, one with each start.
   */
  #removeForgotten({ peer, filter, principal, keeps }: Registration): void {
    let at = this.#watchers.get(peer)?.first ?? null;
    while (keeps && at !== null) {
      const other = at;
      at = at.next;
      if (other.restored && other.filter === filter && isSame(other.principal, principal)) this.remove(other);
    }
  }

  #subscribe(observer: Observer): void {
    const { qos, noLocal } = observer.wanted;
    this.#parts.router.subscribe(observer, observer.filter, qos | (noLocal ? NO_LOCAL : 0), 0);
  }

  #hasRoom(watcher: Watcher, textBytes: number): boolean {
    const { observersMax, observersPerPeerMax, textBytesMax } = this.#limits;
    if (watcher.count >= observersPerPeerMax) return false;
    // Who is away keeps the place.
    const entriesMax = observersMax - this.#records.left;
    const takenMax = textBytesMax - textBytes - this.#records.leftTextBytes;
    const fits = (): boolean => this.#count < entriesMax && this.#textBytes <= takenMax;
    if (fits()) return true;
    const latestMs = this.#parts.clock.nowMs() - UNPROVEN_MS;
    for (const other of this.#watchers.values()) {
      const { first } = other;
      if (other === watcher || other.isProven() || first === null || first.interestMs > latestMs) continue;
      this.#evicted.value++;
      this.remove(first);
      if (fits()) return true;
    }
    return false;
  }

  /** A client's first observer makes sure that the client is remembered. */
  #hold(watcher: Watcher): boolean {
    if (this.#watchers.has(watcher.peer)) return true;
    if (!watcher.listener.endpoint.tables.peers.hold(watcher.peer)) return false;
    this.#watchers.set(watcher.peer, watcher);
    return true;
  }

  // ---- out ---------------------------------------------------------------------------------------------------

  remove(observer: Observer): void {
    this.#records.forget(observer);
    this.#take(observer);
  }

  /** Ends an observation with an error, which removes it when it has arrived. */
  end(observer: Observer, code: number): void {
    if (observer.final !== 0) return;
    this.#records.forget(observer);
    this.#leave(observer);
    this.#notifier.clear(observer);
    observer.final = code;
    this.#notifier.onReady(observer.watcher);
  }

  /**
   * All observations of a client end.
   * @param code what it is told; 0 = nothing, as it said so itself
   */
  endAll(principal: Principal, code: number): void {
    for (const watcher of [...this.#watchers.values()]) {
      for (let at = watcher.first; at !== null; ) {
        const observer = at;
        at = at.next;
        if (!isSame(observer.principal, principal)) continue;
        if (code === 0) this.remove(observer);
        else this.end(observer, code);
      }
    }
  }

  #take(observer: Observer): void {
    const { watcher, filter, principal } = observer;
    if (!watcher.delete(observer)) return;
    this.#leave(observer);
    this.#notifier.forget(observer);
    watcher.listener.endpoint.end(observer.out);
    watcher.listener.endpoint.tables.sentNons.forget(observer.out);
    this.#count--;
    this.#textBytes -= textBytesOf(filter, principal);
    if (watcher.count > 0) return;
    this.#watchers.delete(watcher.peer);
    watcher.listener.endpoint.tables.peers.release(watcher.peer);
  }

  #leave(observer: Observer): void {
    if (observer.slot < 0) return;
    this.#parts.router.unsubscribe(observer, observer.filter);
    this.#parts.router.leave(observer);
  }

  // ---- listeners and restarts --------------------------------------------------------------------------------

  /** A listener is there, if not its clients: what they observed before waits for `open`. */
  expect(listener: ObservedListener): void {
    this.#listeners.add(listener);
  }

  /** Its clients are, too: what they observed before goes on, and they are told the present value. */
  open(listener: ObservedListener): void {
    this.#records.takeUp(listener.name, (record) => listener.lasting && this.#restore(listener, record));
  }

  /** @returns false when there is no place for it */
  #restore(listener: ObservedListener, record: ObserverRecord): boolean {
    const { address, port, token, filter, wanted, bytesMax } = record;
    const { peers } = listener.endpoint.tables;
    const { endpoint, line } = listener;
    const peer = peers.take(endpoint, peers.hashOf(address), address, port, line, line !== null);
    const principal = { name: record.principal, clientId: record.clientId };
    const registration = { listener, peer, token, filter, principal, wanted, bytesMax, keeps: false };
    const observer = this.register(registration);
    if (observer === null) return false;
    observer.kept = true;
    observer.restored = true;
    observer.stale = true;
    if (observer.isWildcard) this.tellRetained(observer);
    if (!this.#may(observer)) this.end(observer, FORBIDDEN);
    this.#notifier.onReady(observer.watcher);
    return true;
  }

  /** A registration was answered. @param isTold false = it could not be told of `value` yet */
  told(observer: Observer, value: Message | undefined, isTold: boolean, answer: Notification): void {
    if (isTold) {
      this.#notifier.told(observer, value ?? null, answer);
    } else {
      observer.stale = true;
      this.#notifier.onReady(observer.watcher);
    }
  }

  /** The retained values of a wildcard are to be notified. */
  tellRetained(observer: Observer): void {
    observer.walk = { place: "" };
    this.#notifier.onReady(observer.watcher);
  }

  /** The listener closes. What the store has stays there; who is not in it is told to register anew, once. */
  close(listener: ObservedListener): void {
    this.#takeAll(listener, true);
    this.#listeners.delete(listener);
    this.#leftUntilMs = this.#parts.clock.nowMs() + LISTENERS_MS;
    if (this.#records.left > 0) this.#look();
  }

  /** Nobody is there at the listener's line: what the store has waits for `open`. */
  suspend(listener: ObservedListener): void {
    this.#takeAll(listener, false);
  }

  #takeAll(listener: ObservedListener, saysGoodbye: boolean): void {
    const options = [uintOption(MAX_AGE, RETRY_AFTER_SECONDS)];
    for (const watcher of [...this.#watchers.values()]) {
      if (watcher.listener !== listener) continue;
      for (let at = watcher.first; at !== null; at = watcher.first) {
        if (at.kept) this.#records.leave(at);
        else if (saysGoodbye && at.final === 0 && watcher.isProven())
          watcher.send(at, false, SERVICE_UNAVAILABLE, options, NO_BYTES);
        this.#take(at);
      }
    }
    if (this.#count === 0) this.#parts.wheel.cancel(this.#timer);
  }

  // ---- time --------------------------------------------------------------------------------------------------

  #look(): void {
    this.#parts.wheel.schedule(this.#timer, LOOK_MS);
  }

  onTimer(): void {
    const { authority, clock } = this.#parts;
    const nowMs = clock.nowMs();
    const mayComeYet = nowMs < this.#leftUntilMs;
    if (!mayComeYet) this.#records.deleteLeft(new Set([...this.#listeners].map(({ name }) => name)));
    const isReloaded = this.#generation !== authority.generation;
    this.#generation = authority.generation;
    for (const watcher of this.#watchers.values()) {
      for (let at = watcher.first; at !== null; at = at.next) this.#lookAt(at, nowMs, isReloaded);
    }
    if (this.#count > 0 || (mayComeYet && this.#records.left > 0)) this.#look();
  }

  #lookAt(observer: Observer, nowMs: number, isReloaded: boolean): void {
    if (isReloaded && !this.#may(observer)) {
      this.end(observer, FORBIDDEN);
    } else if (nowMs >= observer.expiresMs || nowMs - observer.interestMs >= SILENCE_MS) {
      if (observer.stale || observer.watcher.current === observer) return;
      observer.expiresMs = Number.POSITIVE_INFINITY;
      observer.stale = true;
      this.#notifier.onReady(observer.watcher);
    }
  }

  #may({ principal, filter, isWildcard }: Observer): boolean {
    const { authority } = this.#parts;
    return authority.maySubscribe(principal, filter) && (isWildcard || authority.mayRead(principal, filter));
  }

  onPart({ watcher, filter }: Observer, message: Message): void {
    this.#parts.largeValues.keep(watcher.peer, filter, message);
  }
}

function isSame(a: Principal, b: Principal): boolean {
  return a.name === b.name && a.clientId === b.clientId;
}
