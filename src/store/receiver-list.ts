/**
 * The receivers of one message as the log's row holds them: two or three bytes each, so that one message to 1,000
 * sessions is one row of 3 KiB.
 *
 *     entry*   varint zigzag(id - previous id), byte options | 0x80 if identifiers follow,
 *              [varint count, varint Subscription Identifier *]
 */
import type { Message } from "../core/message.ts";
import { damagedRow } from "./damage.ts";

const HAS_IDENTIFIERS = 0x80;
const OPTIONS = 0x7f;
/** Bytes of one entry without identifiers, and of one identifier, at most. */
const ENTRY_BYTES_MAX = 6;
const VARINT_BYTES_MAX = 5;

/** Encodes one list behind the other into a scratch buffer; a message's is nearly always that of the one before. */
export class ListEncoder {
  /** Lists encoded until now are about to be overwritten. */
  readonly #onFull: () => void;
  #scratch: Buffer = Buffer.allocUnsafeSlow(4096);
  #at = 0;
  #encoded: Buffer = this.#scratch.subarray(0, 0);
  /** What `#encoded` is the encoding of; only lists without identifiers. */
  readonly #ids: number[] = [];
  readonly #options: number[] = [];
  /** Whether the last `encode` answered with the list of the call before. */
  repeated = false;

  constructor(onFull: () => void) {
    this.#onFull = onFull;
  }

  /** @returns the entries that have not been settled, valid until `onFull` is called */
  encode(message: Message): Buffer {
    this.repeated = this.#isRepeated(message);
    if (this.repeated) return this.#encoded;
    this.#ids.length = 0;
    this.#options.length = 0;
    this.#reserve(message);
    const from = this.#at;
    let previous = 0;
    const { receiverIds, receiverOptions, subscriptionIds } = message;
    for (let i = 0; i < receiverIds.length; i++) {
      const id = receiverIds[i] as number;
      if (id === 0) continue;
      const delta = id - previous;
      previous = id;
      this.#varint(delta < 0 ? -2 * delta - 1 : 2 * delta);
      const options = receiverOptions[i] as number;
      const identifiers = subscriptionIds?.get(i);
      if (identifiers === undefined) {
        this.#scratch[this.#at++] = options;
      } else {
        this.#scratch[this.#at++] = options | HAS_IDENTIFIERS;
        this.#varint(identifiers.length);
        for (const identifier of identifiers) this.#varint(identifier);
      }
    }
    if (subscriptionIds === null) {
      for (let i = 0; i < receiverIds.length; i++) {
        this.#ids.push(receiverIds[i] as number);
        this.#options.push(receiverOptions[i] as number);
      }
    }
    this.#encoded = this.#scratch.subarray(from, this.#at);
    return this.#encoded;
  }

  #isRepeated(message: Message): boolean {
    const { receiverIds, receiverOptions } = message;
    const count = this.#ids.length;
    if (count === 0 || message.subscriptionIds !== null || receiverIds.length !== count) return false;
    for (let i = 0; i < count; i++) {
      if (receiverIds[i] !== this.#ids[i] || receiverOptions[i] !== this.#options[i]) return false;
    }
    return true;
  }

  #reserve(message: Message): void {
    let bytes = message.receiverIds.length * ENTRY_BYTES_MAX;
    if (message.subscriptionIds !== null) {
      for (const identifiers of message.subscriptionIds.values()) bytes += (1 + identifiers.length) * VARINT_BYTES_MAX;
    }
    if (this.#at + bytes <= this.#scratch.length) return;
    this.#onFull();
    this.#at = 0;
    if (bytes > this.#scratch.length) this.#scratch = Buffer.allocUnsafeSlow(bytes * 2);
  }

  #varint(value: number): void {
    while (value >= 0x80) {
      this.#scratch[this.#at++] = (value & 0x7f) | 0x80;
      value >>>= 7;
    }
    this.#scratch[this.#at++] = value;
  }
}

/** Reads a list entry by entry: `start`, then `next` until it answers false. Reused. */
export class ListReader {
  id = 0;
  options = 0;
  /** Of the current entry; null = none. */
  subscriptionIds: number[] | null = null;
  /** Where the current entry's options lie in the list. */
  optionsAt = 0;
  #bytes: Buffer = EMPTY;
  #at = 0;
  #end = 0;

  /** @param seq whose list it is  @param bytes null in a damaged file */
  start(seq: number, bytes: Buffer | null): void {
    if (bytes === null || typeof bytes !== "object") throw damagedRow(seq, "has no receivers");
    this.startAt(bytes, 0, bytes.length);
  }

  /** The list is `bytes[from..end)`. */
  startAt(bytes: Buffer, from: number, end: number): void {
    this.#bytes = bytes;
    this.#at = from;
    this.#end = end;
    this.id = 0;
  }

  next(): boolean {
    if (this.#at >= this.#end) return false;
    const zigzag = this.#varint();
    this.id += zigzag & 1 ? -((zigzag + 1) / 2) : zigzag / 2;
    this.optionsAt = this.#at;
    const options = this.#bytes[this.#at++] ?? 0;
    this.options = options & OPTIONS;
    this.subscriptionIds = null;
    if ((options & HAS_IDENTIFIERS) !== 0) {
      this.subscriptionIds = [];
      for (let rest = this.#varint(); rest > 0 && this.#at < this.#end; rest--)
        this.subscriptionIds.push(this.#varint());
    }
    return true;
  }

  /** Whether `bytes` is a list, with somebody in it. */
  isList(bytes: Buffer): boolean {
    this.start(0, bytes);
    while (this.next()) if (this.id < 1) return false;
    return bytes.length > 0 && this.#at === bytes.length;
  }

  /** Where the current entry ends in the list. */
  get end(): number {
    return this.#at;
  }

  /** Moves to the entry of receiver `id`. @returns false when the list has none */
  find(seq: number, bytes: Buffer | null, id: number): boolean {
    this.start(seq, bytes);
    return this.moveTo(id);
  }

  /** Moves on to the entry of receiver `id`. @returns false when none follows */
  moveTo(id: number): boolean {
    while (this.next()) if (this.id === id) return true;
    return false;
  }

  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#bytes[this.#at++] ?? 0;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return value >>> 0;
  }
}

/** How the list of a row begins that is for receiver `id` first; one byte more is all of it, when it has no identifiers. */
export function listStart(id: number): Buffer {
  const out = Buffer.alloc(VARINT_BYTES_MAX);
  return out.subarray(0, writeVarint(out, 0, 2 * id));
}

/** The list without these receivers; empty when nobody is left. */
export function withoutReceivers(seq: number, bytes: Buffer, ids: readonly number[]): Buffer {
  const reader = new ListReader();
  const out = Buffer.allocUnsafe(bytes.length + VARINT_BYTES_MAX);
  let at = 0;
  let previous = 0;
  reader.start(seq, bytes);
  while (reader.next()) {
    if (ids.includes(reader.id)) continue;
    const delta = reader.id - previous;
    previous = reader.id;
    at = writeVarint(out, at, delta < 0 ? -2 * delta - 1 : 2 * delta);
    at += bytes.copy(out, at, reader.optionsAt, reader.end);
  }
  return out.subarray(0, at);
}

function writeVarint(out: Buffer, from: number, value: number): number {
  let at = from;
  let rest = value;
  while (rest >= 0x80) {
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}

const EMPTY = Buffer.alloc(0);
