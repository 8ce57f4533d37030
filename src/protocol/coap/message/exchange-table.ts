/**
 * The requests of the last minutes by endpoint and Message ID, so that a repeated one is answered from here and its
 * handler runs once (RFC 7252 section 4.5).
 *
 * Bounded twice: entries, of which the oldest gives way, and the bytes of the responses kept for repetition, which
 * lie in one ring; a response that the ring has written over takes its entry along. A request still being worked on
 * never gives way.
 *
 *     ring  | answer 7 | answer 8 | . . | answer 3 | answer 4 | answer 5 |
 *                                 ^ written, modulo the ring's size
 */
import type { Clock } from "../../../base/clock.ts";
import type { Counter, Counters } from "../../../base/counters.ts";
import { type Expirable, Timer, type TimerWheel } from "../../../base/timer-wheel.ts";

export interface ExchangeLimits {
  readonly exchangesMax: number;
  readonly responseBytesMax: number;
}

/** What a listener remembers: 16 requests a second for the whole EXCHANGE_LIFETIME, 400 for the time a client repeats quickly. */
export const EXCHANGE_LIMITS: ExchangeLimits = { exchangesMax: 4096, responseBytesMax: 192 * 1024 };
/** Estimated bytes of an entry: record, key and place in the map. */
export const EXCHANGE_BYTES = 240;
const SWEEP_MS_MIN = 1_000;

export class Exchange {
  readonly key: string;
  readonly expiresMs: number;
  /** The handler is done with it. */
  answered = false;
  /** Bytes ever written to the ring before the response; its place modulo the ring's size. */
  responseAt = 0;
  /** 0 = nothing is repeated. */
  responseLength = 0;

  constructor(key: string, expiresMs: number) {
    this.key = key;
    this.expiresMs = expiresMs;
  }
}

export class ExchangeTable implements Expirable {
  readonly #clock: Clock;
  readonly #wheel: TimerWheel;
  readonly #limits: ExchangeLimits;
  readonly #evicted: Counter;
  /** In order of arrival, but for those moved behind because they were still being worked on. */
  readonly #exchanges = new Map<string, Exchange>();
  readonly #timer = new Timer(this, 0);
  /** Send a response from here: `ring[exchange.responseAt % ring.length]` and on, unbroken. */
  readonly ring: Buffer;
  #written = 0;

  constructor(clock: Clock, wheel: TimerWheel, counters: Counters, limits: ExchangeLimits = EXCHANGE_LIMITS) {
    this.#clock = clock;
    this.#wheel = wheel;
    this.#limits = limits;
    this.#evicted = counters.counter("coap.exchanges_evicted");
    this.ring = Buffer.allocUnsafeSlow(limits.responseBytesMax);
  }

  get size(): number {
    return this.#exchanges.size;
  }

  /** The exchange of an earlier copy of this request; undefined when it is new, forgotten or past its lifetime. */
  find(key: string): Exchange | undefined {
    const exchange = this.#exchanges.get(key);
    if (exchange === undefined) return undefined;
    if (exchange.expiresMs > this.#clock.nowMs() && this.#isIntact(exchange)) return exchange;
    this.#exchanges.delete(key);
    return undefined;
  }

  /** Enters a new request. @param lifetimeMs until then its Message ID means this request */
  open(key: string, lifetimeMs: number): Exchange {
    if (this.#exchanges.size >= this.#limits.exchangesMax) this.#evictOldest();
    const exchange = new Exchange(key, this.#clock.nowMs() + lifetimeMs);
    this.#exchanges.set(key, exchange);
    if (!this.#timer.armed) this.#wheel.schedule(this.#timer, lifetimeMs);
    return exchange;
  }

  /** Keeps a copy of the message that a repeated request gets; the Empty acknowledgement first, where there is one. */
  keep(exchange: Exchange, response: Uint8Array, length: number): void {
    exchange.responseLength = 0;
    if (length > this.ring.length) return;
    const rest = this.ring.length - (this.#written % this.ring.length);
    if (length > rest) this.#written += rest; // an answer lies unbroken
    exchange.responseAt = this.#written;
    exchange.responseLength = length;
    const at = this.#written % this.ring.length;
    for (let i = 0; i < length; i++) this.ring[at + i] = response[i]!;
    this.#written += length;
  }

  close(): void {
    this.#wheel.cancel(this.#timer);
    this.#exchanges.clear();
  }

  /** Sweeps what is past its lifetime from the front; one that is younger than it looks there waits for `find`. */
  onTimer(): void {
    const now = this.#clock.nowMs();
    for (const exchange of this.#exchanges.values()) {
      if (exchange.expiresMs > now) {
        this.#wheel.schedule(this.#timer, Math.max(SWEEP_MS_MIN, exchange.expiresMs - now));
        return;
      }
      this.#exchanges.delete(exchange.key);
    }
  }

  #isIntact(exchange: Exchange): boolean {
    return exchange.responseLength === 0 || exchange.responseAt >= this.#written - this.ring.length;
  }

  #evictOldest(): void {
    for (const exchange of this.#exchanges.values()) {
      this.#exchanges.delete(exchange.key);
      if (exchange.answered) {
        this.#evicted.value++;
        return;
      }
      this.#exchanges.set(exchange.key, exchange);
    }
  }
}
