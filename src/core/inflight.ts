/**
 * The sending half of QoS 1 and 2 towards one peer: packet ids, the window, redelivery. Used by sessions, the client
 * and the uplink alike; it knows nothing of sockets or of the store.
 *
 * Every message that enters the window takes the next *ordinal*, a count that never goes back, and its packet id
 * follows from the ordinal: `1 + ordinal % 65535`, or as far as its range of ids goes. Where messages enter in log
 * order, one persisted pair (sequence number and ordinal of the head) is enough to give every unacknowledged message its
 * old packet id again after a restart, and nothing is written per message ([MQTT311-4.4.0-1], [MQTT5-4.4.0-1]).
 *
 *      head                     next
 *       v                        v
 *     | SENT | DONE | RECEIVED |            ring of entries, index = ordinal & mask
 *
 *     SENT      PUBLISH is out (or to be sent again), no PUBACK or PUBREC yet
 *     RECEIVED  PUBREC came, PUBREL is due or out: the peer has the message, only the id is still taken
 *     DONE      acknowledged out of order; leaves when it becomes the head
 *     ANSWERED  as DONE, but its message is not over: stays until it is
 *     UNSENT    was SENT on an earlier connection
 *
 * The span from head to next is limited: a peer that never acknowledges its oldest message stops at SPAN_MAX, or where
 * the memory that all rings share has no room for a longer ring.
 */
import type { Allowance } from "../base/allowance.ts";
import { AckTime } from "./ack-time.ts";
import { DURABLE, type Message, OPEN, WITHDRAWN, WRITTEN } from "./message.ts";
import { ALL_PACKET_IDS, type PacketIdRange, SPAN_MAX, type Window } from "./packet-ids.ts";
import type { TimeSource } from "./ports.ts";
import { RingMemory } from "./ring-memory.ts";

const FREE = 0;
export const SENT = 1;
export const RECEIVED = 2;
export const DONE = 3;
/** Sent on an earlier connection and due again on this one; its seq is 0 when a restart has to find it in the log. */
export const UNSENT = 4;
/** Answered; its message is not over, or its row not struck. */
export const ANSWERED = 5;

/** Of everybody who has anything in flight, whatever the others have. */
const RING_MIN = 8;
export const PLACE_IN_RING_BYTES = 26; // in the five arrays
const NONE = new Uint8Array(0);

export class Inflight implements Window {
  /** Ordinal of the oldest entry. */
  head = 0;
  /** Ordinal the next message takes. */
  next = 0;
  /** SENT and RECEIVED entries of this connection, and loans (shares.ts): what Receive Maximum counts. */
  outstanding = 0;
  /** Most that may be outstanding: the smaller of our limit and the peer's Receive Maximum. */
  windowMax = 0;
  /** The next ordinal stays below it: its packet id is that of a loan. */
  barredOrdinal = Number.POSITIVE_INFINITY;
  /** First ordinal never sent on any connection: those below are sent with DUP. */
  #sentBefore = 0;
  /** Highest sequence number of the entries that left at the head. */
  passedSeq = 0;
  /** Entries that are answered stay, ANSWERED, until `discard` (any-order-place.ts). */
  keeps = false;
  /** Some messages have several entries: those that are answered stay until all are. */
  multipart = false;
  // The ring is made with the first message: most receivers of a gateway never get one at QoS 1.
  #mask = -1;
  #state = NONE;
  #qos = NONE;
  #seq: number[] = [];
  #size: number[] = [];
  #message: (Message | null)[] = [];
  readonly #memory: RingMemory;
  readonly #range: PacketIdRange;
  /** Outcome of the last `puback`, `pubrec` or `pubcomp`: the ordinal and the sequence number it was about. */
  answeredOrdinal = 0;
  answeredSeq = 0;
  /** Its size in bytes as given to `push`. */
  answeredSize = 0;
  /** And its message, null when it was not kept in memory. */
  answeredMessage: Message | null = null;
  /** What answers are timed with; null = they are not. */
  time: TimeSource | null = null;
  /** Made with the first message. */
  #ackTime: AckTime | null = null;

  /** @param memory that all longer rings share; null = they are not counted */
  constructor(memory: Allowance | null = null, range: PacketIdRange = ALL_PACKET_IDS) {
    this.#memory = new RingMemory(memory);
    this.#range = range;
  }

  packetIdOf(ordinal: number): number {
    return this.#range.first + (ordinal % this.#range.count);
  }

  /** Smoothed ms from sending a message to its PUBACK or PUBREC; 0 = not known. */
  get ackTimeMs(): number {
    return this.#ackTime === null ? 0 : this.#ackTime.ms;
  }

  get empty(): boolean {
    return this.head === this.next;
  }

  /** Whether one more may be sent. */
  get hasRoom(): boolean {
    return this.outstanding < this.windowMax && this.next < this.barredOrdinal && this.hasPlace;
  }

  /** Whether one more may have an ordinal. */
  get hasPlace(): boolean {
    const span = this.next - this.head;
    return span <= this.#mask || (span < SPAN_MAX && this.#memory.allows(this.#grownBytes));
  }

  /** Takes the next ordinal for a message about to be sent; the message is kept only while the log does not have it. */
  push(seq: number, qos: number, size: number, message: Message | null): number {
    const ordinal = this.next;
    if (ordinal - this.head > this.#mask) this.#grow();
    this.next = ordinal + 1;
    this.#send(ordinal, seq, qos, size, message);
    return ordinal;
  }

  #send(ordinal: number, seq: number, qos: number, size: number, message: Message | null): void {
    const i = ordinal & this.#mask;
    this.#state[i] = SENT;
    this.#qos[i] = qos;
    this.#seq[i] = seq;
    this.#size[i] = size;
    this.#message[i] = message !== null && message.state === OPEN && message.seq > 0 ? message : null;
    this.outstanding++;
    // Of what is sent again the answer may be that to the first time.
    if (this.time === null || this.wasSentBefore(ordinal)) return;
    this.#ackTime ??= new AckTime(this.time);
    this.#ackTime.sent(ordinal);
  }

  /** Takes the next ordinal for a message that is sent with `refill`, when the store knows of it. */
  reserve(seq: number, qos: number, size: number): number {
    const ordinal = this.push(seq, qos, size, null);
    this.#ackTime?.forget(ordinal);
    this.#state[ordinal & this.#mask] = UNSENT;
    this.outstanding--;
    return ordinal;
  }

  /** Whether a message with this ordinal was sent on an earlier connection: DUP is 1 then. */
  wasSentBefore(ordinal: number): boolean {
    return ordinal < this.#sentBefore;
  }

  /** PUBACK, or a PUBREC with an error: the message is out of the window. @returns false when the id is not in flight */
  finish(packetId: number): boolean {
    const ordinal = this.#find(packetId);
    if (ordinal < 0 || this.stateAt(ordinal) !== SENT) return false;
    this.#take(ordinal);
    this.#ackTime?.answered(ordinal);
    this.#end(ordinal);
    this.outstanding--;
    this.#advance();
    return true;
  }

  /** PUBREC: the peer owns the message now; the id stays until PUBCOMP. A repeated PUBREC is true again with answeredSeq 0. */
  received(packetId: number): boolean {
    const ordinal = this.#find(packetId);
    if (ordinal < 0) return false;
    const i = ordinal & this.#mask;
    if (this.#qos[i] !== 2) return false;
    if (this.#state[i] === RECEIVED) {
      this.#take(ordinal);
      this.answeredSeq = 0;
      this.answeredSize = 0;
      return true;
    }
    if (this.#state[i] !== SENT) return false;
    this.#take(ordinal);
    this.#ackTime?.answered(ordinal);
    this.#state[i] = RECEIVED;
    return true;
  }

  /** PUBCOMP: the id is free. @returns false when no PUBREL of that id is due */
  complete(packetId: number): boolean {
    const ordinal = this.#find(packetId);
    if (ordinal < 0 || this.stateAt(ordinal) !== RECEIVED) return false;
    this.#end(ordinal);
    this.outstanding--;
    this.#advance();
    return true;
  }

  /** QoS of what was sent on this connection under this id and is not answered to its end; 0 when nothing was. */
  qosOf(packetId: number): number {
    const ordinal = this.#find(packetId);
    const state = ordinal < 0 ? DONE : this.stateAt(ordinal);
    return state === SENT || state === RECEIVED ? this.qosAt(ordinal) : 0;
  }

  stateAt(ordinal: number): number {
    return this.#state[ordinal & this.#mask] as number;
  }

  seqAt(ordinal: number): number {
    return this.#seq[ordinal & this.#mask] as number;
  }

  qosAt(ordinal: number): number {
    return this.#qos[ordinal & this.#mask] as number;
  }

  messageAt(ordinal: number): Message | null {
    return this.#message[ordinal & this.#mask] as Message | null;
  }

  /** Whether the store took the message back after it was sent. */
  isWithdrawn(ordinal: number): boolean {
    return this.messageAt(ordinal)?.state === WITHDRAWN;
  }

  /** The UNSENT entry at `ordinal` is this message, read again from the log and about to be sent. */
  refill(ordinal: number, qos: number, message: Message): void {
    this.#send(ordinal, message.seq, qos, message.size, message);
  }

  /** The entry at `ordinal` is row `seq`, or was that of a row that is no more (0). */
  assign(ordinal: number, seq: number): void {
    this.#seq[ordinal & this.#mask] = seq;
  }

  /** Begins a restore: the first entry has this ordinal. */
  start(ordinal: number): void {
    this.head = ordinal;
    this.next = ordinal;
  }

  /** Restores an entry from a record, in ascending order without gaps. @param state neither SENT nor FREE */
  restore(seq: number, state: number, qos: number): void {
    const ordinal = this.push(seq, qos, 0, null);
    this.#state[ordinal & this.#mask] = state;
    if (state !== RECEIVED) this.outstanding--;
    this.#sentBefore = ordinal + 1;
  }

  /** The peer's connection is gone: what was SENT is due again, its messages are forgotten and read from the log. */
  suspend(): void {
    this.#ackTime?.forgetAll();
    this.#sentBefore = this.next;
    for (let ordinal = this.head; ordinal < this.next; ordinal++) {
      const i = ordinal & this.#mask;
      if (this.#state[i] !== SENT) continue;
      this.#state[i] = this.isWithdrawn(ordinal) ? DONE : UNSENT;
      this.#message[i] = null;
      this.outstanding--;
    }
    this.#advance();
  }

  /** A SENT or RECEIVED entry is due again; `answeredSize` is a RECEIVED one's, else 0. @returns its seq, Infinity without one */
  takeBack(packetId: number): number {
    this.answeredSize = 0;
    const ordinal = this.#find(packetId);
    const state = ordinal < 0 ? DONE : this.stateAt(ordinal);
    if (state !== SENT && state !== RECEIVED) return Number.POSITIVE_INFINITY;
    const i = ordinal & this.#mask;
    if (state === RECEIVED) this.answeredSize = this.#size[i] as number;
    this.#ackTime?.forget(ordinal);
    this.#state[i] = UNSENT;
    this.#message[i] = null;
    this.outstanding--;
    return this.seqAt(ordinal);
  }

  /** The log has what is in flight: the messages need not stay in memory until they are answered. */
  forgetStored(): void {
    for (let ordinal = this.head; ordinal < this.next; ordinal++) {
      const i = ordinal & this.#mask;
      const message = this.#message[i];
      if (message?.state === WRITTEN || message?.state === DURABLE) this.#message[i] = null;
    }
  }

  /** The peer has no session (after `suspend`): what it received counts as delivered, the rest is sent as if for the first time. */
  forgetPeer(): void {
    for (let ordinal = this.head; ordinal < this.next; ordinal++) {
      if (this.stateAt(ordinal) === RECEIVED) this.#end(ordinal);
    }
    this.outstanding = 0;
    this.#sentBefore = this.head;
    this.#advance();
  }

  /** The entry at `ordinal` needs no answer any more; it stays until `discard`. */
  answer(ordinal: number): void {
    this.#ackTime?.forget(ordinal);
    const i = ordinal & this.#mask;
    if (this.#state[i] === SENT) this.outstanding--;
    this.#message[i] = null;
    this.#state[i] = ANSWERED;
  }

  /** Removes the entry at `ordinal` as if acknowledged (expired, withdrawn). */
  discard(ordinal: number): void {
    this.answer(ordinal);
    if (this.keeps) this.#state[ordinal & this.#mask] = DONE;
    else this.#end(ordinal);
    this.#advance();
  }

  /** Answered to its end. */
  #end(ordinal: number): void {
    const i = ordinal & this.#mask;
    this.#state[i] = DONE;
    if (this.keeps ? this.#seq[i] !== 0 : this.multipart && this.awaits(this.seqAt(ordinal))) this.#state[i] = ANSWERED;
  }

  /** Whether an entry with this sequence number is not acknowledged: a message sent in several parts is done with its last. */
  awaits(seq: number): boolean {
    for (let ordinal = this.head; ordinal < this.next; ordinal++) {
      const i = ordinal & this.#mask;
      if ((this.#state[i] === SENT || this.#state[i] === UNSENT) && this.#seq[i] === seq) return true;
    }
    return false;
  }

  #take(ordinal: number): void {
    const i = ordinal & this.#mask;
    this.answeredOrdinal = ordinal;
    this.answeredSeq = this.#seq[i] as number;
    this.answeredSize = this.#size[i] as number;
    this.answeredMessage = this.#message[i] as Message | null;
    this.#message[i] = null;
  }

  /** The ordinal in [head, next) with this packet id, -1 when there is none. */
  #find(packetId: number): number {
    const { first, count } = this.#range;
    const place = packetId - first;
    if (place < 0 || place >= count) return -1;
    const ordinal = this.head + ((place - (this.head % count) + count) % count);
    return ordinal < this.next ? ordinal : -1;
  }

  #advance(): void {
    while (this.head < this.next && this.#state[this.head & this.#mask] === DONE) {
      this.passedSeq = Math.max(this.passedSeq, this.seqAt(this.head));
      this.#clear(this.head & this.#mask);
      this.head++;
    }
    if (this.#memory.taken > 0 && this.head === this.next) this.#shrink();
  }

  /** Nothing is in flight, and memory is short: back to the ring that everybody may have. */
  #shrink(): void {
    if (!this.#memory.isShort) return;
    this.end();
    this.#mask = -1;
    this.#grow();
  }

  #clear(i: number): void {
    this.#state[i] = FREE;
    this.#message[i] = null;
  }

  /** Its receiver is no more: the memory of the ring goes back. */
  end(): void {
    this.#memory.release();
  }

  /** What the next longer ring takes of the memory of all. */
  get #grownBytes(): number {
    return Math.max(0, (this.#mask + 1) * 2 - (this.#range.places ?? RING_MIN)) * PLACE_IN_RING_BYTES;
  }

  #grow(): void {
    this.#memory.hold(this.#grownBytes);
    const size = Math.max((this.#mask + 1) * 2, RING_MIN);
    const mask = size - 1;
    const state = new Uint8Array(size);
    const qos = new Uint8Array(size);
    const seq = new Array<number>(size).fill(0);
    const sizes = new Array<number>(size).fill(0);
    const message = new Array<Message | null>(size).fill(null);
    for (let ordinal = this.head; ordinal < this.next; ordinal++) {
      const from = ordinal & this.#mask;
      const to = ordinal & mask;
      state[to] = this.#state[from] as number;
      qos[to] = this.#qos[from] as number;
      seq[to] = this.#seq[from] as number;
      sizes[to] = this.#size[from] as number;
      message[to] = this.#message[from] as Message | null;
    }
    this.#mask = mask;
    this.#state = state;
    this.#qos = qos;
    this.#seq = seq;
    this.#size = sizes;
    this.#message = message;
  }
}
