/**
 * A session's side of shared subscriptions: the groups it is a member of, and the QoS 1 messages they have lent it.
 *
 * A loan goes out under a packet id of the session's, far from those its own queue takes: loans have ordinals of their
 * own, ahead of the queue's, and the queue stops short of the lowest one (`Window.barredOrdinal`), so that no id is
 * used twice. Loans count in the session's window as its own messages do, and so there are no more than that.
 * A loan that its group takes back (`SharedGroup.#reclaim`) stays in the table until it is answered, and the answer counts
 * for nothing: the peer has the packet id in use ([MQTT5-2.2.1-4]), and Receive Maximum counts it ([MQTT5-4.9.0-2]).
 *
 *     head      next                     barred
 *      v         v                          v
 *     |own in flight|  ...  FAR  ...  |loan|    |loan|loan|       ordinals; packet id = 1 + ordinal % 65535
 */
import type { Allowance } from "../base/allowance.ts";
import { FAR, PACKET_IDS, packetIdOf, SPAN_MAX } from "./packet-ids.ts";
import type { Session } from "./session.ts";
import type { SharedGroup } from "./shared-group.ts";

interface Loan {
  /** null: the group has taken it back (`void`), and only the packet id and the room in the window are still taken. */
  group: SharedGroup | null;
  /** The group's packet id, not the one on the wire. */
  readonly packetId: number;
  readonly ordinal: number;
}

/** Estimated bytes of a loan with its places in the windows of session and group; taken from what waits for receivers. */
export const LOAN_BYTES = 320;

export class Shares {
  readonly #session: Session;
  readonly #memory: Allowance;
  readonly #groups: SharedGroup[] = [];
  /** Index of the group that is asked first when there is room. */
  #turn = 0;
  /** By packet id on the wire. */
  readonly #loans = new Map<number, Loan>();
  /** Ordinal of the next loan. */
  #next = 0;

  constructor(session: Session, memory: Allowance) {
    this.#session = session;
    this.#memory = memory;
  }

  /** Shared subscriptions. */
  get count(): number {
    return this.#groups.length;
  }

  add(group: SharedGroup): void {
    if (!this.#groups.includes(group)) this.#groups.push(group);
  }

  /** It is no member any more; what it has been lent it may still answer ([MQTT5-3.10.4-3]). */
  remove(group: SharedGroup): void {
    const index = this.#groups.indexOf(group);
    if (index >= 0) this.#groups.splice(index, 1);
  }

  /** It has connected, or has room: its groups send what they have, each in its turn the first. */
  pump(): void {
    const count = this.#groups.length;
    if (count === 0) return;
    const first = this.#turn++ % count;
    for (let n = 0; n < count; n++) this.#groups[(first + n) % count]?.onMemberReady();
  }

  /** Messages it has been lent and has not answered. */
  get loans(): number {
    return this.#loans.size;
  }

  /** Takes one message of `group` into the session's window. @returns the packet id to send it under */
  lend(group: SharedGroup, packetId: number): number {
    const { inflight } = this.#session.queue;
    const { head, next } = inflight;
    if (this.#next <= next + SPAN_MAX || this.#next >= head + PACKET_IDS) this.#next = head + FAR;
    while (this.#loans.has(packetIdOf(this.#next))) this.#next++;
    const ordinal = this.#next++;
    const lentId = packetIdOf(ordinal);
    this.#loans.set(lentId, { group, packetId, ordinal });
    this.#memory.takeAnyway(LOAN_BYTES);
    inflight.outstanding++;
    inflight.barredOrdinal = Math.min(inflight.barredOrdinal, ordinal);
    return lentId;
  }

  /** The group takes a loan back while the connection goes on. */
  void(group: SharedGroup, packetId: number): void {
    for (const loan of this.#loans.values()) {
      if (loan.group === group && loan.packetId === packetId) loan.group = null;
    }
  }

  has(lentId: number): boolean {
    return this.#loans.has(lentId);
  }

  /** @returns false when no loan has this packet id */
  onPuback(lentId: number, reasonCode: number): boolean {
    const loan = this.#loans.get(lentId);
    if (loan === undefined) return false;
    this.#loans.delete(lentId);
    this.#memory.give(LOAN_BYTES);
    const { inflight } = this.#session.queue;
    if (loan.ordinal === inflight.barredOrdinal) inflight.barredOrdinal = this.#lowest();
    // The room is given back last: it is not for this group alone, but for whoever's turn it is (`pump`).
    loan.group?.onPuback(loan.packetId, reasonCode);
    inflight.outstanding--;
    return true;
  }

  /** The connection is gone: what was lent goes back. Call before the session's own queue is detached. */
  onGone(): void {
    const lent = new Map<SharedGroup, number[]>();
    for (const { group, packetId } of this.#loans.values()) {
      if (group === null) continue;
      const packetIds = lent.get(group);
      if (packetIds === undefined) lent.set(group, [packetId]);
      else packetIds.push(packetId);
    }
    const { inflight } = this.#session.queue;
    inflight.outstanding -= this.#loans.size;
    inflight.barredOrdinal = Number.POSITIVE_INFINITY;
    this.#memory.give(this.#loans.size * LOAN_BYTES);
    this.#loans.clear();
    for (const [group, packetIds] of lent) group.takeBack(packetIds);
    for (const group of this.#groups) group.onMemberGone();
  }

  /** Loans are in ascending order, unless the ordinals have begun anew among them. */
  #lowest(): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const { ordinal } of this.#loans.values()) {
      if (ordinal < this.#next && lowest === Number.POSITIVE_INFINITY) return ordinal;
      lowest = Math.min(lowest, ordinal);
    }
    return lowest;
  }
}
