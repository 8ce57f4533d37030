/**
 * An MQTT session: what outlives the connection of a client. Subscriptions, the queue of what waits for it, the packet
 * ids of QoS 2 messages it has not released, its will.
 *
 * @see MQTT 5.0 section 4.1
 */

import type { Counter } from "../base/counters.ts";
import { type Expirable, Timer } from "../base/timer-wheel.ts";
import { DeliveryQueue } from "./delivery-queue.ts";
import { InboundIds } from "./inbound-ids.ts";
import { LiveQueue } from "./live-queue.ts";
import { MESSAGE_OVERHEAD_BYTES, type Message, messageOf } from "./message.ts";
import type { LiveOutlet } from "./outlet.ts";
import type { Principal, ReceiverRecord, SubscriptionRecord } from "./ports.ts";
import type { Publication } from "./publication.ts";
import { TAKES } from "./queue-limits.ts";
import { DELIVERY_QOS, type Receiver } from "./receiver.ts";
import { RetainedFeed } from "./retained-feed.ts";
import type { SessionHost } from "./session-host.ts";
import { Shares } from "./shares.ts";

/** The connection of a session's client. */
export interface SessionOutlet extends LiveOutlet {
  /** Writes a PUBLISH straight from the publication's bytes. `packetId` is 0 at QoS 0. */
  sendLive(
    publication: Publication,
    options: number,
    subscriptionIds: readonly number[] | null,
    packetId: number,
  ): void;
  /** Another connection takes the session over: say so and close. Its `detach` is a no-op then. */
  onTakenOver(): void;
}

/** A will: published when the connection ends without a normal DISCONNECT. */
export interface Will {
  readonly publication: Publication;
  readonly delaySeconds: number;
}

/** Kinds of a session's timers. */
export const EXPIRY_TIMER = 0;
export const WILL_TIMER = 1;

export class Session implements Receiver, Expirable {
  slot = -1;
  readonly clientId: string;
  principal: Principal;
  /** Whether the log keeps messages for it depends on whether it outlives its connection. */
  readonly queue: DeliveryQueue | LiveQueue;
  /** Seconds the session outlives its connection; 0 = it ends with it. */
  expirySeconds: number;
  /** Stamp; 0 while connected. */
  disconnectedMs = 0;
  /** By filter. */
  readonly subscriptions = new Map<string, SubscriptionRecord>();
  /** QoS 2 packet ids received and not released. */
  readonly inbound: InboundIds;
  will: Will | null = null;
  outlet: SessionOutlet | null = null;
  readonly feed: RetainedFeed;
  /** Its part in shared subscriptions; null until it has one. */
  shares: Shares | null = null;
  readonly expiryTimer = new Timer(this, EXPIRY_TIMER);
  readonly willTimer = new Timer(this, WILL_TIMER);
  readonly #host: SessionHost;
  readonly #outputDrops: Counter;

  /** @param record null: the session ends with its connection */
  constructor(
    host: SessionHost,
    clientId: string,
    principal: Principal,
    record: ReceiverRecord | null,
    expirySeconds: number,
  ) {
    this.#host = host;
    this.clientId = clientId;
    this.principal = principal;
    this.expirySeconds = expirySeconds;
    this.inbound = new InboundIds(host.inboundMemory);
    const label = `session:${clientId}`;
    this.queue =
      record === null
        ? new LiveQueue(host, label, host.queueLimits)
        : new DeliveryQueue(host, label, record, host.queueLimits);
    this.feed = new RetainedFeed(this, host);
    this.#outputDrops = host.outputDrops;
  }

  /** Whether the log keeps messages for it: it outlives its connection. */
  get durable(): boolean {
    return this.queue.persistent;
  }

  /** Its client is there. @param windowMax its Receive Maximum */
  attach(outlet: SessionOutlet, windowMax: number, resumed: boolean): void {
    this.outlet = outlet;
    const { queue } = this;
    if (queue.persistent) queue.attach(outlet, Math.min(windowMax, this.#host.inflightMax), resumed);
    else queue.attach(outlet, Math.min(windowMax, this.#host.inflightLiveMax));
  }

  get sharesOf(): Shares {
    this.shares ??= new Shares(this, this.#host.waitingMemory);
    return this.shares;
  }

  get connected(): boolean {
    return this.outlet !== null;
  }

  effectiveQos(publishQos: number, grantedQos: number): number {
    return publishQos < grantedQos ? publishQos : grantedQos;
  }

  deliver(p: Publication, options: number, subscriptionIds: readonly number[] | null): void {
    const outlet = this.outlet;
    if (outlet === null) return;
    const qos = options & DELIVERY_QOS;
    if (qos === 0) {
      if (outlet.writable()) outlet.sendLive(p, options, subscriptionIds, 0);
      else this.#dropLive(p);
      return;
    }
    const { queue } = this;
    if (!queue.persistent && queue.clear) {
      outlet.sendLive(p, options, subscriptionIds, queue.takePacketId(qos));
    } else if (queue.admit(p.length + MESSAGE_OVERHEAD_BYTES) === TAKES) {
      p.kept ??= messageOf(p, this.#host.time.ageMs());
      queue.enqueue(p.kept, options, subscriptionIds);
    } else {
      queue.dropNewest(() => p.topic);
    }
  }

  /** Puts a message of its own making in the queue, which has admitted it, and in the log if it has one. */
  keep(message: Message, options: number, subscriptionIds: readonly number[] | null): void {
    if (this.queue.persistent) {
      if (subscriptionIds !== null) message.subscriptionIds = new Map([[0, subscriptionIds]]);
      message.addReceiver(this.queue.id, options);
      this.#host.store.append(message);
    }
    this.queue.enqueue(message, options, subscriptionIds);
  }

  /** QoS of what is in flight under a packet id, 0 when nothing is. */
  qosInFlight(packetId: number): number {
    return this.shares?.has(packetId) ? 1 : this.queue.inflight.qosOf(packetId);
  }

  /** PUBACK of what its own queue sent, or of what a group has lent it. */
  onPuback(packetId: number, reasonCode = 0): void {
    if (this.shares?.onPuback(packetId, reasonCode)) this.queue.pump();
    else this.queue.onPuback(packetId, reasonCode);
  }

  /** The connection takes more: what waits goes on. */
  pump(): void {
    this.queue.pump();
    this.pumpOthers();
  }

  /** As `pump`, for what does not wait in its own queue. */
  pumpOthers(): void {
    if (!this.feed.empty) this.feed.pump();
    if (this.shares !== null) this.shares.pump();
  }

  onTimer(kind: number): void {
    this.#host.onSessionTimer(this, kind);
  }

  congested(): boolean {
    return this.queue.congested && this.outlet?.resting !== true;
  }

  #dropLive(p: Publication): void {
    this.#outputDrops.value++;
    this.#host.ledger.record(this.queue.label, () => p.topic, "output-full", this.#host.time.wallMs());
  }
}
