/**
 * Who has been talking to the gateway's CoAP listeners, by listener, address, port and DTLS identity. Bounded: the one
 * not heard of for longest gives way, but for those that are held; who is proven to be there comes after who is not.
 *
 *     buckets  hash -> slot -> slot -> -1        by `next`
 *     idle     oldest <-> . . <-> newest         by `older` and `newer`, a list for those who are proven to be there and
 *                                                one for the others; who is held or busy is in neither
 *
 * So whoever gives way is found at once, however many are held. `heldMax` of the places may be held for long; the rest
 * is more than requests can be under way, so there is always one that can give way.
 *
 * An address that nobody has proven may be forged. It is proven by DTLS, by an Echo value that came back (RFC 9175), or
 * by the RST or ACK of a message of ours whose Message ID nobody else could know, and that only at the first attempt.
 */

import { assert } from "../../../base/assert.ts";
import type { Clock } from "../../../base/clock.ts";
import type { Counter, Counters } from "../../../base/counters.ts";
import type { Random } from "../../../base/random.ts";
import { addressHash } from "../../../transport/source-rates.ts";
import type { CoapEndpoint } from "./endpoint.ts";
import { FOREVER, NO_PING, Peer } from "./peer.ts";

export interface PeerLimits {
  readonly peersMax: number;
  /** Peers that observers and connections may hold. */
  readonly heldMax: number;
}

export const PEER_LIMITS: PeerLimits = { peersMax: 1024, heldMax: 704 };
/** Bytes of a peer, 205 measured with an IPv4 address: record, address, places in lists. */
export const PEER_BYTES = 208;

/** How long a proof of address holds. */
export const VERIFIED_SECONDS = 300;

/** The lists of idle peers. */
const UNPROVEN = 0;
const PROVEN = 1;
const NONE = -1;

export class PeerTable {
  readonly limits: PeerLimits;
  readonly #clock: Clock;
  /** Mixed into the hash, so that nobody can choose who shares a bucket. */
  readonly #seed: number;
  /** Made as needed; the place is the slot. */
  readonly #peers: Peer[] = [];
  readonly #buckets: Int16Array;
  readonly #mask: number;
  /** Of address and port. */
  readonly #hashes: Uint32Array;
  readonly #next: Int16Array;
  readonly #older: Int16Array;
  readonly #newer: Int16Array;
  /** Which of the two a slot is in, when it is idle; and their ends and lengths. */
  readonly #lists: Uint8Array;
  readonly #oldest = Int16Array.of(NONE, NONE);
  readonly #newest = Int16Array.of(NONE, NONE);
  readonly #idle = Uint16Array.of(0, 0);
  /** Slots of peers that were forgotten. */
  readonly #places: number[] = [];
  #held = 0;
  #serial = 0;
  readonly #evicted: Counter;

  constructor(clock: Clock, random: Random, counters: Counters, limits: PeerLimits = PEER_LIMITS) {
    const { peersMax } = limits;
    assert(peersMax <= 0x7fff && limits.heldMax < peersMax, "slots are 16 bits, and not all are held");
    this.limits = limits;
    this.#clock = clock;
    this.#seed = Math.floor(random() * 0x1_0000_0000);
    const buckets = 2 ** Math.ceil(Math.log2(peersMax));
    this.#mask = buckets - 1;
    this.#buckets = new Int16Array(buckets).fill(NONE);
    this.#hashes = new Uint32Array(peersMax);
    this.#next = new Int16Array(peersMax);
    this.#older = new Int16Array(peersMax);
    this.#newer = new Int16Array(peersMax);
    this.#lists = new Uint8Array(peersMax);
    this.#evicted = counters.counter("coap.peers_evicted");
    counters.gauge("coap.peers", () => this.size);
  }

  get size(): number {
    return this.#peers.length - this.#places.length;
  }

  /** Peers held for long. */
  get held(): number {
    return this.#held;
  }

  /** Of an address alone: what all its ports share. */
  hashOf(address: string): number {
    return addressHash(address, this.#seed);
  }

  /** Who that is, or null. @param addressHash  from `hashOf` */
  find(
    endpoint: CoapEndpoint,
    addressHash: number,
    address: string,
    port: number,
    identity: string | null,
  ): Peer | null {
    const hash = withPort(addressHash, port);
    for (let slot = this.#buckets[hash & this.#mask]!; slot !== NONE; slot = this.#next[slot]!) {
      const peer = this.#peers[slot] as Peer;
      if (peer.port === port && peer.address === address && peer.endpoint === endpoint && peer.identity === identity) {
        return peer;
      }
    }
    return null;
  }

  /** Who that is, from now on remembered, and the last one to give way. @param verified  DTLS */
  take(
    endpoint: CoapEndpoint,
    addressHash: number,
    address: string,
    port: number,
    identity: string | null,
    verified: boolean,
  ): Peer {
    const known = this.find(endpoint, addressHash, address, port, identity);
    if (known !== null) {
      if (known.lost) known.setLost(false);
      if (known.slot !== this.#newest[this.#lists[known.slot]!] && known.holds + known.busy === 0) {
        this.#unlink(known.slot);
        this.#link(known.slot);
      }
      return known;
    }
    const peer = this.#place();
    peer.endpoint = endpoint;
    peer.address = address;
    peer.port = port;
    peer.identity = identity;
    this.#serial = (this.#serial + 1) >>> 0 || 1;
    peer.serial = this.#serial;
    peer.verifiedUntil = verified ? FOREVER : 0;
    peer.nextMessageId = -1;
    peer.clearMarks();
    peer.pingId = NO_PING;
    this.#hashes[peer.slot] = withPort(addressHash, port);
    const bucket = this.#hashes[peer.slot]! & this.#mask;
    this.#next[peer.slot] = this.#buckets[bucket]!;
    this.#buckets[bucket] = peer.slot;
    this.#link(peer.slot);
    return peer;
  }

  /** Remembers it until as many `release`. @returns false when `heldMax` others are held: then it is not */
  hold(peer: Peer): boolean {
    if (peer.holds === 0) {
      if (this.#held === this.limits.heldMax) return false;
      this.#held++;
      if (peer.busy === 0) this.#unlink(peer.slot);
    }
    peer.holds++;
    return true;
  }

  release(peer: Peer): void {
    assert(peer.holds > 0, "a peer is released as often as held");
    peer.holds--;
    if (peer.holds > 0) return;
    this.#held--;
    if (peer.busy === 0) this.#rest(peer);
  }

  /** A request of it is under way, or a message to it. */
  begin(peer: Peer): void {
    if (peer.busy++ === 0 && peer.holds === 0) this.#unlink(peer.slot);
  }

  end(peer: Peer): void {
    assert(peer.busy > 0, "what ends has begun");
    if (--peer.busy === 0 && peer.holds === 0) this.#rest(peer);
  }

  isVerified(peer: Peer): boolean {
    return peer.verifiedUntil > 0 && peer.verifiedUntil > this.#clock.nowMs() / 1000;
  }

  verify(peer: Peer): void {
    peer.setSilent(false);
    if (peer.verifiedUntil === FOREVER) return;
    const idle = peer.holds + peer.busy === 0;
    if (idle) this.#unlink(peer.slot);
    peer.verifiedUntil = Math.ceil(this.#clock.nowMs() / 1000) + VERIFIED_SECONDS;
    if (idle) this.#link(peer.slot);
  }

  /** All of a listener that closes. */
  *of(endpoint: CoapEndpoint): Iterable<Peer> {
    for (const peer of this.#peers) if (peer.endpoint === endpoint) yield peer;
  }

  /** A free place, if need be that of the oldest. */
  #place(): Peer {
    const free = this.#places.pop();
    if (free !== undefined) return this.#peers[free] as Peer;
    if (this.#peers.length < this.limits.peersMax) {
      const peer = new Peer(this.#peers.length);
      this.#peers.push(peer);
      return peer;
    }
    const peer = this.#peers[this.#victim()] as Peer;
    this.#evicted.value++;
    this.#remove(peer);
    return peer;
  }

  /** Forgets one that is neither held nor busy. */
  forget(peer: Peer): void {
    if (peer.endpoint !== null && peer.holds + peer.busy === 0) this.#free(peer);
  }

  /** Nobody finds it any more; its place is free when it is neither held nor busy. */
  expel(peer: Peer): void {
    this.#leaveBucket(peer);
    peer.setGone();
    this.forget(peer);
  }

  /** It is neither held nor busy any more. */
  #rest(peer: Peer): void {
    this.#link(peer.slot);
    if (peer.gone) this.#free(peer);
  }

  #free(peer: Peer): void {
    this.#remove(peer);
    this.#places.push(peer.slot);
  }

  #remove(peer: Peer): void {
    this.#unlink(peer.slot);
    if (!peer.gone) this.#leaveBucket(peer);
    peer.endpoint = null;
  }

  #leaveBucket(peer: Peer): void {
    const bucket = this.#hashes[peer.slot]! & this.#mask;
    const first = this.#buckets[bucket]!;
    if (first === peer.slot) {
      this.#buckets[bucket] = this.#next[peer.slot]!;
      return;
    }
    let slot = first;
    while (this.#next[slot]! !== peer.slot) slot = this.#next[slot]!;
    this.#next[slot] = this.#next[peer.slot]!;
  }

  /**
   * Who gives way: the oldest of those whose addresses are not proven, as forged ones are to drive each other out; unless
   * they have less than a quarter of the places.
   */
  #victim(): number {
    const proven = this.#oldest[PROVEN]!;
    const unproven = this.#oldest[UNPROVEN]!;
    assert(proven !== NONE || unproven !== NONE, "held and busy peers are fewer than places");
    if (unproven === NONE) return proven;
    if (proven === NONE || this.#idle[UNPROVEN]! >= this.limits.peersMax / 4) return unproven;
    return proven;
  }

  #link(slot: number): void {
    const list = this.isVerified(this.#peers[slot] as Peer) ? PROVEN : UNPROVEN;
    const newest = this.#newest[list]!;
    this.#lists[slot] = list;
    this.#idle[list]!++;
    this.#older[slot] = newest;
    this.#newer[slot] = NONE;
    if (newest !== NONE) this.#newer[newest] = slot;
    else this.#oldest[list] = slot;
    this.#newest[list] = slot;
  }

  #unlink(slot: number): void {
    const list = this.#lists[slot]!;
    const older = this.#older[slot]!;
    const newer = this.#newer[slot]!;
    this.#idle[list]!--;
    if (older !== NONE) this.#newer[older] = newer;
    else this.#oldest[list] = newer;
    if (newer !== NONE) this.#older[newer] = older;
    else this.#newest[list] = older;
  }
}

function withPort(hash: number, port: number): number {
  return Math.imul(hash ^ port, 0x9e37_79b1) >>> 7;
}
