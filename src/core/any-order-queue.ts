/**
 * What waits for one durable receiver, and what is in flight to it, where the newest are to come first, or old and new
 * by turns. The messages of a topic do not keep their order. Where they have to, delivery-queue.ts does the same.
 *
 *     in flight (`place`)  <──  what is to be sent again │ `live` │ `backlog` <── slices of the log (`unread`)
 *
 * **What is over.** Acknowledged while it is in the open group: settled, and not written. Above the lowest row that was
 * never sent: struck, so the log itself says what is still needed. Below it: what has no entry in flight is over.
 *
 * **Packet ids.** Messages leave in no order that a restart could find out, so the record lists what is in flight, with
 * each commit that writes it anyway. A QoS 1 message may leave before that: a crash then shows it to the peer again, with
 * DUP, under another packet id, and the peer keeps no state for the first one. A QoS 2 message leaves only when its own
 * entry is stored: whatever the peer may hold under an id, the record knows of it, and nobody else takes that id until
 * PUBCOMP. For the peer forgets an id only after PUBREL, which waits for the store: a crash before that finds the message
 * in flight and sends it again under the same id, which makes no second delivery; a crash after it finds the message
 * received, or its row struck in the transaction that lets go of the entry, so that it is sent under none. An entry
 * whose row the store cannot strike yet stays until it can. What may be with the peer at QoS 2 is never more than its
 * window, and comes before anything else after a reconnect.
 */
import { AnyOrderOver, STRIKES } from "./any-order-over.ts";
import { AnyOrderPlace } from "./any-order-place.ts";
import { isAnyOrder } from "./any-order-record.ts";
import { AnyOrderSending, NOT_NOW, NOT_STORED, OVER, PEER_BUSY, type Sender } from "./any-order-sending.ts";
import { AnyOrderSource, type DrainOrder, NOWHERE } from "./any-order-source.ts";
import { type Cuttable, Cutting } from "./cutting.ts";
import { type Inflight, RECEIVED } from "./inflight.ts";
import type { DropCause } from "./ledger.ts";
import { inAnyOrder } from "./log-order-record.ts";
import { type Message, OPEN, WITHDRAWN } from "./message.ts";
import type { Outlet, QueueHost } from "./outlet.ts";
import type { PacketIdRange } from "./packet-ids.ts";
import { type ReceiverRecord, topicAt } from "./ports.ts";
import { PubrelReleases } from "./pubrel-releases.ts";
import { admission, fits, makesRoom, type QueueLimits } from "./queue-limits.ts";
import type { SpoolQueue } from "./spool-queue.ts";
import { Unread } from "./unread.ts";
import type { WaitingEntry } from "./waiting.ts";

export class AnyOrderQueue implements SpoolQueue, Cuttable, Sender {
  readonly id: number;
  readonly label: string;
  limits: QueueLimits;
  count = 0;
  bytes = 0;
  readonly inflight: Inflight;
  readonly unread: Unread;
  ended = false;
  readonly #host: QueueHost;
  readonly #record: ReceiverRecord;
  readonly #order: DrainOrder;
  readonly #source: AnyOrderSource;
  readonly #sending: AnyOrderSending;
  readonly #over: AnyOrderOver;
  readonly #place: AnyOrderPlace;
  readonly #releases: PubrelReleases;
  #cutting: Cutting | null = null;
  #outlet: Outlet | null = null;
  #pumping = false;
  #scheduled = false;

  /**
   * @param windowMax messages in flight at most, as it was before the last restart
   * @param range     packet ids of its own, where its peer has several queues; undefined = all
   */
  constructor(
    host: QueueHost,
    label: string,
    record: ReceiverRecord,
    limits: QueueLimits,
    order: DrainOrder,
    windowMax: number,
    range?: PacketIdRange,
  ) {
    const { store, time, ringMemory } = host;
    const own = isAnyOrder(record.state) ? { ...record } : inAnyOrder(store, record, windowMax);
    this.#host = host;
    this.label = label;
    this.limits = limits;
    this.#order = order;
    this.#record = own;
    this.id = record.id;
    this.#place = new AnyOrderPlace(own, store.lastSeq, time, ringMemory ?? null, range);
    this.inflight = this.#place.inflight;
    const from = record.count === 0 ? store.lastSeq + 1 : this.#place.floor;
    const oldestFirst = order !== "newest-first";
    this.unread = new Unread(this.inflight, limits, host, oldestFirst, from);
    const { unread } = this;
    this.#source = new AnyOrderSource(host, this.id, limits, order, this.#place, unread, () => this.askForTurn());
    unread.onForgotten = () => this.#source.sendAgain();
    this.#sending = new AnyOrderSending(host, this, this.#place);
    this.#over = new AnyOrderOver(store, this, this.#place, unread);
    this.#releases = new PubrelReleases(store);
    this.count = record.count;
    this.bytes = record.bytes;
    if (record.count > 0) this.cuts.watch();
  }

  get online(): boolean {
    return this.#outlet !== null;
  }

  get awake(): boolean {
    return this.online;
  }

  get inFlight(): number {
    return this.inflight.outstanding;
  }

  get isReading(): boolean {
    return this.#outlet !== null && this.#source.isReading;
  }

  // ---- the peer comes and goes -------------------------------------------------------------------------------

  attach(outlet: Outlet, windowMax: number, resumed: boolean): void {
    this.detach();
    this.#place.begin(resumed);
    if (!resumed) this.#host.store.touch(this);
    this.#over.strikeKept();
    this.#outlet = outlet;
    this.inflight.windowMax = windowMax;
    this.#releases.attach(outlet);
    this.#cutting?.reset();
    this.unread.close();
    this.#source.begin();
    for (let ordinal = this.inflight.head; ordinal < this.inflight.next; ordinal++) {
      if (this.inflight.stateAt(ordinal) === RECEIVED) this.#releases.send(this.inflight.packetIdOf(ordinal));
    }
    this.pump();
  }

  detach(): void {
    if (this.#outlet === null) return;
    this.unread.forget();
    this.#source.end();
    this.inflight.suspend();
    this.#cutting?.reset();
    if (this.count > 0) this.cuts.watch();
    this.#outlet = null;
    this.#releases.detach();
  }

  end(): void {
    this.ended = true;
    this.inflight.end();
    this.#cutting?.end();
  }

  // ---- messages come in --------------------------------------------------------------------------------------

  admit(bytes: number): number {
    return admission(this.limits, this.online, this.count, this.bytes, bytes);
  }

  dropNewest(topic: () => string): void {
    this.drop(topic, "queue-full");
  }

  enqueue(message: Message, options: number, subscriptionIds: readonly number[] | null): void {
    this.count++;
    this.bytes += message.size;
    this.#host.store.touch(this);
    const { unread } = this;
    const takes = this.#order !== "oldest-first" || (!unread.hasMore && unread.backlog.length === 0);
    unread.enter(message, options, subscriptionIds, takes);
    if (this.#outlet === null) {
      this.cuts.watch();
      this.#host.onWaiting?.();
    }
    if (makesRoom(this.limits) && !fits(this.limits, this.online, this.count, this.bytes)) this.cuts.entered();
    this.pump();
  }

  // ---- messages go out ---------------------------------------------------------------------------------------

  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    this.#source.beginTurn();
    while (this.#outlet !== null && this.#sendNext(this.#outlet)) {}
    this.#pumping = false;
  }

  runScheduled(): void {
    this.#scheduled = false;
    if (this.#cutting?.step()) this.askForTurn();
    this.pump();
  }

  askForTurn(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#host.schedule(this);
  }

  /** @returns false when nothing more can be sent now */
  #sendNext(outlet: Outlet): boolean {
    const source = this.#source;
    const from = source.choose(outlet);
    if (from === NOWHERE) return false;
    const waiting = source.waitingOf(from);
    const entry = waiting.peek() as WaitingEntry;
    const outcome = this.#sending.send(entry, outlet);
    if (outcome === PEER_BUSY) return false;
    if (outcome === NOT_NOW || outcome === NOT_STORED) {
      source.hold(from);
      if (outcome === NOT_STORED) this.#sending.reserveAhead(waiting, outlet);
      return outlet.writable();
    }
    waiting.shift();
    source.passed(from);
    if (outcome === OVER) this.#finished(entry.message.seq, entry.message.size, entry.message, entry.ordinal);
    return true;
  }

  // ---- answers -----------------------------------------------------------------------------------------------

  onPuback(packetId: number, reasonCode = 0): boolean {
    if (!this.inflight.finish(packetId)) return false;
    if (reasonCode >= 0x80) this.drop(() => topicAt(this.#host.store, this.id, this.inflight.answeredSeq), "refused");
    this.#answered();
    this.pump();
    return true;
  }

  onPubrec(packetId: number, reasonCode: number): boolean {
    if (reasonCode >= 0x80) return this.onPuback(packetId, reasonCode);
    if (!this.inflight.received(packetId)) return false;
    if (this.inflight.answeredSize > 0) this.#answered();
    this.#releases.send(packetId);
    return true;
  }

  onPubcomp(packetId: number): boolean {
    if (!this.inflight.complete(packetId)) return false;
    this.#host.store.touch(this);
    this.pump();
    return true;
  }

  #answered(): void {
    const { answeredSeq, answeredSize, answeredMessage, answeredOrdinal } = this.inflight;
    if (this.#place.multipart && this.#place.awaits(answeredSeq)) this.#host.store.touch(this);
    else this.#finished(answeredSeq, answeredSize, answeredMessage, answeredOrdinal);
  }

  #finished(seq: number, size: number, message: Message | null, ordinal: number): void {
    if (message?.state !== WITHDRAWN) this.#uncount(size);
    this.#over.over(seq, message, ordinal);
  }

  /** The store has the entries below an ordinal, or takes strikes again. After a failure it does neither. */
  onStored(token: number, reason: number): void {
    if (reason !== 0) return;
    if (token === STRIKES) this.#over.onStored();
    else this.#sending.onStored(token);
    this.pump();
  }

  // ---- what is dropped ---------------------------------------------------------------------------------------

  get cuts(): Cutting {
    return (this.#cutting ??= new Cutting(this.#host, this));
  }

  get unsent(): Unread {
    return this.unread;
  }

  giveUp(message: Message, cause: DropCause): void {
    this.drop(() => message.topic, cause);
    if (message.state !== WITHDRAWN) this.#uncount(message.size);
    if (message.state === OPEN) this.#host.store.settle(message, this.id);
    this.#host.store.touch(this);
  }

  drop(topic: () => string, cause: DropCause): void {
    this.#host.ledger.record(this.label, topic, cause, this.#host.time.wallMs());
  }

  #uncount(size: number): void {
    this.count--;
    this.bytes -= size;
  }

  // ---- the store's side --------------------------------------------------------------------------------------

  get headSeq(): number {
    return this.count === 0 ? Number.POSITIVE_INFINITY : Math.min(this.#place.lowest, this.unread.base);
  }

  needs(seq: number): boolean {
    return this.count > 0 && this.#place.needs(seq, this.unread.base);
  }

  save(): ReceiverRecord {
    const record = this.#record;
    const { base, end, isLive } = this.unread;
    record.headSeq = Math.min(this.headSeq, this.#host.store.lastSeq + 1);
    const marks = !isLive && this.count > 0 && this.#order !== "oldest-first";
    this.#place.save(record, { base, end, marks });
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
    this.#uncount(message.size);
    this.drop(() => message.topic, "disk-full");
  }
}
