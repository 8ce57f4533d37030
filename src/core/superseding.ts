/**
 * `latest-per-topic`: when a receiver is full, waiting messages that a newer one of the same topic supersedes are
 * dropped, oldest first. The log is read twice for it, in slices, from the time on when the receiver is three quarters
 * full:
 *
 *     ----|-----------------------|---------------------------|------------------|------>
 *       head                    dropAt                      noted             durable
 *          the newest of their      passed once: `index`       not looked at
 *          topics, and `early`      says who is the newest     yet
 *
 * A message that is noted and whose predecessor lies before `dropAt` makes that one *early*: known by its number. The
 * early ones, then those from `dropAt` on that are not the newest of their topic, are struck from the log; so each row
 * is read twice at most, whatever is published. A restart forgets all this and begins anew.
 *
 * Only messages on the medium take part: those of a commit group may still be taken back by a full disk.
 */
import type { Cuttable } from "./cutting.ts";
import { LATEST_TOPICS_MAX, LatestIndex, NOT_INDEXED } from "./latest-index.ts";
import { DURABLE, type Message } from "./message.ts";
import type { QueueHost } from "./outlet.ts";
import type { BacklogSink } from "./ports.ts";
import type { Waiting } from "./waiting.ts";

/** Bytes of backlog read in one slice. */
const READ_SLICE_BYTES = 64 * 1024;
/**
 * While it is not known yet what is superseded, a receiver may be over its limits: by as much again, and by what may be
 * in a few commit groups.
 */
const OVER_MESSAGES = 4096;
const OVER_BYTES = 4 * 1024 * 1024;
/** Early ones dropped in one slice. */
const EARLY_MAX = 64;

export class Superseding {
  readonly #host: QueueHost;
  readonly #queue: Cuttable;
  readonly #index: LatestIndex;
  /** Below it every message was looked at. */
  #noted = 0;
  /** Below it there are only the newest of their topics, and the early ones. */
  #dropAt = 0;
  /** Descending once sorted. */
  #early: number[] = [];
  #sorted = true;
  /** The row at which a slice ended for good; 0 = it did not. */
  #stoppedAt = 0;
  /** The store takes no more until it has written what it has. */
  waits = false;
  #isAboveGoal: () => boolean = () => false;

  constructor(host: QueueHost, queue: Cuttable) {
    this.#host = host;
    this.#queue = queue;
    this.#index = new LatestIndex(host.cuts.latestMemory);
  }

  /** Forgets what it knows. */
  reset(): void {
    this.#noted = 0;
    this.#dropAt = 0;
    this.#early = [];
    this.#index.clear();
  }

  /** Whether the receiver is so far beyond its limits that it cannot wait for the end of `look`. */
  get isTooFar(): boolean {
    const { count, bytes, limits, awake } = this.#queue;
    const messagesMax = awake ? limits.onlineMessages : limits.messages;
    const bytesMax = awake ? limits.onlineBytes : limits.bytes;
    return count > 2 * messagesMax + OVER_MESSAGES || bytes > 2 * bytesMax + OVER_BYTES;
  }

  /** Whether all of the log was looked at. When not, what comes onto the medium next may supersede what is there. */
  get seesAll(): boolean {
    return this.#noted > this.#host.store.lastSeq;
  }

  get #isNearlyFull(): boolean {
    const { count, bytes, limits, awake } = this.#queue;
    const messagesMax = awake ? limits.onlineMessages : limits.messages;
    const bytesMax = awake ? limits.onlineBytes : limits.bytes;
    return count * 4 > messagesMax * 3 || bytes * 4 > bytesMax * 3;
  }

  /** Looks at one slice of what is new on the medium. @returns whether that was all */
  look(): boolean {
    if (!this.#isNearlyFull) {
      if (this.#noted > 0) this.reset();
      return true;
    }
    const { store } = this.#host;
    const head = this.#queue.headSeq;
    this.#noted = Math.max(this.#noted, head);
    this.#dropAt = Math.max(this.#dropAt, head);
    if (this.#noted > store.lastSeq) return true;
    this.#stoppedAt = 0;
    const next = store.read(this.#queue.id, this.#noted, READ_SLICE_BYTES, this.#noting);
    this.#noted = this.#stoppedAt > 0 ? this.#stoppedAt : next;
    return this.#stoppedAt > 0 || next > store.lastSeq;
  }

  readonly #noting: BacklogSink = {
    onBacklog: (message) => {
      const { seq } = message;
      if (message.state !== DURABLE) return this.#stop(seq);
      if (!this.#queue.needs(seq) || !this.#queue.unsent.mayCut(seq)) return true;
      const key = LatestIndex.keyOf(message.bytes, message.topicEnd);
      const before = this.#index.note(key, seq, this.#queue.headSeq);
      if (before === NOT_INDEXED) this.#host.cuts.notIndexed.value++;
      else if (before > 0 && before < this.#dropAt) {
        this.#early.push(before);
        this.#sorted = false;
      }
      return true;
    },
  };

  /**
   * Drops one slice of what is superseded, oldest first, while `isAboveGoal`. After `look` has seen all.
   * @returns true when nothing superseded is left
   */
  drop(isAboveGoal: () => boolean): boolean {
    const { store } = this.#host;
    const { id } = this.#queue;
    this.waits = false;
    this.#isAboveGoal = isAboveGoal;
    if (!this.#sorted) this.#early.sort((a, b) => b - a);
    this.#sorted = true;
    for (let n = 0; n < EARLY_MAX && this.#early.length > 0 && isAboveGoal(); n++) {
      const seq = this.#early.at(-1) as number;
      this.#stoppedAt = 0;
      // A slice may be spent before the row is looked at.
      for (let at = this.#queue.needs(seq) ? seq : seq + 1; at <= seq; )
        at = store.read(id, at, 1, this.#droppingEarly);
      if (this.waits) return false;
      this.#early.pop();
    }
    if (this.#early.length > 0 || this.#dropAt >= this.#noted || !isAboveGoal()) return this.#early.length === 0;
    this.#stoppedAt = 0;
    const next = store.read(id, this.#dropAt, READ_SLICE_BYTES, this.#dropping);
    this.#dropAt = this.#stoppedAt > 0 ? this.#stoppedAt : Math.min(next, this.#noted);
    return this.#dropAt >= this.#noted;
  }

  readonly #droppingEarly: BacklogSink = {
    onBacklog: (message) => {
      if (message.seq === this.#early.at(-1)) this.#strike(message);
      return false;
    },
  };

  readonly #dropping: BacklogSink = {
    onBacklog: (message) => {
      const { seq } = message;
      if (seq >= this.#noted || !this.#isAboveGoal()) return this.#stop(seq);
      if (this.#index.latest(LatestIndex.keyOf(message.bytes, message.topicEnd)) <= seq) return true;
      return this.#strike(message) || this.#stop(seq);
    },
  };

  #stop(seq: number): false {
    this.#stoppedAt = seq;
    return false;
  }

  /** @returns false when the store takes no more now */
  #strike(message: Message): boolean {
    const { seq } = message;
    const { unsent, id } = this.#queue;
    if (!this.#queue.needs(seq) || !unsent.mayStrike(seq)) return true;
    if (!this.#host.store.strike(seq, id)) {
      this.waits = true;
      return false;
    }
    unsent.struck(seq);
    this.#queue.giveUp(message, "superseded");
    return true;
  }
}

/** As above for a live-queue, all of whose messages are in memory: gives up the superseded ones, oldest first, while `isAboveGoal`. */
export function retainLatest(waiting: Waiting, isAboveGoal: () => boolean, giveUp: (message: Message) => void): void {
  const newest = new Set<string>();
  const superseded = new Set<Message>();
  for (let i = waiting.length - 1; i >= 0; i--) {
    const message = waiting.at(i)?.message as Message;
    const { topic } = message;
    if (newest.has(topic)) superseded.add(message);
    else if (newest.size < LATEST_TOPICS_MAX) newest.add(topic);
  }
  waiting.retain(({ message }) => {
    if (!superseded.has(message) || !isAboveGoal()) return true;
    giveUp(message);
    return false;
  });
}
