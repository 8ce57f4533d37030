/**
 * Who is let in: what becomes of a ClientHello.
 *
 *      no cookie, or a wrong one ------> an answer without state (context.hello)
 *      the right one, no room ---------> nothing; the client comes again after 1, 3, 7 s
 *      no token, too many handshakes
 *        under way, or others wait ----> waits its turn (waiting.ts)
 *      else ---------------------------> a handshake begins, in the place of who has to go for it
 *
 * Until the cookie is proven nothing is kept or spent but the answer to it.
 */
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import type { DtlsContext, DtlsSession } from "../../native/dtls/binding.ts";
import type { DtlsCounts } from "./counts.ts";
import { causeOf, type FailureLog } from "./failure.ts";
import { ALERT, cookieIn, recordType } from "./record.ts";
import type { PeerSession } from "./session.ts";
import { ADDRESS_FULL, type DtlsSessions, HANDSHAKES_FULL, ROOM, type Room, SESSIONS_FULL } from "./sessions.ts";
import { WaitingHellos } from "./waiting.ts";

/** The server, as the door sees it. */
export interface House {
  readonly sessions: DtlsSessions;
  sendTo(bytes: Uint8Array, address: string, port: number): void;
  /** @param hello that it begins with */
  begin(dtls: DtlsSession, hello: Uint8Array, address: string, port: number): void;
  evict(victim: PeerSession): void;
}

export interface DoorParts {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly log: Log;
  readonly admission: { mayHandshake(): boolean; handshakeBegan(): void };
}

/** How often those who wait are looked at, and how long one may wait. */
const TURN_MS = 20;
const WAIT_SECONDS_MAX = 10;
/** Of max_sessions: with so many or fewer a full house is none any more; in it one goes and one comes. */
const RELAXED_SHARE = 0.9;

export class DtlsDoor implements Expirable {
  readonly #name: string;
  readonly #house: House;
  readonly #context: DtlsContext;
  readonly #counts: DtlsCounts;
  readonly #failures: FailureLog;
  readonly #parts: DoorParts;
  readonly #relaxedCount: number;
  readonly #waiting = new WaitingHellos();
  readonly #turn = new Timer(this, 0);
  #full = false;

  /** @param name of the listener, for the log */
  constructor(
    name: string,
    house: House,
    context: DtlsContext,
    maxSessions: number,
    counts: DtlsCounts,
    failures: FailureLog,
    parts: DoorParts,
  ) {
    this.#name = name;
    this.#house = house;
    this.#context = context;
    this.#relaxedCount = Math.floor(maxSessions * RELAXED_SHARE);
    this.#counts = counts;
    this.#failures = failures;
    this.#parts = parts;
  }

  onHello(datagram: Buffer, slot: number, address: string, port: number): void {
    const cookie = cookieIn(datagram);
    const peer = peerBytes(address, port);
    if (cookie === null || !this.#context.isCookieOf(peer, cookie)) this.#hello(datagram, address, port, peer);
    else this.#onProven(datagram, slot, address, port, peer);
  }

  #onProven(datagram: Buffer, slot: number, address: string, port: number, peer: Buffer): void {
    const room = this.#roomFor(slot, address, port);
    if (room !== ROOM && room !== HANDSHAKES_FULL) return;
    if (room === ROOM && this.#waiting.count === 0 && this.#parts.admission.mayHandshake())
      this.#letIn(datagram, address, port, peer);
    else this.#wait(datagram, address, port);
  }

  /** A session is over. */
  onLeft(): void {
    const { openCount } = this.#house.sessions;
    if (!this.#full || openCount > this.#relaxedCount) return;
    this.#full = false;
    this.#parts.log.info("dtls-sessions-below-limit", { listener: this.#name, sessions: openCount });
  }

  close(): void {
    this.#parts.wheel.cancel(this.#turn);
  }

  /** After `#roomFor`. */
  #letIn(datagram: Buffer, address: string, port: number, peer: Buffer): void {
    const { victim } = this.#house.sessions;
    if (victim !== null) this.#house.evict(victim);
    this.#hello(datagram, address, port, peer);
  }

  #hello(datagram: Buffer, address: string, port: number, peer: Buffer): void {
    const answer = this.#context.hello(datagram, peer);
    if (answer === null) {
      this.#counts.unknown.value++;
    } else if (answer instanceof Uint8Array) {
      if (recordType(answer) !== ALERT) this.#counts.cookies.value++;
      else this.#failures.failed(causeOf(this.#context.refusal), address, null, this.#context.refusal);
      this.#house.sendTo(answer, address, port);
    } else {
      this.#parts.admission.handshakeBegan();
      this.#house.begin(answer, datagram, address, port);
    }
  }

  /** Counts and tells what does not pass by itself within a moment. */
  #roomFor(slot: number, address: string, port: number): Room {
    const { sessions } = this.#house;
    const room = sessions.room(slot, address, port, this.#parts.clock.nowMs());
    if (room === ADDRESS_FULL) this.#counts.noRoomForAddress.value++;
    if (room !== SESSIONS_FULL) return room;
    this.#counts.noRoom.value++;
    if (!this.#full) {
      this.#full = true;
      this.#parts.log.warn("dtls-sessions-full", { listener: this.#name, sessions: sessions.openCount });
    }
    return room;
  }

  #wait(datagram: Buffer, address: string, port: number): void {
    if (!this.#waiting.push(datagram, address, port, Math.floor(this.#parts.clock.nowMs() / 1000))) {
      this.#counts.noTurn.value++;
      return;
    }
    this.#counts.deferred.value++;
    if (!this.#turn.armed) this.#parts.wheel.schedule(this.#turn, TURN_MS);
  }

  /** Lets in who waits, as far as the rate of handshakes and the room for them go. */
  onTimer(): void {
    const waiting = this.#waiting;
    const oldest = this.#parts.clock.nowMs() / 1000 - WAIT_SECONDS_MAX;
    while (waiting.count > 0 && this.#parts.admission.mayHandshake()) {
      waiting.peek();
      const { address, port, datagram } = waiting;
      if (waiting.second < oldest) {
        waiting.shift();
        this.#counts.noTurn.value++;
        continue;
      }
      const room = this.#roomFor(this.#house.sessions.slotOf(address, port), address, port);
      if (room === HANDSHAKES_FULL) break;
      waiting.shift();
      if (room === ROOM) this.#letIn(datagram, address, port, peerBytes(address, port));
    }
    if (waiting.count > 0) this.#parts.wheel.schedule(this.#turn, TURN_MS);
  }
}

/** What a cookie is bound to. */
function peerBytes(address: string, port: number): Buffer {
  return Buffer.from(`${address} ${port}`, "latin1");
}
