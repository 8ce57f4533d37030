/**
 * A rule that gathers messages before the link: a receiver of the log like any other. What the router gives it is in the
 * log; it reads it from there in turns of its own, live or after a restart, and gathers it (gathering.ts). What that
 * makes enters the rule's priority class as a message with a row of its own.
 *
 *     router ──> log ──read──> Gathering ──> Outbox ──Entering──> class of the priority ──> link
 *                 ^                                      │
 *                 └── the rows it was made of go in the ─┘
 *                     transaction that writes it
 *
 * So a row that a publisher was told is stored stays until what it became is, and a crash at any point neither loses it
 * nor sends it twice. One exception: what the server acknowledged before it was written (elision) is not written, and if
 * the process is killed within the half second that records may wait for, a batch is sent again.
 *
 * Rows that are still open when what they became enters the same group are not written at all (`Store.absorb`).
 */
import { type Expirable, Timer } from "../../base/timer-wheel.ts";
import { type Message, messageOf, OPEN } from "../../core/message.ts";
import { type BacklogSink, type ReceiverRecord, SETTLED, type StoredReceiver } from "../../core/ports.ts";
import type { Publication } from "../../core/publication.ts";
import { TAKES } from "../../core/queue-limits.ts";
import type { Receiver, ReceiverQueue } from "../../core/receiver.ts";
import { GRANT_NO_LOCAL, GRANT_RETAIN_AS_PUBLISHED } from "../../core/route-cache.ts";
import type { Sliced } from "../../core/turns.ts";
import type { AggregatorOptions, AggregatorParts, AggregatorStatus } from "./aggregator-parts.ts";
import { Closing } from "./closing.ts";
import { Entering } from "./entering.ts";
import { DONE, Gathering, HELD, INVALID, type Tally } from "./gathering.ts";
import { OUTBOX_BYTES } from "./limits.ts";
import { LATER, Outbox } from "./outbox.ts";
import { Place } from "./place.ts";
import { AGGREGATE } from "./rules.ts";
import { Times } from "./times.ts";
import { Unread } from "./unread.ts";

/** Bytes of the log read, and messages entered, in one turn: about 0.4 ms of readings. */
const READ_SLICE_BYTES = 16 * 1024;
const ENTERED_PER_TURN = 64;
/** What the store or the class does not take is tried again so soon. */
const RETRY_MS = 1000;

const DUE_TIMER = 0;
const RETRY_TIMER = 1;
const NEVER = Number.POSITIVE_INFINITY;

export class Aggregator implements Receiver, ReceiverQueue, StoredReceiver, BacklogSink, Sliced, Expirable {
  slot = -1;
  readonly principal = null;
  readonly durable = true;
  readonly queue: ReceiverQueue = this;
  readonly kinSlot: number;
  readonly id: number;
  readonly label: string;
  readonly tally: Tally = { in: 0, out: 0, suppressed: 0, passedThrough: 0, closedEarly: 0 };
  readonly #parts: AggregatorParts;
  readonly #options: AggregatorOptions;
  readonly #record: ReceiverRecord;
  readonly #place: Place;
  readonly #outbox: Outbox;
  readonly #entering: Entering;
  readonly #gathering: Gathering;
  readonly #dueTimer = new Timer(this, DUE_TIMER);
  readonly #retryTimer = new Timer(this, RETRY_TIMER);
  readonly #unread: Unread;
  #scheduled = false;
  #ended = false;

  constructor(options: AggregatorOptions, parts: AggregatorParts) {
    const { rule, map, name, door, kinSlot, spanBytesMax, heldBytes, onIdle } = options;
    const { host, router, isClockSet, cbor } = parts;
    this.#options = options;
    this.#parts = parts;
    this.kinSlot = kinSlot;
    this.label = door.queue.label;
    this.#record = host.store.createReceiver(AGGREGATE, name);
    this.id = this.#record.id;
    const place = new Place(this.#record);
    this.#place = place;
    this.#unread = new Unread(this.#record);
    const { tally } = this;
    const { store, time } = host;
    const onRefused = (seq: number): void => this.#readAgainFrom(seq);
    const onSettled = (): void => {
      if (onIdle !== null) this.#schedule();
    };
    this.#entering = new Entering({ rule, door, store, time, place, tally, receiver: this, onSettled, onRefused });
    const outbox = new Outbox(this.#entering.enter, () => this.#schedule());
    this.#outbox = outbox;
    const times = new Times(time, isClockSet);
    const closing = new Closing(rule, times, cbor);
    this.#gathering = new Gathering({ rule, map, times, place, outbox, closing, tally, spanBytesMax, heldBytes });
    store.register(this);
    router.join(this);
    if (onIdle === null)
      router.subscribe(this, rule.match, this.effectiveQos() | GRANT_NO_LOCAL | GRANT_RETAIN_AS_PUBLISHED, 0);
    if (this.#unread.behind || onIdle !== null) this.#schedule();
  }

  status(): AggregatorStatus {
    const { match, to } = this.#options.rule;
    return { match, to, messages: this.count, bytes: this.bytes, topics: this.#gathering.topics, ...this.tally };
  }

  /** It takes nothing more, and the router forgets it. What it holds stays in the store. */
  leave(): void {
    const { router, wheel } = this.#parts;
    this.#ended = true;
    router.unsubscribe(this, this.#options.rule.match);
    router.leave(this);
    wheel.cancel(this.#dueTimer);
    wheel.cancel(this.#retryTimer);
    this.#outbox.clear();
  }

  // ---- what the router sees ----------------------------------------------------------------------------------

  get online(): boolean {
    return this.#options.door.queue.online;
  }

  /** What is held has to be stored, whatever it was published with. */
  effectiveQos(): number {
    return this.#options.rule.qos === 2 ? 2 : 1;
  }

  congested(): boolean {
    return false;
  }

  /** As its class: what is held becomes part of what waits there. */
  admit(bytes: number): number {
    return this.#options.door.queue.admit(bytes);
  }

  dropNewest(topic: () => string): void {
    this.#options.door.queue.dropNewest(topic);
  }

  enqueue(message: Message): void {
    this.#unread.entered(message);
    this.#schedule();
  }

  /** Values of `$SYS`, which nobody stores: here they have to be. */
  deliver(publication: Publication, options: number): void {
    const { store, time } = this.#parts.host;
    const message = messageOf(publication, time.ageMs());
    if (store.admits(message.size) !== SETTLED || this.admit(message.size) !== TAKES) {
      this.dropNewest(() => message.topic);
      return;
    }
    message.addReceiver(this.id, options);
    store.append(message);
    this.enqueue(message);
  }

  // ---- the log -----------------------------------------------------------------------------------------------

  #schedule(): void {
    if (this.#scheduled || this.#ended) return;
    this.#scheduled = true;
    this.#parts.host.schedule(this);
  }

  runScheduled(): void {
    this.#scheduled = false;
    if (this.#ended) return;
    if (this.#mayRead) this.#unread.read(this.#parts.host.store, this.id, READ_SLICE_BYTES, this);
    if (!this.#unread.behind) this.#closeDue();
    this.#pump();
    if (this.count === 0 && this.#outbox.length === 0 && this.#entering.pending === 0) this.#options.onIdle?.();
  }

  get #mayRead(): boolean {
    return this.#unread.behind && this.#outbox.bytes < OUTBOX_BYTES;
  }

  /** Store.read gives a row. */
  onBacklog(message: Message): boolean {
    this.#unread.left(message);
    const answer = this.#gathering.take(message, this.#options.isLooped(message));
    if (answer === DONE) return true;
    this.tally.in++;
    if (answer === HELD) return true;
    const { store, ledger, time } = this.#parts.host;
    if (answer === INVALID) ledger.record(this.label, () => message.topic, "invalid", time.wallMs());
    if (message.state === OPEN) store.settle(message, this.id);
    else store.touch(this);
    return true;
  }

  /** Closes what is due; only when everything is read that was there before. */
  #closeDue(): void {
    const nextMs = this.#gathering.closeDue();
    if (nextMs === NEVER) this.#parts.wheel.cancel(this.#dueTimer);
    else this.#parts.wheel.schedule(this.#dueTimer, Math.max(0, nextMs));
  }

  #pump(): void {
    if (this.#outbox.pump(ENTERED_PER_TURN) === LATER) {
      this.#parts.wheel.schedule(this.#retryTimer, RETRY_MS);
      if (this.#mayRead) this.#schedule();
    } else if (this.#outbox.isReady || this.#mayRead) {
      this.#schedule();
    }
  }

  onTimer(): void {
    this.#schedule();
  }

  /** Rows are needed again: everything that is held is read anew. */
  #readAgainFrom(seq: number): void {
    if (this.#ended) return;
    this.#unread.again(Math.min(seq, this.headSeq), this.count, this.bytes);
    this.#place.forget();
    this.#gathering.forget();
    this.#outbox.clear();
    this.#schedule();
  }

  // ---- what the store sees -----------------------------------------------------------------------------------

  /** Messages held. */
  get count(): number {
    return this.#place.rows + this.#unread.rows;
  }

  /** Their bytes. */
  get bytes(): number {
    return this.#place.bytes + this.#unread.bytes;
  }

  get headSeq(): number {
    const { firstSeq } = this.#place;
    return this.#unread.behind ? Math.min(firstSeq, this.#unread.cursor) : firstSeq;
  }

  needs(seq: number): boolean {
    return seq >= this.headSeq;
  }

  save(): ReceiverRecord {
    const record = this.#record;
    const head = this.headSeq;
    record.headSeq = head === NEVER ? this.#parts.host.store.lastSeq + 1 : head;
    record.state = this.#place.encode(record.headSeq);
    record.count = this.count;
    record.bytes = this.bytes;
    return record;
  }

  onDurable(): void {
    this.#place.forgetWritten();
  }

  /** The disk has no room for a row that is not read yet, or for one that something in memory stands for. */
  onWithdrawn(message: Message): void {
    if (this.#unread.behind && message.seq >= this.#unread.cursor) this.#unread.left(message);
    else this.#readAgainFrom(NEVER);
  }
}
