/**
 * The messages of one priority on their way out: what the router knows of an uplink. A receiver like a session, with a
 * queue on the log; what a session writes as it stands goes out here under the topics of the forward rules.
 *
 *     router ──durable──> queue ──(window)──> parts ──> sendPublish ──> client
 *            ──QoS 0────────────────────────> deliver ────────────────>
 *
 * The router keeps one subscription per filter. What it is told of the rules' QoS lies in the grant's two bits, of
 * which it takes the highest for a topic: that says whether the message has to be stored. With which QoS it goes to
 * each remote topic is decided when it is sent. Where an uplink has several classes, each is asked for its grant when a
 * route is built: a remote topic is sent by the highest class that has a rule for it, and no other has the message then.
 */
import type { Counter } from "../../base/counters.ts";
import type { ForwardRule } from "../../config/uplink-rules.ts";
import type { SpoolLimits } from "../../config/uplink-spool.ts";
import type { DropCause } from "../../core/ledger.ts";
import type { Message } from "../../core/message.ts";
import type { Outlet, QueueHost } from "../../core/outlet.ts";
import { PACKET_IDS, type PacketIdRange } from "../../core/packet-ids.ts";
import type { Publication } from "../../core/publication.ts";
import { type QueueLimits, TAKES } from "../../core/queue-limits.ts";
import {
  DELIVERY_OFFLINE,
  DELIVERY_QOS,
  DELIVERY_REMOTE,
  DELIVERY_RETAIN,
  deliveryOptions,
  type Receiver,
} from "../../core/receiver.ts";
import { GRANT_NO_LOCAL, GRANT_RETAIN_AS_PUBLISHED } from "../../core/route-cache.ts";
import type { Router } from "../../core/router.ts";
import type { SpoolQueue } from "../../core/spool-queue.ts";
import type { Sliced } from "../../core/turns.ts";
import { CONNECTED, type MqttClient } from "../client/client.ts";
import type { ServerLimits } from "../client/client-options.ts";
import type { Target } from "../topic-map.ts";
import { Aim, type Sights } from "./aim.ts";
import { className } from "./class-name.ts";
import { publishBytes, sendPublish } from "./publish-out.ts";
import { type Draining, queueOf } from "./queue-order.ts";

/** Holds back what goes out. Who sets it in the spool calls `Spool.pump` when it opens. */
export interface Gate {
  /** CONNACK came: what has a place in the log up to `backlogEndSeq` is backlog. */
  begin(backlogEndSeq: number): void;
  /** The connection is gone. */
  end(): void;
  /** Whether this message may go now. @param packetBytes of the PUBLISH, the largest when it becomes several */
  opens(priority: number, message: Message, packetBytes: number): boolean;
  /** Whether one that goes now or never may: of QoS 0 and not stored. */
  opensNow(priority: number, packetBytes: number): boolean;
  /** A PUBLISH was written. @param message null: `opensNow` was asked for it */
  passed(priority: number, message: Message | null, packetBytes: number): void;
}

/** What the classes of an uplink share. */
export interface SpoolShared {
  readonly name: string;
  readonly client: MqttClient;
  readonly sights: Sights;
  readonly host: QueueHost;
  readonly router: Router;
  readonly draining: Draining;
  /** PUBLISH packets written. */
  readonly sent: Counter;
  /** Of all classes. */
  readonly rules: readonly ForwardRule[];
  /** Slot of the uplink in the router. */
  readonly slot: number;
  readonly gate: Gate | null;
  /** Told when a message is entered while there is no connection; null = nobody wants to know. */
  readonly onWaiting: ((priority: number) => void) | null;
  /** Whether `from` may write a PUBLISH now. @param message what it is about to send; null: not known yet */
  mayGo(from: SpoolClass, message: Message | null): boolean;
  /** A PUBLISH was written. @param size Message.size, which is in flight now; 0 = nothing is */
  onSent(from: SpoolClass, message: Message | null, size: number, packetBytes: number): void;
  /** The queue of `from` had its turn. */
  onTurn(from: SpoolClass): void;
}

export interface ClassTraits {
  /** How many the uplink has. */
  readonly classes: number;
  readonly retired: boolean;
}

/** Bytes of messages that wait in memory for the window before the log takes over, all classes of an uplink together. */
export const SPOOL_WINDOW_BYTES = 64 * 1024;
/** Packet ids of one class: those above the eighth's are for SUBSCRIBE and UNSUBSCRIBE. */
export const CLASS_PACKET_IDS = Math.floor(PACKET_IDS / 8);

/** Packet ids in flight and between them that a class may have, however many sessions have. */
export const CLASS_RING_PLACES = 128;

/** Grants, in the order in which the router prefers them. */
const GRANT_NEVER_STORED = 0;
const GRANT_KEEP = 1;
const GRANT_QOS_1 = 2;
const GRANT_QOS_2 = 3;

export class SpoolClass implements Receiver, Outlet, Sliced {
  slot = -1;
  readonly principal = null;
  readonly priority: number;
  readonly queue: SpoolQueue;
  readonly durable: boolean;
  readonly kinSlot: number;
  /** Where classes settle who sends what; an only class goes by its subscriptions. */
  readonly grantOf?: (topic: string) => number;
  readonly #shared: SpoolShared;
  readonly #rules: readonly ForwardRule[];
  readonly #raises: boolean;
  /** Whether rules tell what is published while the connection is down from the rest. */
  readonly #dropsOffline: boolean;
  /** DELIVERY_OFFLINE while the connection is down and it matters. */
  #mark = 0;
  readonly #aim: Aim;
  /** Oldest ordinal in flight as `isStuck` saw it last; -1 = none was. */
  #seenHead = -1;

  /** No rule is its own: its messages are of an earlier configuration. */
  readonly retired: boolean;

  constructor(shared: SpoolShared, priority: number, limits: SpoolLimits, traits: ClassTraits) {
    const { name, host, rules, router } = shared;
    this.#shared = shared;
    this.priority = priority;
    this.#aim = new Aim(shared.sights, priority);
    this.retired = traits.retired;
    this.#rules = rules.filter((rule) => rule.priority === priority);
    this.#raises = rules.some(({ qos }) => qos === 1 || qos === 2);
    this.#dropsOffline = rules.some(({ offline }) => offline === "drop");
    this.durable = rules.some(({ qos }) => qos !== 0);
    this.kinSlot = shared.slot;
    const record = host.store.createReceiver("uplink", className(name, priority));
    const range: PacketIdRange = {
      first: 1 + priority * CLASS_PACKET_IDS,
      count: CLASS_PACKET_IDS,
      places: CLASS_RING_PLACES,
    };
    const label = `uplink:${className(name, priority)}`;
    const onWaiting = (): void => shared.onWaiting?.(priority);
    const turnHost: QueueHost = { ...host, schedule: () => host.schedule(this), onWaiting };
    this.queue = queueOf(shared.draining, turnHost, label, record, queueLimits(limits, traits.classes), range);
    host.store.register(this.queue);
    if (traits.classes > 1) this.grantOf = (topic) => this.#grantOf(topic);
    this.#mark = this.#dropsOffline ? DELIVERY_OFFLINE : 0;
    router.join(this);
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
      this.#shared.router.subscribe(this, match, grant | GRANT_NO_LOCAL | GRANT_RETAIN_AS_PUBLISHED, 0);
    }
  }

  /** It takes nothing more, and the router forgets it. What waits stays in the store. */
  leave(): void {
    const { router } = this.#shared;
    for (const { match } of this.#rules) router.unsubscribe(this, match);
    router.leave(this);
    this.queue.detach();
    this.queue.end();
  }

  // ---- the connection comes and goes -------------------------------------------------------------------------

  /** The server is known, and rules are others than those by which it was sent what is in flight. */
  sendAnew(): void {
    this.#aim.forget();
    this.queue.sendAnew?.(this);
  }

  /** CONNACK came. What waited goes out. */
  attach(windowMax: number, resumed: boolean): void {
    this.#aim.forget();
    this.#seenHead = -1;
    this.#mark = 0;
    if (this.#dropsOffline) this.#subscribe(true);
    this.queue.attach(this, windowMax, resumed);
  }

  detach(): void {
    this.queue.detach();
    if (!this.#dropsOffline) return;
    this.#mark = DELIVERY_OFFLINE;
    this.#subscribe(false);
  }

  /** Whether the oldest packet in flight is the one that was when this was asked last. */
  get isStuck(): boolean {
    const { inFlight, inflight } = this.queue;
    const head = inFlight > 0 ? inflight.head : -1;
    const stuck = head >= 0 && head === this.#seenHead;
    this.#seenHead = head;
    return stuck;
  }

  /** In the turn that the queue asked for. */
  runScheduled(): void {
    this.queue.runScheduled();
    this.#shared.onTurn(this);
  }

  // ---- what comes in -----------------------------------------------------------------------------------------

  effectiveQos(publishQos: number, grant: number): number {
    switch (grant) {
      case GRANT_NEVER_STORED:
        return 0;
      case GRANT_KEEP:
        return publishQos === 0 ? 0 : publishQos | this.#mark;
      default:
        return this.#raises ? (grant - 1) | this.#mark : 0;
    }
  }

  #grantOf(topic: string): number {
    const targets = this.#shared.sights.map.ownTargets(this.priority, topic);
    const online = this.#shared.client.state === CONNECTED;
    let grant = targets.length === 0 ? -1 : GRANT_NEVER_STORED;
    for (const { setQos, keepsQos, storedOffline } of targets) {
      if (!online && !storedOffline) continue;
      if (setQos > 0) grant = Math.max(grant, setQos + 1);
      else if (keepsQos) grant = Math.max(grant, GRANT_KEEP);
    }
    return grant;
  }

  /** A spool on disk is what takes the pressure: publishers are not slowed down for it. */
  congested(): boolean {
    return false;
  }

  /**
   * Enters a message whose topic is the remote one, and which no rule is applied to: it was made of others. Its receivers
   * and the store's group are the caller's until then.
   * @param qos 1 or 2  @returns TAKES: it is in the store's open group now; else nothing has happened, and nothing is counted
   */
  enter(message: Message, qos: number, retain: boolean): number {
    const answer = this.queue.admit(message.size);
    if (answer !== TAKES) return answer;
    const options = deliveryOptions(qos, retain) | DELIVERY_REMOTE;
    message.addReceiver(this.queue.id, options);
    this.#shared.host.store.append(message);
    this.queue.enqueue(message, options, null);
    return TAKES;
  }

  /** QoS 0, and what a rule does not store while offline: now or never. */
  deliver(p: Publication, options: number): void {
    const { client, sights, gate } = this.#shared;
    const { server } = client;
    if (client.state !== CONNECTED || server === null) {
      this.#drop(() => p.topic, "offline");
      return;
    }
    const { bytes, propertiesFrom, propertiesEnd, payloadFrom, payloadEnd } = p;
    const { mark } = sights;
    if (mark?.isIn(bytes, propertiesFrom, propertiesEnd) === true) {
      sights.looped.value++;
      return;
    }
    const payloadLength = payloadEnd - payloadFrom;
    const asksBytes = gate !== null || server.packetBytesMax !== Number.POSITIVE_INFINITY;
    for (const target of sights.map.targetsOf(this.priority, bytes, p.topicFrom, p.topicEnd)) {
      const { topic, expiryMs } = target;
      const expirySeconds = expiryMs === Number.POSITIVE_INFINITY ? -1 : Math.ceil(expiryMs / 1000);
      const expires = expirySeconds >= 0;
      const packetBytes = asksBytes
        ? publishBytes(server, topic.length, bytes, propertiesFrom, propertiesEnd, payloadLength, 0, mark, expires)
        : 0;
      if (!client.writable) {
        this.#drop(() => p.topic, "output-full");
      } else if (packetBytes > server.packetBytesMax) {
        this.#drop(() => p.topic, "too-large");
      } else if (gate !== null && !gate.opensNow(this.priority, packetBytes)) {
        this.#drop(() => p.topic, "pace");
      } else {
        const retain = target.keepsRetain && (options & DELIVERY_RETAIN) !== 0;
        const written = sendPublish(
          client,
          topic,
          bytes,
          propertiesFrom,
          propertiesEnd,
          payloadFrom,
          payloadEnd,
          0,
          retain,
          0,
          false,
          mark,
          expirySeconds,
        );
        this.#shared.onSent(this, null, 0, written);
      }
    }
  }

  // ---- Outlet ------------------------------------------------------------------------------------------------

  parts(message: Message, options: number): number {
    if (this.#aim.at(message, options) && this.#aim.invalid) this.#drop(() => message.topic, "invalid");
    return this.#aim.targets.length;
  }

  /** Bytes of the largest PUBLISH that `message` becomes, which `parts` was asked for last. */
  packetBytesMax(message: Message): number {
    const { server } = this.#shared.client;
    return server === null ? 0 : this.#aim.packetBytesMax(message, server);
  }

  partOptions(message: Message, part: number, options: number): number {
    return this.#aim.options(message, part, options, this.#shared.client.server as ServerLimits);
  }

  sendPublish(
    message: Message,
    part: number,
    options: number,
    _subscriptionIds: readonly number[] | null,
    packetId: number,
    dup: boolean,
  ): void {
    const { client, sights } = this.#shared;
    const { bytes, topicEnd, propertiesEnd } = message;
    const target = this.#aim.targets[part] as Target;
    const packetBytes = sendPublish(
      client,
      target.topic,
      bytes,
      topicEnd,
      propertiesEnd,
      propertiesEnd,
      bytes.length,
      options & DELIVERY_QOS,
      (options & DELIVERY_RETAIN) !== 0,
      packetId,
      dup,
      sights.mark,
      this.#aim.expirySeconds(message, target),
    );
    this.#shared.onSent(this, message, packetId === 0 ? 0 : message.size, packetBytes);
  }

  sendPubrel(packetId: number): void {
    this.#shared.client.sendPubrel(packetId);
  }

  writable(message?: Message): boolean {
    return this.#shared.mayGo(this, message ?? null);
  }

  #drop(topic: () => string, cause: DropCause): void {
    const { ledger, time } = this.#shared.host;
    ledger.record(this.queue.label, topic, cause, time.wallMs());
  }
}

function queueLimits(limits: SpoolLimits, classes: number): QueueLimits {
  const { maxMessages, maxBytes, maxAgeMs, whenFull } = limits;
  return {
    messages: maxMessages,
    bytes: maxBytes,
    onlineMessages: maxMessages,
    onlineBytes: maxBytes,
    maxAgeMs,
    whenFull,
    windowBytes: Math.floor(SPOOL_WINDOW_BYTES / classes),
    spills: true,
    sharesMemory: true,
  };
}

function grantOf(qos: ForwardRule["qos"]): number {
  if (qos === "keep") return GRANT_KEEP;
  return qos === 0 ? GRANT_NEVER_STORED : qos === 1 ? GRANT_QOS_1 : GRANT_QOS_2;
}
