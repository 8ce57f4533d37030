/**
 * The wills of sessions: admitted at CONNECT, published when the session's connection or its delay is over. They share
 * the memory of sessions.
 */
import type { Allowance } from "../base/allowance.ts";
import type { Counter, Counters } from "../base/counters.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import type { Authority } from "./ports.ts";
import { NO_WAITER, type Router } from "./router.ts";
import type { Session, Will } from "./session.ts";

export interface WillParts {
  readonly router: Router;
  readonly authority: Authority;
  readonly wheel: TimerWheel;
  readonly counters: Counters;
}

/** Answers of `Router.publish` from here on are refusals. */
const REFUSALS = 0x80;
/** Estimated bytes of a will besides its own. */
const WILL_BYTES = 256;

export class Wills {
  readonly #parts: WillParts;
  readonly #memory: Allowance;
  #bytes = 0;
  readonly #refused: Counter;
  readonly #notAuthorized: Counter;
  readonly #downgraded: Counter;

  constructor(parts: WillParts, memory: Allowance) {
    this.#parts = parts;
    this.#memory = memory;
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

  cancel(session: Session): void {
    this.#parts.wheel.cancel(session.willTimer);
    this.release(session.will);
    session.will = null;
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
}

function bytesOf(will: Will): number {
  return WILL_BYTES + will.publication.bytes.length;
}
