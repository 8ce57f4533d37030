/**
 * What waits for a session that ends with its connection, and what is in flight to it, at QoS 1 and 2. No log knows of
 * it: what it is sent is never sent again.
 *
 *     deliver ── window open, nothing waits ──> written from the publisher's bytes, a packet id is all that is kept
 *        └────── else ──> `waiting`: a message in memory ── PUBACK, PUBCOMP, drained output ──> written
 *
 * Both ways keep the order: as long as one message waits, all that come later wait behind it. What is written is the
 * output's to count and limit (`Outlet.crowded`); `bytes` are those that wait here.
 */
import type { DropCause } from "./ledger.ts";
import { LiveWindow } from "./live-window.ts";
import type { Message } from "./message.ts";
import type { LiveOutlet, QueueHost } from "./outlet.ts";
import { admission, fits, isAboveDropGoal, makesRoom, type QueueLimits, staleCause } from "./queue-limits.ts";
import type { ReceiverQueue } from "./receiver.ts";
import { retainLatest } from "./superseding.ts";
import { Waiting, type WaitingEntry } from "./waiting.ts";

export class LiveQueue implements ReceiverQueue {
  readonly persistent = false;
  readonly label: string;
  readonly limits: QueueLimits;
  /** Messages that wait, and those that the peer has not said to have. */
  count = 0;
  readonly inflight: LiveWindow;
  readonly #host: QueueHost;
  readonly #waiting: Waiting;
  #outlet: LiveOutlet | null = null;
  #pumping = false;

  constructor(host: QueueHost, label: string, limits: QueueLimits) {
    this.#host = host;
    this.label = label;
    this.limits = limits;
    this.inflight = new LiveWindow(host.ringMemory ?? null);
    this.#waiting = new Waiting(limits, false, host.waitingMemory);
  }

  /** No receiver of the log has this id. */
  get id(): number {
    return 0;
  }

  /** Of messages that wait (Message.size). */
  get bytes(): number {
    return this.#waiting.bytes;
  }

  get online(): boolean {
    return this.#outlet !== null;
  }

  /** Whether the limits of a peer that is there hold. */
  get #awake(): boolean {
    return this.#outlet?.resting !== true;
  }

  get inFlight(): number {
    return this.inflight.outstanding;
  }

  /** Whether its publishers should slow down. */
  get congested(): boolean {
    const outlet = this.#outlet;
    if (outlet === null) return false;
    return outlet.crowded || this.#waiting.bytes > this.limits.onlineBytes / 2 || this.#waiting.isTight;
  }

  /** The peer is there. @param windowMax messages in flight at most: ours or the peer's Receive Maximum, whichever is lower */
  attach(outlet: LiveOutlet, windowMax: number): void {
    this.#outlet = outlet;
    this.inflight.windowMax = windowMax;
  }

  /** The peer is gone, and what it has not taken with it. */
  detach(): void {
    if (this.#outlet === null) return;
    this.#outlet = null;
    if (this.count > 0)
      this.#host.ledger.record(this.label, NO_TOPIC, "session-ended", this.#host.time.wallMs(), this.count);
    this.count = 0;
    this.inflight.clear();
    this.#waiting.clear();
  }

  /** @returns TAKES, DROPS (counted by `dropNewest`) or REFUSES for a message of `bytes` (Message.size) */
  admit(bytes: number): number {
    return admission(this.limits, this.#awake, this.count, this.#waiting.bytes, bytes);
  }

  /** Counts a message that `admit` answered DROPS for. */
  dropNewest(topic: () => string): void {
    this.#drop(topic, "queue-full");
  }

  /** Whether a message could be sent this moment, so that the caller may write it without making a Message. */
  get clear(): boolean {
    return this.#waiting.length === 0 && this.inflight.hasRoom && this.#outlet?.writable() === true;
  }

  /** Takes a packet id for a message that the caller writes itself (`clear` was true). */
  takePacketId(qos: number): number {
    this.count++;
    return this.inflight.push(qos);
  }

  /**
   * Enters a message that `admit` took.
   * @param options see receiver.ts
   */
  enqueue(message: Message, options: number, subscriptionIds: readonly number[] | null): void {
    if (!this.#waiting.hasRoom()) {
      this.#drop(() => message.topic, "queue-full");
      return;
    }
    this.count++;
    this.#waiting.push(message, options, subscriptionIds);
    this.pump();
    if (makesRoom(this.limits) && !fits(this.limits, this.#awake, this.count, this.#waiting.bytes)) this.#makeRoom();
  }

  /** Sends what the window and the outlet allow. */
  pump(): void {
    if (this.#waiting.length === 0 || this.#pumping) return;
    // What does not go out after all (larger than the peer takes) is answered, and pumps, while it is being sent.
    this.#pumping = true;
    while (this.#outlet !== null) {
      const entry = this.#waiting.peek();
      if (entry === undefined || !this.#send(entry, this.#outlet)) break;
      this.#waiting.shift();
    }
    this.#pumping = false;
  }

  /** @returns false when the entry has to wait */
  #send({ message, options, subscriptionIds }: WaitingEntry, outlet: LiveOutlet): boolean {
    if (!outlet.writable()) return false;
    const cause = staleCause(this.limits, message, this.#host.time);
    if (cause !== null) {
      this.#giveUp(message, cause);
      return true;
    }
    if (!this.inflight.hasRoom) return false;
    const qos = outlet.partOptions(message, 0, options) & 3;
    outlet.sendPublish(message, 0, options, subscriptionIds, this.inflight.push(qos), false);
    return true;
  }

  /** PUBACK. @param reasonCode 0x80 and above: the peer refused it  @returns false when the id is not in flight */
  onPuback(packetId: number, reasonCode = 0): boolean {
    if (!this.inflight.finish(packetId)) return false;
    this.count--;
    if (reasonCode >= 0x80) this.#drop(NO_TOPIC, "refused");
    this.pump();
    return true;
  }

  /**
   * PUBREC: the peer has the message.
   * @param reasonCode 0x80 and above: the peer refused it, and the exchange ends here
   * @returns false when the id is not in flight
   */
  onPubrec(packetId: number, reasonCode: number): boolean {
    if (reasonCode >= 0x80) return this.onPuback(packetId, reasonCode);
    const before = this.inflight.received(packetId);
    if (before === 0) return false;
    if (before === 2) this.count--;
    this.#outlet?.sendPubrel(packetId);
    return true;
  }

  /** PUBCOMP. @returns false when no PUBREL of that id is out */
  onPubcomp(packetId: number): boolean {
    if (!this.inflight.complete(packetId)) return false;
    this.pump();
    return true;
  }

  #makeRoom(): void {
    const isAboveGoal = (): boolean => isAboveDropGoal(this.limits, this.#awake, this.count, this.#waiting.bytes);
    if (this.limits.whenFull === "latest-per-topic")
      retainLatest(this.#waiting, isAboveGoal, (message) => this.#giveUp(message, "superseded"));
    while (isAboveGoal()) {
      const entry = this.#waiting.shift();
      if (entry === undefined) return;
      this.#giveUp(entry.message, "queue-full");
    }
  }

  #giveUp(message: Message, cause: DropCause): void {
    this.count--;
    this.#drop(() => message.topic, cause);
  }

  #drop(topic: () => string, cause: DropCause): void {
    this.#host.ledger.record(this.label, topic, cause, this.#host.time.wallMs(), 1);
  }
}

/** Of what was sent nothing is kept. */
const NO_TOPIC = (): string => "";
