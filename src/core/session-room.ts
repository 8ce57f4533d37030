/**
 * Room for one more session. A part of it is for those that end with their connection: a flood of client ids that stay
 * and are never heard of again must not lock out clients that want nothing kept. And before a newcomer is refused, a
 * session that is away and holds nothing makes way: nobody loses a message by it, its client is told Session Present 0.
 */
import type { Allowance } from "../base/allowance.ts";
import type { Counter, Counters } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import type { Session } from "./session.ts";
import { bytesOfSession } from "./session-memory.ts";

/** For sessions that end with their connection: of `max_sessions` as many more, of the memory as much of it. */
const PASSING_SHARE = 8;
/** Of those that stayed when there was no more room: as many must have ended before the log says so. */
const RELIEF_SHARE = 16;

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
  readonly #sessionsMax: number;
  readonly #stayingBytesMax: number;
  readonly #refused: Counter;
  readonly #madeWay: Counter;
  #staying = 0;
  #stayingBytes = 0;
  /** Sessions that stayed when there was no room; -1 = there is. */
  #fullAt = -1;
  /** Away and holding nothing, who left first in front. An iterator that is kept instead would hold every session that ended. */
  readonly #empty = new Set<Session>();

  constructor(parts: SessionRoomParts) {
    const { sessionsMax, memory, counters } = parts;
    this.#parts = parts;
    this.#sessionsMax = sessionsMax + Math.floor(sessionsMax / PASSING_SHARE);
    this.#stayingBytesMax = memory.bytesMax - Math.floor(memory.bytesMax / PASSING_SHARE);
    this.#refused = counters.counter("session.refused");
    this.#madeWay = counters.counter("session.made_way");
    counters.gauge("session.staying", () => this.#staying);
  }

  /** Whether one more session may be made; counts the refusal. @param stays it outlives its connection */
  admit(stays: boolean): boolean {
    if (this.#hasRoom(stays)) return true;
    const [empty] = this.#empty;
    if (empty !== undefined) {
      this.#madeWay.value++;
      this.#parts.end(empty);
      if (this.#hasRoom(stays)) return true;
    }
    this.#refused.value++;
    this.#tellFull(stays);
    return false;
  }

  enter({ clientId, durable }: Session): void {
    const bytes = bytesOfSession(clientId, durable);
    this.#parts.memory.takeAnyway(bytes);
    if (!durable) return;
    this.#staying++;
    this.#stayingBytes += bytes;
  }

  /** Its client is gone, and what it holds does not grow meanwhile unless it has subscriptions. */
  onAway(session: Session): void {
    if (isEmpty(session)) this.#empty.add(session);
  }

  onBack(session: Session): void {
    this.#empty.delete(session);
  }

  leave(session: Session): void {
    const { clientId, durable } = session;
    this.#empty.delete(session);
    const bytes = bytesOfSession(clientId, durable);
    this.#parts.memory.give(bytes);
    if (!durable) return;
    this.#staying--;
    this.#stayingBytes -= bytes;
    if (this.#fullAt >= 0) this.#tellRelieved();
  }

  #hasRoom(stays: boolean): boolean {
    const { sessions, sessionsMax, memory } = this.#parts;
    const bytes = bytesOfSession("", stays);
    if (sessions.size >= this.#sessionsMax || memory.used + bytes > memory.bytesMax) return false;
    return !stays || (this.#staying < sessionsMax && this.#stayingBytes + bytes <= this.#stayingBytesMax);
  }

  #tellFull(stays: boolean): void {
    if (this.#fullAt >= 0) return;
    this.#fullAt = this.#staying;
    const { sessions, sessionsMax, log } = this.#parts;
    log.warn("sessions-at-limit", { sessions: sessions.size, staying: this.#staying, max: sessionsMax, stays });
  }

  #tellRelieved(): void {
    const { sessions, sessionsMax, log } = this.#parts;
    if (this.#staying > this.#fullAt - Math.ceil(this.#fullAt / RELIEF_SHARE)) return;
    this.#fullAt = -1;
    log.info("sessions-below-limit", { sessions: sessions.size, staying: this.#staying, max: sessionsMax });
  }
}

/** Its client would miss nothing but the session itself. */
function isEmpty({ subscriptions, queue, inbound, will }: Session): boolean {
  return will === null && subscriptions.size === 0 && queue.count === 0 && queue.inflight.empty && inbound.size === 0;
}
