/**
 * Who has a session and who is in a handshake, and who gives way when there is no room.
 *
 *     begun  by key, in order of beginning     at most HALF_OPEN_MAX, PER_ADDRESS_MAX of one address
 *     open   by key, in order of last use      begun and open together: max_sessions
 *
 * A peer may be in both: its new handshake does not touch the session it has until it is complete (RFC 6347 section
 * 4.2.8). In a full house a handshake that has taken longer than `patienceMs` gives way, then the session not used for
 * longest, if that is longer than `idleTimeoutMs`. A handshake that has just begun does not: where everybody comes at
 * once, newcomers would throw one another out and none would get through. Who finds no room repeats its ClientHello.
 */
import type { Counter, Counters } from "../base/counters.ts";
import { type PeerSession, SessionList } from "./dtls-session.ts";

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

export class DtlsSessions {
  readonly halfOpenMax: number;
  readonly perAddressMax: number;
  readonly #maxSessions: number;
  readonly #idleSeconds: number;
  readonly #patienceMs: number;
  readonly #begun = new Map<string, PeerSession>();
  readonly #open = new Map<string, PeerSession>();
  readonly #begunList = new SessionList();
  readonly #openList = new SessionList();
  /** Handshakes under way by address. */
  readonly #byAddress = new Map<string, number>();
  readonly #openCount: Counter;
  readonly #begunCount: Counter;
  /** Who would have to go for the newcomer that `room` was last asked about; null = nobody. */
  victim: PeerSession | null = null;

  constructor({ maxSessions, idleTimeoutMs, handshakeTimeoutMs }: DtlsLimits, counters: Counters) {
    this.#maxSessions = maxSessions;
    this.#idleSeconds = Math.ceil(idleTimeoutMs / 1000);
    this.#patienceMs = handshakeTimeoutMs * PATIENCE_SHARE;
    this.halfOpenMax = Math.min(maxSessions, Math.max(HALF_OPEN_MIN, Math.floor(maxSessions * HALF_OPEN_SHARE)));
    this.perAddressMax = Math.max(PER_ADDRESS_MIN, Math.floor(this.halfOpenMax * PER_ADDRESS_SHARE));
    // Of all listeners together.
    this.#openCount = counters.counter("dtls.sessions");
    this.#begunCount = counters.counter("dtls.half_open");
  }

  get openCount(): number {
    return this.#open.size;
  }

  get begunCount(): number {
    return this.#begun.size;
  }

  open(key: string): PeerSession | undefined {
    return this.#open.get(key);
  }

  begun(key: string): PeerSession | undefined {
    return this.#begun.get(key);
  }

  /** The open session not used for longest. */
  get longestIdle(): PeerSession | null {
    return this.#openList.oldest;
  }

  *all(): Generator<PeerSession> {
    yield* this.#begun.values();
    yield* this.#open.values();
  }

  /** Whether a newcomer from `address` may begin. `victim` says who has to be removed for it. */
  room(key: string, address: string, nowMs: number): Room {
    this.victim = this.#begun.get(key) ?? null;
    // It has proven its address, so the handshake that it began before leads nowhere.
    if (this.victim !== null) return ROOM;
    const patient = nowMs - this.#patienceMs;
    if ((this.#byAddress.get(address) ?? 0) >= this.perAddressMax) {
      this.victim = this.#slowest(patient, address);
      return this.victim === null ? ADDRESS_FULL : ROOM;
    }
    const full = this.#begun.size + this.#open.size >= this.#maxSessions;
    if (!full && this.#begun.size < this.halfOpenMax) return ROOM;
    this.victim = this.#slowest(patient, null);
    if (this.victim === null && full && this.#begun.size < this.halfOpenMax) {
      // Its own old session would go with the end of the handshake anyway.
      const idle = this.#open.get(key) ?? this.#openList.oldest;
      if (idle !== null && (idle.key === key || Math.floor(nowMs / 1000) - idle.usedAt >= this.#idleSeconds))
        this.victim = idle;
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

  /** After `room`, with the victim removed. */
  begin(session: PeerSession): void {
    this.#begun.set(session.key, session);
    this.#begunList.push(session);
    this.#byAddress.set(session.address, (this.#byAddress.get(session.address) ?? 0) + 1);
    this.#begunCount.value++;
  }

  /** Its handshake is complete; no other is open under its key. */
  established(session: PeerSession, nowMs: number): void {
    this.#leaveBegun(session);
    session.handshake = null;
    session.usedAt = Math.floor(nowMs / 1000);
    this.#open.set(session.key, session);
    this.#openList.push(session);
    this.#openCount.value++;
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
    if (this.#begun.get(session.key) === session) {
      this.#leaveBegun(session);
    } else if (this.#open.get(session.key) === session) {
      this.#open.delete(session.key);
      this.#openList.remove(session);
      this.#openCount.value--;
    }
  }

  #leaveBegun(session: PeerSession): void {
    this.#begun.delete(session.key);
    this.#begunList.remove(session);
    this.#begunCount.value--;
    const others = (this.#byAddress.get(session.address) ?? 1) - 1;
    if (others > 0) this.#byAddress.set(session.address, others);
    else this.#byAddress.delete(session.address);
  }
}
