/**
 * Which messages are in flight to a receiver whose queue does not keep the order of the log, and under which packet ids,
 * over reconnects and restarts. Ordinals are taken as messages leave, so they say nothing of rows: each entry has its
 * sequence number, and the record lists the entries.
 *
 * A message that goes to several topics takes an ordinal for each at once, one behind the other, and its entries stay
 * until it is over: part k is the k-th of them.
 */
import type { Allowance } from "../base/allowance.ts";
import { type AnyOrderState, decodeAnyOrder, encodeAnyOrder } from "./any-order-record.ts";
import { ANSWERED, DONE, Inflight, RECEIVED, SENT, UNSENT } from "./inflight.ts";
import type { Message } from "./message.ts";
import { type PacketIdRange, SPAN_MAX } from "./packet-ids.ts";
import type { ReceiverRecord, TimeSource } from "./ports.ts";

export class AnyOrderPlace {
  readonly inflight: Inflight;
  /** Some messages have several entries. */
  multipart = false;
  /** Rows below it that have no entry are over. */
  readonly floor: number;
  /** Messages up to here may have been sent at QoS 1 before the last restart. */
  #restartSeq: number;
  /** Lowest row of an entry that is not answered; NaN = to be looked for. */
  #lowest = Number.NaN;

  /**
   * @param lastSeq end of the log at construction
   * @param time    what the peer's answers are timed with; null = they are not
   */
  constructor(
    record: ReceiverRecord,
    lastSeq: number,
    time: TimeSource | null = null,
    memory: Allowance | null = null,
    range: PacketIdRange | undefined = undefined,
  ) {
    this.inflight = new Inflight(memory, range);
    this.inflight.keeps = true;
    this.floor = decodeAnyOrder(record, this.inflight);
    this.inflight.time = time;
    this.#restartSeq = lastSeq;
    const { head, next } = this.inflight;
    for (let ordinal = head + 1; ordinal < next; ordinal++) {
      if (this.#isPartOf(this.inflight.seqAt(ordinal - 1), ordinal)) this.multipart = true;
    }
  }

  /** The peer is there. @param resumed it has a session from before */
  begin(resumed: boolean): void {
    if (resumed) return;
    this.inflight.forgetPeer();
    this.#restartSeq = 0;
  }

  /** Whether a message without an ordinal may have been sent before a restart, under one that nobody knows. */
  mayHaveBeenSent(seq: number): boolean {
    return seq <= this.#restartSeq;
  }

  /** A message in one part is about to be sent at QoS 1. @returns its ordinal */
  send(message: Message): number {
    if (message.seq < this.#lowest) this.#lowest = message.seq;
    return this.inflight.push(message.seq, 1, message.size, message);
  }

  /** Whether a message may have ordinals for so many parts. */
  hasPlaces(parts: number): boolean {
    const { inflight } = this;
    return inflight.hasPlace && inflight.next - inflight.head + parts <= SPAN_MAX;
  }

  /**
   * Whether so many more may be reserved: all that the peer may hold at QoS 2 fits in its window at once, so that after a
   * reconnect it gets what it holds before anything that it does not. One message always may.
   */
  mayReserve(parts: number): boolean {
    const { inflight } = this;
    let open = 0;
    for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
      const state = inflight.stateAt(ordinal);
      if (state !== DONE && state !== ANSWERED && inflight.qosAt(ordinal) !== 1) open++;
    }
    return open === 0 || open + parts <= inflight.windowMax;
  }

  /** Ordinals for all parts of a message. @returns the first */
  reserve(message: Message, parts: number): number {
    if (parts > 1) this.multipart = true;
    if (message.seq < this.#lowest) this.#lowest = message.seq;
    const first = this.inflight.next;
    for (let part = 0; part < parts; part++) this.inflight.reserve(message.seq, 2, message.size);
    return first;
  }

  /** The first ordinal of a row that has some; -1 when it has none. */
  firstOf(seq: number): number {
    const { inflight } = this;
    for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
      if (this.#isPartOf(seq, ordinal)) return ordinal;
    }
    return -1;
  }

  /** Whether `ordinal` is that of a part of row `seq`. */
  isPart(seq: number, ordinal: number): boolean {
    return ordinal < this.inflight.next && this.#isPartOf(seq, ordinal);
  }

  #isPartOf(seq: number, ordinal: number): boolean {
    return seq !== 0 && this.inflight.seqAt(ordinal) === seq && this.inflight.stateAt(ordinal) !== DONE;
  }

  /** Whether a part of row `seq` is not answered. */
  awaits(seq: number): boolean {
    return this.inflight.awaits(seq);
  }

  /**
   * Row `seq` is over, and out of the log or about to be: its entries go, but for packet ids that PUBCOMP is due for.
   * @param ordinal of its entry when it has one
   */
  leave(seq: number, ordinal: number): void {
    if (seq === this.#lowest) this.#lowest = Number.NaN;
    if (!this.multipart) {
      if (ordinal >= 0) this.#leave(ordinal);
      return;
    }
    const { inflight } = this;
    for (let at = inflight.head; at < inflight.next; at++) if (this.#isPartOf(seq, at)) this.#leave(at);
  }

  #leave(ordinal: number): void {
    if (this.inflight.stateAt(ordinal) === RECEIVED) this.inflight.assign(ordinal, 0);
    else this.inflight.discard(ordinal);
  }

  /** Row `seq` is over, and the store does not take it out of the log yet: an entry has to say so. @param ordinal -1 = it has none */
  keep(seq: number, ordinal: number): void {
    if (seq === this.#lowest) this.#lowest = Number.NaN;
    if (ordinal < 0 && this.firstOf(seq) < 0) this.inflight.answer(this.inflight.reserve(seq, 0, 0));
  }

  /** Lowest row of which a part is not answered; Infinity = there is none. */
  get lowest(): number {
    if (!Number.isNaN(this.#lowest)) return this.#lowest;
    const { inflight } = this;
    let lowest = Number.POSITIVE_INFINITY;
    for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
      const state = inflight.stateAt(ordinal);
      if (state === SENT || state === UNSENT) lowest = Math.min(lowest, inflight.seqAt(ordinal));
    }
    this.#lowest = lowest;
    return lowest;
  }

  /** Whether row `seq`, which lists this receiver, is still to be acknowledged by it. @param base rows from here on without an entry are */
  needs(seq: number, base = this.floor): boolean {
    const { inflight } = this;
    let known = false;
    for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
      if (!this.#isPartOf(seq, ordinal)) continue;
      const state = inflight.stateAt(ordinal);
      if (state !== ANSWERED && state !== RECEIVED) return true;
      known = true;
    }
    return !known && seq >= base;
  }

  /** Writes ordinals and state into the record, whose headSeq is set. */
  save(record: ReceiverRecord, what: AnyOrderState): void {
    record.headOrdinal = this.inflight.head;
    record.state = encodeAnyOrder(this.inflight, record.headSeq, this.multipart, what);
  }
}
