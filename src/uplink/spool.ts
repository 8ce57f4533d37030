/**
 * The way out: what the router knows of an uplink. A receiver like a session, with a queue on the log; what a session
 * writes as it stands goes out here under the topics of the forward rules.
 *
 *     router ──durable──> queue ──(window)──> parts ──> sendPublish ──> client
 *            ──QoS 0────────────────────────> deliver ────────────────>
 *
 * The router keeps one subscription per filter. What it is told of the rules' QoS lies in the grant's two bits, of
 * which it takes the highest for a topic: that says whether the message has to be stored. With which QoS it goes to
 * each remote topic is decided when it is sent.
 */
import type { Counter, Counters } from "../base/counters.ts";
import type { ForwardRule } from "../config/uplink-rules.ts";
import type { SpoolConfig } from "../config/uplink-spool.ts";
import { DeliveryQueue } from "../core/delivery-queue.ts";
import type { DropCause } from "../core/ledger.ts";
import type { Message } from "../core/message.ts";
import type { Outlet, QueueHost } from "../core/outlet.ts";
import type { Publication } from "../core/publication.ts";
import { DELIVERY_QOS, DELIVERY_RETAIN, deliveryOptions, type Receiver } from "../core/receiver.ts";
import { GRANT_NO_LOCAL, GRANT_RETAIN_AS_PUBLISHED } from "../core/route-cache.ts";
import type { Router } from "../core/router.ts";
import { CONNECTED, type MqttClient } from "./client.ts";
import { publishBytes, sendPublish } from "./publish-out.ts";
import { qosOf, type Target, TopicMap } from "./topic-map.ts";

export interface SpoolParts {
  readonly host: QueueHost;
  readonly router: Router;
  readonly counters: Counters;
}

export interface SpoolOptions {
  readonly name: string;
  readonly node: string;
  readonly forward: readonly ForwardRule[];
  readonly spool: SpoolConfig;
}

/** Bytes of messages that wait in memory for the window before the log takes over. */
export const SPOOL_WINDOW_BYTES = 64 * 1024;
/** Bytes of messages in flight (Message.size) beyond which no further one is sent: they are in memory. */
export const IN_FLIGHT_BYTES_MAX = 256 * 1024;

/** Grants, in the order in which the router prefers them. */
const GRANT_NEVER_STORED = 0;
const GRANT_KEEP = 1;
const GRANT_QOS_1 = 2;
const GRANT_QOS_2 = 3;

const NO_TARGETS: readonly Target[] = [];

export class Spool implements Receiver, Outlet {
  slot = -1;
  readonly principal = null;
  readonly queue: DeliveryQueue;
  readonly durable: boolean;
  /** The connection is about to be closed in order: nothing more is sent from the queue. */
  closing = false;
  /** PUBLISH packets written. */
  readonly sent: Counter;
  readonly #parts: SpoolParts;
  readonly #client: MqttClient;
  readonly #rules: readonly ForwardRule[];
  readonly #map: TopicMap;
  readonly #label: string;
  readonly #raises: boolean;
  /** The message whose targets `#targets` are: the one at the head of the queue is asked for again and again. */
  #message: Message | null = null;
  #targets: readonly Target[] = NO_TARGETS;
  /** Sizes of the messages in flight, by packet id. */
  readonly #sizes = new Map<number, number>();
  #inFlightBytes = 0;

  constructor(options: SpoolOptions, client: MqttClient, parts: SpoolParts) {
    const { name, node, forward, spool } = options;
    this.#parts = parts;
    this.#client = client;
    this.#rules = forward;
    this.#map = new TopicMap(forward, node);
    this.#label = `uplink:${name}`;
    this.#raises = forward.some(({ qos }) => qos === 1 || qos === 2);
    this.durable = forward.some(({ qos }) => qos !== 0);
    this.sent = parts.counters.counter(`uplink.${name}.sent`);
    const record = parts.host.store.createReceiver("uplink", name);
    const limits = {
      messages: spool.maxMessages,
      bytes: spool.maxBytes,
      onlineMessages: spool.maxMessages,
      onlineBytes: spool.maxBytes,
      maxAgeMs: spool.maxAgeMs,
      whenFull: spool.whenFull,
      windowBytes: SPOOL_WINDOW_BYTES,
    };
    this.queue = new DeliveryQueue(parts.host, this.#label, record, limits);
    parts.host.store.register(this.queue);
    parts.router.join(this);
    this.#subscribe(false);
  }

  /** Enters the rules' filters in the router. Rules that store nothing while offline are granted nothing then. */
  #subscribe(online: boolean): void {
    if (this.slot === -1) return; // it has left
    const grants = new Map<string, number>();
    for (const { match, qos, offline } of this.#rules) {
      const grant = online || offline === "store" ? grantOf(qos) : GRANT_NEVER_STORED;
      grants.set(match, Math.max(grants.get(match) ?? GRANT_NEVER_STORED, grant));
    }
    for (const [match, grant] of grants) {
      this.#parts.router.subscribe(this, match, grant | GRANT_NO_LOCAL | GRANT_RETAIN_AS_PUBLISHED, 0);
    }
  }

  // ---- the connection comes and goes -------------------------------------------------------------------------

  /** CONNACK came. What waited goes out. */
  attach(windowMax: number, resumed: boolean): void {
    this.#message = null;
    this.#sizes.clear();
    this.#inFlightBytes = 0;
    this.closing = false;
    if (this.#rules.some(({ offline }) => offline === "drop")) this.#subscribe(true);
    this.queue.attach(this, windowMax, resumed);
  }

  detach(): void {
    this.queue.detach();
    if (this.#rules.some(({ offline }) => offline === "drop")) this.#subscribe(false);
  }

  /** Its uplink has stopped for good: the router knows it no more. What the store has of it stays. */
  leave(): void {
    for (const { match } of this.#rules) this.#parts.router.unsubscribe(this, match);
    this.#parts.router.leave(this);
    this.queue.end();
  }

  // ---- Receiver ----------------------------------------------------------------------------------------------

  effectiveQos(publishQos: number, grant: number): number {
    switch (grant) {
      case GRANT_NEVER_STORED:
        return 0;
      case GRANT_KEEP:
        return publishQos;
      default:
        return this.#raises ? grant - 1 : 0;
    }
  }

  /** A spool on disk is what takes the pressure: publishers are not slowed down for it. */
  congested(): boolean {
    return false;
  }

  /** QoS 0, and what a rule does not store while offline: now or never. */
  deliver(p: Publication, options: number): void {
    if (this.#client.state !== CONNECTED) {
      this.#drop(() => p.topic, "offline");
      return;
    }
    const retain = (options & DELIVERY_RETAIN) !== 0;
    for (const { topic } of this.#map.targets(p.bytes, p.topicFrom, p.topicEnd)) {
      if (!this.#client.writable) {
        this.#drop(() => p.topic, "output-full");
      } else if (!this.#fits(topic, p.propertiesEnd - p.propertiesFrom, p.payloadEnd - p.payloadFrom)) {
        this.#drop(() => p.topic, "too-large");
      } else {
        sendPublish(
          this.#client,
          topic,
          p.bytes,
          p.propertiesFrom,
          p.propertiesEnd,
          p.payloadFrom,
          p.payloadEnd,
          0,
          retain,
          0,
          false,
          -1,
        );
        this.sent.value++;
      }
    }
  }

  // ---- Outlet ------------------------------------------------------------------------------------------------

  parts(message: Message): number {
    if (message !== this.#message) this.#aim(message);
    return this.#targets.length;
  }

  /** Finds the targets of a message; those it is too large for are dropped here, and counted once. */
  #aim(message: Message): void {
    this.#message = message;
    const { bytes, topicEnd, propertiesEnd } = message;
    const targets = this.#map.targets(bytes, 0, topicEnd);
    const fits = (target: Target): boolean =>
      this.#fits(target.topic, propertiesEnd - topicEnd, bytes.length - propertiesEnd);
    this.#targets = targets.every(fits) ? targets : targets.filter(fits);
    if (targets.length === 0) this.#drop(() => message.topic, "invalid");
    else if (this.#targets.length < targets.length) this.#drop(() => message.topic, "too-large");
  }

  partOptions(message: Message, part: number, options: number): number {
    const target = this.#targets[part] as Target;
    const qos = Math.min(qosOf(target, message.qos), this.#client.server?.qosMax ?? 2); // [MQTT5-3.2.2-11]
    return deliveryOptions(qos, (options & DELIVERY_RETAIN) !== 0);
  }

  sendPublish(
    message: Message,
    part: number,
    options: number,
    _subscriptionIds: readonly number[] | null,
    packetId: number,
    dup: boolean,
  ): void {
    const { bytes, topicEnd, propertiesEnd, expiresMs } = message;
    if (packetId !== 0) this.#note(packetId, message.size);
    const leftMs = expiresMs === 0 ? 0 : message.leftMs(this.#parts.host.time);
    sendPublish(
      this.#client,
      (this.#targets[part] as Target).topic,
      bytes,
      topicEnd,
      propertiesEnd,
      propertiesEnd,
      bytes.length,
      options & DELIVERY_QOS,
      (options & DELIVERY_RETAIN) !== 0,
      packetId,
      dup,
      expiresMs === 0 ? -1 : Math.max(1, Math.ceil(leftMs / 1000)),
    );
    this.sent.value++;
  }

  sendPubrel(packetId: number): void {
    this.#client.sendPubrel(packetId);
  }

  writable(): boolean {
    return !this.closing && this.#inFlightBytes < IN_FLIGHT_BYTES_MAX && this.#client.writable;
  }

  // ---- answers -----------------------------------------------------------------------------------------------

  #note(packetId: number, size: number): void {
    this.#sizes.set(packetId, size);
    this.#inFlightBytes += size;
  }

  /** PUBACK, PUBREC or PUBCOMP for `packetId` came; to be told before the queue. */
  answered(packetId: number): void {
    this.#inFlightBytes -= this.#sizes.get(packetId) ?? 0;
    this.#sizes.delete(packetId);
  }

  #fits(topic: Buffer, propertiesLength: number, payloadLength: number): boolean {
    const server = this.#client.server;
    if (server === null || server.packetBytesMax === Number.POSITIVE_INFINITY) return true;
    return publishBytes(server, topic.length, propertiesLength, payloadLength, 1) <= server.packetBytesMax;
  }

  #drop(topic: () => string, cause: DropCause): void {
    this.#parts.host.ledger.record(this.#label, topic, cause, this.#parts.host.time.wallMs());
  }
}

function grantOf(qos: ForwardRule["qos"]): number {
  if (qos === "keep") return GRANT_KEEP;
  return qos === 0 ? GRANT_NEVER_STORED : qos === 1 ? GRANT_QOS_1 : GRANT_QOS_2;
}
