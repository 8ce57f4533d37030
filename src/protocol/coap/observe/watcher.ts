/**
 * A client with observations, and how often it may be notified (RFC 7641 section 4.5.1). At most one notification is
 * outstanding, however many topics it observes:
 *
 *     CON   until it is acknowledged, reset or given up; the message layer keeps to it (NSTART = 1)
 *     NON   for a round trip as measured by CONs, or 3 s while none has been measured
 *
 * There are as many of them as clients, so it is kept small: observers are a list, tokens strings, and the notifier has
 * one timer for all.
 */
import type { NotifyType } from "../../../config/coap-listener.ts";
import { TOKEN_BYTES_MAX } from "../../../wire/coap/header.ts";
import type { CoapOption } from "../../../wire/coap/options.ts";
import type { CoapEndpoint } from "../message/endpoint.ts";
import type { Peer } from "../message/peer.ts";
import type { Observer } from "./observer.ts";

/** Between NONs to a client whose round trip is not known. */
const NON_WAIT_MS = 3_000;
/** A round trip that took longer may be that of a repetition (ACK_TIMEOUT). */
const SAMPLE_MS_MAX = 2_000;
/** Weight of what was known against one of the newest, as in RFC 6298. */
const KNOWN_WEIGHT = 7;

/** What observers need to know of a listener. */
export interface ObservedListener {
  readonly endpoint: CoapEndpoint;
  readonly notify: NotifyType;
  /** Address and port: whose observations its records are. */
  readonly name: string;
  /** Whether a client is known by its address alone, so that its observations can outlive the process: not over DTLS. */
  readonly lasting: boolean;
  /** The identity of its one peer, which is a line's; null = it has many. */
  readonly line: string | null;
  /** Largest datagram that the listener can send. */
  readonly bytesMax: number;
}

/** Where a token is written to be sent: one buffer for each length. */
const TOKENS: readonly Buffer[] = Array.from({ length: TOKEN_BYTES_MAX + 1 }, (_, length) => Buffer.alloc(length));

export class Watcher {
  readonly listener: ObservedListener;
  readonly peer: Peer;
  /** The list's first one; the next is `Observer.next`. */
  first: Observer | null = null;
  /** How many there are. */
  count = 0;
  /** The one that had its turn last; null = the list's last one. */
  #had: Observer | null = null;
  /** Whose CON is in flight; null = none is, or that of somebody else. */
  current: Observer | null = null;
  /** Monotonic ms until which the last NON counts as outstanding. */
  quietUntilMs = 0;
  /** It waits in the queue of those that may be notified. */
  queued = false;
  /** It waits for the end of `quietUntilMs`. */
  quiet = false;
  /** -1 = not measured yet. */
  rttMs = -1;
  /** That the client is at its address has been shown once; a CON now and then shows that it still is. */
  #proven = false;

  constructor(listener: ObservedListener, peer: Peer) {
    this.listener = listener;
    this.peer = peer;
  }

  // ---- the list ----------------------------------------------------------------------------------------------

  add(observer: Observer): void {
    observer.next = this.first;
    this.first = observer;
    this.count++;
  }

  /** @returns false when it is not in the list */
  delete(observer: Observer): boolean {
    let before: Observer | null = null;
    let at = this.first;
    while (at !== null && at !== observer) {
      before = at;
      at = at.next;
    }
    if (at === null) return false;
    if (before === null) this.first = observer.next;
    else before.next = observer.next;
    if (this.#had === observer) this.#had = before;
    this.count--;
    return true;
  }

  /** One slot for all of them: what the client publishes is its own for each (No Local). */
  get kinSlot(): number {
    return this.first?.slot ?? -1;
  }

  /** @param token  a character for each byte */
  find(token: string): Observer | null {
    for (let at = this.first; at !== null; at = at.next) if (at.token === token) return at;
    return null;
  }

  get hasMore(): boolean {
    for (let at = this.first; at !== null; at = at.next) if (at.hasMore) return true;
    return false;
  }

  /** The next one that has something to tell, in turn; null = none has. */
  next(): Observer | null {
    let at = this.#had;
    for (let i = 0; i < this.count; i++) {
      at = at?.next ?? this.first;
      if (at === null || !at.hasMore) continue;
      this.#had = at;
      return at;
    }
    return null;
  }

  // ---- the message layer -------------------------------------------------------------------------------------

  /** That it is has been shown within the last minutes; else the message layer sends CONs only. */
  get isVerified(): boolean {
    return this.listener.endpoint.tables.peers.isVerified(this.peer);
  }

  /** Whether the client has shown that it is at its address. */
  isProven(): boolean {
    if (!this.#proven && this.isVerified) this.prove();
    return this.#proven;
  }

  /** From now on it is sent whole values (`bytesMax` of the message layer's goes for addresses that are not proven). */
  prove(): void {
    this.#proven = true;
    for (let at = this.first; at !== null; at = at.next) at.out.bytesMax = this.listener.bytesMax;
  }

  /** A CON of ours to the client is in flight. */
  get isBusy(): boolean {
    return this.peer.outstanding !== null;
  }

  /** Largest datagram that may go to the client now. */
  bytesMaxOf(observer: Observer): number {
    return this.isProven() ? this.listener.bytesMax : observer.out.bytesMax;
  }

  /** @returns as `CoapEndpoint.send` */
  send(observer: Observer, confirmable: boolean, code: number, options: CoapOption[], payload: Buffer): number {
    return this.listener.endpoint.send(observer.out, confirmable, code, bytesOf(observer.token), options, payload);
  }

  /** What is in flight to `observer` is not sent again. */
  cancel(observer: Observer): void {
    this.listener.endpoint.cancel(observer.out);
  }

  /** @returns as `CoapEndpoint.replace` */
  replace(observer: Observer, code: number, options: CoapOption[], payload: Buffer): number {
    return this.listener.endpoint.replace(observer.out, code, bytesOf(observer.token), options, payload);
  }

  // ---- time --------------------------------------------------------------------------------------------------

  /** A CON that was sent once was acknowledged after `ms`. */
  measured(ms: number): void {
    if (ms >= SAMPLE_MS_MAX) return;
    this.rttMs = this.rttMs < 0 ? ms : (this.rttMs * KNOWN_WEIGHT + ms) / (KNOWN_WEIGHT + 1);
  }

  /** How long a NON counts as outstanding. */
  get nonWaitMs(): number {
    return this.rttMs < 0 ? NON_WAIT_MS : this.rttMs;
  }
}

/** Valid until the next call. */
function bytesOf(token: string): Buffer {
  const bytes = TOKENS[token.length] as Buffer;
  bytes.write(token, "latin1");
  return bytes;
}
