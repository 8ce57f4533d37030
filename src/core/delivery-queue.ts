/**
 * What waits for one durable receiver of QoS 1 and 2 messages, and what is in flight to it: a session that outlives its
 * connection, an uplink, a serial line. Other sessions have a live-queue.
 *
 *     in flight (`inflight`, `log-place`) | waiting (`unsent`): in memory, then in the log alone
 *
 * A receiver that keeps up lives in memory alone: a message goes straight to the outlet or into `waiting`. One that is
 * offline, or whose `waiting` is full, is *behind*: its messages are only in the log, and `pump` reads them slice by slice
 * until it has caught up. Reconnect and restart are the same case: forget what memory held, read from the head.
 *
 * QoS 2 messages leave only once they are durable: else a crash would make the publisher send them again, as new ones.
 */
import { AwayMark } from "./away-mark.ts";
import { type Cuttable, Cutting } from "./cutting.ts";
import { type Inflight, RECEIVED } from "./inflight.ts";
import type { DropCause } from "./ledger.ts";
import { LogPlace } from "./log-place.ts";
import { DURABLE, type Message, OPEN, WITHDRAWN } from "./message.ts";
import { type Outlet, PART_EXPIRED, partCause, placedParts, type QueueHost } from "./outlet.ts";
import type { PacketIdRange } from "./packet-ids.ts";
import { type BacklogSink, type ReceiverRecord, topicAt } from "./ports.ts";
import { PubrelReleases } from "./pubrel-releases.ts";
import { admission, fits, makesRoom, type QueueLimits, sliceBytes, staleCause } from "./queue-limits.ts";
import { DELIVERY_QOS } from "./receiver.ts";
import { sendAnew } from "./sent-anew.ts";
import type { SpoolQueue } from "./spool-queue.ts";
import { Unsent } from "./unsent.ts";
import { Waiting, type WaitingEntry } from "./waiting.ts";

export class DeliveryQueue implements SpoolQueue, BacklogSink, Cuttable {
  readonly persistent = true;
  readonly id: number;
  /** "session:meter-7": for ledger and status. */
  readonly label: string;
  limits: QueueLimits;
  /** Messages not acknowledged by the receiver, wherever they are. */
  count = 0;
  /** Their bytes (Message.size). */
  bytes = 0;
  /** What is in flight to the peer. */
  readonly inflight: Inflight;
  readonly #host: QueueHost;
  readonly #record: ReceiverRecord;
  readonly #place: LogPlace;
  readonly #waiting: Waiting;
  readonly unsent: Unsent;
  /** Made when something is to be dropped. */
  #cutting: Cutting | null = null;
  /** Its receiver is no more. */
  ended = false;
  #outlet: Outlet | null = null;
  readonly #releases: PubrelReleases;
  #pumping = false;
  #scheduled = false;
  readonly #awayMark: AwayMark;

  /** @param range packet ids of its own, where its peer has several queues; undefined = all */
  constructor(host: QueueHost, label: string, record: ReceiverRecord, limits: QueueLimits, range?: PacketIdRange) {
    this.#host = host;
    this.label = label;
    this.limits = limits;
    this.#record = record;
    this.id = record.id;
    this.#place = new LogPlace(record, host.store.lastSeq, host.time, host.ringMemory, range);
    this.inflight = this.#place.inflight;
    this.#waiting = new Waiting(limits, true, host.waitingMemory);
    this.unsent = new Unsent(this.#place, this.#waiting);
    this.#releases = new PubrelReleases(host.store);
    const marks = limits.whenFull === "latest-per-topic";
    this.#awayMark = new AwayMark(host.store, this, this.#place, marks, () => this.pump());
    this.count = record.count;
    this.bytes = record.bytes;
    this.unsent.cursor = record.headSeq;
    this.unsent.behind = record.count > 0;
    if (record.count > 0) this.cuts.watch();
  }

  get online(): boolean {
    return this.#outlet !== null;
  }

  get awake(): boolean {
    return this.#outlet !== null && this.#outlet.resting !== true;
  }

  get inFlight(): number {
    return this.inflight.outstanding;
  }

  get isReading(): boolean {
    return this.#outlet !== null && this.unsent.behind && this.#waiting.length === 0 && !this.unsent.barren;
  }

  /** Whether its publishers should slow down. */
  get congested(): boolean {
    return this.#outlet !== null && (this.bytes > this.limits.onlineBytes / 2 || this.#waiting.isTight);
  }

  /**
   * The peer is there. What was in flight is sent again if it kept its session, else what it did not take starts anew.
   * @param windowMax messages in flight at most: ours or the peer's Receive Maximum, whichever is lower
   * @param resumed   the peer has a session from before
   */
  attach(outlet: Outlet, windowMax: number, resumed: boolean): void {
    this.detach();
    this.#outlet = outlet;
    this.inflight.windowMax = windowMax;
    this.#releases.attach(outlet);
    if (this.count > 0) {
      this.unsent.cursor = this.headSeq;
      this.unsent.behind = true;
      this.unsent.barren = false;
    }
    this.#place.begin(resumed);
    if (!resumed) this.#host.store.touch(this);
    this.#cutting?.reset();
    this.#awayMark.erase();
    for (let ordinal = this.inflight.head; ordinal < this.inflight.next; ordinal++) {
      if (this.inflight.stateAt(ordinal) === RECEIVED) this.#releases.send(this.inflight.packetIdOf(ordinal));
    }
    this.pump();
  }

  /** The peer is gone. What is unacknowledged stays in the log. */
  detach(): void {
    if (this.#outlet === null) return;
    if (this.count > 0) this.unsent.cursor = this.headSeq;
    this.unsent.behind = this.count > 0;
    this.inflight.suspend();
    this.#awayMark.set();
    if (this.count > 0) this.cuts.watch();
    this.#waiting.clear();
    this.#outlet = null;
    this.#releases.detach();
  }

  /** @see SpoolQueue */
  sendAnew(outlet: Outlet): void {
    sendAnew(this, this.#place, this.#host.store, outlet);
  }

  /** Its receiver is no more. */
  end(): void {
    this.ended = true;
    this.inflight.end();
    this.#cutting?.end();
  }

  /** @returns TAKES, DROPS (counted by `refuse`) or REFUSES for a message of `bytes` (Message.size) */
  admit(bytes: number): number {
    return admission(this.limits, this.awake, this.count, this.bytes, bytes);
  }

  /** Counts a message that `admit` answered DROPS for. */
  dropNewest(topic: () => string): void {
    this.#drop(topic, "queue-full");
  }

  /**
   * Enters a message that `admit` took. It is in the store's open group already (`Store.append`).
   * @param options see receiver.ts
   */
  enqueue(message: Message, options: number, subscriptionIds: readonly number[] | null): void {
    this.count++;
    this.bytes += message.size;
    this.#host.store.touch(this);
    if (this.#outlet === null) {
      if (!this.unsent.behind) {
        this.unsent.behind = true;
        this.unsent.cursor = message.seq;
      }
      this.cuts.watch();
      this.#host.onWaiting?.();
    } else if (!this.unsent.behind) {
      this.#wait(message, options, subscriptionIds);
    }
    if (makesRoom(this.limits) && !fits(this.limits, this.awake, this.count, this.bytes)) this.cuts.entered();
    if (!this.unsent.behind) this.pump();
  }

  #wait(message: Message, options: number, subscriptionIds: readonly number[] | null): void {
    if (this.#waiting.hasRoom()) {
      this.#waiting.push(message, options, subscriptionIds);
    } else {
      this.unsent.behind = true;
      this.unsent.cursor = message.seq;
    }
  }

  get cuts(): Cutting {
    return (this.#cutting ??= new Cutting(this.#host, this));
  }

  giveUp(message: Message, cause: DropCause): void {
    if (cause === "superseded" && this.#outlet !== null) this.#awayMark.holdAll();
    this.#drop(() => message.topic, cause);
    this.#finished(message.seq, message.size, message);
  }

  askForTurn(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#host.schedule(this);
  }

  /** Sends what the window and the outlet allow; reads on in the log when memory is empty. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    let slices = 1;
    while (this.#outlet !== null) {
      const entry = this.#waiting.peek();
      if (entry === undefined) {
        if (!this.unsent.behind || !this.#outlet.writable()) break;
        if (slices-- === 0) {
          this.askForTurn();
          break;
        }
        this.#readSlice();
        continue;
      }
      if (!this.#send(entry, this.#outlet)) break;
      this.#waiting.shift();
    }
    this.unsent.spill();
    this.#pumping = false;
  }

  /** Called by the host in the turn it chose. */
  runScheduled(): void {
    this.#scheduled = false;
    if (this.#cutting?.step()) this.askForTurn();
    this.pump();
  }

  #readSlice(): void {
    const store = this.#host.store;
    const { unsent } = this;
    unsent.cursor = store.read(this.id, unsent.cursor, sliceBytes(this.limits), this);
    unsent.barren = this.#waiting.length === 0;
    if (unsent.cursor <= store.lastSeq) return;
    unsent.behind = false;
    if (this.#waiting.length === 0) this.#place.skipReplay(Number.POSITIVE_INFINITY);
  }

  get sharesMemory(): boolean {
    return this.limits.sharesMemory === true;
  }

  /** Store.read gives one row of the log. */
  onBacklog(message: Message, options: number, subscriptionIds: readonly number[] | null): boolean {
    if (!this.needs(message.seq) || this.#place.isOut(message.seq)) return true;
    this.#waiting.push(message, options, subscriptionIds);
    return this.#waiting.hasRoom();
  }

  /** @returns false when the entry has to wait (window, outlet, or not durable yet) */
  #send(entry: WaitingEntry, outlet: Outlet): boolean {
    const message = entry.message;
    if (message.state === WITHDRAWN) return true;
    const parts = outlet.parts(message, entry.options);
    if (parts > 1 && entry.partsSent === 0) {
      if (!outlet.writable()) return false; // a peer that is there says how many
      if (!this.#place.beginParts(message, placedParts(outlet, message, parts, entry.options))) return false;
    }
    const stale = staleCause(this.limits, message, this.#host.time);
    let dropped: DropCause | null = null;
    let awaited = false;
    for (; entry.partsSent < parts; entry.partsSent++) {
      if (parts > 1 && this.#place.isOver(message.seq)) return true;
      if (!outlet.writable(message, entry.options)) return false;
      const options = outlet.partOptions(message, entry.partsSent, entry.options);
      const qos = options & DELIVERY_QOS;
      const cause = options < PART_EXPIRED ? stale : partCause(options, stale);
      if (qos === 0) {
        if (cause === null) outlet.sendPublish(message, entry.partsSent, options, entry.subscriptionIds, 0, false);
        else dropped = cause;
        continue;
      }
      if (parts > 1 && this.#place.isNextPartAnswered(message.seq)) continue;
      if (qos === 2 && (message.state !== DURABLE || this.#awayMark.holds)) return false;
      if (this.#awayMark.holdsAll) return false;
      if (!this.#place.hasRoomFor(message)) return false;
      const ordinal = this.#place.ordinalFor(message, qos);
      if (cause !== null && (cause === "too-large" || !this.#place.mayHave(ordinal, message, qos))) {
        this.inflight.discard(ordinal);
        dropped = cause;
      } else {
        const dup = this.#place.wasSent(ordinal, message.seq);
        const packetId = this.inflight.packetIdOf(ordinal);
        outlet.sendPublish(message, entry.partsSent, options, entry.subscriptionIds, packetId, dup);
        awaited = true;
      }
    }
    if (dropped !== null) this.#drop(() => message.topic, dropped);
    if (parts > 1 && this.#place.isOverOrAwaited(message.seq)) return true;
    if (!awaited) {
      this.#place.passBy(message);
      this.#finished(message.seq, message.size, message);
    }
    return true;
  }

  /** PUBACK. @param reasonCode 0x80 and above: the peer refused it  @returns false when the id is not in flight */
  onPuback(packetId: number, reasonCode = 0): boolean {
    if (!this.inflight.finish(packetId)) return false;
    if (reasonCode >= 0x80) this.#drop(() => topicAt(this.#host.store, this.id, this.inflight.answeredSeq), "refused");
    this.#answered();
    this.pump();
    return true;
  }

  /**
   * PUBREC: the peer has the message. PUBREL goes out once that is stored.
   * @param reasonCode 0x80 and above: the peer refused it, and the exchange ends here
   * @returns false when the id is not in flight
   */
  onPubrec(packetId: number, reasonCode: number): boolean {
    if (reasonCode >= 0x80) return this.onPuback(packetId, reasonCode);
    if (!this.inflight.received(packetId)) return false;
    if (this.inflight.answeredSize > 0) this.#answered();
    this.#releases.send(packetId);
    return true;
  }

  /** PUBCOMP. @returns false when no PUBREL of that id is due */
  onPubcomp(packetId: number): boolean {
    if (!this.inflight.complete(packetId)) return false;
    this.#host.store.touch(this);
    this.pump();
    return true;
  }

  /** Messages in flight, or received, are to be sent again to whoever the outlet chooses now. The log still has them. */
  takeBack(packetIds: readonly number[]): void {
    let { from } = this.unsent;
    for (const packetId of packetIds) {
      from = Math.min(from, this.inflight.takeBack(packetId));
      // What was received counted as done.
      if (this.inflight.answeredSize > 0) this.#uncount(-this.inflight.answeredSize, -1);
    }
    if (from === Number.POSITIVE_INFINITY || this.#outlet === null) return;
    this.unsent.rereadFrom(from);
    this.#place.rewind();
    this.pump();
  }

  #answered(): void {
    const { answeredSeq: seq, answeredSize, answeredMessage } = this.inflight;
    if (this.inflight.multipart && this.inflight.awaits(seq)) this.#host.store.touch(this);
    else this.#finished(seq, answeredSize, answeredMessage);
  }

  #finished(seq: number, size: number, message: Message | null): void {
    if (message === null || message.state !== WITHDRAWN) this.#uncount(size);
    if (seq === 0) return;
    if (this.inflight.multipart) this.#place.release(seq);
    if (message !== null && message.state === OPEN) this.#host.store.settle(message, this.id);
    this.#host.store.touch(this);
  }

  #uncount(size: number, count = 1): void {
    this.count -= count;
    this.bytes -= size;
  }

  #drop(topic: () => string, cause: DropCause): void {
    this.#host.ledger.record(this.label, topic, cause, this.#host.time.wallMs());
  }

  get headSeq(): number {
    return this.count === 0 ? Number.POSITIVE_INFINITY : this.unsent.headSeq;
  }

  needs(seq: number): boolean {
    return this.count > 0 && seq >= this.headSeq && this.#place.needs(seq);
  }

  save(): ReceiverRecord {
    const record = this.#record;
    const head = this.headSeq;
    record.headSeq = head === Number.POSITIVE_INFINITY ? this.#host.store.lastSeq + 1 : head;
    this.#place.save(record);
    record.count = this.count;
    record.bytes = this.bytes;
    return record;
  }

  onDurable(): void {
    this.inflight.forgetStored();
    if (this.limits.whenFull === "latest-per-topic" && this.cuts.step()) this.askForTurn();
    this.pump();
  }

  onWithdrawn(message: Message): void {
    this.#place.release(message.seq);
    this.#uncount(message.size);
    this.#drop(() => message.topic, "disk-full");
  }
}
