/**
 * Notifies observers: whose turn it is, by which kind of message, and what becomes of it.
 *
 *     publication, value to be told ──> ready watchers ──slice of a turn──> one notification each
 *                                           ^                                 │ CON            │ NON
 *                                           ├── acknowledged, peer is free <──┤                │
 *                                           ├── round trip or 3 s over <──────┼────────────────┘
 *                                           x── reset, given up: removed <────┘
 *
 * A fan-out marks observers and no more; a slice sends a few (ready.ts), so that a topic with hundreds of observers does
 * not hold up a turn. A client that does not answer holds up itself alone.
 *
 * @see RFC 7641 sections 4.2, 4.5
 */
import type { Counter } from "../../../base/counters.ts";
import type { Message } from "../../../core/message.ts";
import type { Publication } from "../../../core/publication.ts";
import { NOT_ACCEPTABLE } from "../../../wire/coap/codes.ts";
import { NO_FORMAT, OCTET_STREAM } from "../../../wire/coap/content-format.ts";
import { responseBytes } from "../../../wire/coap/response.ts";
import { BUSY, CLOSED, SENT } from "../message/outgoing.ts";
import { Backlog, type BacklogParts } from "./backlog.ts";
import { InFlight } from "./in-flight.ts";
import { CON_BYTES, type ObserverLimits } from "./limits.ts";
import { Notification } from "./notification.ts";
import type { Observer, ObserverHost } from "./observer.ts";
import { type ReadyHost, type ReadyParts, ReadyWatchers } from "./ready.ts";
import { nextPlace } from "./sequence.ts";
import type { Watcher } from "./watcher.ts";

/** One notification in so many asks whether the client is there, */
export const CON_EVERY = 16;
/** and the first one after so long without a sign of it; */
export const CHECK_MS = 300_000;
/** at the very least one in so long, whether there is anything to notify or not (RFC 7641 section 4.5). */
export const SILENCE_MS = 24 * 3_600_000;
/** Blocks of 64 bytes. */
const SMALL_SZX = 2;

export type NotifierParts = BacklogParts & ReadyParts;

/** What the list of observers does for it. */
export interface NotifierHost {
  /** Clients with observations. */
  readonly clients: number;
  remove(observer: Observer): void;
  /** Ends an observation with an error. */
  end(observer: Observer, code: number): void;
  /** `observer` gets the first block of a value: the rest will be asked for. */
  onPart(observer: Observer, message: Message): void;
}

export class Notifier implements ObserverHost, ReadyHost {
  readonly #parts: NotifierParts;
  readonly #host: NotifierHost;
  readonly #backlog: Backlog;
  readonly #notification = new Notification();
  readonly #ready: ReadyWatchers;
  readonly #inFlight: InFlight;
  readonly #sent: Counter;
  readonly #reset: Counter;
  readonly #timedOut: Counter;

  constructor(parts: NotifierParts, host: NotifierHost, limits: ObserverLimits) {
    this.#parts = parts;
    this.#host = host;
    this.#ready = new ReadyWatchers(parts, this);
    this.#inFlight = new InFlight(limits.inFlightBytesMax);
    this.#backlog = new Backlog(parts, limits.waitingBytesMax);
    this.#sent = parts.counters.counter("coap.notifications");
    this.#reset = parts.counters.counter("coap.observers_reset");
    this.#timedOut = parts.counters.counter("coap.observers_timed_out");
  }

  onPublication(observer: Observer, publication: Publication): void {
    this.#backlog.add(observer, publication);
    this.#ready.add(observer.watcher);
  }

  /** There may be something to notify. */
  onReady(watcher: Watcher): void {
    this.#ready.add(watcher);
  }

  onIdle(): void {
    this.#notification.forget();
  }

  // ---- one client --------------------------------------------------------------------------------------------

  pump(watcher: Watcher): void {
    if (watcher.current !== null) {
      this.#supersede(watcher.current);
      return;
    }
    if (watcher.quietUntilMs > this.#parts.clock.nowMs()) {
      this.#ready.addLater(watcher);
      return;
    }
    for (let observer = watcher.next(); observer !== null; observer = watcher.next()) {
      if (this.#notify(observer)) return;
    }
  }

  /** @returns whether it is enough for now: one notification is outstanding, or has to wait */
  #notify(observer: Observer): boolean {
    const { watcher } = observer;
    const backlog = this.#backlog;
    const message = backlog.next(observer);
    if (message === undefined) {
      if (observer.walk === null) return false;
      this.#ready.add(watcher); // the walk goes on in another slice
      return true;
    }
    if (message !== null && !this.#suits(observer, message)) {
      backlog.drop(observer, message);
      if (!observer.isWildcard) this.#host.end(observer, NOT_ACCEPTABLE);
      return false;
    }
    const confirmable = this.#isConfirmable(observer, message);
    const isTold = this.#write(observer, message, confirmable);
    if (!isTold && watcher.isProven()) {
      backlog.drop(observer, message);
      return false;
    }
    // It does not fit in what an address gets that is not proven: an acknowledgement would prove it.
    if (!isTold) this.#notification.empty(observer.place);
    const { code, options, payload } = this.#notification;
    const bytes = confirmable ? CON_BYTES + responseBytes(observer.token.length, options, payload.length) : 0;
    if (!this.#inFlight.fits(bytes)) {
      backlog.putBack(observer);
      this.#inFlight.starve(watcher);
      return true;
    }
    const outcome = watcher.send(observer, confirmable, code, options, payload);
    if (outcome === SENT) {
      const isOwned = isTold && backlog.take(observer, message);
      if (isTold) this.told(observer, message, this.#notification);
      else backlog.putBack(observer);
      this.#onSent(observer, isOwned ? message : null, confirmable, bytes);
    } else if (outcome === BUSY) {
      backlog.putBack(observer);
    } else if (outcome === CLOSED) {
      this.#host.remove(observer);
    } else {
      backlog.drop(observer, message);
      return false;
    }
    return true;
  }

  /** RFC 7641 section 4.2: notifications have the format of the first one; where that can not be, the observation ends. */
  #suits(observer: Observer, message: Message): boolean {
    if (message.bytes.length === message.propertiesEnd) return true;
    const format = this.#notification.formatOf(message);
    const { accept } = observer.wanted;
    const isOther = observer.format !== NO_FORMAT && format !== NO_FORMAT && format !== observer.format;
    const isWanted = accept === NO_FORMAT || accept === (format === NO_FORMAT ? OCTET_STREAM : format);
    return isWanted && (!isOther || observer.isWildcard);
  }

  #isConfirmable(observer: Observer, message: Message | null): boolean {
    const { watcher } = observer;
    if (watcher.listener.notify === "con" || observer.final !== 0 || observer.stale || !watcher.isProven()) return true;
    if (!watcher.isVerified || watcher.isBusy) return true;
    const silentMs = this.#parts.clock.nowMs() - observer.interestMs;
    if (watcher.listener.notify === "non") return silentMs >= SILENCE_MS;
    if (watcher.rttMs < 0 || observer.nons >= CON_EVERY - 1 || silentMs >= CHECK_MS) return true;
    return message !== null && Math.min(message.qos, observer.wanted.qos) > 0;
  }

  /** @returns false when there is no way to say it */
  #write(observer: Observer, message: Message | null, confirmable: boolean): boolean {
    const notification = this.#notification;
    if (observer.final !== 0) {
      notification.end(observer.final);
      return true;
    }
    observer.place = nextPlace(observer.place, this.#parts.clock);
    if (message === null) {
      notification.empty(observer.place);
      return true;
    }
    const { watcher, wanted, token, isWildcard: namesTopic, place } = observer;
    const szx =
      confirmable && !this.#inFlight.fitsLarge(this.#host.clients) ? Math.min(wanted.szx, SMALL_SZX) : wanted.szx;
    const bytesMax = watcher.bytesMaxOf(observer);
    const frame = { place, namesTopic, szx, tokenBytes: token.length, bytesMax };
    return notification.tell(message, frame, this.#parts.clock);
  }

  /** @param owned the message, when it is to be given back to the backlog at the end */
  #onSent(observer: Observer, owned: Message | null, confirmable: boolean, bytes: number): void {
    const { watcher } = observer;
    const nowMs = this.#parts.clock.nowMs();
    this.#sent.value++;
    observer.isEnding = observer.final !== 0;
    if (confirmable) {
      observer.nons = 0;
      observer.sentMs = nowMs;
      observer.inFlight = owned;
      observer.inFlightBytes = bytes;
      observer.replacedId = -1;
      this.#inFlight.add(bytes);
      watcher.current = observer;
      return;
    }
    if (owned !== null) this.#backlog.done(owned);
    observer.nons++;
    watcher.quietUntilMs = nowMs + watcher.nonWaitMs;
    this.#ready.addLater(watcher);
  }

  /** It was told of `message`, or that there is none, by `notification`. */
  told(observer: Observer, message: Message | null, notification: Notification): void {
    const { clock } = this.#parts;
    if (!observer.isWildcard)
      observer.expiresMs = message === null ? Number.POSITIVE_INFINITY : clock.nowMs() + message.leftMs(clock);
    if (message === null) return;
    const format = notification.formatOf(message);
    if (observer.format === NO_FORMAT && message.bytes.length > message.propertiesEnd) observer.format = format;
    if (notification.isPart) this.#host.onPart(observer, message);
  }

  /** RFC 7641 section 4.5.2: what is retransmitted next is the state as it is by now. */
  #supersede(observer: Observer): void {
    if (observer.final !== 0) return;
    const before = observer.inFlight;
    const newer = this.#backlog.newerThan(observer, before);
    if (newer === null || !this.#suits(observer, newer) || !this.#write(observer, newer, true)) return;
    const { code, options, payload } = this.#notification;
    if (observer.watcher.replace(observer, code, options, payload) !== SENT) return;
    this.told(observer, newer, this.#notification);
    this.#backlog.takeNewer(observer, newer);
    if (before !== null) this.#backlog.done(before);
    observer.inFlight = newer;
    observer.replacedId = observer.out.messageId;
  }

  // ---- what becomes of a CON ---------------------------------------------------------------------------------

  onAcknowledged(observer: Observer): void {
    const nowMs = this.#parts.clock.nowMs();
    const { watcher, out, inFlight } = observer;
    if (out.retransmissions === 0) watcher.measured(nowMs - observer.sentMs);
    observer.interestMs = nowMs;
    watcher.prove();
    // The newer state that was to be retransmitted has not left.
    const isBehind = inFlight !== null && observer.replacedId === out.messageId;
    if (isBehind) {
      observer.inFlight = null;
      this.#backlog.takeBack(observer, inFlight);
    }
    this.#landed(observer);
    if (observer.isEnding) this.#host.remove(observer);
  }

  onReset(observer: Observer): void {
    this.#reset.value++;
    this.#host.remove(observer);
  }

  onGivenUp(observer: Observer): void {
    if (!observer.watcher.peer.gone) this.#timedOut.value++;
    this.#host.remove(observer);
  }

  onFree({ watcher }: Observer): void {
    this.pump(watcher);
  }

  /**
   * The client has registered again: what is in flight is older than its answer, so the client would pass over it. It is
   * told anew.
   */
  renew(observer: Observer): void {
    const { watcher, inFlight } = observer;
    if (watcher.current !== observer || observer.isEnding) return;
    watcher.cancel(observer);
    observer.inFlight = null;
    if (inFlight !== null) this.#backlog.takeBack(observer, inFlight);
    else if (observer.walk !== null) observer.walk = { place: "" };
    this.#landed(observer);
  }

  /** Nothing of its topics is told to it any more. */
  clear(observer: Observer): void {
    this.#backlog.clear(observer);
  }

  /** It is gone. */
  forget(observer: Observer): void {
    this.#landed(observer);
    this.#backlog.clear(observer);
  }

  #landed(observer: Observer): void {
    const { watcher, inFlight } = observer;
    if (watcher.current !== observer) return;
    watcher.current = null;
    if (inFlight !== null) this.#backlog.done(inFlight);
    observer.inFlight = null;
    this.#inFlight.remove(observer.inFlightBytes);
    observer.inFlightBytes = 0;
    if (watcher.hasMore) this.#ready.add(watcher);
    for (const starved of this.#inFlight.takeStarved()) this.#ready.add(starved);
  }
}
