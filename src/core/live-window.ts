/**
 * What is in flight to a session that ends with its connection: which packet ids are taken, and how far each exchange
 * is. Nothing is ever sent again, so neither messages nor sizes are kept: two bits an entry.
 *
 *      head                        next
 *       v                           v
 *     | SENT 1 | DONE | RECEIVED | ...      entry = ordinal & mask, four in a byte
 *
 * As in `Inflight`, packet ids follow from ordinals, and the span from head to next is limited: to SPAN_MAX, or where the
 * memory that all rings share has no room for a longer one. The ordinals begin anew long before they cease to be small
 * integers (`REBASE`).
 */
import type { Allowance } from "../base/allowance.ts";
import { PACKET_IDS, packetIdOf, SPAN_MAX, type Window } from "./packet-ids.ts";

/** Answered out of order; leaves when it becomes the head. */
const DONE = 0;
/** PUBLISH is out, no PUBACK yet. */
const SENT_1 = 1;
/** PUBLISH is out, no PUBREC yet. */
const SENT_2 = 2;
/** PUBREC came, PUBREL is out: the peer has the message, only the id is still taken. */
const RECEIVED = 3;

const RING_MIN = 16;
/** Places that everybody may have, whatever the others have: 256 B. */
export const RING_FREE = 1024;
const NONE = new Uint8Array(0);
/** A multiple of the packet ids and of every ring: subtracting it changes neither ids nor places. */
const REBASE_STEP = PACKET_IDS * SPAN_MAX;
/** Beyond it ordinals would leave the small integers of V8, and each would be a number on the heap. */
const REBASE = 4 * REBASE_STEP;

export class LiveWindow implements Window {
  head = 0;
  next = 0;
  outstanding = 0;
  windowMax = 0;
  barredOrdinal = Number.POSITIVE_INFINITY;
  // The ring is made with the first message.
  #mask = -1;
  #states = NONE;
  readonly #memory: Allowance | null;
  /** Of `#memory`. */
  #bytesTaken = 0;

  /**
   * @param memory that all longer rings share; null = they are not counted
   * @param first  ordinal of the first message
   */
  constructor(memory: Allowance | null = null, first = 0) {
    this.#memory = memory;
    this.head = first;
    this.next = first;
  }

  get empty(): boolean {
    return this.head === this.next;
  }

  /** Whether one more may be sent. */
  get hasRoom(): boolean {
    return this.outstanding < this.windowMax && this.next < this.barredOrdinal && this.#hasPlace;
  }

  get #hasPlace(): boolean {
    const span = this.next - this.head;
    return span <= this.#mask || (span < SPAN_MAX && this.#mayGrow());
  }

  #mayGrow(): boolean {
    const memory = this.#memory;
    return memory === null || memory.used + this.#growthBytes() <= memory.bytesMax;
  }

  /** What the next longer ring takes of the memory of all. */
  #growthBytes(): number {
    const places = (this.#mask + 1) * 2;
    return places <= RING_FREE ? 0 : places / 4 - this.#bytesTaken;
  }

  /** A message of QoS 1 or 2 is about to be sent (`hasRoom` was true). @returns its packet id */
  push(qos: number): number {
    const ordinal = this.next;
    if (ordinal - this.head > this.#mask) this.#grow();
    this.#set(ordinal, qos);
    this.next = ordinal + 1;
    this.outstanding++;
    return packetIdOf(ordinal);
  }

  /** PUBACK, or a PUBREC with an error. @returns false when the id is not in flight */
  finish(packetId: number): boolean {
    const ordinal = this.#find(packetId);
    if (ordinal < 0) return false;
    const state = this.#at(ordinal);
    if (state !== SENT_1 && state !== SENT_2) return false;
    this.#done(ordinal);
    return true;
  }

  /** PUBREC: the id stays until PUBCOMP. @returns SENT_2 or RECEIVED as it was before, 0 when no QoS 2 message has this id */
  received(packetId: number): number {
    const ordinal = this.#find(packetId);
    const state = ordinal < 0 ? DONE : this.#at(ordinal);
    if (state < SENT_2) return 0;
    this.#set(ordinal, RECEIVED);
    return state;
  }

  /** PUBCOMP: the id is free. @returns false when no PUBREL of that id is out */
  complete(packetId: number): boolean {
    const ordinal = this.#find(packetId);
    if (ordinal < 0 || this.#at(ordinal) !== RECEIVED) return false;
    this.#done(ordinal);
    return true;
  }

  /** The connection is gone, and with it all that was in flight; the memory of the ring goes back. */
  clear(): void {
    this.outstanding = 0;
    this.head = this.next;
    this.#memory?.give(this.#bytesTaken);
    this.#bytesTaken = 0;
    this.#mask = -1;
    this.#states = NONE;
  }

  qosOf(packetId: number): number {
    const ordinal = this.#find(packetId);
    if (ordinal < 0) return 0;
    const state = this.#at(ordinal);
    return state === RECEIVED ? 2 : state;
  }

  /** Bytes of the ring. */
  get bytes(): number {
    return this.#states.length;
  }

  /** The ordinal in [head, next) with this packet id, -1 when there is none. */
  #find(packetId: number): number {
    let distance = packetId - packetIdOf(this.head);
    if (distance < 0) distance += PACKET_IDS;
    return packetId > 0 && distance < this.next - this.head ? this.head + distance : -1;
  }

  #at(ordinal: number): number {
    const entry = ordinal & this.#mask;
    return ((this.#states[entry >> 2] as number) >> ((entry & 3) << 1)) & 3;
  }

  #set(ordinal: number, state: number): void {
    const entry = ordinal & this.#mask;
    const at = entry >> 2;
    const shift = (entry & 3) << 1;
    this.#states[at] = ((this.#states[at] as number) & ~(3 << shift)) | (state << shift);
  }

  #done(ordinal: number): void {
    this.#set(ordinal, DONE);
    this.outstanding--;
    let { head } = this;
    while (head < this.next && this.#at(head) === DONE) head++;
    this.head = head;
    // Loans have ordinals of their own, ahead of these.
    if (head >= REBASE && this.barredOrdinal === Number.POSITIVE_INFINITY) {
      this.head -= REBASE_STEP;
      this.next -= REBASE_STEP;
    }
  }

  #grow(): void {
    if (this.#memory !== null) {
      const bytes = this.#growthBytes();
      this.#memory.takeAnyway(bytes);
      this.#bytesTaken += bytes;
    }
    const before = this.#states;
    const mask = this.#mask;
    const size = Math.max((mask + 1) * 2, RING_MIN);
    const states = new Uint8Array(size / 4);
    this.#states = states;
    this.#mask = size - 1;
    for (let ordinal = this.head; ordinal < this.next; ordinal++) {
      const entry = ordinal & mask;
      this.#set(ordinal, ((before[entry >> 2] as number) >> ((entry & 3) << 1)) & 3);
    }
  }
}
