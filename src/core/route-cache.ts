/**
 * Who gets a topic: a fixed-size set-associative table in front of the topic tree, keyed by the topic's bytes as they
 * stand in the frame, so that a hit makes no string and no garbage.
 *
 *     set = hash & (SETS - 1)      | way 0 | way 1 | way 2 | way 3 |     a hit moves nothing; a miss replaces in turn
 *
 * Entries hold receiver slots, never sessions. Changing a filter without wildcards touches its one topic (`forget`);
 * changing one with wildcards makes every entry stale (`generation`).
 */
import { assert } from "../base/assert.ts";
import type { Line } from "../config/budget.ts";

const EMPTY: Buffer = Buffer.alloc(0);

const ROUTE_SETS = 256;
const WAYS = 4;
/** Longer topics are looked up in the tree each time: keys of 64 KiB would take more than all receivers. */
const KEY_BYTES_MAX = 200;
/** Estimated bytes of an entry with its key and a few receivers, for the memory bill. */
const ROUTE_BYTES = 320;

/** Grant bits of a route's entries. */
export const GRANT_QOS = 0b0011;
export const GRANT_NO_LOCAL = 0b0100;
export const GRANT_RETAIN_AS_PUBLISHED = 0b1000;

export class Route {
  key: Buffer = EMPTY;
  keyLength = -1;
  generation = -1;
  /** Receivers that match, each once: parallel arrays. */
  readonly slots: number[] = [];
  /** Highest QoS granted, No Local only if all of the receiver's subscriptions say so, Retain As Published if any does. */
  readonly grants: number[] = [];
  /** Subscription Identifiers of all its matching subscriptions; null = none. */
  readonly subscriptionIds: (number[] | null)[] = [];
  /** True when a receiver may deliver above the publisher's QoS. */
  raises = false;

  clear(): void {
    this.slots.length = 0;
    this.grants.length = 0;
    this.subscriptionIds.length = 0;
    this.raises = false;
  }
}

export class RouteCache {
  readonly #routes: Route[] = [];
  /** Serves the topics that are too long to be kept. */
  readonly #passing = new Route();
  readonly #victim = new Uint8Array(ROUTE_SETS);
  /** Entries of other generations are stale. */
  generation = 0;
  misses = 0;
  /** Set by `find`: whether the returned entry is filled. */
  hit = false;

  constructor() {
    assert((ROUTE_SETS & (ROUTE_SETS - 1)) === 0, "sets are a power of two");
    for (let i = 0; i < ROUTE_SETS * WAYS; i++) this.#routes.push(new Route());
  }

  /** The entry of the topic in `bytes[from..end)`; when `hit` is false afterwards it is cleared and the caller fills it. */
  find(bytes: Buffer, from: number, end: number): Route {
    if (end - from > KEY_BYTES_MAX) {
      this.hit = false;
      this.#renew(this.#passing);
      return this.#passing;
    }
    const set = hash(bytes, from, end) & (ROUTE_SETS - 1);
    const first = set * WAYS;
    for (let i = first; i < first + WAYS; i++) {
      const route = this.#routes[i] as Route;
      if (route.keyLength === end - from && sameBytes(route.key, bytes, from, end)) {
        this.hit = route.generation === this.generation;
        if (!this.hit) this.#renew(route);
        return route;
      }
    }
    const way = this.#victim[set] as number;
    this.#victim[set] = (way + 1) % WAYS;
    const route = this.#routes[first + way] as Route;
    const length = end - from;
    // A key buffer of its own, kept while it is big enough and not much too big.
    if (route.key.length < length || route.key.length > 4 * length + 64) route.key = Buffer.allocUnsafeSlow(length);
    bytes.copy(route.key, 0, from, end);
    route.keyLength = length;
    this.hit = false;
    this.#renew(route);
    return route;
  }

  /** Makes the entry of one topic stale. */
  forget(topic: Buffer): void {
    const first = (hash(topic, 0, topic.length) & (ROUTE_SETS - 1)) * WAYS;
    for (let i = first; i < first + WAYS; i++) {
      const route = this.#routes[i] as Route;
      if (route.keyLength === topic.length && sameBytes(route.key, topic, 0, topic.length)) route.generation = -1;
    }
  }

  #renew(route: Route): void {
    this.misses++;
    route.generation = this.generation;
    route.clear();
  }
}

/** FNV-1a over the bytes, folded so that the low bits depend on all of them. */
function hash(bytes: Buffer, from: number, end: number): number {
  let h = 0x811c9dc5;
  for (let i = from; i < end; i++) h = Math.imul(h ^ (bytes[i] as number), 0x01000193);
  return h ^ (h >>> 15);
}

function sameBytes(key: Buffer, bytes: Buffer, from: number, end: number): boolean {
  for (let i = from, k = 0; i < end; i++, k++) if (key[k] !== bytes[i]) return false;
  return true;
}

export function budget(): Line[] {
  const routes = ROUTE_SETS * WAYS;
  return [{ owner: "route cache", bytes: routes * ROUTE_BYTES, how: `${routes} topics x ${ROUTE_BYTES} B` }];
}
