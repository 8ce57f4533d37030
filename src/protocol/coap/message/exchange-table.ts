/**
 * The requests of the last minutes by peer and Message ID, so that a repeated one is answered from here and its handler
 * runs once (RFC 7252 section 4.5). One table for all listeners of a gateway, in typed arrays: an entry is 32 bytes.
 *
 * Bounded twice: entries, of which the oldest gives way, and the bytes of the responses kept for repetition, which
 * lie in one ring; a response that the ring has written over takes its entry along. A request still being worked on
 * never gives way.
 *
 *     buckets | hash -> entry -> entry -> -1                  by `next`
 *     age     | oldest <-> . . <-> newest                     by `older` and `newer`
 *     ring    | answer 7 | answer 8 | . . | answer 3 | answer 4 | answer 5 |
 *                                   ^ written, modulo the ring's size
 */
import { assert } from "../../../base/assert.ts";
import { copyBytes } from "../../../base/copy-bytes.ts";
import type { Counter, Counters } from "../../../base/counters.ts";

export interface ExchangeLimits {
  readonly exchangesMax: number;
  readonly responseBytesMax: number;
}

/** Of answers for each exchange: most have a code and a token; one with a value has the room of others. */
const RESPONSE_BYTES = 32;

/** @param exchangesMax  `limits.coap_exchanges`: 4,096 are 16 requests a second for the whole EXCHANGE_LIFETIME */
export function exchangeLimits(exchangesMax: number): ExchangeLimits {
  return { exchangesMax, responseBytesMax: exchangesMax * RESPONSE_BYTES };
}

/** Bytes of an entry in all arrays: times, serial, Message ID, response, links and bucket. */
export const EXCHANGE_BYTES = 8 + 8 + 4 + 2 + 2 + 2 * 4;

/** In the number of a response: the handler is done with the request. */
const ANSWERED = 0x8000;
const NONE = -1;
/** No exchange: an answer of `find`, and where nothing is to be remembered. */
export const NO_EXCHANGE = -1;

export class ExchangeTable {
  readonly #limits: ExchangeLimits;
  readonly #evicted: Counter;
  readonly #expiresMs: Float64Array;
  /** Bytes ever written to the ring before the response; its place modulo the ring's size. */
  readonly #responseAt: Float64Array;
  readonly #serials: Uint32Array;
  readonly #messageIds: Uint16Array;
  /** Bytes of the response, 0 = nothing is repeated; and ANSWERED. */
  readonly #responses: Uint16Array;
  readonly #next: Int16Array;
  readonly #older: Int16Array;
  readonly #newer: Int16Array;
  readonly #buckets: Int16Array;
  readonly #mask: number;
  /** Entries in use or used before; those behind have never been. */
  #made = 0;
  #oldest = NONE;
  #newest = NONE;
  /** Send a response from here: `ring[placeOf(exchange)]` and on, unbroken. */
  readonly ring: Buffer;
  #written = 0;

  constructor(counters: Counters, limits: ExchangeLimits) {
    const { exchangesMax, responseBytesMax } = limits;
    assert(exchangesMax <= 0x7fff, "places are 16 bits");
    this.#limits = limits;
    this.#evicted = counters.counter("coap.exchanges_evicted");
    this.#expiresMs = new Float64Array(exchangesMax);
    this.#responseAt = new Float64Array(exchangesMax);
    this.#serials = new Uint32Array(exchangesMax);
    this.#messageIds = new Uint16Array(exchangesMax);
    this.#responses = new Uint16Array(exchangesMax);
    this.#next = new Int16Array(exchangesMax);
    this.#older = new Int16Array(exchangesMax);
    this.#newer = new Int16Array(exchangesMax);
    const buckets = 2 ** Math.ceil(Math.log2(exchangesMax));
    this.#buckets = new Int16Array(buckets).fill(NONE);
    this.#mask = buckets - 1;
    this.ring = Buffer.allocUnsafeSlow(responseBytesMax);
  }

  /** Of which the oldest may be past their lifetime: an entry stays until its place is needed. */
  get size(): number {
    return this.#made;
  }

  /** The exchange of an earlier copy of this request; NO_EXCHANGE when it is new, forgotten or past its lifetime. */
  find(serial: number, messageId: number, nowMs: number): number {
    let entry = this.#buckets[hashOf(serial, messageId) & this.#mask]!;
    while (entry !== NONE) {
      if (this.#serials[entry] === serial && this.#messageIds[entry] === messageId) {
        return this.#expiresMs[entry]! > nowMs && this.#isIntact(entry) ? entry : NO_EXCHANGE;
      }
      entry = this.#next[entry]!;
    }
    return NO_EXCHANGE;
  }

  /** Enters a new request, which `find` did not know. @param expiresMs until then its Message ID means this request */
  open(serial: number, messageId: number, nowMs: number, expiresMs: number): number {
    const entry = this.#place(nowMs);
    this.#expiresMs[entry] = expiresMs;
    this.#serials[entry] = serial;
    this.#messageIds[entry] = messageId;
    this.#responses[entry] = 0;
    // In front of an entry of the same name that has expired.
    const bucket = hashOf(serial, messageId) & this.#mask;
    this.#next[entry] = this.#buckets[bucket]!;
    this.#buckets[bucket] = entry;
    this.#link(entry);
    return entry;
  }

  /** The handler is done with it: it may give way. */
  answer(entry: number): void {
    this.#responses[entry]! |= ANSWERED;
  }

  /** Keeps a copy of the message that a repeated request gets; the Empty acknowledgement first, where there is one. */
  keep(entry: number, response: Buffer, length: number): void {
    this.#responses[entry]! &= ANSWERED;
    const size = this.ring.length;
    if (length > size || length >= ANSWERED) return;
    const rest = size - (this.#written % size);
    if (length > rest) this.#written += rest; // an answer lies unbroken
    this.#responseAt[entry] = this.#written;
    this.#responses[entry]! |= length;
    copyBytes(response, 0, length, this.ring, this.#written % size);
    this.#written += length;
  }

  responseLength(entry: number): number {
    return this.#responses[entry]! & ~ANSWERED;
  }

  placeOf(entry: number): number {
    return this.#responseAt[entry]! % this.ring.length;
  }

  #isIntact(entry: number): boolean {
    return this.responseLength(entry) === 0 || this.#responseAt[entry]! >= this.#written - this.ring.length;
  }

  /** A place, if need be that of the oldest which nobody works on. */
  #place(nowMs: number): number {
    if (this.#made < this.#limits.exchangesMax) return this.#made++;
    let entry = this.#oldest;
    while ((this.#responses[entry]! & ANSWERED) === 0) {
      this.#unlink(entry);
      this.#link(entry);
      entry = this.#oldest;
    }
    if (this.#expiresMs[entry]! > nowMs) this.#evicted.value++;
    this.#unlink(entry);
    this.#leaveBucket(entry);
    return entry;
  }

  #leaveBucket(entry: number): void {
    const bucket = hashOf(this.#serials[entry]!, this.#messageIds[entry]!) & this.#mask;
    const first = this.#buckets[bucket]!;
    if (first === entry) {
      this.#buckets[bucket] = this.#next[entry]!;
      return;
    }
    let before = first;
    while (this.#next[before] !== entry) before = this.#next[before]!;
    this.#next[before] = this.#next[entry]!;
  }

  #link(entry: number): void {
    this.#older[entry] = this.#newest;
    this.#newer[entry] = NONE;
    if (this.#newest !== NONE) this.#newer[this.#newest] = entry;
    else this.#oldest = entry;
    this.#newest = entry;
  }

  #unlink(entry: number): void {
    const older = this.#older[entry]!;
    const newer = this.#newer[entry]!;
    if (older !== NONE) this.#newer[older] = newer;
    else this.#oldest = newer;
    if (newer !== NONE) this.#older[newer] = older;
    else this.#newest = older;
  }
}

/** Message IDs of a peer follow one another, serials are ours: nobody can aim at a bucket. */
function hashOf(serial: number, messageId: number): number {
  return Math.imul(serial, 0x9e37_79b1) + messageId;
}
