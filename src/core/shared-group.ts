/**
 * A shared subscription: one durable receiver that stands for several sessions, each message of which goes to one of
 * them. What waits for the group waits once, in a queue and log of its own.
 *
 *     router ──> queue ──(who is free?)──> QoS 0: written, done
 *                                          QoS 1: lent to a member, in flight here until it answers (shares.ts)
 *                                          QoS 2: durable here, then handed over to the member's own queue
 *
 * A member is free while it is connected, its output and its window have room, and it may read the topic; free members
 * take turns. A loan comes back when its member's connection ends, and goes to the next, which
 * the specification leaves open. A message of QoS 2 that was handed over is the member's for good ([MQTT5-4.8.2-4], [MQTT5-4.8.2-5]): the copy
 * for its queue and the group's word that it is done are in one transaction. To its queue the group is a peer of QoS 2:
 * handed over is PUBREC, stored is PUBCOMP.
 *
 * The group's ordinals cannot pass the oldest loan. A member that leaves it unanswered while half of them are used loses
 * it to another that is free; who has it then has half of those that are left, and so on:
 *
 *     head: oldest loan     2nd holder     3rd    4th       SPAN_MAX
 *      |---------------------|--------------|------|---|--|-|            taken back 12 times, then the group waits
 *
 * @see MQTT 5.0 section 4.8.2
 */
import type { Counter } from "../base/counters.ts";
import { DeliveryQueue } from "./delivery-queue.ts";
import { copyOf, type Message } from "./message.ts";
import type { Outlet } from "./outlet.ts";
import { packetIdOf, SPAN_MAX } from "./packet-ids.ts";
import { type ReceiverRecord, SETTLED, type StoreWaiter, topicAt } from "./ports.ts";
import type { Publication } from "./publication.ts";
import { TAKES } from "./queue-limits.ts";
import { DELIVERY_QOS, DELIVERY_RETAIN, deliveryOptions, type Receiver } from "./receiver.ts";
import { GRANT_QOS, GRANT_RETAIN_AS_PUBLISHED } from "./route-cache.ts";
import type { Session, SessionOutlet } from "./session.ts";
import type { SessionHost } from "./session-host.ts";
import { LOAN_BYTES } from "./shares.ts";

/** Ordinals that the first holder of the oldest loan has time for. */
const HELD_SPAN_MAX = SPAN_MAX / 2;

export interface GroupCounts {
  /** Loans that came back with the end of a connection. */
  readonly rerouted: Counter;
  /** Loans taken back from a member that goes on. */
  readonly reclaimed: Counter;
}

interface Member {
  readonly session: Session;
  /** As in SUBSCRIBE. */
  options: number;
  /** Its own Subscription Identifier, as deliveries carry it. */
  subscriptionIds: readonly number[] | null;
}

const NOBODY = -1;

export class SharedGroup implements Receiver, Outlet, StoreWaiter {
  slot = -1;
  /** Rights are asked for when a member is chosen. */
  readonly principal = null;
  readonly durable = true;
  readonly queue: DeliveryQueue;
  /** What its members' subscriptions match, without `$share/{ShareName}/`. */
  readonly filter: string;
  /** The last member has left. */
  ended = false;
  readonly #host: SessionHost;
  readonly #counts: GroupCounts;
  readonly #members: Member[] = [];
  /** Packet ids of messages handed over whose copy is not stored yet: in the window, so no more than that. */
  readonly #unstored = new Set<number>();
  /** Who has which loan, by the group's packet id. */
  readonly #holders = new Map<number, Session>();
  /** The loan taken back last: its ordinal, the next ordinal at which it may be taken back again, and from whom it was. */
  #reclaimed = -1;
  #reclaimableAt = 0;
  #reclaimedSeq = 0;
  #reclaimedFrom: SessionOutlet | null = null;
  /** Index of the member whose turn it is. */
  #turn = 0;
  /** Index of the member that takes the message in hand. */
  #chosen = NOBODY;

  constructor(host: SessionHost, record: ReceiverRecord, filter: string, counts: GroupCounts) {
    this.#host = host;
    this.#counts = counts;
    this.filter = filter;
    this.queue = new DeliveryQueue(host, `share:${record.name}`, record, host.queueLimits);
  }

  // ---- members -----------------------------------------------------------------------------------------------

  get size(): number {
    return this.#members.length;
  }

  /** What the router is to grant it: the most that any member was granted. */
  get grant(): number {
    let qos = 0;
    for (const { options } of this.#members) qos = Math.max(qos, options & GRANT_QOS);
    return qos | GRANT_RETAIN_AS_PUBLISHED;
  }

  /** Enters a member, or what has changed about it. */
  enter(session: Session, options: number, subscriptionId: number): void {
    const subscriptionIds = subscriptionId === 0 ? null : [subscriptionId];
    const member = this.#members.find((candidate) => candidate.session === session);
    if (member === undefined) {
      this.#members.push({ session, options, subscriptionIds });
    } else {
      member.options = options;
      member.subscriptionIds = subscriptionIds;
    }
  }

  remove(session: Session): void {
    const index = this.#members.findIndex((member) => member.session === session);
    if (index < 0) return;
    this.#members.splice(index, 1);
    if (this.#turn > index) this.#turn--;
    if (this.#turn >= this.#members.length) this.#turn = 0;
  }

  /** A member may take messages now: it has connected, subscribed, or has room again. */
  onMemberReady(): void {
    if (this.queue.online) {
      this.#reclaim();
      this.queue.pump();
    } else if (this.#isConnected) {
      this.queue.attach(this, SPAN_MAX, true);
    }
  }

  /** A member's connection has ended, or it has left the group. */
  onMemberGone(): void {
    if (this.queue.inFlight === 0 && !this.#isConnected) this.queue.detach();
  }

  /** What a connection that has ended left unanswered goes to others. */
  takeBack(packetIds: readonly number[]): void {
    if (this.ended) return;
    this.#counts.rerouted.value += packetIds.length;
    for (const packetId of packetIds) this.#holders.delete(packetId);
    this.queue.takeBack(packetIds);
    this.onMemberGone();
  }

  /** A member answered a loan. [MQTT5-4.8.2-6] one that it refuses goes to nobody else. */
  onPuback(packetId: number, reasonCode: number): void {
    if (this.ended) return;
    this.#holders.delete(packetId);
    this.queue.onPuback(packetId, reasonCode);
    this.onMemberGone();
  }

  /**
   * Takes the oldest loan from a member that leaves it unanswered while the others go on, if one of them can have it.
   */
  #reclaim(): void {
    const { head, next } = this.queue.inflight;
    if (next - head < HELD_SPAN_MAX) return;
    if (head === this.#reclaimed && next < this.#reclaimableAt) return;
    const packetId = packetIdOf(head);
    const holder = this.#holders.get(packetId);
    if (holder === undefined || !this.#isOtherFree(holder, this.queue.inflight.seqAt(head))) return;
    this.#reclaimed = head;
    // When none is left it is not taken back again: it would go round with every answer.
    this.#reclaimableAt = next + Math.max(1, (SPAN_MAX - (next - head)) >> 1);
    this.#reclaimedSeq = this.queue.inflight.seqAt(head);
    this.#reclaimedFrom = holder.outlet;
    this.#holders.delete(packetId);
    holder.sharesOf.void(this, packetId);
    this.#counts.reclaimed.value++;
    this.queue.takeBack([packetId]);
  }

  #isOtherFree(holder: Session, seq: number): boolean {
    const { authority, store } = this.#host;
    const topic = authority.open ? "" : topicAt(store, this.queue.id, seq);
    return this.#members.some(
      (member) =>
        member.session !== holder &&
        this.#isFree(member, 1, undefined) &&
        (authority.open || authority.mayRead(member.session.principal, topic)),
    );
  }

  /** Whether it was taken from this member, and another that is connected may have it. */
  #isTakenFrom({ session }: Member, { seq, topic }: Message): boolean {
    if (seq !== this.#reclaimedSeq || session.outlet !== this.#reclaimedFrom) return false;
    const { authority } = this.#host;
    return this.#members.some(
      ({ session: { outlet, principal } }) =>
        outlet !== null && outlet !== session.outlet && (authority.open || authority.mayRead(principal, topic)),
    );
  }

  get #isConnected(): boolean {
    return this.#members.some(({ session }) => session.outlet !== null);
  }

  // ---- Receiver ----------------------------------------------------------------------------------------------

  effectiveQos(publishQos: number, grantedQos: number): number {
    return publishQos < grantedQos ? publishQos : grantedQos;
  }

  congested(): boolean {
    return this.queue.congested;
  }

  /** QoS 0: to the next who can take it, or to nobody. */
  deliver(p: Publication, options: number): void {
    const { authority } = this.#host;
    const topic = authority.open ? "" : p.topic;
    let full = false;
    for (let n = 0; n < this.#members.length; n++) {
      const index = (this.#turn + n) % this.#members.length;
      const member = this.#members[index] as Member;
      const { outlet, principal } = member.session;
      if (outlet === null || !(authority.open || authority.mayRead(principal, topic))) continue;
      if (outlet.writable()) {
        this.#turn = (index + 1) % this.#members.length;
        outlet.sendLive(p, optionsFor(member, options), member.subscriptionIds, 0);
        return;
      }
      full = true;
    }
    if (!full) return;
    this.#host.outputDrops.value++;
    this.#host.ledger.record(this.queue.label, () => p.topic, "output-full", this.#host.time.wallMs());
  }

  // ---- Outlet of its queue -----------------------------------------------------------------------------------

  /** What no member may read, there or not, is done. */
  parts(message: Message): number {
    const { authority } = this.#host;
    if (authority.open) return 1;
    const { topic } = message;
    return this.#members.some(({ session }) => authority.mayRead(session.principal, topic)) ? 1 : 0;
  }

  partOptions(_message: Message, _part: number, options: number): number {
    return optionsFor(this.#members[this.#chosen] as Member, options);
  }

  writable(message?: Message, options = 0): boolean {
    const { authority } = this.#host;
    const topic = message === undefined || authority.open ? "" : message.topic;
    for (let n = 0; n < this.#members.length; n++) {
      const index = (this.#turn + n) % this.#members.length;
      const member = this.#members[index] as Member;
      if (!this.#isFree(member, options & DELIVERY_QOS, message)) continue;
      if (message !== undefined && !authority.open && !authority.mayRead(member.session.principal, topic)) continue;
      if (message !== undefined && this.#isTakenFrom(member, message)) continue;
      this.#chosen = index;
      return true;
    }
    this.#chosen = NOBODY;
    return false;
  }

  #isFree({ session, options }: Member, qos: number, message: Message | undefined): boolean {
    const { outlet, queue } = session;
    if (outlet === null || !outlet.writable()) return false;
    const { outstanding, windowMax } = queue.inflight;
    const granted = options & GRANT_QOS;
    if (message === undefined) return granted === 0 || outstanding < windowMax;
    if (qos === 0 || granted === 0) return true;
    if (outstanding >= windowMax) return false;
    // What one member has in hand is lost to the others until it answers, however much a live window takes.
    if (qos === 1 || granted === 1) return (session.shares?.loans ?? 0) < this.#host.inflightMax && this.#mayLend;
    // No more than it will send at once: what is not sent yet stays with the group, for whoever is free first.
    if (!queue.persistent) return outstanding < this.#host.inflightMax && queue.clear;
    if (queue.count >= windowMax || queue.admit(message.size) !== TAKES) return false;
    return this.#host.store.admits(message.size) === SETTLED;
  }

  /** One loan is always there, or nothing would move. */
  get #mayLend(): boolean {
    const { bytesMax, used } = this.#host.waitingMemory;
    return used + LOAN_BYTES <= bytesMax || this.queue.inFlight === 0;
  }

  /** DUP is for a packet that was sent before; to this member, under this packet id, it was not. */
  sendPublish(message: Message, _part: number, options: number, _ids: unknown, packetId: number, _dup: boolean): void {
    const { session, subscriptionIds } = this.#members[this.#chosen] as Member;
    this.#turn = (this.#chosen + 1) % this.#members.length;
    const outlet = session.outlet as SessionOutlet;
    const qos = options & DELIVERY_QOS;
    if (qos < 2) {
      const lentId = qos === 0 ? 0 : session.sharesOf.lend(this, packetId);
      if (qos === 1) this.#holders.set(packetId, session);
      outlet.sendPublish(message, 0, options, subscriptionIds, lentId, false);
      return;
    }
    const copy = copyOf(message);
    if (!session.queue.persistent) {
      session.keep(copy, options, subscriptionIds);
      this.queue.onPuback(packetId);
      return;
    }
    copy.waiter = this;
    copy.waiterToken = packetId;
    this.#unstored.add(packetId);
    session.keep(copy, options, subscriptionIds);
    this.queue.onPubrec(packetId, 0);
  }

  /** The copy is stored; or the disk refused it, and the message is the group's again. */
  onStored(packetId: number, reason: number): void {
    this.#unstored.delete(packetId);
    if (this.ended) return;
    if (reason === SETTLED) this.sendPubrel(packetId);
    else this.queue.takeBack([packetId]);
  }

  /** Also of what had been handed over before a restart, or has expired: no member knows the group's packet ids. */
  sendPubrel(packetId: number): void {
    // The queue's word may be that of an earlier copy, which the disk refused.
    if (this.#unstored.has(packetId)) return;
    this.queue.onPubcomp(packetId);
    this.onMemberGone();
  }
}

/** Delivery options for one member, from those for the group. */
function optionsFor(member: Member, options: number): number {
  const retain = (options & DELIVERY_RETAIN) !== 0 && (member.options & GRANT_RETAIN_AS_PUBLISHED) !== 0;
  return deliveryOptions(Math.min(options & DELIVERY_QOS, member.options & GRANT_QOS), retain);
}
