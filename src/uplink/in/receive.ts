/**
 * The way in: what the receive rules bring from the server, published here as if a local client had done it. Its
 * acknowledgement leaves when the store has it.
 *
 *     PUBLISH ──> rules ──> router ──stored──> PUBACK / PUBREC
 *                             └─refused──> held, in order, tried again; the acknowledgement is withheld meanwhile
 *
 * A refusal is never told to the server: it would throw the message away. Our Receive Maximum bounds what it sends
 * before the first is acknowledged, HELD_BYTES_MAX what we keep of it; the rest it is to send again on the next
 * connection, which is made once what we keep has gone (owed.ts). Packet ids of QoS 2 are stored with the message and
 * forgotten with the release, so that a message whose PUBREC was lost is known again after a restart.
 */
import type { Counter, Counters } from "../../base/counters.ts";
import { RingBuffer } from "../../base/ring-buffer.ts";
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import type { ReceiveRule } from "../../config/uplink-rules.ts";
import type { Message } from "../../core/message.ts";
import type { QueueHost } from "../../core/outlet.ts";
import type { Store, StoreWaiter } from "../../core/ports.ts";
import { Publication } from "../../core/publication.ts";
import { FORBIDDEN, NO_SUBSCRIBERS, NO_WAITER, ROUTED, type Router, STORED_LATER } from "../../core/router.ts";
import { IMPLEMENTATION_SPECIFIC_ERROR, OK, PACKET_IDENTIFIER_NOT_FOUND, SUCCESS } from "../../wire/mqtt/codes.ts";
import { readVarint } from "../../wire/mqtt/primitives.ts";
import { propertyEnd, SUBSCRIPTION_IDENTIFIER } from "../../wire/mqtt/property-table.ts";
import { copyForwardable, type PublishView } from "../../wire/mqtt/publish.ts";
import type { MqttClient } from "../client/client.ts";
import { OWED_MAX, type Owed } from "../client/owed.ts";
import type { LoopMark } from "../out/loop-mark.ts";
import { qosOf, type Target, TopicMap } from "../topic-map.ts";
import { InboundIds } from "./inbound-ids.ts";

export interface ReceiveParts {
  readonly router: Router;
  readonly host: QueueHost;
  readonly wheel: TimerWheel;
  readonly counters: Counters;
}

export interface ReceiveOptions {
  readonly name: string;
  readonly node: string;
  /** For {client}. */
  readonly clientId: string;
  /** null: loop_mark is off. */
  readonly mark: LoopMark | null;
  readonly receive: readonly ReceiveRule[];
  /** For each rule that of its subscription; 0 = it has none. */
  readonly identifiers: readonly number[];
  /** The uplink's receiver in the store: the packet ids belong to it. */
  readonly receiverId: number;
  /** Of the uplink in the router: what comes in here does not go out there again. */
  readonly slot: number;
}

/** Bytes of refused messages kept to be tried again; one more message may go beyond it. */
export const HELD_BYTES_MAX = 128 * 1024;
/** Between two tries. */
export const HELD_RETRY_MS = 500;
const PACKET_IDS = 65_536;
const NO_TARGETS: readonly Target[] = [];

/** One message of QoS 1 or 2 between its arrival and its acknowledgement. */
class Arrival implements StoreWaiter {
  readonly receive: Receive;
  readonly epoch: number;
  /** Under which its packet id is kept. */
  readonly receiverId: number;
  readonly owed: Owed;
  readonly qos: number;
  readonly targets: readonly Target[];
  /** Targets from here on were not published to yet. */
  next = 0;
  /** Answers of the store that are still to come. */
  waiting = 0;
  /** Nothing is left to be entered. */
  entered = false;
  /** While held: its own copy of the message. */
  held: Held | null = null;

  constructor(receive: Receive, epoch: number, owed: Owed, qos: number, targets: readonly Target[]) {
    this.receive = receive;
    this.epoch = epoch;
    this.receiverId = receive.ids.receiverId;
    this.owed = owed;
    this.qos = qos;
    this.targets = targets;
  }

  onStored(_token: number, reason: number): void {
    this.receive.onArrivalStored(this, reason);
  }
}

/** What the router is given, but for the topic: properties and payload one behind the other. */
interface Held {
  readonly bytes: Buffer;
  readonly propertiesLength: number;
  readonly qos: number;
  readonly retain: boolean;
  readonly expirySeconds: number;
}

export class Receive implements StoreWaiter, Expirable {
  readonly received: Counter;
  /** Messages that no rule wanted: of subscriptions that an earlier configuration made. */
  readonly unmatched: Counter;
  /** Messages that this gateway had sent out, and that have come round. */
  readonly #looped: Counter;
  readonly #options: ReceiveOptions;
  readonly #client: MqttClient;
  readonly #parts: ReceiveParts;
  readonly #store: Store;
  readonly #map: TopicMap;
  readonly ids: InboundIds;
  readonly #held = new RingBuffer<Arrival>(OWED_MAX);
  #heldBytes = 0;
  /** Counts connections. */
  #epoch = 0;
  readonly #retryTimer = new Timer(this, 0);
  readonly #publication = new Publication();
  /** The message the router kept of the last publication. */
  #kept: Message | null = null;

  constructor(options: ReceiveOptions, client: MqttClient, parts: ReceiveParts) {
    this.#options = options;
    this.#client = client;
    this.#parts = parts;
    this.#store = parts.host.store;
    const rules = options.receive.map((rule, i) => ({ ...rule, identifier: options.identifiers[i] ?? 0 }));
    this.#map = new TopicMap(rules, { node: options.node, client: options.clientId }, true);
    this.received = parts.counters.counter(`uplink.${options.name}.received`);
    this.#looped = parts.counters.counter(`uplink.${options.name}.looped`);
    this.unmatched = parts.counters.counter(`uplink.${options.name}.unmatched`);
    this.ids = new InboundIds(this.#store, options.receiverId);
  }

  /** Messages refused and waiting to be tried again. */
  get held(): number {
    return this.#held.length;
  }

  // ---- the connection comes and goes -------------------------------------------------------------------------

  /**
   * @param resumed false: the server has forgotten what it sent us, and uses its packet ids anew
   * @param receiverId under which the packet ids of this server are kept
   */
  begin(resumed: boolean, receiverId: number = this.#options.receiverId): void {
    this.ids.begin(resumed, receiverId);
  }

  /** What was not acknowledged comes again, or never was ours. */
  end(): void {
    this.#epoch++;
    this.#held.clear();
    this.#heldBytes = 0;
    this.#parts.wheel.cancel(this.#retryTimer);
  }

  // ---- messages ----------------------------------------------------------------------------------------------

  /** @param owed null at QoS 0 */
  onPublish(bytes: Buffer, view: PublishView, owed: Owed | null): void {
    this.received.value++;
    const targets = this.#targetsOf(bytes, view);
    if (owed === null) {
      for (const target of targets) {
        this.#fill(target, bytes, view, 0);
        this.#parts.router.publish(this.#publication, NO_WAITER, 0);
      }
      return;
    }
    const arrival = new Arrival(this, this.#epoch, owed, view.qos, targets);
    if (view.qos === 2 && this.ids.has(owed.packetId)) {
      // [MQTT5-4.3.3-10] we have it: acknowledged again, once that is certain, and not published.
      arrival.entered = true;
      this.#await(arrival);
    } else if (this.#held.length > 0 || !this.#offer(arrival, bytes, view)) {
      this.#hold(arrival, bytes, view);
    }
  }

  #targetsOf(bytes: Buffer, view: PublishView): readonly Target[] {
    const { topicAt, topicLength, propertiesAt, propertiesLength } = view;
    if (this.#options.mark?.isIn(bytes, propertiesAt, propertiesAt + propertiesLength) === true) {
      this.#looped.value++;
      return NO_TARGETS;
    }
    const end = topicAt + topicLength;
    const targets = view.subscriptionIdentifiers
      ? this.#map.targetsFor(identifiersIn(bytes, propertiesAt, propertiesAt + propertiesLength), bytes, topicAt, end)
      : this.#map.targets(bytes, topicAt, end);
    if (targets.length === 0) this.unmatched.value++;
    return targets;
  }

  /** Publishes to the targets from `arrival.next` on. @returns false when one was refused */
  #offer(arrival: Arrival, bytes: Buffer, view: PublishView): boolean {
    for (; arrival.next < arrival.targets.length; arrival.next++) {
      this.#fill(arrival.targets[arrival.next] as Target, bytes, view, arrival.qos);
      if (!this.#publish(arrival)) return false;
    }
    this.#onEntered(arrival);
    return true;
  }

  /** Publishes what was filled in. @returns false when it was refused */
  #publish(arrival: Arrival): boolean {
    arrival.waiting++; // before, as the store may answer from within
    const result = this.#parts.router.publish(this.#publication, arrival, 0);
    this.#kept = result === STORED_LATER ? this.#publication.kept : null;
    if (result === STORED_LATER) return true;
    arrival.waiting--;
    // Trying again would not help: what the program forbids counts as taken.
    return result === ROUTED || result === NO_SUBSCRIBERS || result === FORBIDDEN;
  }

  #onEntered(arrival: Arrival): void {
    arrival.entered = true;
    if (arrival.qos === 2) {
      // In the same group as the message: after a crash the store has both or none.
      const { packetId } = arrival.owed;
      this.ids.add(packetId, arrival.targets.length === 0 ? null : this.#kept);
      this.#await(arrival);
    } else if (arrival.waiting === 0) {
      this.#client.acknowledge(arrival.owed);
    }
  }

  /** The acknowledgement waits until all that was entered so far is stored. */
  #await(arrival: Arrival): void {
    arrival.waiting++;
    this.#store.barrier(arrival, 0);
  }

  /** The store's word on something that `arrival` waits for. */
  onArrivalStored(arrival: Arrival, reason: number): void {
    arrival.waiting--;
    if (reason === OK) {
      if (arrival.entered && arrival.waiting === 0) this.#client.acknowledge(arrival.owed);
      return;
    }
    // Taken, and then the disk refused: the server is to send it again.
    if (arrival.qos === 2) this.ids.delete(arrival.owed.packetId, arrival.receiverId);
    if (arrival.epoch === this.#epoch) {
      this.#client.fail(IMPLEMENTATION_SPECIFIC_ERROR, "a message from the server could not be stored");
    }
  }

  /** The server gives up the id of a QoS 2 message: PUBCOMP once that is stored. */
  onPubrel(packetId: number): void {
    const token = this.#epoch * PACKET_IDS + packetId;
    const known = this.ids.delete(packetId);
    // An id that is not there may have gone a moment ago, on an earlier connection, and not be gone from the medium.
    this.#store.barrier(this, known ? token : -token);
  }

  /** The store's word on a release. After a failure PUBCOMP stays away: the server asks again on the next connection. */
  onStored(token: number, reason: number): void {
    const known = token > 0;
    const place = Math.abs(token);
    if (reason !== OK || Math.floor(place / PACKET_IDS) !== this.#epoch) return;
    this.#client.sendPubcomp(place % PACKET_IDS, known ? SUCCESS : PACKET_IDENTIFIER_NOT_FOUND);
  }

  // ---- refused messages --------------------------------------------------------------------------------------

  #hold(arrival: Arrival, bytes: Buffer, view: PublishView): void {
    const { propertiesAt, propertiesLength, payloadAt, payloadLength } = view;
    const copy = Buffer.allocUnsafeSlow(propertiesLength + payloadLength);
    const kept = copyForwardable(bytes, propertiesAt, propertiesLength, copy, 0);
    bytes.copy(copy, kept, payloadAt, payloadAt + payloadLength);
    arrival.held = {
      bytes: copy.subarray(0, kept + payloadLength),
      propertiesLength: kept,
      qos: view.qos,
      retain: view.retain,
      expirySeconds: view.messageExpirySeconds,
    };
    if (this.#heldBytes < HELD_BYTES_MAX && this.#held.push(arrival)) {
      this.#heldBytes += copy.length;
      if (!this.#retryTimer.armed) this.#parts.wheel.schedule(this.#retryTimer, HELD_RETRY_MS);
    } else {
      this.#client.refuse(arrival.owed);
    }
  }

  onTimer(): void {
    for (let arrival = this.#held.peek(); arrival !== undefined; arrival = this.#held.peek()) {
      const held = arrival.held as Held;
      for (; arrival.next < arrival.targets.length; arrival.next++) {
        this.#fillHeld(arrival.targets[arrival.next] as Target, held);
        if (!this.#publish(arrival)) {
          this.#parts.wheel.schedule(this.#retryTimer, HELD_RETRY_MS);
          return;
        }
      }
      this.#held.shift();
      this.#heldBytes -= held.bytes.length;
      arrival.held = null;
      this.#onEntered(arrival);
    }
  }

  // ---- publications ------------------------------------------------------------------------------------------

  #fill(target: Target, bytes: Buffer, view: PublishView, qos: number): void {
    const { topic } = target;
    const { propertiesAt, propertiesLength, payloadAt, payloadLength } = view;
    const scratch = scratchOf(topic.length + propertiesLength + payloadLength);
    topic.copy(scratch, 0);
    const kept = copyForwardable(bytes, propertiesAt, propertiesLength, scratch, topic.length);
    bytes.copy(scratch, topic.length + kept, payloadAt, payloadAt + payloadLength);
    const expirySeconds = view.messageExpirySeconds;
    this.#set(
      scratch,
      topic.length,
      kept,
      payloadLength,
      Math.min(qos, qosOf(target, qos)),
      view.retain && target.keepsRetain,
      expirySeconds,
    );
  }

  #fillHeld(target: Target, held: Held): void {
    const { topic } = target;
    const { bytes, propertiesLength, qos, retain, expirySeconds } = held;
    const scratch = scratchOf(topic.length + bytes.length);
    topic.copy(scratch, 0);
    bytes.copy(scratch, topic.length);
    const payloadLength = bytes.length - propertiesLength;
    const sentQos = Math.min(qos, qosOf(target, qos));
    this.#set(
      scratch,
      topic.length,
      propertiesLength,
      payloadLength,
      sentQos,
      retain && target.keepsRetain,
      expirySeconds,
    );
  }

  /** Topic, properties and payload lie in `bytes` from 0 on. */
  #set(
    bytes: Buffer,
    topicLength: number,
    propertiesLength: number,
    payloadLength: number,
    qos: number,
    retain: boolean,
    expirySeconds: number,
  ): void {
    const p = this.#publication;
    p.bytes = bytes;
    p.topicFrom = 0;
    p.topicEnd = topicLength;
    p.propertiesFrom = topicLength;
    p.propertiesEnd = topicLength + propertiesLength;
    p.payloadFrom = p.propertiesEnd;
    p.payloadEnd = p.payloadFrom + payloadLength;
    p.qos = qos;
    p.retain = retain;
    p.expirySeconds = expirySeconds;
    p.publisher = this.#options.slot;
    p.frameVersion = 0;
  }
}

/** For which subscriptions a copy came. */
function identifiersIn(bytes: Buffer, from: number, end: number): number[] {
  const found: number[] = [];
  for (let at = from; at >= 0 && at < end; at = propertyEnd(bytes, at, end)) {
    if (bytes[at] === SUBSCRIPTION_IDENTIFIER) found.push(readVarint(bytes, at + 1, end));
  }
  return found;
}

/** One message under its local topic; whoever keeps it copies it. As large as the largest that came, for all uplinks. */
let scratch = Buffer.allocUnsafeSlow(4096);

function scratchOf(bytes: number): Buffer {
  if (scratch.length < bytes) scratch = Buffer.allocUnsafeSlow(bytes);
  return scratch;
}
