/**
 * Where every durable receiver stands in the log: what its row says, and what has changed since.
 *
 * A receiver that was *touched* is asked for its record at the next commit, and the record is written if the restart
 * would go wrong without it. That is not so
 *   - when the log holds nothing for it, before and now (everything was acknowledged before its commit was due), and
 *   - when messages were only added behind the others (*grown*): the log itself says so, and count and bytes are added
 *     up again at the next start (recount.ts). So one message to 1,000 sessions that are away does not write 1,000 rows.
 * The rows of grown receivers are brought up to date before each checkpoint, which keeps the recount short.
 */
import type { ReceiverRecord, StoredReceiver } from "../core/ports.ts";
import type { Group } from "./group.ts";

const EMPTY: Buffer = Buffer.alloc(0);

/** Estimated bytes of memory for one place. */
export const PLACE_BYTES = 400;

export class Place {
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  /** null until it registers. */
  receiver: StoredReceiver | null = null;
  /** Lowest row in the log it may still need; Infinity = none. */
  head: number;
  /** Ordinal and state as the row in the database has them; ordinal -1 = not known, to be written. */
  savedOrdinal: number;
  savedState: Buffer;
  /** Messages and bytes in the log for it, as far as the store knows. */
  count: number;
  bytes: number;
  touched = false;
  /** `id` of the last group that was noted to have messages for it. */
  notedIn = 0;

  constructor(record: ReceiverRecord) {
    this.id = record.id;
    this.kind = record.kind;
    this.name = record.name;
    this.head = record.count === 0 ? Number.POSITIVE_INFINITY : record.headSeq;
    this.savedOrdinal = record.headOrdinal;
    this.savedState = record.state.length === 0 ? EMPTY : Buffer.from(record.state);
    this.count = record.count;
    this.bytes = record.bytes;
  }

  /** Whether the restart needs `record` in the database. */
  mustSave(record: ReceiverRecord): boolean {
    if (this.savedOrdinal === -1 || !this.savedState.equals(record.state)) return true;
    if (record.count === 0) return this.head !== Number.POSITIVE_INFINITY;
    return record.headOrdinal !== this.savedOrdinal || record.headSeq > this.head;
  }

  /** The record is in the transaction under way. */
  saved(record: ReceiverRecord): void {
    this.head = record.count === 0 ? Number.POSITIVE_INFINITY : record.headSeq;
    this.savedOrdinal = record.headOrdinal;
    if (!this.savedState.equals(record.state))
      this.savedState = record.state.length === 0 ? EMPTY : Buffer.from(record.state);
  }
}

export class Places {
  readonly #byId = new Map<number, Place>();
  readonly #byName = new Map<string, Place>();
  #lastId = 0;
  /** Receivers to be asked for their record. */
  readonly touched: Place[] = [];
  /** Receivers whose row lacks messages that the log has. */
  readonly grown = new Set<Place>();
  /** Messages and bytes in the log for all receivers together. */
  count = 0;
  bytes = 0;

  get size(): number {
    return this.#byId.size;
  }

  /** A new receiver, which needs nothing below `headSeq`. */
  create(kind: string, name: string, headSeq: number): ReceiverRecord {
    const id = this.#lastId + 1;
    const record = { id, kind, name, headSeq, headOrdinal: 0, state: EMPTY, count: 0, bytes: 0 };
    this.add(record);
    return record;
  }

  add(record: ReceiverRecord): Place {
    const place = new Place(record);
    this.#byId.set(place.id, place);
    this.#byName.set(keyOf(place.kind, place.name), place);
    if (place.id > this.#lastId) this.#lastId = place.id;
    this.count += place.count;
    this.bytes += place.bytes;
    return place;
  }

  get(id: number): Place | undefined {
    return this.#byId.get(id);
  }

  named(kind: string, name: string): Place | undefined {
    return this.#byName.get(keyOf(kind, name));
  }

  all(): IterableIterator<Place> {
    return this.#byId.values();
  }

  remove(place: Place): void {
    this.#byId.delete(place.id);
    this.#byName.delete(keyOf(place.kind, place.name));
    this.grown.delete(place);
    place.receiver = null;
    this.count -= place.count;
    this.bytes -= place.bytes;
  }

  has(place: Place): boolean {
    return this.#byId.get(place.id) === place;
  }

  /** Rows for it in the middle of the log go: its row in the database has to say so. */
  struck(place: Place): void {
    place.savedOrdinal = -1;
    this.touch(place);
  }

  touch(place: Place): void {
    if (place.touched) return;
    place.touched = true;
    this.touched.push(place);
  }

  /** All that were touched have been asked; `stay` are asked again. */
  untouch(stay: readonly Place[]): void {
    for (const place of this.touched) place.touched = false;
    this.touched.length = 0;
    for (const place of stay) this.touch(place);
  }

  /** A row for it enters the log with `group`. */
  entered(place: Place, seq: number, size: number, group: Group): void {
    if (seq < place.head) place.head = seq;
    place.count++;
    place.bytes += size;
    this.count++;
    this.bytes += size;
    if (place.notedIn === group.id) return;
    place.notedIn = group.id;
    group.places.push(place);
    this.grown.add(place);
  }

  saved(place: Place, record: ReceiverRecord): void {
    this.count += record.count - place.count;
    this.bytes += record.bytes - place.bytes;
    place.count = record.count;
    place.bytes = record.bytes;
    place.saved(record);
    this.grown.delete(place);
  }

  /** The transaction that saved them was taken back: they are written again whatever they say. */
  unsaved(places: Iterable<Place>): void {
    for (const place of places) {
      place.savedOrdinal = -1;
      place.notedIn = 0; // the same group may be written again: it has to find its receivers again
      this.touch(place);
    }
  }

  /**
   * The floor as it will be when the touched receivers' records are in the transaction that is about to be written,
   * without the rows that it adds.
   */
  comingFloor(): number {
    let floor = Number.POSITIVE_INFINITY;
    for (const place of this.#byId.values()) {
      // A record that advances a head is always written (`mustSave`).
      const head = place.touched && place.receiver !== null ? place.receiver.headSeq : place.head;
      if (head < floor) floor = head;
    }
    return floor;
  }

  /** The lowest row that anybody may still need; Infinity = none. */
  floor(): number {
    let floor = Number.POSITIVE_INFINITY;
    for (const place of this.#byId.values()) if (place.head < floor) floor = place.head;
    return floor;
  }
}

function keyOf(kind: string, name: string): string {
  return `${kind} ${name}`;
}
