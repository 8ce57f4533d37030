/**
 * Messages on their way to the program: its handler gets them one at a time, the next when it has done with the one
 * before.
 *
 *     router ── QoS 0 ──────────────────> waiting ── handler ──> done
 *     router ── durable: queue, log ────> waiting ── handler ──> acknowledged
 *
 * What waits is bounded. Without `durable` a message that finds no room is lost, counted and in the ledger; with it the
 * log holds it, over restarts too, until the handler has done with it.
 */
import type { Counter, Counters } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import { RingBuffer } from "../base/ring-buffer.ts";
import type { DeliveryQueue } from "../core/delivery-queue.ts";
import type { Ledger } from "../core/ledger.ts";
import type { Message as KeptMessage } from "../core/message.ts";
import { decodePropertiesBlock } from "../core/message-properties.ts";
import type { Outlet } from "../core/outlet.ts";
import type { TimeSource } from "../core/ports.ts";
import type { Publication } from "../core/publication.ts";
import { DELIVERY_QOS, DELIVERY_RETAIN, type Receiver } from "../core/receiver.ts";
import type { Retained } from "../core/retained.ts";
import type { Router } from "../core/router.ts";
import { UNSPECIFIED_ERROR } from "../wire/mqtt/codes.ts";
import type { Message, MessageHandler, SubscribeOptions } from "./message.ts";

/** Messages of a durable subscription that the handler has not done with, in memory. */
export const DURABLE_WINDOW = 64;
export const MESSAGES_MAX = 1000;

export interface SubscriptionParts {
  /** Of messages that wait for the handler: `limits.output_bytes`, as for any receiver that is there. */
  readonly bytesMax: number;
  readonly router: Router;
  readonly retained: Retained;
  readonly ledger: Ledger;
  readonly clock: TimeSource;
  readonly counters: Counters;
  readonly log: Log;
}

interface Waiting {
  readonly message: Message;
  /** 0 = nobody waits for an acknowledgement. */
  readonly packetId: number;
}

export class LocalSubscription implements Receiver, Outlet {
  slot = -1;
  /** The program may read everything. */
  readonly principal = null;
  readonly filter: string;
  readonly #label: string;
  readonly #parts: SubscriptionParts;
  readonly #handler: MessageHandler;
  readonly #waiting: RingBuffer<Waiting>;
  readonly #dropped: Counter;
  readonly #failed: Counter;
  #queue: DeliveryQueue | null = null;
  #values: Generator<string | null> | null;
  #bytes = 0;
  #running = false;
  #open = true;

  /** @param queue null: nothing is kept */
  constructor(
    parts: SubscriptionParts,
    filter: string,
    handler: MessageHandler,
    options: SubscribeOptions,
    queue: DeliveryQueue | null,
  ) {
    this.#parts = parts;
    this.filter = filter;
    this.#handler = handler;
    this.#queue = queue;
    this.#label = `library:${options.durable ?? filter}`;
    this.#waiting = new RingBuffer(queue === null ? (options.messagesMax ?? MESSAGES_MAX) : DURABLE_WINDOW);
    this.#dropped = parts.counters.counter("library.dropped");
    this.#failed = parts.counters.counter("library.handler_failed");
    const wantsValues = queue === null && options.retained !== false;
    this.#values = wantsValues ? parts.retained.match(filter) : null;
  }

  start(): void {
    const { router } = this.#parts;
    router.join(this);
    router.subscribe(this, this.filter, 2, 0);
    this.#queue?.attach(this, DURABLE_WINDOW, true);
    this.#run();
  }

  /** No more messages come. What a durable subscription has not done with stays for the next one of its name. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#queue?.detach();
    this.#parts.router.unsubscribe(this, this.filter);
    this.#parts.router.leave(this);
    this.#waiting.clear();
    this.#bytes = 0;
    this.#values = null;
  }

  // ---- Receiver ----------------------------------------------------------------------------------------------

  get queue(): DeliveryQueue | null {
    return this.#queue;
  }

  get durable(): boolean {
    return this.#queue !== null;
  }

  /** At QoS 1 the handler's end is the acknowledgement; QoS 2 has no meaning within a process. */
  effectiveQos(publishQos: number, _grantedQos: number): number {
    return this.#queue === null ? 0 : Math.min(publishQos, 1);
  }

  congested(): boolean {
    return this.#queue?.congested ?? false;
  }

  deliver(p: Publication, options: number, _subscriptionIds: readonly number[] | null): void {
    const retain = (options & DELIVERY_RETAIN) !== 0;
    if (!this.#hasRoom) {
      this.#dropped.value++;
      const { ledger, clock } = this.#parts;
      ledger.record(this.#label, () => p.topic, "queue-full", clock.wallMs());
      return;
    }
    const payload = Buffer.from(p.bytes.subarray(p.payloadFrom, p.payloadEnd));
    const { properties } = decodePropertiesBlock(p.bytes, p.propertiesFrom, p.propertiesEnd - p.propertiesFrom);
    this.#push({ topic: p.topic, payload, qos: p.qos, retain, properties }, 0);
  }

  // ---- Outlet ------------------------------------------------------------------------------------------------

  parts(_message: KeptMessage): number {
    return 1;
  }

  partOptions(_message: KeptMessage, _part: number, options: number): number {
    return options;
  }

  sendPublish(
    message: KeptMessage,
    _part: number,
    options: number,
    _subscriptionIds: readonly number[] | null,
    packetId: number,
    _dup: boolean,
  ): void {
    this.#push(messageOf(message, options & DELIVERY_QOS, (options & DELIVERY_RETAIN) !== 0), packetId);
  }

  sendPubrel(_packetId: number): void {}

  writable(): boolean {
    return this.#hasRoom;
  }

  // ---- the handler -------------------------------------------------------------------------------------------

  get #hasRoom(): boolean {
    return this.#waiting.length < this.#waiting.capacityMax && this.#bytes < this.#parts.bytesMax;
  }

  #push(message: Message, packetId: number): void {
    this.#waiting.push({ message, packetId });
    this.#bytes += message.payload.length;
    if (!this.#running) this.#run();
  }

  /** In a turn of its own: a publisher never waits for the program. */
  #run(): void {
    this.#running = true;
    setImmediate(() => void this.#runHandler());
  }

  async #runHandler(): Promise<void> {
    for (let next = this.#next(); next !== undefined; next = this.#next()) await this.#handle(next);
    this.#running = false;
  }

  /** Retained values come first: each is read when its turn is there. */
  #next(): Waiting | undefined {
    for (let value = this.#values?.next(); value !== undefined; value = this.#values?.next()) {
      if (value.done === true) break;
      if (value.value === null) continue;
      const kept = this.#parts.retained.get(value.value);
      if (kept !== undefined) return { message: messageOf(kept, kept.qos, true), packetId: 0 };
    }
    this.#values = null;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) this.#bytes -= waiting.message.payload.length;
    return waiting;
  }

  async #handle({ message, packetId }: Waiting): Promise<void> {
    let reason = 0;
    try {
      await this.#handler(message);
    } catch (error) {
      reason = UNSPECIFIED_ERROR;
      this.#failed.value++;
      const why = error instanceof Error ? error.message : String(error);
      this.#parts.log.error("handler-failed", { subscription: this.#label, topic: message.topic, reason: why });
    }
    if (!this.#open || this.#queue === null) return;
    if (packetId !== 0) this.#queue.onPuback(packetId, reason);
    this.#queue.pump();
  }
}

function messageOf(m: KeptMessage, qos: number, retain: boolean): Message {
  const { properties } = decodePropertiesBlock(m.bytes, m.topicEnd, m.propertiesEnd - m.topicEnd);
  return { topic: m.topic, payload: Buffer.from(m.payload), qos, retain, properties };
}
