/**
 * One peer's DTLS session: what the server keeps of it besides OpenSSL's own memory. `DtlsServer` drives it,
 * `DtlsSessions` keeps it.
 */
import { type Expirable, Timer } from "../../base/timer-wheel.ts";
import type { DtlsSession } from "../../native/dtls/binding.ts";
import { NO_ENTRY } from "./identities.ts";

/** Whoever is told when a handshake has to go on without a datagram. */
export interface HandshakeOwner {
  onHandshakeTimer(session: PeerSession): void;
}

/** What only a handshake needs; it goes when the session is open. */
export class Handshake implements Expirable {
  readonly timer = new Timer(this, 0);
  readonly beganMs: number;
  /** Of its ClientHello (`helloMark`), to know a copy of it. */
  readonly mark: number;
  readonly #session: PeerSession;
  readonly #owner: HandshakeOwner;

  constructor(session: PeerSession, owner: HandshakeOwner, mark: number, nowMs: number) {
    this.#session = session;
    this.#owner = owner;
    this.mark = mark;
    this.beganMs = nowMs;
  }

  onTimer(): void {
    this.#owner.onHandshakeTimer(this.#session);
  }
}

export class PeerSession {
  readonly address: string;
  readonly port: number;
  readonly dtls: DtlsSession;
  /** null = the session is open, or over. */
  handshake: Handshake | null = null;
  /** The principal's name; null = not known yet, or the peer has shown nothing that names it. */
  name: string | null = null;
  /** The line of psk_file that it came by (identities.ts); NO_ENTRY = it came by certificate, or by none. */
  entry = NO_ENTRY;
  /** Seconds on the clock when it was last used. */
  usedAt = 0;
  over = false;
  // The table's.
  older: PeerSession | null = null;
  newer: PeerSession | null = null;
  nextInSlot: PeerSession | null = null;

  constructor(address: string, port: number, dtls: DtlsSession) {
    this.address = address;
    this.port = port;
    this.dtls = dtls;
  }
}

/** Sessions from the one not used for longest to the one used last; entering, leaving and moving allocate nothing. */
export class SessionList {
  oldest: PeerSession | null = null;
  newest: PeerSession | null = null;

  push(session: PeerSession): void {
    session.older = this.newest;
    session.newer = null;
    if (this.newest === null) this.oldest = session;
    else this.newest.newer = session;
    this.newest = session;
  }

  remove(session: PeerSession): void {
    if (session.older === null) this.oldest = session.newer;
    else session.older.newer = session.newer;
    if (session.newer === null) this.newest = session.older;
    else session.newer.older = session.older;
    session.older = null;
    session.newer = null;
  }
}
