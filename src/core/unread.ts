/**
 * What of a receiver's messages is not in flight, for a queue that does not keep the order of the log: the parts of the
 * log that it has not read yet, and what memory holds.
 *
 *     the log, by sequence number
 *     ────|▒▒▒▒▒▒▒▒▒▒▒▒|───────|▒▒▒▒▒▒▒|───── live ─────|▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒
 *        base  stretch          stretch    (in memory)   openFrom: while the peer is away, or `live` was full
 *
 * `backlog` is read from one stretch, the oldest or the newest, from its low end up or from its high end down. Rows
 * outside of all this are in flight, or over. A row that is over and lies above the base was struck, so stretches may be
 * merged when they become too many: what lies between is not given again by the store, but for what is in flight or in
 * memory (`#apart`). The base only goes up, so what is over below it needs no strike.
 */
import type { Counter } from "../base/counters.ts";
import type { Cutter, UnsentMessages } from "./cutting.ts";
import { DONE, type Inflight } from "./inflight.ts";
import { type Message, OPEN } from "./message.ts";
import type { QueueHost } from "./outlet.ts";
import type { BacklogSink, Store } from "./ports.ts";
import type { QueueLimits } from "./queue-limits.ts";
import { Waiting } from "./waiting.ts";

/** Parts of the log that are told apart. */
export const STRETCHES_MAX = 16;

/** Both ends included. */
interface Stretch {
  low: number;
  high: number;
}

const NEVER = Number.POSITIVE_INFINITY;
const NONE: ReadonlySet<number> = new Set();

export class Unread implements UnsentMessages, BacklogSink {
  /** Entered while the peer is there. */
  readonly live: Waiting;
  /** Read from the log. */
  readonly backlog: Waiting;
  /** What memory held was given back to the log; what of it has an ordinal is to be sent again from there. */
  onForgotten: () => void = () => {};
  readonly #inflight: Inflight;
  readonly #oldestFirst: boolean;
  readonly #merged: Counter;
  /** Ascending, none touches another. */
  readonly #stretches: Stretch[] = [];
  /** The one that `backlog` was read from. */
  #reading: Stretch = { low: 0, high: 0 };
  /** Rows from here on are in the log alone; Infinity: memory has them. */
  #openFrom: number;
  /** Highest row that has entered. */
  #top: number;
  /** Rows within the stretches that are in flight or in memory. */
  #apart = NONE;

  /** @param from lowest row that is not in flight */
  constructor(
    inflight: Inflight,
    limits: QueueLimits,
    host: Pick<QueueHost, "waitingMemory" | "cuts" | "store">,
    oldestFirst: boolean,
    from: number,
  ) {
    this.#inflight = inflight;
    const half = { ...limits, windowBytes: limits.windowBytes / 2 };
    this.live = new Waiting(half, true, host.waitingMemory);
    this.backlog = new Waiting(half, true, host.waitingMemory);
    this.#merged = host.cuts.stretchesMerged;
    this.#oldestFirst = oldestFirst;
    this.#openFrom = from;
    this.#top = host.store.lastSeq;
    this.#setApart();
  }

  /** Lowest row that may not be in flight yet, Infinity when all are. */
  get base(): number {
    return Math.min(this.#lowInLog, this.#lowInMemory);
  }

  get #lowInLog(): number {
    return Math.min(this.#stretches[0]?.low ?? NEVER, this.#openFrom);
  }

  get #lowInMemory(): number {
    const { live, backlog } = this;
    const low = this.#oldestFirst ? backlog.peek() : backlog.at(backlog.length - 1);
    return Math.min(live.peek()?.message.seq ?? NEVER, low?.message.seq ?? NEVER);
  }

  /** Where the log ends as far as this receiver is concerned. */
  get end(): number {
    return this.#top + 1;
  }

  /** Whether nothing that is in the log waits. */
  get isLive(): boolean {
    const first = this.live.peek();
    const { base } = this;
    return base === NEVER || (first?.message.state === OPEN && base === first.message.seq);
  }

  /** Whether there is more in the log than in memory. */
  get hasMore(): boolean {
    return this.#stretches.length > 0;
  }

  // ---- in and out of memory ----------------------------------------------------------------------------------

  /** A message has entered. @param takes whether memory may have it */
  enter(message: Message, options: number, subscriptionIds: readonly number[] | null, takes: boolean): void {
    this.#top = message.seq;
    if (this.#openFrom !== NEVER) return;
    if (takes && this.live.hasRoom()) this.live.push(message, options, subscriptionIds);
    else this.#openFrom = message.seq;
  }

  /** What comes next goes to `live`, which is empty. */
  close(): void {
    if (this.#openFrom === NEVER) return;
    if (this.#openFrom <= this.#top) this.#stretches.push({ low: this.#openFrom, high: this.#top });
    this.#openFrom = NEVER;
    if (this.#stretches.length > STRETCHES_MAX) this.#merge();
  }

  /** The two that are closest to one another become one. */
  #merge(): void {
    this.#merged.value++;
    let [at, gap] = [0, NEVER];
    for (let i = 1; i < this.#stretches.length; i++) {
      const between = (this.#stretches[i] as Stretch).low - (this.#stretches[i - 1] as Stretch).high;
      if (between < gap) [at, gap] = [i, between];
    }
    const [upper] = this.#stretches.splice(at, 1) as [Stretch];
    const lower = this.#stretches[at - 1] as Stretch;
    if (this.#reading === upper) this.#reading = lower;
    lower.high = upper.high;
    this.#setApart();
  }

  #setApart(): void {
    const apart = new Set<number>();
    const { head, next } = this.#inflight;
    for (let ordinal = head; ordinal < next; ordinal++) {
      if (this.#inflight.stateAt(ordinal) !== DONE) apart.add(this.#inflight.seqAt(ordinal));
    }
    for (const waiting of [this.live, this.backlog]) {
      for (let i = 0; i < waiting.length; i++) apart.add(waiting.at(i)?.message.seq as number);
    }
    this.#apart = apart;
  }

  /** Reads on in the log. `backlog` is empty. */
  readSlice(store: Store, id: number, maxBytes: number): void {
    const stretch = this.#oldestFirst ? this.#stretches[0] : this.#stretches.at(-1);
    if (stretch === undefined) return;
    this.#reading = stretch;
    if (this.#oldestFirst) stretch.low = store.read(id, stretch.low, maxBytes, this);
    else stretch.high = store.readBack(id, stretch.high, stretch.low, maxBytes, this);
    if (stretch.low <= stretch.high) return;
    if (this.#oldestFirst) this.#stretches.shift();
    else this.#stretches.pop();
  }

  /** Store.read gives one row of the log. */
  onBacklog(message: Message, options: number, subscriptionIds: readonly number[] | null): boolean {
    if (message.seq > this.#reading.high) return false;
    if (this.#apart.has(message.seq)) return true;
    this.backlog.push(message, options, subscriptionIds);
    return this.backlog.hasRoom();
  }

  /** Memory is forgotten: the log has it all. */
  forget(): void {
    this.#giveBack();
    const first = this.live.peek();
    this.#openFrom = Math.min(this.#openFrom, first?.message.seq ?? this.end);
    this.live.clear();
    this.#setApart();
    this.onForgotten();
  }

  /** Of the stretch that is read, a row was given for each in `backlog`, in order: the stretch is as before. */
  #giveBack(): void {
    const { backlog } = this;
    const first = backlog.peek()?.message.seq;
    const last = backlog.at(backlog.length - 1)?.message.seq;
    if (first === undefined || last === undefined) return;
    backlog.clear();
    const low = Math.min(first, last);
    const high = Math.max(first, last);
    const stretch = this.#reading;
    if (!this.#stretches.includes(stretch)) {
      const at = this.#stretches.findIndex((other) => other.low > high);
      this.#stretches.splice(at < 0 ? this.#stretches.length : at, 0, { low, high });
    } else if (this.#oldestFirst) stretch.low = low;
    else stretch.high = high;
  }

  // ---- dropping ----------------------------------------------------------------------------------------------

  /** Only the log is cut; memory is forgotten when it has what is older. */
  cutWaiting(_cutter: Cutter): void {
    if (this.#lowInMemory < this.#lowInLog) this.forget();
  }

  get cutFrom(): number {
    return this.#lowInLog;
  }

  cutTo(seq: number): void {
    const to = Math.min(seq, this.#lowInMemory);
    while ((this.#stretches[0]?.high ?? NEVER) < to) this.#stretches.shift();
    const lowest = this.#stretches[0];
    if (lowest !== undefined && lowest.low < to) lowest.low = to;
    if (this.#openFrom < to) this.#openFrom = to;
  }

  /** Those above what is in memory come after it. */
  mayCut(seq: number): boolean {
    return seq < this.#lowInMemory && this.mayStrike(seq);
  }

  cut(): void {}

  mayStrike(seq: number): boolean {
    if (this.#apart.has(seq)) return false;
    return seq >= this.#openFrom || this.#stretches.some(({ low, high }) => low <= seq && seq <= high);
  }

  struck(): void {}
}
