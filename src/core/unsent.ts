/**
 * What of a receiver's messages is not in flight: in memory up to the cursor, beyond it in the log alone.
 *
 *     the log, by sequence number
 *     ----|----------------------|----------------------|------------------------------------->
 *       head: oldest unacked,    waiting: in memory,    cursor: SQLite only from here on,
 *       in flight (`place`)      to be sent             when `behind` is true
 */
import type { LogPlace } from "./log-place.ts";
import type { Waiting } from "./waiting.ts";

export class Unsent {
  readonly place: LogPlace;
  readonly waiting: Waiting;
  behind = false;
  /** Next sequence number to read while behind. */
  cursor = 0;

  constructor(place: LogPlace, waiting: Waiting) {
    this.place = place;
    this.waiting = waiting;
  }

  /** Lowest row that the receiver may still need, when it needs any. */
  get headSeq(): number {
    const inFlight = this.place.lowestInFlight;
    if (inFlight > 0) return inFlight;
    const waiting = this.waiting.peek();
    return waiting === undefined ? Math.max(this.cursor, this.place.firstUnsent) : waiting.message.seq;
  }

  /** From where on the log has messages that may have to be sent. */
  get from(): number {
    return this.waiting.peek()?.message.seq ?? (this.behind ? this.cursor : Number.POSITIVE_INFINITY);
  }

  /** Whether the peer may have row `seq`, or a part of it. */
  isInHand(seq: number): boolean {
    const first = this.waiting.peek();
    if (first !== undefined && first.partsSent > 0 && first.message.seq === seq) return true;
    return seq > 0 && this.place.isInFlight(seq);
  }

  rereadFrom(seq: number): void {
    this.waiting.clear();
    this.behind = true;
    this.cursor = seq;
  }

  /** Memory is forgotten, but for a message of which a part is sent: the log is read again from there on. */
  forget(): void {
    const first = this.waiting.peek();
    if (first === undefined) return;
    const kept = first.partsSent > 0;
    this.waiting.retain((entry) => kept && entry === first);
    this.behind = true;
    this.cursor = first.message.seq + (kept ? 1 : 0);
  }
}
