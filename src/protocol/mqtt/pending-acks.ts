/**
 * Acknowledgements that a connection owes, in order of arrival. An answer may become ready early (a full queue) or
 * late (the store); it leaves when all before it have left ([MQTT311-4.6.0-2], [MQTT311-4.6.0-3]).
 *
 *     first                    next
 *       v                       v
 *     | ready | waits | ready |          index = token & mask
 *       leaves   holds back
 *
 *     entry   bit 0-15 packet id, 16-23 reason, 24-27 packet type, then the flags below
 *
 * It also counts what Receive Maximum limits: the QoS 1 and 2 PUBLISHes that are not answered to their end.
 */
import type { Allowance } from "../../base/allowance.ts";
import { IdSet } from "../../base/id-set.ts";
import type { InboundIds } from "../../core/inbound-ids.ts";
import { PUBACK, PUBREC } from "../../wire/mqtt/codes.ts";

/** Nobody has said yet what the answer is. */
const WAITS = 1 << 28;
/** A PUBLISH that Receive Maximum counts is answered by this, or was by the PUBREC before it. */
const COUNTED = 1 << 29;
/** PUBREC for a packet id that was taken before, or PUBCOMP for one that is not there: the store's word changes neither. */
const REPEATED = 1 << 30;

const ENTRY_BYTES = 8;
/** What a connection may owe whatever the others owe; part of its own bytes in the bill. */
const RING_MIN = 8;
const NONE: number[] = [];

export class PendingAcks {
  /** Token of the oldest acknowledgement owed. */
  first = 0;
  /** Token the next one gets. */
  next = 0;
  /** Counted PUBLISHes: QoS 1 until their PUBACK left, QoS 2 until their PUBCOMP or their refusal did. */
  unanswered = 0;
  /** QoS 2 ids that an earlier connection left behind: sent there, they do not count here ([MQTT5-3.3.4-7]). */
  #older: IdSet | null = null;
  // The ring is made with the first acknowledgement.
  #mask = -1;
  #entries = NONE;
  /** Entries it takes as it is. */
  #room = 0;
  readonly #max: number;
  readonly #memory: Allowance;
  #memoryTaken = 0;

  /**
   * @param max    acknowledgements owed at most
   * @param memory of the rings of all connections; when it is used up, a ring stays as small as it is
   */
  constructor(max: number, memory: Allowance) {
    this.#max = max;
    this.#memory = memory;
  }

  get count(): number {
    return this.next - this.first;
  }

  /** Acknowledgements it has room for now. */
  get capacity(): number {
    return this.#room;
  }

  /** Whether one more may be owed; to be asked before `push`. */
  hasRoom(): boolean {
    return this.next - this.first < this.#room || this.#grow();
  }

  /** A session is there: what its `inbound` holds now was sent on an earlier connection. */
  begin(inbound: InboundIds): void {
    if (inbound.size === 0) return;
    this.#older = new IdSet();
    for (const id of inbound) this.#older.add(id);
    this.#memory.takeAnyway(this.#older.bytes);
    this.#memoryTaken += this.#older.bytes;
  }

  /** The connection is gone. What the store still says is looked up here. */
  end(): void {
    this.#memory.give(this.#memoryTaken);
    this.#memoryTaken = 0;
  }

  /** @param type packet type of the answer  @returns its token */
  push(type: number, packetId: number): number {
    const token = this.next++;
    this.#entries[token & this.#mask] = WAITS | (type << 24) | packetId;
    return token;
  }

  /** `push` for a PUBLISH that counts from now on. */
  pushPublish(type: number, packetId: number): number {
    const token = this.next++;
    this.#entries[token & this.#mask] = WAITS | COUNTED | (type << 24) | packetId;
    this.unanswered++;
    return token;
  }

  /** `push` for a PUBLISH of a QoS 2 id that was taken before; it counts once on this connection. */
  pushRepeated(packetId: number): number {
    const counts = this.#older?.delete(packetId) === true;
    const token = counts ? this.pushPublish(PUBREC, packetId) : this.push(PUBREC, packetId);
    const i = token & this.#mask;
    this.#entries[i] = (this.#entries[i] as number) | REPEATED;
    return token;
  }

  /** `push` for the PUBCOMP of a packet id that was known: the PUBLISH stops counting when it has left. */
  pushRelease(type: number, packetId: number): number {
    const token = this.push(type, packetId);
    if (this.#older?.delete(packetId) === true) return token;
    const i = token & this.#mask;
    this.#entries[i] = (this.#entries[i] as number) | COUNTED;
    return token;
  }

  /** `push` for the PUBCOMP of a packet id that is not there; `reason` says so once the store has been heard. */
  pushUnknown(type: number, packetId: number, reason: number): number {
    const token = this.push(type, packetId);
    const i = token & this.#mask;
    this.#entries[i] = (this.#entries[i] as number) | REPEATED | (reason << 16);
    return token;
  }

  /** Takes back the newest: its packet is held and will be looked at again. */
  pop(): void {
    this.next--;
    if (((this.#entries[this.next & this.#mask] as number) & COUNTED) !== 0) this.unanswered--;
  }

  /** The first word on a token counts; SUCCESS leaves a reason that is there already. */
  resolve(token: number, reason: number): void {
    const i = token & this.#mask;
    const entry = this.#entries[i] as number;
    if ((entry & WAITS) !== 0) this.#entries[i] = (entry & ~WAITS) | (reason << 16);
  }

  /** Whether the oldest may leave. */
  get ready(): boolean {
    return this.first < this.next && ((this.#entries[this.first & this.#mask] as number) & WAITS) === 0;
  }

  isOpen(token: number): boolean {
    return token >= this.first && token < this.next;
  }

  /** Whether an answer of `type` for `packetId` has not left; then it becomes `reason`, whatever it was to be. */
  refuse(type: number, packetId: number, reason: number): boolean {
    let found = false;
    for (let token = this.first; token < this.next; token++) {
      if (this.typeOf(token) !== type || this.packetIdOf(token) !== packetId) continue;
      const i = token & this.#mask;
      this.#entries[i] = ((this.#entries[i] as number) & ~(WAITS | (0xff << 16))) | (reason << 16);
      found = true;
    }
    return found;
  }

  /** Whether a PUBLISH of this id is one that an earlier connection brought and that does not count yet. */
  isOlder(packetId: number): boolean {
    return this.#older?.has(packetId) === true;
  }

  /** Whether some QoS 1 id was counted more than once, or would be with `packetId`: the same PUBLISH, sent again. */
  hasDuplicates(packetId: number): boolean {
    const ids = new Set([packetId]);
    let pubacks = 1;
    for (let token = this.first; token < this.next; token++) {
      if (this.typeOf(token) !== PUBACK) continue;
      ids.add(this.packetIdOf(token));
      pubacks++;
    }
    return ids.size < pubacks;
  }

  typeOf(token: number): number {
    return ((this.#entries[token & this.#mask] as number) >> 24) & 0x0f;
  }

  packetIdOf(token: number): number {
    return (this.#entries[token & this.#mask] as number) & 0xffff;
  }

  reasonOf(token: number): number {
    return ((this.#entries[token & this.#mask] as number) >> 16) & 0xff;
  }

  isRepeated(token: number): boolean {
    return ((this.#entries[token & this.#mask] as number) & REPEATED) !== 0;
  }

  /** The oldest has left. */
  shift(): void {
    const token = this.first++;
    const counted = ((this.#entries[token & this.#mask] as number) & COUNTED) !== 0;
    // After a PUBREC the exchange goes on, unless it refuses.
    if (counted && (this.typeOf(token) !== PUBREC || this.reasonOf(token) >= 0x80)) this.unanswered--;
    if (this.#mask >= RING_MIN && this.first === this.next && this.#memory.used > this.#memory.bytesMax / 2)
      this.#shrink();
  }

  #grow(): boolean {
    const size = Math.max((this.#mask + 1) * 2, RING_MIN);
    if (this.#room === this.#max) return false;
    const bytes = size > RING_MIN ? (size - (size > 2 * RING_MIN ? size / 2 : 0)) * ENTRY_BYTES : 0;
    if (bytes > 0 && !this.#memory.take(bytes)) return false;
    this.#memoryTaken += bytes;
    // Not a typed array, which takes 140 B more: most rings stay the smallest.
    const entries = new Array<number>(size).fill(0);
    for (let token = this.first; token < this.next; token++)
      entries[token & (size - 1)] = this.#entries[token & this.#mask] as number;
    this.#mask = size - 1;
    this.#entries = entries;
    this.#room = Math.min(size, this.#max);
    return true;
  }

  /** Memory is short and nothing is owed: back to the smallest ring. */
  #shrink(): void {
    const bytes = (this.#mask + 1) * ENTRY_BYTES;
    this.#memory.give(bytes);
    this.#memoryTaken -= bytes;
    this.#mask = RING_MIN - 1;
    this.#entries = new Array<number>(RING_MIN).fill(0);
    this.#room = Math.min(RING_MIN, this.#max);
  }
}
