/**
 * Who gets a topic: a fixed-size set-associative table in front of the topic tree, keyed by the topic's bytes as they
 * stand in the frame, so that a hit makes no string and no garbage.
 *
 *     set = hash & (SETS - 1)      | way 0 | way 1 | way 2 |     a hit moves nothing; a miss replaces in turn
 *                                  | hashes of 4 topics that missed |     these replace what is valid
 *
 * A topic that takes the place of another has mostly missed before, not long ago: where every topic is new, the table
 * stays as it is, and one route is built again and again.
 *
 * The lists of receivers share a fixed number of places (`ROUTE_WIDTH_MAX`): a new route takes them from the
 * entries whose turn it is, and one that is wider than all of them is built for each message.
 *
 * Entries hold receiver slots, never sessions. Changing a filter without wildcards touches its one topic (`forget`);
 * changing one with wildcards makes every entry stale (`generation`).
 */
import { assert } from "../base/assert.ts";
import type { Line } from "../config/budget.ts";
import type { Durability } from "./ports.ts";

const ROUTE_SETS = 256;
const WAYS = 3;
const ROUTES = ROUTE_SETS * WAYS;
/** Longer topics are looked up in the tree each time. All keys have their places in one buffer. */
const KEY_BYTES_MAX = 128;
/** Measured bytes of an entry without its key and receivers: 184. */
const ROUTE_BYTES = 192;
/** Most places of all entries together, see `widthOf`: when they are used up the oldest entries make way. */
export const ROUTE_WIDTH_MAX = 1792;
/** Measured bytes of a place: a receiver in two arrays of exact length. */
const WIDTH_BYTES = 16;

/** Of topics that missed, a set remembers so many: more than it has ways, or topics in turn could keep each other out. */
const MISSED = 4;
const MISSED_BYTES = 4;
/** One miss in so many takes a place all the same: else what nobody asks for stays where too many come in turn. */
const ANY_EVERY = 64;
/** A route that serves without being kept frees lists that are longer. */
const LENGTH_KEPT = 64;

const NO_NUMBERS: number[] = [];
const NO_IDS: (number[] | null)[] = [];

/** Bits of what a receiver was granted. */
const GRANT_BITS = 4;
const GRANT = 0b1111;
export const GRANT_QOS = 0b0011;
export const GRANT_NO_LOCAL = 0b0100;
export const GRANT_RETAIN_AS_PUBLISHED = 0b1000;

export class Route {
  keyLength = -1;
  generation = -1;
  /** Places it takes while it is kept. */
  width = 0;
  /** Receivers that match, each once: so many places of the parallel arrays, which may be longer. */
  count = 0;
  /**
   * `slot << GRANT_BITS | grant`. Highest QoS granted, No Local only if all of the receiver's subscriptions say so, Retain As
   * Published if any does.
   */
  receivers: number[] = NO_NUMBERS;
  /** Subscription Identifiers of all its matching subscriptions; null = none. */
  subscriptionIds: (number[] | null)[] = NO_IDS;
  /** True when a receiver may deliver above the publisher's QoS. */
  raises = false;
  /** Of the topic; null = the store's own settings. */
  durability: Durability | null = null;

  /** Empty, and to be filled: its lists are its own, and stay unless they are long. */
  clear(): void {
    this.count = 0;
    this.raises = false;
    this.durability = null;
    if (this.receivers !== NO_NUMBERS && this.receivers.length <= LENGTH_KEPT) return;
    this.receivers = [];
    this.subscriptionIds = [];
  }

  /** One more receiver. @returns its place */
  add(slot: number, grant: number): number {
    const at = this.count++;
    this.receivers[at] = (slot << GRANT_BITS) | grant;
    this.subscriptionIds[at] = null;
    return at;
  }

  slotAt(at: number): number {
    return (this.receivers[at] as number) >> GRANT_BITS;
  }

  grantAt(at: number): number {
    return (this.receivers[at] as number) & GRANT;
  }

  grantAnew(at: number, grant: number): void {
    this.receivers[at] = (this.slotAt(at) << GRANT_BITS) | grant;
  }

  /** Receiver `from` moves to place `to`, before it. */
  move(from: number, to: number): void {
    this.receivers[to] = this.receivers[from] as number;
    this.subscriptionIds[to] = this.subscriptionIds[from] as number[] | null;
  }

  /** Takes over what another is, in lists of exact length. */
  copy(other: Route): void {
    const { count } = other;
    this.count = count;
    this.receivers = other.receivers.slice(0, count);
    this.subscriptionIds = other.subscriptionIds.slice(0, count);
    for (let i = 0; i < count; i++) this.subscriptionIds[i] = this.subscriptionIds[i]?.slice() ?? null;
    this.raises = other.raises;
    this.durability = other.durability;
  }
}

/** Places of a route: one a receiver, and for a list of Subscription Identifiers two and one each. */
function widthOf({ count, subscriptionIds }: Route): number {
  let width = count;
  for (let i = 0; i < count; i++) {
    const ids = subscriptionIds[i];
    if (ids) width += 2 + ids.length;
  }
  return width;
}

export class RouteCache {
  readonly #routes: Route[] = [];
  readonly #keys = Buffer.alloc(ROUTES * KEY_BYTES_MAX);
  /** By route: most that are looked at are not the one. */
  readonly #hashes = new Int32Array(ROUTES);
  readonly #victim = new Uint8Array(ROUTE_SETS);
  /** Of topics that missed while all ways were taken, by set, and which of them is the oldest. */
  readonly #missed = new Int32Array(ROUTE_SETS * MISSED);
  readonly #oldest = new Uint8Array(ROUTE_SETS);
  /** The entry that makes way next when all places are used up. */
  #hand = 0;
  /** Entries of other generations are stale. */
  generation = 0;
  misses = 0;
  /** Places in use. */
  width = 0;
  /** Set by `find` that missed, for `keep`: where the route belongs; -1 = it is not kept. */
  place = -1;

  constructor() {
    assert((ROUTE_SETS & (ROUTE_SETS - 1)) === 0, "sets are a power of two");
    for (let i = 0; i < ROUTES; i++) this.#routes.push(new Route());
  }

  /** The route of the topic in `bytes[from..end)`; null: the caller builds it, and calls `keep`. */
  find(bytes: Buffer, from: number, end: number): Route | null {
    const length = end - from;
    if (length > KEY_BYTES_MAX) return this.#miss(-1);
    const key = hash(bytes, from, end);
    const set = key & (ROUTE_SETS - 1);
    const first = set * WAYS;
    for (let i = first; i < first + WAYS; i++) {
      if (this.#hashes[i] !== key) continue;
      const route = this.#routes[i] as Route;
      if (route.keyLength !== length || !sameBytes(this.#keys, i * KEY_BYTES_MAX, bytes, from, end)) continue;
      return route.generation === this.generation ? route : this.#miss(i);
    }
    return this.#miss(this.#placeFor(set, key));
  }

  #miss(place: number): null {
    this.misses++;
    this.place = place;
    return null;
  }

  /** @returns -1 when nothing is free and it is not this topic's turn */
  #placeFor(set: number, key: number): number {
    const first = set * WAYS;
    for (let i = first; i < first + WAYS; i++) if ((this.#routes[i] as Route).generation !== this.generation) return i;
    const from = set * MISSED;
    let comes = this.misses % ANY_EVERY === 0;
    for (let i = from; i < from + MISSED; i++) comes ||= this.#missed[i] === key;
    if (comes) {
      const way = this.#victim[set] as number;
      this.#victim[set] = (way + 1) % WAYS;
      return first + way;
    }
    const oldest = this.#oldest[set] as number;
    this.#oldest[set] = (oldest + 1) % MISSED;
    this.#missed[from + oldest] = key;
    return -1;
  }

  /**
   * `built` is the route of a topic that missed, and `place` what `find` said then.
   * @returns the route to go by: the copy that is kept, or `built` itself
   */
  keep(place: number, built: Route, bytes: Buffer, from: number, end: number): Route {
    if (place < 0) return built;
    const route = this.#routes[place] as Route;
    this.#release(route);
    const width = widthOf(built);
    if (width > ROUTE_WIDTH_MAX) return built;
    while (this.width + width > ROUTE_WIDTH_MAX) {
      this.#release(this.#routes[this.#hand] as Route);
      this.#hand = (this.#hand + 1) % ROUTES;
    }
    bytes.copy(this.#keys, place * KEY_BYTES_MAX, from, end);
    this.#hashes[place] = hash(bytes, from, end);
    route.keyLength = end - from;
    route.generation = this.generation;
    route.width = width;
    this.width += width;
    route.copy(built);
    return route;
  }

  /** An entry gives up its places. */
  #release(route: Route): void {
    this.width -= route.width;
    route.width = 0;
    route.keyLength = -1;
    route.generation = -1;
    route.count = 0;
    route.receivers = NO_NUMBERS;
    route.subscriptionIds = NO_IDS;
  }

  /** Makes the entry of one topic stale. */
  forget(topic: Buffer): void {
    if (topic.length > KEY_BYTES_MAX) return;
    const first = (hash(topic, 0, topic.length) & (ROUTE_SETS - 1)) * WAYS;
    for (let i = first; i < first + WAYS; i++) {
      const route = this.#routes[i] as Route;
      if (route.keyLength !== topic.length) continue;
      if (sameBytes(this.#keys, i * KEY_BYTES_MAX, topic, 0, topic.length)) this.#release(route);
    }
  }
}

/** FNV-1a over the bytes, folded so that the low bits depend on all of them. */
function hash(bytes: Buffer, from: number, end: number): number {
  let h = 0x811c9dc5;
  for (let i = from; i < end; i++) h = Math.imul(h ^ (bytes[i] as number), 0x01000193);
  return h ^ (h >>> 15);
}

function sameBytes(keys: Buffer, at: number, bytes: Buffer, from: number, end: number): boolean {
  for (let i = from, k = at; i < end; i++, k++) if (keys[k] !== bytes[i]) return false;
  return true;
}

export function budget(): Line[] {
  const routeBytes = ROUTE_BYTES + KEY_BYTES_MAX;
  const missed = ROUTE_SETS * MISSED;
  return [
    {
      owner: "route cache",
      bytes: ROUTES * routeBytes + missed * MISSED_BYTES + ROUTE_WIDTH_MAX * WIDTH_BYTES,
      how: `${ROUTES} topics x ${routeBytes} B, ${missed} that missed, ${ROUTE_WIDTH_MAX} receivers in them x ${WIDTH_BYTES} B`,
    },
  ];
}
