/**
 * Room for one more session. What stays when its client goes may take seven eighths of it: a flood of client ids that
 * are never heard of again must not lock out clients that want nothing kept. And before a newcomer is refused, a session
 * that is away and holds nothing makes way: nobody loses a message by it, its client is told Session Present 0.
 */
import type { Allowance } from "../base/allowance.ts";
import type { Counter, Counters } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import type { Session } from "./session.ts";
import { bytesOfSession, SESSION_BYTES } from "./session-memory.ts";

/** Of number and memory of all sessions: kept for those that end with their connection. */
const PASSING_SHARE = 8;
/** Of the number: as many must be free before the log says so. */
const RELIEF_SHARE = 16;
/** Sessions looked at for a newcomer, each time from where the last look ended. */
const LOOKS_MAX = 64;

export interface SessionRoomParts {
  readonly sessions: ReadonlyMap<string, Session>;
  readonly sessionsMax: number;
  readonly memory: Allowance;
  readonly counters: Counters;
  readonly log: Log;
  /** Ends a session, which calls `leave`. */
  readonly end: (session: Session) => void;
}

export class SessionRoom {
  readonly #parts: SessionRoomParts;
  readonly #stayingMax: number;
  readonly #stayingBytesMax: number;
  readonly #refused: Counter;
  readonly #madeWay: Counter;
  #staying = 0;
  #stayingBytes = 0;
  #full = false;
  #next: Iterator<Session>;

  constructor(parts: SessionRoomParts) {
    const { sessions, sessionsMax, memory, counters } = parts;
    this.#parts = parts;
    this.#stayingMax = sessionsMax - Math.floor(sessionsMax / PASSING_SHARE);
    this.#stayingBytesMax = memory.bytesMax - Math.floor(memory.bytesMax / PASSING_SHARE);
    this.#refused = counters.counter("session.refused");
    this.#madeWay = counters.counter("session.made_way");
    counters.gauge("session.staying", () => this.#staying);
    this.#next = sessions.values();
  }

  /** Whether one more session may be made; counts the refusal. @param stays it outlives its connection */
  admit(stays: boolean): boolean {
    if (this.#hasRoom(stays)) return true;
    const empty = this.#findEmpty();
    if (empty !== null) {
      this.#madeWay.value++;
      this.#parts.end(empty);
      if (this.#hasRoom(stays)) return true;
    }
    this.#refused.value++;
    this.#tellFull(stays);
    return false;
  }

  enter({ clientId, durable }: Session): void {
    const bytes = bytesOfSession(clientId);
    this.#parts.memory.takeAnyway(bytes);
    if (!durable) return;
    this.#staying++;
    this.#stayingBytes += bytes;
  }

  leave({ clientId, durable }: Session): void {
    const bytes = bytesOfSession(clientId);
    this.#parts.memory.give(bytes);
    if (!durable) return;
    this.#staying--;
    this.#stayingBytes -= bytes;
    if (this.#full) this.#tellRelieved();
  }

  #hasRoom(stays: boolean): boolean {
    const { sessions, sessionsMax, memory } = this.#parts;
    if (sessions.size >= sessionsMax || memory.used + SESSION_BYTES > memory.bytesMax) return false;
    return !stays || (this.#staying < this.#stayingMax && this.#stayingBytes + SESSION_BYTES <= this.#stayingBytesMax);
  }

  #findEmpty(): Session | null {
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      let { value } = this.#next.next();
      if (value === undefined) {
        this.#next = this.#parts.sessions.values();
        ({ value } = this.#next.next());
      }
      if (value !== undefined && isEmpty(value)) return value;
    }
    return null;
  }

  #tellFull(stays: boolean): void {
    if (this.#full) return;
    this.#full = true;
    const { sessions, sessionsMax, log } = this.#parts;
    log.warn("sessions-at-limit", { sessions: sessions.size, staying: this.#staying, max: sessionsMax, stays });
  }

  #tellRelieved(): void {
    const { sessions, sessionsMax, log } = this.#parts;
    const free = Math.max(1, Math.floor(this.#stayingMax / RELIEF_SHARE));
    if (this.#staying > this.#stayingMax - free) return;
    this.#full = false;
    log.info("sessions-below-limit", { sessions: sessions.size, staying: this.#staying, max: sessionsMax });
  }
}

/** Its client is away, and would miss nothing but the session itself. */
function isEmpty({ connected, subscriptions, queue, inbound, will }: Session): boolean {
  const { count, inflight } = queue;
  return !connected && will === null && subscriptions.size === 0 && count === 0 && inflight.empty && inbound.size === 0;
}
