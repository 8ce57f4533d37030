/**
 * Where a receiver stands in the log: which messages are in flight to it, which it is done with, and which ordinal
 * (so which packet id) each one has, over reconnects and restarts.
 *
 * Messages go into flight in log order, so one number says nearly all: of the rows up to `#sentThrough` only those
 * still in flight matter. Two things complicate it. Rows may have been dropped on purpose (`floor`). And a restart
 * knows of the messages in flight only how many there were before the last acknowledged one; which they were is found
 * when the log is read again from the head (entries with seq 0).
 */
import type { Allowance } from "../base/allowance.ts";
import { ANSWERED, DONE, Inflight, RECEIVED, SENT, UNSENT } from "./inflight.ts";
import { decodeInflight, encodeInflight, isPart } from "./inflight-record.ts";
import type { Message } from "./message.ts";
import { type PacketIdRange, SPAN_MAX } from "./packet-ids.ts";
import type { ReceiverRecord, TimeSource } from "./ports.ts";

export class LogPlace {
  readonly inflight: Inflight;
  /** Rows below it that are not in flight were dropped on purpose; 0 = none. */
  floor = 0;
  /** Whether the record is to say that nothing goes into flight before another one is written (`latest-per-topic`). */
  away = false;
  /** Rows were dropped, and nobody has waited until the record says so; those behind them have other ordinals then. */
  unsavedDrops = false;
  /** Ordinal whose message is looked for in the log after a reconnect; equal to inflight.next when none is. */
  #replay = 0;
  /** The message that got an ordinal last. */
  #placedSeq = 0;
  /** Highest sequence number that was ever in flight. */
  #sentThrough = 0;
  /** Where in the log the entries begin whose message a restart made unknown. */
  #unknownFrom = 0;
  /** Messages up to here may have been sent before the last restart; how many were, only the peer knows. */
  #restartSeq = 0;
  /** Of the message that goes out in several parts, the ordinal of the first, and how many parts have been looked at. */
  #firstPart = 0;
  #partsSeen = 0;
  /** Which message that is, and whether all its parts are answered: some may have been before this connection. */
  #partsSeq = 0;
  #partsOver = false;
  /** Of those, what was accepted after this stamp was not: the peer had gone. */
  readonly #awaySinceMs: number;

  /**
   * @param lastSeq end of the log at construction
   * @param time    what the peer's answers are timed with; null = they are not
   * @param memory  of the longer rings, see `Inflight`
   * @param range   packet ids of its own; undefined = all
   */
  constructor(
    record: ReceiverRecord,
    lastSeq: number,
    time: TimeSource | null = null,
    memory: Allowance | undefined = undefined,
    range: PacketIdRange | undefined = undefined,
  ) {
    this.inflight = new Inflight(memory ?? null, range);
    this.#awaySinceMs = record.awaySinceMs || Number.POSITIVE_INFINITY;
    const decoded = decodeInflight(record, this.inflight);
    this.floor = decoded.floor;
    this.#restartSeq = decoded.awayFrom > 0 ? decoded.awayFrom - 1 : lastSeq;
    this.#unknownFrom = record.headSeq;
    for (let ordinal = this.inflight.head; ordinal < this.inflight.next; ordinal++) {
      this.#sentThrough = Math.max(this.#sentThrough, this.inflight.seqAt(ordinal));
      this.inflight.multipart ||= this.inflight.stateAt(ordinal) === ANSWERED || isPart(this.inflight, ordinal);
    }
    this.inflight.time = time;
  }

  /** The peer is there; the log is read from the head on. @param resumed it has a session from before */
  begin(resumed: boolean): void {
    if (!resumed) {
      this.inflight.forgetPeer();
      this.#restartSeq = 0;
    }
    this.#replay = this.inflight.head;
  }

  /** Highest row that was ever in flight. */
  get sentThrough(): number {
    return this.#sentThrough;
  }

  /** Of the rows up to `sentThrough` only those that have an entry now are needed, and none of them was ever sent. */
  beginAnew(sentThrough: number): void {
    this.#sentThrough = sentThrough;
    this.floor = Math.max(this.floor, sentThrough + 1);
    this.#replay = this.inflight.head;
    this.#placedSeq = 0;
    this.#partsSeq = 0;
    this.#partsOver = false;
    this.#restartSeq = 0;
  }

  /** The ordinal of a message about to be sent: what it had on an earlier connection, or the next one. */
  ordinalFor(message: Message, qos: number): number {
    this.#partsSeen++;
    if (this.#replays(message)) {
      if (this.inflight.seqAt(this.#replay) === 0) this.#unknownFrom = message.seq + 1;
      this.inflight.refill(this.#replay, qos, message);
      this.#placedSeq = message.seq;
      return this.#replay++;
    }
    const ordinal = this.inflight.push(message.seq, qos, message.size, message);
    this.#sentThrough = message.seq;
    this.#placedSeq = message.seq;
    if (this.#replay === ordinal) this.#replay++;
    return ordinal;
  }

  /**
   * Moves on to the next UNSENT entry. Those whose rows would be below `seq` and did not come leave the window: the
   * log has them no more. `seq` Infinity: the log is read to its end.
   */
  skipReplay(seq: number): void {
    const { inflight } = this;
    for (; this.#replay < inflight.next; this.#replay++) {
      if (inflight.stateAt(this.#replay) !== UNSENT) continue;
      const entrySeq = inflight.seqAt(this.#replay);
      if (entrySeq >= seq || (entrySeq === 0 && seq !== Number.POSITIVE_INFINITY)) return;
      inflight.discard(this.#replay);
      this.release(entrySeq);
    }
  }

  // ---- messages in several parts, each with an ordinal of its own --------------------------------------------

  /**
   * `message` is about to be sent, from its first part on. The parts take their ordinals together: that of a part is that
   * of the first and so many more, whichever of them are answered when the connection ends.
   * @param placed parts of QoS 1 and 2
   * @returns false when there is no room for so many ordinals
   */
  beginParts(message: Message, placed: number): boolean {
    const { inflight } = this;
    const { seq } = message;
    inflight.multipart = true;
    const isPlaced = this.#replays(message);
    let first = this.#replay;
    while (first > inflight.head && inflight.seqAt(first - 1) === seq) first--;
    this.#firstPart = first;
    this.#partsSeen = 0;
    this.#partsSeq = seq;
    this.#partsOver = false;
    if (isPlaced || first < this.#replay) return true;
    if (inflight.next - inflight.head + placed > SPAN_MAX) return false;
    for (let n = 0; n < placed; n++) inflight.reserve(seq, 1, message.size);
    this.#sentThrough = seq;
    return true;
  }

  /** Whether the next part, of QoS 1 or 2, was answered on an earlier connection: then it is passed over. */
  isNextPartAnswered(seq: number): boolean {
    const { inflight } = this;
    const ordinal = this.#firstPart + this.#partsSeen;
    if (ordinal >= inflight.next || inflight.seqAt(ordinal) !== seq) return false;
    const state = inflight.stateAt(ordinal);
    if (state !== ANSWERED && state !== RECEIVED && state !== DONE) return false;
    this.#partsSeen++;
    return true;
  }

  /** Whether the last part that was not answered has been, though not all were looked at again: nothing is left to be sent. */
  isOver(seq: number): boolean {
    return this.#partsOver && seq === this.#partsSeq;
  }

  /** Whether answers end it, or have ended it: not whoever has looked at all its parts. */
  isOverOrAwaited(seq: number): boolean {
    return this.isOver(seq) || this.inflight.awaits(seq);
  }

  /** The message is over: those of its parts that waited for the others leave. */
  release(seq: number): void {
    const { inflight } = this;
    if (!inflight.multipart || seq === 0 || inflight.awaits(seq)) return;
    if (seq === this.#partsSeq) this.#partsOver = true;
    for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
      if (inflight.stateAt(ordinal) === ANSWERED && inflight.seqAt(ordinal) === seq) inflight.discard(ordinal);
    }
  }

  /** Some entries are due again, and the log is read again from the lowest of them on. */
  rewind(): void {
    this.#replay = this.inflight.head;
  }

  /** Whether `message`, the next to be sent, may be: one that has an ordinal from before needs no new one. */
  hasRoomFor(message: Message): boolean {
    const { inflight } = this;
    return inflight.hasRoom || (inflight.outstanding < inflight.windowMax && this.#replays(message));
  }

  /** Whether `message` is that of the next UNSENT entry. */
  #replays(message: Message): boolean {
    this.skipReplay(message.seq);
    if (this.#replay >= this.inflight.next) return false;
    const seq = this.inflight.seqAt(this.#replay);
    return seq === 0 || seq === message.seq;
  }

  /** Whether DUP is due ([MQTT311-3.3.1-1], [MQTT5-3.3.1-1]). */
  wasSent(ordinal: number, seq: number): boolean {
    if (this.inflight.wasSentBefore(ordinal)) return true;
    return seq !== 0 && seq <= this.#restartSeq;
  }

  /**
   * Whether the peer may have it, and so gets it until it says so, expired or not ([MQTT5-4.3.3-7], [MQTT5-4.4.0-1]).
   * A crash half a second after the peer was back may not know of that: what went out at QoS 1 then counts as not sent.
   */
  mayHave(ordinal: number, message: Message, qos: number): boolean {
    if (this.inflight.wasSentBefore(ordinal)) return true;
    if (message.seq === 0 || message.seq > this.#restartSeq) return false;
    return qos === 2 || message.acceptedMs <= this.#awaySinceMs;
  }

  /** A message is done without an answer: a mark among those in flight keeps a reconnect from sending it again. */
  passBy(message: Message): void {
    this.#sentThrough = Math.max(this.#sentThrough, message.seq);
    if (this.#placedSeq === message.seq) return; // it has its ordinal
    if (this.#replays(message)) {
      if (this.inflight.seqAt(this.#replay) === 0) this.#unknownFrom = message.seq + 1;
      this.inflight.discard(this.#replay++);
      return;
    }
    if (!this.inflight.empty) this.inflight.discard(this.inflight.push(message.seq, 0, message.size, null));
  }

  /**
   * Whether row `seq`, the next in the log, is that of an entry whose message a restart made unknown; the entry knows
   * it from now on. To be asked from the head on before anything is dropped, or others would get their packet ids.
   */
  claims(seq: number): boolean {
    const { inflight } = this;
    if (seq < this.#unknownFrom || this.isInFlight(seq)) return false;
    for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
      if (inflight.seqAt(ordinal) !== 0 || inflight.stateAt(ordinal) !== UNSENT) continue;
      inflight.assign(ordinal, seq);
      this.#unknownFrom = seq + 1;
      this.#sentThrough = Math.max(this.#sentThrough, seq);
      return true;
    }
    return false;
  }

  /**
   * Row `seq`, not in flight as far as is known, is dropped, and all below it were before. If it may have been with the
   * peer before a restart, or others go out before the drop is stored, it takes its ordinal along: should a crash undo
   * the drop, those behind it keep theirs.
   */
  drop(seq: number, online: boolean): void {
    this.floor = Math.max(this.floor, seq + 1);
    const { inflight } = this;
    const taken = (online || this.mayBeOut(seq)) && inflight.hasPlace;
    this.unsavedDrops ||= !taken;
    if (!taken) return;
    this.#sentThrough = Math.max(this.#sentThrough, seq);
    inflight.discard(inflight.push(seq, 0, 0, null));
  }

  /** Whether an entry is to be sent again whose row is `seq` or above, or not known. */
  replaysFrom(seq: number): boolean {
    const { inflight } = this;
    for (let ordinal = this.#replay; ordinal < inflight.next; ordinal++) {
      if (inflight.stateAt(ordinal) !== UNSENT) continue;
      const entrySeq = inflight.seqAt(ordinal);
      if (entrySeq >= seq || entrySeq === 0) return true;
    }
    return false;
  }

  /** Whether row `seq` may have been in flight before a restart, when nobody knows which ones were. */
  mayBeOut(seq: number): boolean {
    return seq <= this.#restartSeq && seq > this.#sentThrough;
  }

  /** Lowest row in flight; 0 = none is. */
  get lowestInFlight(): number {
    const { inflight } = this;
    for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
      if (!this.#isOpen(ordinal)) continue;
      const seq = inflight.seqAt(ordinal);
      return seq === 0 ? Math.max(this.#unknownFrom, inflight.passedSeq + 1) : seq;
    }
    return 0;
  }

  /** Lowest row that may not have been in flight yet. */
  get firstUnsent(): number {
    return Math.max(this.floor, this.#sentThrough + 1);
  }

  /** Whether row `seq`, which lists this receiver, is still to be acknowledged by it. */
  needs(seq: number): boolean {
    if (seq > this.#sentThrough) return seq >= this.floor;
    const { inflight } = this;
    let unknown = false;
    for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
      const entrySeq = inflight.seqAt(ordinal);
      if (entrySeq === seq) return this.#isOpen(ordinal) || inflight.stateAt(ordinal) === ANSWERED || this.#awaits(seq);
      if (entrySeq === 0 && this.#isOpen(ordinal)) unknown = true;
    }
    return unknown && seq >= this.#unknownFrom && seq > inflight.passedSeq;
  }

  /** Whether row `seq` is with the peer now, unanswered. */
  isOut(seq: number): boolean {
    if (seq > this.#sentThrough) return false;
    const { inflight } = this;
    for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
      if (inflight.seqAt(ordinal) === seq && inflight.stateAt(ordinal) === SENT) return true;
    }
    return false;
  }

  isInFlight(seq: number): boolean {
    if (seq > this.#sentThrough) return false;
    const { inflight } = this;
    for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
      if (inflight.seqAt(ordinal) === seq && inflight.stateAt(ordinal) !== RECEIVED) return true;
    }
    return false;
  }

  /** Writes head ordinal and state into the record, whose headSeq is set. */
  save(record: ReceiverRecord): void {
    record.headOrdinal = this.inflight.head;
    const floor = this.floor > record.headSeq ? this.floor : 0;
    const awayFrom = this.away ? Math.max(this.#restartSeq, this.#sentThrough) + 1 : 0;
    record.state = encodeInflight(this.inflight, floor, awayFrom);
  }

  #awaits(seq: number): boolean {
    return this.inflight.multipart && this.inflight.awaits(seq);
  }

  #isOpen(ordinal: number): boolean {
    const state = this.inflight.stateAt(ordinal);
    return state === SENT || state === UNSENT;
  }
}
