/**
 * One observation: a client's token, and the topic filter that it stands for. The router sees it as a receiver that is
 * live and keeps nothing; what it delivers waits here, the newest of each topic, until the client may be notified.
 *
 *     Router ──deliver──> waiting ──┐
 *     retained values ──> walk ─────┼──> the one notification under way ──> acknowledged, reset, given up
 *     told anew, expired ─> stale ──┘
 */
import type { Message } from "../../../core/message.ts";
import type { Principal } from "../../../core/ports.ts";
import type { Publication } from "../../../core/publication.ts";
import type { Receiver } from "../../../core/receiver.ts";
import type { WalkPlace } from "../../../core/retained-index.ts";
import { hasWildcard } from "../../../core/topic.ts";
import { NO_FORMAT } from "../../../wire/coap/content-format.ts";
import { OutgoingMessage, type OutgoingOwner } from "../message/outgoing.ts";
import type { Watcher } from "./watcher.ts";

/** What a registration asks for. */
export interface Wanted {
  /** 0 or 1: what is published at QoS 2 is told as at 1. */
  readonly qos: number;
  /** Not what the client itself publishes. */
  readonly noLocal: boolean;
  /** Content-Format that the client takes; NO_FORMAT = any. */
  readonly accept: number;
  /** Of the largest block that it takes. */
  readonly szx: number;
}

/** Told of what happens to an observer. */
export interface ObserverHost {
  onPublication(observer: Observer, publication: Publication): void;
  onAcknowledged(observer: Observer): void;
  onReset(observer: Observer): void;
  onGivenUp(observer: Observer): void;
  onFree(observer: Observer): void;
}

const NOTHING: Message[] = [];

export class Observer implements Receiver, OutgoingOwner {
  slot = -1;
  readonly principal: Principal;
  readonly #host: ObserverHost;
  readonly watcher: Watcher;
  readonly filter: string;
  readonly isWildcard: boolean;
  /** A character for each byte. */
  readonly token: string;
  /** In the list of the watcher. */
  next: Observer | null = null;
  readonly out: OutgoingMessage = new OutgoingMessage(this);
  wanted: Wanted;
  /** Largest datagram for the client while its address is not proven. */
  readonly bytesMax: number;

  /** Messages to be notified, the oldest first; of each topic only the newest. */
  waiting: Message[] = NOTHING;
  /** The topic's value is to be notified, as it is then; of a wildcard, that the observation lives. */
  stale = false;
  /** How far retained values have been notified; null = as far as they are to be. */
  walk: WalkPlace | null = null;
  /** Code of the notification that ends the observation; 0 = it goes on. */
  final = 0;
  /** That notification is under way. */
  isEnding = false;

  /** Of the last notification, see sequence.ts. */
  place = 0;
  /** The first Content-Format that it was notified of: the others have the same (RFC 7641 section 4.2). */
  format = NO_FORMAT;
  /** Monotonic ms of the last sign of the client's interest: it registered, or acknowledged. */
  interestMs = 0;
  /** NONs since the last CON. */
  nons = 0;
  /** Monotonic ms at which the value notified last expires; Infinity = it does not. */
  expiresMs = Number.POSITIVE_INFINITY;

  /** Message of the CON in flight; null = it tells something else, or none is. */
  inFlight: Message | null = null;
  /** Bytes that the CON in flight takes of those for all. */
  inFlightBytes = 0;
  /** Monotonic ms at which the CON in flight left. */
  sentMs = 0;
  /** Message ID in flight when the first of `waiting` took its place; -1 = none has. */
  replacedId = -1;
  /** The store has a record of it. */
  kept = false;
  /** It is from before a restart, or before its line was away, and its client has not registered again. */
  restored = false;

  constructor(
    host: ObserverHost,
    watcher: Watcher,
    filter: string,
    token: string,
    principal: Principal,
    wanted: Wanted,
    bytesMax: number,
  ) {
    this.#host = host;
    this.watcher = watcher;
    this.filter = filter;
    this.isWildcard = hasWildcard(filter);
    this.token = token;
    this.principal = principal;
    this.wanted = wanted;
    this.bytesMax = bytesMax;
  }

  /** Observers of one client stand for each other with No Local. */
  get kinSlot(): number {
    return this.watcher.kinSlot;
  }

  get queue(): null {
    return null;
  }

  get durable(): boolean {
    return false;
  }

  get hasMore(): boolean {
    return this.final !== 0 || this.stale || this.waiting.length > 0 || this.walk !== null;
  }

  effectiveQos(publishQos: number, grantedQos: number): number {
    return Math.min(publishQos, grantedQos);
  }

  congested(): boolean {
    return false; // states are superseded, nobody is slowed down
  }

  deliver(publication: Publication, _options: number, _subscriptionIds: readonly number[] | null): void {
    this.#host.onPublication(this, publication);
  }

  onAcknowledged(): void {
    this.#host.onAcknowledged(this);
  }

  onReset(): void {
    this.#host.onReset(this);
  }

  onGivenUp(): void {
    this.#host.onGivenUp(this);
  }

  onFree(): void {
    this.#host.onFree(this);
  }
}
