/** What a DTLS listener counts, together with all others; `dtls.failed` is in failure.ts, `dtls.sessions` in sessions.ts. */
import type { Counter, Counters } from "../../base/counters.ts";

export class DtlsCounts {
  /** Completed; `resumed` ones among them. */
  readonly handshakes: Counter;
  readonly resumed: Counter;
  /** HelloVerifyRequests sent. */
  readonly cookies: Counter;
  /** ClientHellos that waited: for `limits.handshakes_per_second`, the event loop, or handshakes under way. */
  readonly deferred: Counter;
  /** Those that found no place to wait, or waited too long. */
  readonly noTurn: Counter;
  /** ClientHellos for which there was no room, and nobody gave way. */
  readonly noRoom: Counter;
  readonly noRoomForAddress: Counter;
  /** Sessions that gave way, or that nobody used for a day. */
  readonly evicted: Counter;
  /** Handshakes that gave way. */
  readonly evictedHalfOpen: Counter;
  /** Sessions that ended because their client came anew. */
  readonly replaced: Counter;
  /** Sessions that ended by an error. */
  readonly broken: Counter;
  /** Datagrams that are for no session and no ClientHello. */
  readonly unknown: Counter;
  /** Records beyond those of one datagram that are handed on. */
  readonly records: Counter;
  /** What was to be sent and does not fit in a datagram. */
  readonly tooLarge: Counter;
  /** What was to be sent to a peer without a session. */
  readonly noSession: Counter;

  constructor(counters: Counters) {
    this.handshakes = counters.counter("dtls.handshakes");
    this.resumed = counters.counter("dtls.resumed");
    this.cookies = counters.counter("dtls.cookies_sent");
    this.noTurn = counters.counter("dtls.refused.rate");
    this.deferred = counters.counter("dtls.deferred");
    this.noRoom = counters.counter("dtls.refused.full");
    this.noRoomForAddress = counters.counter("dtls.refused.per_address");
    this.evicted = counters.counter("dtls.evicted");
    this.evictedHalfOpen = counters.counter("dtls.evicted_half_open");
    this.replaced = counters.counter("dtls.replaced");
    this.broken = counters.counter("dtls.broken");
    this.unknown = counters.counter("dtls.dropped.unknown");
    this.records = counters.counter("dtls.dropped.records");
    this.tooLarge = counters.counter("dtls.dropped.too_large");
    this.noSession = counters.counter("dtls.dropped.no_session");
  }
}
