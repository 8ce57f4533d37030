/**
 * What the router delivers to: an MQTT session, an uplink, a serial line's write side.
 *
 * Delivery options travel as one small integer so that routes stay flat arrays of numbers:
 *
 *     bit 0-1  QoS of the delivery (min of publish and grant, or what an uplink rule sets)
 *     bit 2    RETAIN flag to send
 *     bit 3    of an uplink: the topic is the remote one, no rule is to be applied (what was made of several messages)
 *     bit 4    of an uplink: entered while its connection was down
 */
import type { Message } from "./message.ts";
import type { Principal } from "./ports.ts";
import type { Publication } from "./publication.ts";

export const DELIVERY_QOS = 0b011;
export const DELIVERY_RETAIN = 0b100;
export const DELIVERY_REMOTE = 0b1000;
export const DELIVERY_OFFLINE = 0b1_0000;

export function deliveryOptions(qos: number, retain: boolean): number {
  return retain ? qos | DELIVERY_RETAIN : qos;
}

/** What the router sees of a receiver's queue (delivery-queue.ts, live-queue.ts). */
export interface ReceiverQueue {
  /** In the lists of receivers that messages have; 0 = the log does not know it. */
  readonly id: number;
  /** "session:meter-7": for ledger and status. */
  readonly label: string;
  readonly online: boolean;
  /** @returns TAKES, DROPS (then `dropNewest` counts it) or REFUSES for a message of `bytes` (Message.size) */
  admit(bytes: number): number;
  dropNewest(topic: () => string): void;
  /** Enters a message that `admit` took. */
  enqueue(message: Message, options: number, subscriptionIds: readonly number[] | null): void;
}

export interface Receiver {
  /** Index in the router's table; set by `Router.join`, -1 before. */
  slot: number;
  /** Slot of a receiver that stands for the same peer: what that one publishes is this one's own, too, for No Local. */
  readonly kinSlot?: number;
  /** Whose read rights filter what reaches it; null = may read all (uplinks are configured by the operator). */
  readonly principal: Principal | null;
  /** Where QoS >= 1 messages wait for it; null when it takes QoS 0 only. */
  readonly queue: ReceiverQueue | null;
  /** The log must keep QoS >= 1 messages until it acknowledged them (DESIGN: session expiry > 0, uplinks, serial writes). */
  readonly durable: boolean;
  /**
   * The QoS to deliver a publication of `publishQos` at, given the highest granted QoS of its matching subscriptions.
   * Sessions answer the minimum; an uplink rule may raise it (QoS 0 sensors are stored in an outage), and add
   * DELIVERY_OFFLINE to what is above 0.
   */
  effectiveQos(publishQos: number, grantedQos: number): number;
  /**
   * What it is granted for `topic`, 0 to 3 as `effectiveQos` takes it, or -1: nothing, as another receiver of the same
   * peer sends it. Asked when a route is built; absent: what its subscriptions say.
   */
  grantOf?(topic: string): number;
  /** Takes one publication now, nothing stored: QoS 0, or QoS >= 1 of a receiver that is not durable. */
  deliver(publication: Publication, options: number, subscriptionIds: readonly number[] | null): void;
  /** True while QoS >= 1 publishers should be slowed down for it (its output is beyond `limits.output_bytes`). */
  congested(): boolean;
}
