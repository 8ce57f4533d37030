/**
 * What one message becomes on its way out: the topics it goes to, and for each its QoS, RETAIN flag, life and size. The
 * message at the head of a queue is asked about again and again, so the last answer is kept.
 */
import type { Counter } from "../../base/counters.ts";
import type { Message } from "../../core/message.ts";
import { PART_EXPIRED, PART_TOO_LARGE } from "../../core/outlet.ts";
import type { TimeSource } from "../../core/ports.ts";
import { DELIVERY_OFFLINE, DELIVERY_QOS, DELIVERY_REMOTE, DELIVERY_RETAIN } from "../../core/receiver.ts";
import type { ServerLimits } from "../client/client-options.ts";
import { qosOf, type Target, type TopicMap } from "../topic-map.ts";
import type { LoopMark } from "./loop-mark.ts";
import { publishBytes } from "./publish-out.ts";

/** What all classes of an uplink go by. */
export interface Sights {
  readonly map: TopicMap;
  /** Of rules that gather, null = none does: their messages are none of a class, but for those from before they did. */
  readonly gathered: TopicMap | null;
  /** null: what goes out is not marked, and what is marked goes out. */
  readonly mark: LoopMark | null;
  /** Messages that had our mark already. */
  readonly looped: Counter;
  readonly time: TimeSource;
}

const NO_TARGETS: readonly Target[] = [];

export class Aim {
  /** Of the message that `at` was asked about last. */
  targets: readonly Target[] = NO_TARGETS;
  /** It has none because no rule wants it. */
  invalid = false;
  readonly #sights: Sights;
  readonly #priority: number;
  #message: Message | null = null;

  constructor(sights: Sights, priority: number) {
    this.#sights = sights;
    this.#priority = priority;
  }

  /** The server is another one, or may have changed its mind: nothing is known. */
  forget(): void {
    this.#message = null;
  }

  /** @returns whether it is another message than the last time */
  at(message: Message, options: number): boolean {
    if (message === this.#message) return false;
    this.#message = message;
    this.invalid = false;
    this.targets = this.#targetsOf(message, options);
    return true;
  }

  #targetsOf(message: Message, options: number): readonly Target[] {
    const { bytes, topicEnd } = message;
    if ((options & DELIVERY_REMOTE) !== 0) return [remoteTarget(bytes.subarray(0, topicEnd))];
    const { map, gathered, mark, looped } = this.#sights;
    if (mark?.isIn(bytes, topicEnd, message.propertiesEnd) === true) {
      looped.value++;
      return NO_TARGETS;
    }
    let targets = map.targetsOf(this.#priority, bytes, 0, topicEnd);
    if (targets.length === 0 && gathered !== null) targets = gathered.targets(bytes, 0, topicEnd);
    this.invalid = targets.length === 0;
    if ((options & DELIVERY_OFFLINE) !== 0) targets = targets.filter(({ storedOffline }) => storedOffline);
    return targets;
  }

  /** Delivery options of one part, with PART_EXPIRED or PART_TOO_LARGE where it is not to go. */
  options(message: Message, part: number, options: number, server: ServerLimits): number {
    const target = this.targets[part] as Target;
    const isRemote = (options & DELIVERY_REMOTE) !== 0;
    const qos = isRemote ? options & DELIVERY_QOS : qosOf(target, message.qos);
    let result = Math.min(qos, server.qosMax); // [MQTT5-3.2.2-11]
    if (target.keepsRetain) result |= options & DELIVERY_RETAIN;
    if (target.expiryMs !== Number.POSITIVE_INFINITY) {
      if (this.#sights.time.elapsedMs(message.acceptedMs) >= target.expiryMs) result |= PART_EXPIRED;
    }
    if (server.packetBytesMax !== Number.POSITIVE_INFINITY) {
      // [MQTT5-3.1.2-25]
      if (this.packetBytes(message, target, result & DELIVERY_QOS, server) > server.packetBytesMax)
        result |= PART_TOO_LARGE;
    }
    return result;
  }

  /** Of the PUBLISH to `target`. */
  packetBytes(message: Message, target: Target, qos: number, server: ServerLimits): number {
    const { bytes, topicEnd, propertiesEnd, expiresMs } = message;
    const expires = expiresMs !== 0 || target.expiryMs !== Number.POSITIVE_INFINITY;
    const { mark } = this.#sights;
    const payloadLength = bytes.length - propertiesEnd;
    const { length } = target.topic;
    return publishBytes(server, length, bytes, topicEnd, propertiesEnd, payloadLength, qos, mark, expires);
  }

  /** Of the largest PUBLISH that the message becomes. */
  packetBytesMax(message: Message, server: ServerLimits): number {
    let max = 0;
    for (const target of this.targets) max = Math.max(max, this.packetBytes(message, target, 1, server));
    return max;
  }

  /** Seconds that the message may live at `target`, at least 1; -1 = what it says itself. */
  expirySeconds(message: Message, target: Target): number {
    const { time } = this.#sights;
    if (message.expiresMs === 0 && target.expiryMs === Number.POSITIVE_INFINITY) return -1;
    const leftMs = Math.min(message.leftMs(time), target.expiryMs - time.elapsedMs(message.acceptedMs));
    return Math.max(1, Math.ceil(leftMs / 1000));
  }
}

/** Of what was made of several messages: its delivery options and its own expiry say everything. */
function remoteTarget(topic: Buffer): Target {
  return {
    topic,
    setQos: 1,
    keepsQos: false,
    keepsRetain: true,
    priority: 0,
    storedOffline: true,
    expiryMs: Number.POSITIVE_INFINITY,
  };
}
