/**
 * DTLS sessions on one port of datagrams: finds the session a datagram is for, lets handshakes begin, keeps their
 * timers, and hands on what open sessions say. It opens no socket itself and knows nothing of what is spoken inside.
 *
 *      datagram                              where it goes
 *      ClientHello, no copy of the one       the door (door.ts)
 *        that a handshake began with
 *      in the clear, or a handshake's        the handshake under way, else the open session (its last flight again)
 *      encrypted                             the open session, else the handshake under way
 *
 * A peer that handshakes anew has its old session until the new handshake is complete (RFC 6347 section 4.2.8).
 */
import type { Counters } from "../../base/counters.ts";
import type { Random } from "../../base/random.ts";
import { type Expirable, Timer } from "../../base/timer-wheel.ts";
import {
  CLOSED,
  DATA,
  type DtlsContext,
  type DtlsSession,
  ESTABLISHED,
  FAILED,
  OUTPUT,
  RECORD_BYTES_MAX,
  TOO_LARGE,
} from "../../native/dtls/binding.ts";
import { DtlsCounts } from "./counts.ts";
import { type DoorParts, DtlsDoor, type House } from "./door.ts";
import { type Cause, causeOf, FailureLog } from "./failure.ts";
import { cookieIn, HANDSHAKE, helloMark, isClientHello, RECORD_BYTES_MIN, recordEpoch, recordType } from "./record.ts";
import { Handshake, type HandshakeOwner, PeerSession } from "./session.ts";
import { type DtlsLimits, DtlsSessions } from "./sessions.ts";

/** What a server needs of a socket. */
export interface DatagramSender {
  /** The bytes are copied, or sent before return. @returns false when they were dropped */
  send(bytes: Buffer, from: number, end: number, address: string, port: number): boolean;
}

export interface DtlsServerHandler {
  /**
   * A handshake is complete.
   * @returns why there will be no session all the same; null = it is open, and `session.name` and `identity` are set
   */
  onSecure(session: PeerSession): Cause | null;
  /** What the peer says in one record; valid until return. */
  onData(session: PeerSession, bytes: Buffer): void;
  /** An open session is over. */
  onClose(session: PeerSession): void;
}

export interface DtlsServerParts extends DoorParts {
  readonly counters: Counters;
  readonly random: Random;
}

/** Records of one datagram that are handed on; CoAP puts one message in each, and rarely two records in a datagram. */
export const RECORDS_PER_DATAGRAM_MAX = 16;
/** What a session says, one record at a time, for all listeners. */
const RECORD: Buffer = Buffer.allocUnsafeSlow(RECORD_BYTES_MAX);
/** Not used for so long, a session ends, newcomers or not. */
const UNUSED_MS_MAX = 86_400_000;
/** How often that is looked at. */
const SWEEP_MS = 600_000;

export class DtlsServer implements HandshakeOwner, House, Expirable {
  readonly sessions: DtlsSessions;
  readonly #sender: DatagramSender;
  readonly #handler: DtlsServerHandler;
  readonly #parts: DtlsServerParts;
  readonly #handshakeTimeoutMs: number;
  readonly #failures: FailureLog;
  readonly #sweep = new Timer(this, 0);
  readonly #counts: DtlsCounts;
  readonly #door: DtlsDoor;
  #closed = false;

  /** @param name of the listener, for the log */
  constructor(
    name: string,
    sender: DatagramSender,
    context: DtlsContext,
    handler: DtlsServerHandler,
    limits: DtlsLimits,
    parts: DtlsServerParts,
  ) {
    const { counters } = parts;
    this.#sender = sender;
    this.#handler = handler;
    this.#parts = parts;
    this.#handshakeTimeoutMs = limits.handshakeTimeoutMs;
    this.sessions = new DtlsSessions(limits, counters, parts.random);
    this.#failures = new FailureLog(name, parts);
    this.#counts = new DtlsCounts(counters);
    this.#door = new DtlsDoor(name, this, context, limits.maxSessions, this.#counts, this.#failures, parts);
  }

  onDatagram(datagram: Buffer, address: string, port: number): void {
    if (this.#closed) return;
    if (datagram.length < RECORD_BYTES_MIN) {
      this.#counts.unknown.value++;
      return;
    }
    const { sessions } = this;
    const slot = sessions.slotOf(address, port);
    const begun = sessions.begun(slot, address, port);
    if (isClientHello(datagram)) {
      // A copy of the one that the handshake began with. One without a cookie is answered without state, whoever it is of.
      const copy = begun?.handshake?.mark === helloMark(datagram) && cookieIn(datagram) !== null;
      if (begun !== null && copy) this.#receive(begun, datagram);
      else this.#door.onHello(datagram, slot, address, port);
      return;
    }
    const open = sessions.open(slot, address, port);
    const forHandshake = recordEpoch(datagram) === 0 || recordType(datagram) === HANDSHAKE;
    const session = forHandshake ? (begun ?? open) : (open ?? begun);
    if (session === null) this.#counts.unknown.value++;
    else this.#receive(session, datagram);
  }

  /** @returns false when the peer has no session, or the bytes are more than a datagram of ours takes; counted */
  send(bytes: Buffer, from: number, end: number, address: string, port: number): boolean {
    const session = this.sessions.open(this.sessions.slotOf(address, port), address, port);
    if (session === null) {
      this.#counts.noSession.value++;
      return false;
    }
    this.sessions.use(session, this.#parts.clock.nowMs());
    const bits = session.dtls.send(bytes, from, end);
    if ((bits & TOO_LARGE) !== 0) {
      this.#counts.tooLarge.value++;
      return false;
    }
    if ((bits & OUTPUT) !== 0) this.#flush(session);
    if ((bits & FAILED) !== 0) {
      this.#counts.broken.value++;
      this.#end(session);
    }
    return (bits & OUTPUT) !== 0;
  }

  /** Ends the sessions of which `gone` says so; they hear close_notify. @returns how many */
  closeWhere(gone: (session: PeerSession) => boolean): number {
    let count = 0;
    for (const session of [...this.sessions.all()].filter(gone)) {
      count++;
      this.#sayGoodbye(session);
      this.#end(session);
    }
    return count;
  }

  /** Says goodbye to all; nothing is sent or handed on afterwards. */
  close(): void {
    if (this.#closed) return;
    this.closeWhere(() => true);
    this.#closed = true;
    this.#parts.wheel.cancel(this.#sweep);
    this.#door.close();
  }

  // ---- handshakes --------------------------------------------------------------------------------------------

  begin(dtls: DtlsSession, hello: Uint8Array, address: string, port: number): void {
    const session = new PeerSession(address, port, dtls);
    session.handshake = new Handshake(session, this, helloMark(hello), this.#parts.clock.nowMs());
    this.sessions.begin(session);
    if (!this.#sweep.armed) this.#parts.wheel.schedule(this.#sweep, SWEEP_MS);
    this.#flush(session);
    this.#plan(session);
  }

  evict(victim: PeerSession): void {
    if (victim.handshake === null) this.#counts.evicted.value++;
    else this.#counts.evictedHalfOpen.value++;
    this.#sayGoodbye(victim);
    this.#end(victim);
  }

  onHandshakeTimer(session: PeerSession): void {
    const { handshake } = session;
    if (handshake === null || session.over) return;
    if (this.#parts.clock.nowMs() - handshake.beganMs >= this.#handshakeTimeoutMs) this.#giveUp(session);
    else this.#after(session, session.dtls.onTimeout());
  }

  /** A wrong key shows in nothing but this: what it encrypts is no record to us, and is passed over in silence. */
  #giveUp(session: PeerSession): void {
    const { identity } = session.dtls;
    this.#fail(session, identity === null ? "silent" : "wrong-key", "");
  }

  #fail(session: PeerSession, cause: Cause, error: string): void {
    this.#failures.failed(cause, session.address, session.dtls.identity, error);
    this.#end(session);
  }

  /** OpenSSL's timer or the deadline, whichever comes first. */
  #plan(session: PeerSession): void {
    const { handshake } = session;
    if (handshake === null) return;
    const leftMs = this.#handshakeTimeoutMs - (this.#parts.clock.nowMs() - handshake.beganMs);
    const retransmitMs = session.dtls.timeoutMs();
    this.#parts.wheel.schedule(
      handshake.timer,
      Math.max(0, retransmitMs < 0 ? leftMs : Math.min(leftMs, retransmitMs)),
    );
  }

  #established(session: PeerSession): void {
    const problem = this.#handler.onSecure(session);
    if (problem !== null) {
      this.#sayGoodbye(session);
      this.#fail(session, problem, "");
      return;
    }
    this.#counts.handshakes.value++;
    if (session.dtls.resumed) this.#counts.resumed.value++;
    if (session.handshake !== null) this.#parts.wheel.cancel(session.handshake.timer);
    const { sessions } = this;
    const before = sessions.open(sessions.slotOf(session.address, session.port), session.address, session.port);
    if (before !== null) {
      // Its keys are gone at the peer, so there is nobody to say goodbye to.
      this.#counts.replaced.value++;
      this.#end(before);
    }
    sessions.established(session, this.#parts.clock.nowMs());
  }

  // ---- a session at work -------------------------------------------------------------------------------------

  #receive(session: PeerSession, datagram: Buffer): void {
    this.#after(session, session.dtls.receive(datagram));
  }

  #after(session: PeerSession, happened: number): void {
    let bits = happened;
    if ((bits & OUTPUT) !== 0) this.#flush(session);
    if ((bits & ESTABLISHED) !== 0) this.#established(session);
    // Nobody is heard before the handshake is complete.
    if ((bits & DATA) !== 0 && session.handshake === null && !session.over) bits |= this.#read(session);
    if (session.over) return;
    if ((bits & FAILED) !== 0) this.#onFailed(session);
    else if ((bits & CLOSED) !== 0) this.#onClosed(session);
    else if (session.handshake !== null) this.#plan(session);
  }

  /** @returns what came behind the records in their datagram */
  #read(session: PeerSession): number {
    this.sessions.use(session, this.#parts.clock.nowMs());
    let records = 0;
    let length = session.dtls.read(RECORD);
    for (; length > 0; length = session.dtls.read(RECORD)) {
      if (++records > RECORDS_PER_DATAGRAM_MAX) this.#counts.records.value++;
      else this.#handler.onData(session, RECORD.subarray(0, length));
      if (session.over) return 0; // what it said made somebody end it
    }
    if ((-length & OUTPUT) !== 0) this.#flush(session);
    return -length;
  }

  #onFailed(session: PeerSession): void {
    if (session.handshake !== null) {
      this.#fail(session, causeOf(session.dtls.error), session.dtls.error);
      return;
    }
    this.#counts.broken.value++;
    this.#end(session);
  }

  #onClosed(session: PeerSession): void {
    if (session.handshake !== null) {
      this.#fail(session, "refused-by-client", "");
      return;
    }
    this.#sayGoodbye(session);
    this.#end(session);
  }

  #sayGoodbye(session: PeerSession): void {
    if ((session.dtls.close() & OUTPUT) !== 0) this.#flush(session);
  }

  #end(session: PeerSession): void {
    const wasOpen = session.handshake === null;
    if (session.handshake !== null) this.#parts.wheel.cancel(session.handshake.timer);
    session.over = true;
    this.sessions.remove(session);
    session.handshake = null;
    session.dtls.free();
    this.#door.onLeft();
    if (wasOpen) this.#handler.onClose(session);
  }

  #flush(session: PeerSession): void {
    const { dtls } = session;
    for (let output = dtls.takeOutput(); output !== null; output = dtls.takeOutput())
      this.sendTo(output, session.address, session.port);
  }

  sendTo(bytes: Uint8Array, address: string, port: number): void {
    this.#sender.send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length, address, port);
  }

  /** Looks for sessions that nobody has used for a day. */
  onTimer(): void {
    const second = (this.#parts.clock.nowMs() - UNUSED_MS_MAX) / 1000;
    for (let idle = this.sessions.longestIdle; idle !== null && idle.usedAt < second; idle = this.sessions.longestIdle)
      this.evict(idle);
    if (this.sessions.openCount + this.sessions.begunCount > 0) this.#parts.wheel.schedule(this.#sweep, SWEEP_MS);
  }
}
