/**
 * What of a receiver's messages is not in flight: in memory up to the cursor, beyond it in the log alone.
 *
 *     the log, by sequence number
 *     ----|----------------------|----------------------|------------------------------------->
 *       head: oldest unacked,    waiting: in memory,    cursor: SQLite only from here on,
 *       in flight (`place`)      to be sent             when `behind` is true
 */
import type { Cutter, UnsentMessages } from "./cutting.ts";
import type { LogPlace } from "./log-place.ts";
import type { Waiting } from "./waiting.ts";

export class Unsent implements UnsentMessages {
  readonly place: LogPlace;
  readonly waiting: Waiting;
  behind = false;
  /** Next sequence number to read while behind. */
  cursor = 0;
  /** The slice of the log read last had nothing that could be sent. */
  barren = false;

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

  /** What waits and is too much for memory is left to the log. */
  spill(): void {
    const spilled = this.waiting.isOverfull ? this.waiting.spill() : null;
    if (spilled === null) return;
    this.behind = true;
    this.cursor = spilled.seq;
    this.barren = this.waiting.length === 0;
  }

  rereadFrom(seq: number): void {
    this.waiting.clear();
    this.behind = true;
    this.cursor = seq;
  }

  // ---- dropping ----------------------------------------------------------------------------------------------

  cutWaiting(cutter: Cutter): void {
    const { waiting } = this;
    for (let entry = waiting.peek(); entry !== undefined; entry = waiting.peek()) {
      if (this.isInHand(entry.message.seq)) {
        // It is to go on, or to be sent again; what is behind it may be dropped.
        const first = entry;
        waiting.retain((other) => {
          if (other === first || this.isInHand(other.message.seq)) return true;
          return cutter.stopped || !cutter.drops(other.message);
        });
        return;
      }
      if (!cutter.drops(entry.message)) return;
      waiting.shift();
    }
  }

  get cutFrom(): number {
    return this.behind ? Math.max(this.cursor, this.place.floor) : Number.POSITIVE_INFINITY;
  }

  cutTo(seq: number, more: boolean): void {
    const { place } = this;
    // What is to be sent again lies among what is dropped.
    if (!place.replaysFrom(this.cursor)) this.cursor = seq;
    else if (more && seq > place.floor) place.floor = seq;
  }

  mayCut(seq: number): boolean {
    return !this.place.claims(seq) && !this.isInHand(seq);
  }

  cut(seq: number, online: boolean): void {
    this.place.drop(seq, online);
  }

  mayStrike(seq: number): boolean {
    return !this.isInHand(seq) && !this.place.mayBeOut(seq);
  }

  struck(seq: number): void {
    // What memory holds from there on is read from the log again, without the row.
    if (seq >= (this.waiting.peek()?.message.seq ?? Number.POSITIVE_INFINITY)) this.#forget();
    this.place.unsavedDrops = true;
  }

  /** Memory is forgotten, but for a message of which a part is sent: the log is read again from there on. */
  #forget(): void {
    const first = this.waiting.peek();
    if (first === undefined) return;
    const kept = first.partsSent > 0;
    this.waiting.retain((entry) => kept && entry === first);
    this.behind = true;
    this.cursor = first.message.seq + (kept ? 1 : 0);
  }
}
