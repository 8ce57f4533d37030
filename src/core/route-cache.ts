/**
 * Who gets a topic: a fixed-size set-associative table in front of the topic tree, keyed by the topic's bytes as they
 * stand in the frame, so that a hit makes no string and no garbage.
 *
 *     set = hash & (SETS - 1)      | way 0 | way 1 | way 2 | way 3 |     a hit moves nothing; a miss replaces in turn
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
/** Measured bytes of an entry without its key and receivers: 230. */
const ROUTE_BYTES = 240;
/** Most places of all entries together, see `widthOf`: when they are used up the oldest entries make way. */
export const ROUTE_WIDTH_MAX = 1792;
/** Measured bytes of a place: a receiver in three arrays of exact length. */
const WIDTH_BYTES = 24;

const NO_NUMBERS: number[] = [];
const NO_IDS: (number[] | null)[] = [];

/** Grant bits of a route's entries. */
export const GRANT_QOS = 0b0011;
export const GRANT_NO_LOCAL = 0b0100;
export const GRANT_RETAIN_AS_PUBLISHED = 0b1000;

export class Route {
  keyLength = -1;
  generation = -1;
  /** Places it takes while it is kept. */
  width = 0;
  /** Receivers that match, each once: parallel arrays. */
  slots: number[] = NO_NUMBERS;
  /** Highest QoS granted, No Local only if all of the receiver's subscriptions say so, Retain As Published if any does. */
  grants: number[] = NO_NUMBERS;
  /** Subscription Identifiers of all its matching subscriptions; null = none. */
  subscriptionIds: (number[] | null)[] = NO_IDS;
  /** True when a receiver may deliver above the publisher's QoS. */
  raises = false;
  /** Of the topic; null = the store's own settings. */
  durability: Durability | null = null;

  /** Empty, and to be filled. */
  clear(): void {
    this.slots = [];
    this.grants = [];
    this.subscriptionIds = [];
    this.raises = false;
    this.durability = null;
  }
}

/** Places of a route: one a receiver, and for a list of Subscription Identifiers two and one each. */
function widthOf({ slots, subscriptionIds }: Route): number {
  let width = slots.length;
  for (const ids of subscriptionIds) if (ids !== null) width += 2 + ids.length;
  return width;
}

export class RouteCache {
  readonly #routes: Route[] = [];
  readonly #keys = Buffer.alloc(ROUTES * KEY_BYTES_MAX);
  /** Where a route is built. It serves from here when it is not kept: its topic is too long, or it is too wide. */
  readonly #passing = new Route();
  /** Index of the entry that a miss is for; -1 = none. */
  #wanted = -1;
  readonly #victim = new Uint8Array(ROUTE_SETS);
  /** The entry that makes way next when all places are used up. */
  #hand = 0;
  /** Entries of other generations are stale. */
  generation = 0;
  misses = 0;
  /** Places in use. */
  width = 0;
  /** Set by `find`: whether the returned entry is filled. */
  hit = false;

  constructor() {
    assert((ROUTE_SETS & (ROUTE_SETS - 1)) === 0, "sets are a power of two");
    for (let i = 0; i < ROUTES; i++) this.#routes.push(new Route());
  }

  /** The entry of the topic in `bytes[from..end)`; when `hit` is false afterwards the caller fills it and calls `keep`. */
  find(bytes: Buffer, from: number, end: number): Route {
    const length = end - from;
    if (length > KEY_BYTES_MAX) return this.#miss(-1);
    const set = hash(bytes, from, end) & (ROUTE_SETS - 1);
    const first = set * WAYS;
    for (let i = first; i < first + WAYS; i++) {
      const route = this.#routes[i] as Route;
      if (route.keyLength === length && sameBytes(this.#keys, i * KEY_BYTES_MAX, bytes, from, end)) {
        this.hit = route.generation === this.generation;
        return this.hit ? route : this.#miss(i);
      }
    }
    const way = this.#victim[set] as number;
    this.#victim[set] = (way + 1) % WAYS;
    return this.#miss(first + way);
  }

  #miss(wanted: number): Route {
    this.hit = false;
    this.misses++;
    this.#wanted = wanted;
    this.#passing.clear();
    return this.#passing;
  }

  /** The route of the last miss is filled. @returns the entry to go by: its copy, or itself when it is not kept */
  keep(bytes: Buffer, from: number, end: number): Route {
    const built = this.#passing;
    const index = this.#wanted;
    if (index < 0) return built;
    const route = this.#routes[index] as Route;
    const { slots, grants, subscriptionIds } = route;
    this.#release(route);
    const width = widthOf(built);
    if (width > ROUTE_WIDTH_MAX) return built;
    while (this.width + width > ROUTE_WIDTH_MAX) {
      this.#release(this.#routes[this.#hand] as Route);
      this.#hand = (this.#hand + 1) % ROUTES;
    }
    bytes.copy(this.#keys, index * KEY_BYTES_MAX, from, end);
    route.keyLength = end - from;
    route.generation = this.generation;
    route.width = width;
    this.width += width;
    // Copies have exact length; what grew by itself has room for 16 more. Where every topic is new, old lists are written
    // over: new ones live long enough to be promoted (0.605 us of CPU a message then, 0.465 so).
    const fits = slots.length === built.slots.length;
    route.slots = fits ? overwrite(slots, built.slots) : built.slots.slice();
    route.grants = fits ? overwrite(grants, built.grants) : built.grants.slice();
    route.subscriptionIds = fits ? overwrite(subscriptionIds, built.subscriptionIds) : built.subscriptionIds.slice();
    for (let i = 0; i < route.subscriptionIds.length; i++) {
      const ids = route.subscriptionIds[i];
      if (ids) route.subscriptionIds[i] = ids.slice();
    }
    route.raises = built.raises;
    route.durability = built.durability;
    return route;
  }

  /** An entry gives up its places. */
  #release(route: Route): void {
    this.width -= route.width;
    route.width = 0;
    route.keyLength = -1;
    route.generation = -1;
    route.slots = NO_NUMBERS;
    route.grants = NO_NUMBERS;
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

/** Both are equally long. @returns `list` */
function overwrite<T>(list: T[], from: readonly T[]): T[] {
  for (let i = 0; i < from.length; i++) list[i] = from[i] as T;
  return list;
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
  return [
    {
      owner: "route cache",
      bytes: ROUTES * routeBytes + ROUTE_WIDTH_MAX * WIDTH_BYTES,
      how: `${ROUTES} topics x ${routeBytes} B, ${ROUTE_WIDTH_MAX} receivers in them x ${WIDTH_BYTES} B`,
    },
  ];
}
