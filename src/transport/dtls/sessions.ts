/**
 * Who has a session and who is in a handshake, and who gives way when there is no room.
 *
 *     slots   [ |a|b| | |c| ... ]   by a hash of address and port; chained, begun and open ones alike
 *     begun   oldest ... newest     at most `halfOpenMax`, `perAddressMax` of one address
 *     open    longest idle ... used last     begun and open ones together: max_sessions
 *
 * A peer may be in both: its new handshake does not touch the session it has until it is complete (RFC 6347 section
 * 4.2.8). In a full house a handshake that has taken longer than `patienceMs` gives way, then the session not used for
 * longest, if that is longer than `idleTimeoutMs`. A handshake that has just begun does not: where everybody comes at
 * once, newcomers would throw one another out and none would get through. Who finds no room repeats its ClientHello.
 */
import { assert } from "../../base/assert.ts";
import type { Counter, Counters } from "../../base/counters.ts";
import type { Random } from "../../base/random.ts";
import { type PeerSession, SessionList } from "./session.ts";

export interface DtlsLimits {
  /** Begun and open ones together. */
  readonly maxSessions: number;
  readonly idleTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
}

/** Of all that is begun or open, what may be begun; and of that, what one address may have. */
const HALF_OPEN_SHARE = 0.25;
const HALF_OPEN_MIN = 8;
const PER_ADDRESS_SHARE = 0.25;
const PER_ADDRESS_MIN = 4;
/** Of the handshake's deadline: who has taken so long may give way. */
const PATIENCE_SHARE = 1 / 3;

export const ROOM = 0;
/** The address has as many handshakes under way as it may. */
export const ADDRESS_FULL = 1;
/** As many handshakes are under way as may be. */
export const HANDSHAKES_FULL = 2;
/** There are `maxSessions`, all of them in use. */
export const SESSIONS_FULL = 3;
export type Room = typeof ROOM | typeof ADDRESS_FULL | typeof HANDSHAKES_FULL | typeof SESSIONS_FULL;

export function halfOpenMaxOf(maxSessions: number): number {
  return Math.min(maxSessions, Math.max(HALF_OPEN_MIN, Math.floor(maxSessions * HALF_OPEN_SHARE)));
}

export class DtlsSessions {
  readonly halfOpenMax: number;
  readonly perAddressMax: number;
  readonly #maxSessions: number;
  readonly #idleSeconds: number;
  readonly #patienceMs: number;
  /** As many as there are sessions at most, or more: a power of two. */
  readonly #slots: (PeerSession | null)[];
  /** Whose peers would meet in one slot nobody outside can know. */
  readonly #seed: number;
  readonly #begunList = new SessionList();
  readonly #openList = new SessionList();
  /** Handshakes under way by address. */
  readonly #byAddress = new Map<string, number>();
  /** Of all listeners together. */
  readonly #openTotal: Counter;
  readonly #begunTotal: Counter;
  openCount = 0;
  begunCount = 0;
  /** Who would have to go for the newcomer that `room` was last asked about; null = nobody. */
  victim: PeerSession | null = null;

  constructor({ maxSessions, idleTimeoutMs, handshakeTimeoutMs }: DtlsLimits, counters: Counters, random: Random) {
    this.#slots = new Array<PeerSession | null>(2 ** Math.ceil(Math.log2(maxSessions))).fill(null);
    this.#seed = Math.floor(random() * 2 ** 32) | 0;
    this.#maxSessions = maxSessions;
    this.#idleSeconds = Math.ceil(idleTimeoutMs / 1000);
    this.#patienceMs = handshakeTimeoutMs * PATIENCE_SHARE;
    this.halfOpenMax = halfOpenMaxOf(maxSessions);
    this.perAddressMax = Math.max(PER_ADDRESS_MIN, Math.floor(this.halfOpenMax * PER_ADDRESS_SHARE));
    this.#openTotal = counters.counter("dtls.sessions");
    this.#begunTotal = counters.counter("dtls.half_open");
  }

  /** Where sessions of this peer are looked for. */
  slotOf(address: string, port: number): number {
    let hash = this.#seed ^ port;
    for (let i = 0; i < address.length; i++) hash = Math.imul(hash ^ address.charCodeAt(i), 0x01000193);
    return (hash ^ (hash >>> 15)) & (this.#slots.length - 1);
  }

  /** The open session of a peer. @param slot as `slotOf` says */
  open(slot: number, address: string, port: number): PeerSession | null {
    for (let session = this.#slots[slot] ?? null; session !== null; session = session.nextInSlot)
      if (session.handshake === null && session.port === port && session.address === address) return session;
    return null;
  }

  /** The handshake of a peer that is under way. @param slot as `slotOf` says */
  begun(slot: number, address: string, port: number): PeerSession | null {
    for (let session = this.#slots[slot] ?? null; session !== null; session = session.nextInSlot)
      if (session.handshake !== null && session.port === port && session.address === address) return session;
    return null;
  }

  /** Addresses with handshakes under way. */
  get addressCount(): number {
    return this.#byAddress.size;
  }

  /** The open session not used for longest. */
  get longestIdle(): PeerSession | null {
    return this.#openList.oldest;
  }

  *all(): Generator<PeerSession> {
    for (let session = this.#begunList.oldest; session !== null; session = session.newer) yield session;
    for (let session = this.#openList.oldest; session !== null; session = session.newer) yield session;
  }

  /** Whether a newcomer may begin. `victim` says who has to be removed for it. */
  room(slot: number, address: string, port: number, nowMs: number): Room {
    this.victim = this.begun(slot, address, port);
    // It has proven its address, so the handshake that it began before leads nowhere.
    if (this.victim !== null) return ROOM;
    const patient = nowMs - this.#patienceMs;
    if ((this.#byAddress.get(address) ?? 0) >= this.perAddressMax) {
      this.victim = this.#slowest(patient, address);
      return this.victim === null ? ADDRESS_FULL : ROOM;
    }
    const full = this.begunCount + this.openCount >= this.#maxSessions;
    if (!full && this.begunCount < this.halfOpenMax) return ROOM;
    this.victim = this.#slowest(patient, null);
    if (this.victim === null && full && this.begunCount < this.halfOpenMax) {
      // Its own old session would go with the end of the handshake anyway.
      this.victim = this.open(slot, address, port) ?? this.#idle(nowMs);
    }
    if (this.victim !== null) return ROOM;
    return full ? SESSIONS_FULL : HANDSHAKES_FULL;
  }

  /** The oldest handshake that began before `beforeMs`, of `address` unless that is null. */
  #slowest(beforeMs: number, address: string | null): PeerSession | null {
    for (let session = this.#begunList.oldest; session !== null; session = session.newer) {
      if ((session.handshake?.beganMs ?? 0) > beforeMs) return null;
      if (address === null || session.address === address) return session;
    }
    return null;
  }

  #idle(nowMs: number): PeerSession | null {
    const { oldest } = this.#openList;
    return oldest !== null && Math.floor(nowMs / 1000) - oldest.usedAt >= this.#idleSeconds ? oldest : null;
  }

  /** After `room`, with the victim removed. */
  begin(session: PeerSession): void {
    const slot = this.slotOf(session.address, session.port);
    session.nextInSlot = this.#slots[slot] ?? null;
    this.#slots[slot] = session;
    this.#begunList.push(session);
    this.#byAddress.set(session.address, (this.#byAddress.get(session.address) ?? 0) + 1);
    this.begunCount++;
    this.#begunTotal.value++;
  }

  /** Its handshake is complete; no other session of its peer is open. */
  established(session: PeerSession, nowMs: number): void {
    this.#leaveBegun(session);
    session.handshake = null;
    session.usedAt = Math.floor(nowMs / 1000);
    this.#openList.push(session);
    this.openCount++;
    this.#openTotal.value++;
  }

  /** An open session is used. */
  use(session: PeerSession, nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    if (session.usedAt === second) return; // the order within a second is nobody's concern
    session.usedAt = second;
    if (session.newer === null) return;
    this.#openList.remove(session);
    this.#openList.push(session);
  }

  remove(session: PeerSession): void {
    this.#leaveSlot(session);
    if (session.handshake !== null) {
      this.#leaveBegun(session);
      return;
    }
    this.#openList.remove(session);
    this.openCount--;
    this.#openTotal.value--;
  }

  #leaveSlot(session: PeerSession): void {
    const slot = this.slotOf(session.address, session.port);
    let before: PeerSession | null = null;
    for (let other = this.#slots[slot] ?? null; other !== session; other = other?.nextInSlot ?? null) {
      assert(other !== null, "a session is in its slot until it is removed");
      before = other;
    }
    if (before === null) this.#slots[slot] = session.nextInSlot;
    else before.nextInSlot = session.nextInSlot;
    session.nextInSlot = null;
  }

  #leaveBegun(session: PeerSession): void {
    this.#begunList.remove(session);
    this.begunCount--;
    this.#begunTotal.value--;
    const others = (this.#byAddress.get(session.address) ?? 1) - 1;
    if (others > 0) this.#byAddress.set(session.address, others);
    else this.#byAddress.delete(session.address);
  }
}
