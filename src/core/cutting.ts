/**
 * Gives up what a receiver was to get, and was not sent yet: because it is full (`drop-oldest`, `latest-per-topic`), or
 * because it is too old. In log order and in slices: what is beyond one goes on in a later turn. What is in flight is
 * kept: the peer may have it, and its packet ids are taken.
 */
import { Allowance } from "../base/allowance.ts";
import type { Counter, Counters } from "../base/counters.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import type { Line } from "../config/budget.ts";
import { AGED, AGES, AGES_NOW, Aging, type AgingQueue } from "./aging.ts";
import type { DropCause } from "./ledger.ts";
import { DURABLE, type Message } from "./message.ts";
import type { QueueHost } from "./outlet.ts";
import type { BacklogSink, TimeSource } from "./ports.ts";
import { fits, isAboveDropGoal, type QueueLimits, staleCause } from "./queue-limits.ts";
import { Superseding } from "./superseding.ts";

/** Bytes of backlog read in one slice. */
const READ_SLICE_BYTES = 64 * 1024;

/** What all queues share for it. */
export interface CuttingShared {
  readonly aging: Aging;
  /** Of the indexes of `latest-per-topic`. */
  readonly latestMemory: Allowance;
  /** Messages of topics that found no room in them. */
  readonly notIndexed: Counter;
  /** Parts of a log, unread by a receiver without log order, that became one because they were too many. */
  readonly stretchesMerged: Counter;
}

/** Whoever drops messages. */
export interface Cutter {
  /** One is to stay, and all that are newer. */
  readonly stopped: boolean;
  /** Drops a message unless it is to stay. */
  drops(message: Message): boolean;
}

/** What of a queue's messages is not in flight, for whoever drops some of them: the oldest first, or from the middle. */
export interface UnsentMessages {
  /** Hands `cutter` what memory holds and the log has nothing older than, from the oldest on. */
  cutWaiting(cutter: Cutter): void;
  /** Where in the log the rest begins; Infinity: there is none. */
  readonly cutFrom: number;
  /** From `cutFrom` the log was looked through up to row `seq`, which is not dropped. @param more what follows may be */
  cutTo(seq: number, more: boolean): void;
  /** Whether row `seq`, the next in the log that is needed, is not in the peer's hands. */
  mayCut(seq: number): boolean;
  /** Row `seq` is dropped, and all below it that `mayCut` said yes for were. */
  cut(seq: number, online: boolean): void;
  /** Whether row `seq`, which is needed, may be dropped while older ones stay. */
  mayStrike(seq: number): boolean;
  /** It was. */
  struck(seq: number): void;
}

/** What is cut: a queue on the log. */
export interface Cuttable {
  readonly id: number;
  readonly limits: QueueLimits;
  readonly online: boolean;
  /** It is, and takes what comes: the limits of a peer that is there hold. */
  readonly awake: boolean;
  readonly count: number;
  readonly bytes: number;
  readonly unsent: UnsentMessages;
  readonly headSeq: number;
  /** Its receiver is no more. */
  readonly ended: boolean;
  needs(seq: number): boolean;
  /** `step` is called in a later turn. */
  askForTurn(): void;
  /** A message that was not sent is done with. */
  giveUp(message: Message, cause: DropCause): void;
}

/** Slices in one go until it fits: a limit that was made much smaller is reached in later turns. */
const SLICES_MAX = 4;
/** Share of `memory_limit` for the indexes of `latest-per-topic`. */
const LATEST_SHARE = 64;

export function cuttingShared(
  wheel: TimerWheel,
  time: TimeSource,
  counters: Counters,
  memoryLimitBytes: number,
): CuttingShared {
  const latestMemory = new Allowance(Math.floor(memoryLimitBytes / LATEST_SHARE));
  counters.gauge("queue.latest_bytes", () => latestMemory.used);
  return {
    aging: new Aging(wheel, () => time.nowMs()),
    latestMemory,
    notIndexed: counters.counter("queue.latest_not_indexed"),
    stretchesMerged: counters.counter("queue.stretches_merged"),
  };
}

export function budget(memoryLimitBytes: number): Line[] {
  return [
    {
      owner: "topics of receivers with latest-per-topic",
      bytes: Math.floor(memoryLimitBytes / LATEST_SHARE),
      how: `1/${LATEST_SHARE} of memory_limit for all receivers together, 32 B a topic; of what finds no room the oldest is dropped`,
    },
  ];
}

/** Why `onBacklog` drops what it is given. */
const FOR_ROOM = 0;
const BY_AGE = 1;

export class Cutting implements Cutter, BacklogSink, AgingQueue {
  readonly #host: QueueHost;
  readonly #queue: Cuttable;
  readonly #superseding: Superseding | null;
  /** It was full, and goes on until some room is free. */
  #making = false;
  #why = FOR_ROOM;
  /** Looked at from time to time whether something is too old. */
  #watched = false;
  /** The row at which a slice ended for good; 0 = it did not. */
  #stoppedAt = 0;

  constructor(host: QueueHost, queue: Cuttable) {
    this.#host = host;
    this.#queue = queue;
    this.#superseding = queue.limits.whenFull === "latest-per-topic" ? new Superseding(host, queue) : null;
  }

  get #fits(): boolean {
    const { limits, awake, count, bytes } = this.#queue;
    return fits(limits, awake, count, bytes);
  }

  get #isAboveGoal(): boolean {
    const { limits, awake, count, bytes } = this.#queue;
    return isAboveDropGoal(limits, awake, count, bytes);
  }

  /** A message has entered. `latest-per-topic` waits until it is on the medium: see `step`. */
  entered(): void {
    if (this.#fits || this.#superseding !== null) return;
    this.#dropOldest();
  }

  /**
   * One slice of what is to be done, when messages have become durable and in turns after that.
   * @returns whether there is more
   */
  step(): boolean {
    if (this.#queue.ended) return false;
    if (this.#superseding !== null) return this.#stepSuperseding(this.#superseding);
    if (this.#making) this.#sliceForRoom();
    return this.#making;
  }

  /** `latest-per-topic`: only what is safe on the medium supersedes, or a full disk could take back the newest after all. */
  #stepSuperseding(superseding: Superseding): boolean {
    const complete = superseding.look();
    if (!this.#fits) this.#making = true;
    else if (!this.#isAboveGoal) this.#making = false;
    if (!this.#making) return !complete;
    if (!complete) {
      if (superseding.isTooFar) this.#sliceForRoom();
      return true;
    }
    const isDone = superseding.drop(() => this.#isAboveGoal);
    this.#making = this.#isAboveGoal;
    if (!isDone || !this.#making) return this.#making && !superseding.waits;
    // What is not on the medium yet may supersede what is still there; `step` comes when it is.
    if (!superseding.seesAll && !superseding.isTooFar) return false;
    this.#sliceForRoom();
    return this.#making;
  }

  #dropOldest(): void {
    this.#making = true;
    let slices = SLICES_MAX;
    do this.#sliceForRoom();
    while (this.#making && !this.#fits && --slices > 0);
    if (this.#making) this.#queue.askForTurn();
  }

  #sliceForRoom(): void {
    this.#why = FOR_ROOM;
    this.#making = this.#slice() && this.#isAboveGoal;
  }

  get limits(): QueueLimits {
    return this.#queue.limits;
  }

  /** The peer is away: what waits for it gets too old without anybody reading it. */
  watch(): void {
    if (this.#watched || this.#queue.limits.maxAgeMs === Number.POSITIVE_INFINITY) return;
    this.#watched = true;
    this.#host.cuts.aging.add(this);
  }

  /** One slice of what is older than it may be, from the oldest on. */
  cutOld(): number {
    const { ended, count, online } = this.#queue;
    if (ended || count === 0 || online) {
      this.#watched = false;
      return AGED;
    }
    this.#why = BY_AGE;
    return this.#slice() ? AGES_NOW : AGES;
  }

  /** Drops from the oldest on, until one is to stay or the slice is spent. @returns false when no more is there to be dropped */
  #slice(): boolean {
    const { unsent, id } = this.#queue;
    this.#stoppedAt = 0;
    unsent.cutWaiting(this);
    const from = unsent.cutFrom;
    if (from === Number.POSITIVE_INFINITY || this.stopped) return false;
    const { store } = this.#host;
    const read = store.read(id, from, READ_SLICE_BYTES, this);
    const next = this.#stoppedAt > 0 ? this.#stoppedAt : read;
    const more = !this.stopped && next <= store.lastSeq;
    unsent.cutTo(next, more);
    return more;
  }

  get stopped(): boolean {
    return this.#stoppedAt > 0;
  }

  /** Store.read gives one row of the log. */
  onBacklog(message: Message): boolean {
    const { seq } = message;
    return !this.#queue.needs(seq) || !this.#queue.unsent.mayCut(seq) || this.drops(message);
  }

  drops(message: Message): boolean {
    if (this.#stays(message)) {
      this.#stoppedAt = Math.max(1, message.seq);
      return false;
    }
    this.#drop(message);
    return true;
  }

  #stays(message: Message): boolean {
    if (this.#why === BY_AGE) return staleCause(this.#queue.limits, message, this.#host.time) === null;
    // Which of those that nobody is told of yet is the latest is not known yet.
    return !this.#isAboveGoal || (this.#superseding !== null && message.state !== DURABLE);
  }

  #drop(message: Message): void {
    const { limits, unsent } = this.#queue;
    const stale = this.#why === BY_AGE ? staleCause(limits, message, this.#host.time) : null;
    if (message.seq > 0) unsent.cut(message.seq, this.#queue.online);
    this.#queue.giveUp(message, stale ?? "queue-full");
  }

  /** The peer is there: what is known of the backlog is forgotten. */
  reset(): void {
    this.#superseding?.reset();
  }

  /** The receiver is no more. */
  end(): void {
    this.reset();
    if (this.#watched) this.#host.cuts.aging.remove(this);
  }
}
