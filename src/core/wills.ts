/**
 * The wills of sessions: admitted at CONNECT, kept in the store while the connection is there, published when it, or
 * the delay after it, is over. They share the memory of sessions.
 *
 *     CONNECT ──keep──> row ──DISCONNECT 0x00──> row deleted
 *                        ├──connection ends, delay over──> published, row deleted: in one group
 *                        └──the gateway is cut off──> row found by `restore`, goes on with `resume`
 *
 * A message and the deletion of the row it came from stand in one transaction: a crash finds the row or the message,
 * so a durable receiver gets a will of QoS 2 exactly once. Who is there may see one of QoS 0 or 1 again that it got
 * within LAZY_DELAY_MS (store/due.ts) of the crash.
 */
import type { Allowance } from "../base/allowance.ts";
import type { Counter, Counters } from "../base/counters.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import { type Authority, SETTLED, type Store, type StoreWaiter, type TimeSource, type WillRecord } from "./ports.ts";
import { Publication } from "./publication.ts";
import { NO_WAITER, type Router } from "./router.ts";
import type { Session, Will } from "./session.ts";

export interface WillParts {
  readonly store: Store;
  readonly time: TimeSource;
  readonly router: Router;
  readonly authority: Authority;
  readonly wheel: TimerWheel;
  readonly counters: Counters;
}

/** Answers of `Router.publish` from here on are refusals. */
const REFUSALS = 0x80;
/** Estimated bytes of a will besides its own. */
const WILL_BYTES = 256;
/** Of wills published at once after a restart; the next ones wait until these are stored, as the store's memory is small. */
const RESUME_BYTES = 64 * 1024;

export class Wills implements StoreWaiter {
  readonly #parts: WillParts;
  readonly #memory: Allowance;
  readonly #onCut: (session: Session) => void;
  /** Sessions whose wills the store held at the start, until they are dealt with. */
  readonly #cut: Session[] = [];
  #bytes = 0;
  readonly #refused: Counter;
  readonly #notAuthorized: Counter;
  readonly #downgraded: Counter;

  /** @param onCut the connection of this session ended with the last run: its will is due, or its delay runs */
  constructor(parts: WillParts, memory: Allowance, onCut: (session: Session) => void) {
    this.#parts = parts;
    this.#memory = memory;
    this.#onCut = onCut;
    this.#refused = parts.counters.counter("session.wills_refused");
    this.#notAuthorized = parts.counters.counter("session.wills_not_authorized");
    this.#downgraded = parts.counters.counter("session.wills_at_qos_0");
    parts.counters.gauge("session.will_bytes", () => this.#bytes);
  }

  /** Makes room for the will of a CONNECT. @returns false when sessions and wills together take too much (counted) */
  admit(will: Will | null): boolean {
    if (will === null) return true;
    const bytes = bytesOf(will);
    if (!this.#memory.take(bytes)) {
      this.#refused.value++;
      return false;
    }
    this.#bytes += bytes;
    return true;
  }

  /** The will is no more. */
  release(will: Will | null): void {
    if (will === null) return;
    this.#memory.give(bytesOf(will));
    this.#bytes -= bytesOf(will);
  }

  /** The connection with this will, which was admitted, is ready. */
  keep(session: Session, will: Will | null): void {
    session.will = will;
    if (will !== null) this.#parts.store.putWill(recordOf(session, will));
  }

  cancel(session: Session): void {
    this.#parts.wheel.cancel(session.willTimer);
    if (session.will !== null) this.#parts.store.deleteWill(session.clientId);
    this.release(session.will);
    session.will = null;
  }

  /** The client is back in its session: within the delay that takes the will back ([MQTT5-3.1.3-9]). */
  onBack(session: Session): void {
    // Without a delay it is due, and there only until `resume` comes to it.
    if (session.will?.delaySeconds === 0) this.publish(session);
    else this.cancel(session);
  }

  /** The connection is gone: the will goes out when its delay, which counts from then, is over. */
  send(session: Session): void {
    const delayMs = (session.will?.delaySeconds ?? 0) * 1000;
    const { time, wheel } = this.#parts;
    if (delayMs === 0) this.publish(session);
    else wheel.schedule(session.willTimer, Math.max(0, delayMs - time.elapsedMs(session.disconnectedMs)));
  }

  publish(session: Session): void {
    const will = session.will;
    if (will === null) return;
    this.cancel(session);
    const { authority, router } = this.#parts;
    const { publication } = will;
    publication.publisher = session.slot; // It is the client's own message ([MQTT5-3.8.3-3]).
    if (!authority.mayPublish(session.principal, publication.topic)) {
      this.#notAuthorized.value++;
      return;
    }
    if (router.publish(publication, NO_WAITER, 0) < REFUSALS) return;
    // Nobody is left to be told of the refusal: who is there gets it at least.
    this.#downgraded.value++;
    publication.qos = 0;
    router.publish(publication, NO_WAITER, 0);
  }

  // ---- after a restart ---------------------------------------------------------------------------------------

  /** What the store held, room or not. */
  restore(session: Session, record: WillRecord): void {
    const will = willOf(record);
    this.#memory.takeAnyway(bytesOf(will));
    this.#bytes += bytesOf(will);
    session.will = will;
    this.#cut.push(session);
  }

  /** Deals with what was restored, as fast as the store takes it. */
  resume(): void {
    this.onStored(0, SETTLED);
  }

  onStored(_token: number, reason: number): void {
    if (reason !== SETTLED) return; // the disk has failed: the rest is there for the next start
    for (let bytes = 0; bytes < RESUME_BYTES; ) {
      const session = this.#cut.pop();
      if (session === undefined) return;
      // Its client may have come back, or the session have ended.
      const { will } = session;
      if (will === null || session.connected || session.willTimer.armed) continue;
      this.#onCut(session);
      if (session.will === null) bytes += bytesOf(will);
    }
    this.#parts.store.barrier(this, 0);
  }
}

function recordOf(session: Session, { publication: p, delaySeconds }: Will): WillRecord {
  return {
    clientId: session.clientId,
    principal: session.principal.name,
    delaySeconds,
    expirySeconds: p.expirySeconds,
    qos: p.qos,
    retain: p.retain,
    bytes: p.bytes, // of its own, and laid out so: Publication.setParts
    topicEnd: p.topicEnd,
    propertiesEnd: p.propertiesEnd,
  };
}

function willOf({ bytes, topicEnd, propertiesEnd, qos, retain, expirySeconds, delaySeconds }: WillRecord): Will {
  const publication = new Publication();
  publication.setLaidOut(bytes, topicEnd, propertiesEnd, qos, retain);
  publication.expirySeconds = expirySeconds;
  return { publication, delaySeconds };
}

function bytesOf(will: Will): number {
  return WILL_BYTES + will.publication.bytes.length;
}
