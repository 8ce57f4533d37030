/**
 * A receiver that is a device on a wire: a serial line's write side, a field bus. It takes QoS 1 at most, for no wire has
 * an exchange that could make QoS 2 of it, and each message once. At QoS 1 it is durable: what is not acknowledged waits
 * in the queue while the device is away, also over a restart.
 *
 *     router --> QoS 0: deliver --------------------> writer
 *        +-----> QoS 1: queue --> prepare, write ---> writer --> acknowledge
 */
import type { DeliveryQueue } from "./delivery-queue.ts";
import type { Message } from "./message.ts";
import type { Outlet } from "./outlet.ts";
import type { Principal } from "./ports.ts";
import type { Publication } from "./publication.ts";
import type { Receiver } from "./receiver.ts";

/** SUBSCRIBE's No Local: what the device says does not come back to it. */
const NO_LOCAL = 0b100;

export interface DeviceRouter {
  join(receiver: Receiver): void;
  leave(receiver: Receiver): void;
  subscribe(receiver: Receiver, filter: string, options: number, subscriptionId: number): boolean;
  unsubscribe(receiver: Receiver, filter: string): boolean;
}

/** What messages become on the wire. */
export interface DeviceWriter {
  /** QoS 0: to be written now, or dropped and counted. The publication is valid until return. */
  deliver(publication: Publication): void;
  /** @returns false for a message that is nothing on the wire: it has been counted, and is done with */
  prepare(message: Message): boolean;
  /** Writes what was prepared last; `acknowledge` says that it is done. */
  write(message: Message, packetId: number): void;
  /** Whether one more is taken; `DeviceReceiver.pump` says that it is again. */
  writable(): boolean;
}

/** What is subscribed to. */
export interface DeviceFilter {
  readonly topic: string;
  readonly qos: number;
}

export class DeviceReceiver implements Receiver, Outlet {
  slot = -1;
  readonly principal: Principal;
  readonly queue: DeliveryQueue | null;
  /** Where filters that overlap differ in QoS. */
  grantOf?: (topic: string) => number;
  readonly #router: DeviceRouter;
  readonly #filters: readonly DeviceFilter[];
  readonly #writer: DeviceWriter;
  /** Messages written and not acknowledged. */
  readonly #windowMax: number;
  #isAttached = false;

  /** @param queue null: QoS 0, whatever the filters say */
  constructor(
    router: DeviceRouter,
    principal: Principal,
    filters: readonly DeviceFilter[],
    writer: DeviceWriter,
    queue: DeliveryQueue | null,
    windowMax: number,
  ) {
    this.#router = router;
    this.principal = principal;
    this.#filters = filters;
    this.#writer = writer;
    this.queue = queue;
    this.#windowMax = windowMax;
  }

  get durable(): boolean {
    return this.queue !== null;
  }

  start(): void {
    this.#router.join(this);
    for (const { topic, qos } of this.#filters) this.#router.subscribe(this, topic, this.grant(qos) | NO_LOCAL, 0);
  }

  close(): void {
    this.detach();
    for (const { topic } of this.#filters) this.#router.unsubscribe(this, topic);
    this.#router.leave(this);
  }

  /** What a filter of that QoS is granted. */
  grant(qos: number): number {
    return this.queue === null ? 0 : Math.min(qos, 1);
  }

  /** The device is there: what waits is written. */
  attach(): void {
    this.#isAttached = true;
    this.queue?.attach(this, this.#windowMax, false);
  }

  /** The device is away: what is not acknowledged is written anew when it is back. */
  detach(): void {
    this.#isAttached = false;
    this.queue?.detach();
  }

  /** The writer takes more. */
  pump(): void {
    this.queue?.pump();
  }

  /** One that was written before the device went away is not meant any more. */
  acknowledge(packetId: number): void {
    if (this.#isAttached && packetId !== 0) this.queue?.onPuback(packetId);
  }

  // ---- what the router and the queue ask ---------------------------------------------------------------------

  effectiveQos(publishQos: number, grantedQos: number): number {
    return Math.min(publishQos, grantedQos, 1);
  }

  congested(): boolean {
    return this.queue?.congested ?? false;
  }

  deliver(publication: Publication, _options: number, _subscriptionIds: readonly number[] | null): void {
    this.#writer.deliver(publication);
  }

  parts(message: Message): number {
    return this.#writer.prepare(message) ? 1 : 0;
  }

  partOptions(_message: Message, _part: number, options: number): number {
    return options;
  }

  sendPublish(
    message: Message,
    _part: number,
    _options: number,
    _subscriptionIds: readonly number[] | null,
    packetId: number,
    _dup: boolean,
  ): void {
    this.#writer.write(message, packetId);
  }

  sendPubrel(_packetId: number): void {}

  writable(): boolean {
    return this.#writer.writable();
  }
}
