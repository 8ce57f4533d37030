/**
 * Where the next message comes from, in a queue that does not keep the order of the log. What was in flight on an earlier
 * connection comes first, then:
 *
 *     newest-first   live messages; when none waits, the backlog from its newest on
 *     interleave     both by turns, the backlog from its oldest on
 *     oldest-first   the backlog from its oldest on, and live messages behind it
 */
import type { AnyOrderPlace } from "./any-order-place.ts";
import { UNSENT } from "./inflight.ts";
import type { Message } from "./message.ts";
import type { Outlet, QueueHost } from "./outlet.ts";
import type { BacklogSink } from "./ports.ts";
import type { QueueLimits } from "./queue-limits.ts";
import type { Unread } from "./unread.ts";
import { Waiting, type WaitingEntry } from "./waiting.ts";

/** As in the configuration. `oldest-first`: what one of the others has left in flight, until that is over. */
export type DrainOrder = "newest-first" | "interleave" | "oldest-first";

/** Bytes of backlog read in one slice, and rows looked up one by one in one turn. */
const READ_SLICE_BYTES = 64 * 1024;
const LOOKUPS_PER_TURN = 16;

/** Answers of `choose`, as bits. */
export const NOWHERE = 0;
const AGAIN = 1;
const LIVE = 2;
const BACKLOG = 4;

export class AnyOrderSource implements BacklogSink {
  readonly #host: QueueHost;
  readonly #id: number;
  readonly #sliceBytes: number;
  readonly #order: DrainOrder;
  readonly #place: AnyOrderPlace;
  readonly #unread: Unread;
  readonly #askForTurn: () => void;
  /** What was in flight on an earlier connection, one message at a time. */
  readonly #again: Waiting;
  /** Ordinals that are looked through for it. */
  #againAt = 0;
  #againEnd = 0;
  /** What the peer may hold, of QoS 2, comes before what it does not: some peers count it against their Receive Maximum. */
  #heldFirst = false;
  /** Whose turn it is: LIVE or BACKLOG. */
  #turn = LIVE;
  /** From where nothing can be sent in this turn. */
  #held = NOWHERE;
  #slices = 0;
  #lookups = 0;
  /** The slice of the log read last had nothing. */
  #barren = false;

  /** @param askForTurn what cannot be read in this turn is read in a later one */
  constructor(
    host: QueueHost,
    id: number,
    limits: QueueLimits,
    order: DrainOrder,
    place: AnyOrderPlace,
    unread: Unread,
    askForTurn: () => void,
  ) {
    this.#host = host;
    this.#id = id;
    this.#sliceBytes = Math.min(READ_SLICE_BYTES, limits.windowBytes);
    this.#order = order;
    this.#place = place;
    this.#unread = unread;
    this.#askForTurn = askForTurn;
    this.#again = new Waiting(limits, true, host.waitingMemory);
  }

  /** Reads the log, and finds what is to be sent. */
  get isReading(): boolean {
    const { live, backlog, hasMore } = this.#unread;
    return hasMore && live.length === 0 && backlog.length === 0 && !this.#barren;
  }

  /** The peer is there. */
  begin(): void {
    this.sendAgain();
    this.#turn = LIVE;
    this.#barren = false;
  }

  /** It is gone. */
  end(): void {
    this.#again.clear();
  }

  /** A turn begins. */
  beginTurn(): void {
    this.#held = NOWHERE;
    this.#slices = 1;
    this.#lookups = LOOKUPS_PER_TURN;
  }

  /** The next of where `choose` has said is shifted. */
  passed(from: number): void {
    this.#turn = from === LIVE ? BACKLOG : LIVE;
  }

  /** Nothing comes from there in this turn. */
  hold(from: number): void {
    this.#held |= from;
  }

  waitingOf(from: number): Waiting {
    if (from === AGAIN) return this.#again;
    return from === LIVE ? this.#unread.live : this.#unread.backlog;
  }

  /** @returns NOWHERE when nothing can be sent now */
  choose(outlet: Outlet): number {
    const unread = this.#unread;
    if (this.#again.length === 0 && !this.#lookUp(outlet)) return NOWHERE;
    if (this.#again.length > 0 && (this.#held & AGAIN) === 0) return AGAIN;
    if (unread.live.length === 0) unread.close();
    const live = unread.live.length > 0 && (this.#held & LIVE) === 0 ? LIVE : NOWHERE;
    if (live === LIVE && (this.#order === "newest-first" || this.#turn === LIVE)) return LIVE;
    if ((this.#held & BACKLOG) !== 0) return live;
    while (unread.backlog.length === 0 && unread.hasMore && outlet.writable()) {
      if (this.#slices-- <= 0) {
        this.#askForTurn();
        break;
      }
      unread.readSlice(this.#host.store, this.#id, this.#sliceBytes);
      this.#barren = unread.backlog.length === 0;
    }
    return unread.backlog.length > 0 ? BACKLOG : live;
  }

  /** What has an ordinal and is nowhere in memory is read from the log, one by one. */
  sendAgain(): void {
    this.#againAt = this.#place.inflight.head;
    this.#againEnd = this.#place.inflight.next;
    this.#heldFirst = true;
  }

  /** Looks for the next message to be sent again. @returns false when there may be more in a later turn */
  #lookUp(outlet: Outlet): boolean {
    const { inflight } = this.#place;
    if (this.#againAt >= this.#againEnd && this.#heldFirst) {
      this.#heldFirst = false;
      this.#againAt = inflight.head;
    }
    this.#againAt = Math.max(this.#againAt, inflight.head);
    for (; this.#againAt < this.#againEnd; this.#againAt++) {
      if (inflight.stateAt(this.#againAt) !== UNSENT) continue;
      if (this.#heldFirst && inflight.qosAt(this.#againAt) === 1) continue;
      if (!outlet.writable()) return false;
      if (this.#lookups-- <= 0) {
        this.#askForTurn();
        return false;
      }
      const seq = inflight.seqAt(this.#againAt);
      // A slice may be spent before the row is looked at.
      for (let at = seq; at <= seq; ) at = this.#host.store.read(this.#id, at, 1, this);
      if (this.#again.length > 0) return true;
      this.#place.leave(inflight.seqAt(this.#againAt), this.#againAt); // the log has it no more
    }
    return true;
  }

  /** Store.read gives the row that is to be sent again, or another when that is no more. */
  onBacklog(message: Message, options: number, subscriptionIds: readonly number[] | null): boolean {
    if (message.seq !== this.#place.inflight.seqAt(this.#againAt)) return false;
    this.#again.push(message, options, subscriptionIds);
    (this.#again.peek() as WaitingEntry).ordinal = this.#place.firstOf(message.seq);
    return false;
  }
}
