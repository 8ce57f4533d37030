/**
 * The exchanges of enhanced authentication that are under way. A connection holds its exchange only while it lasts; of
 * all connections together there are EXCHANGES_MAX at most. When all are taken the next one waits, until one ends or the
 * oldest has had EXCHANGE_GRACE_MS; then that one gives way: after a power cut nobody who is slow but at work is sent
 * away, and nobody holds a place who does nothing.
 */
import type { Counter, Counters } from "../../base/counters.ts";
import { SCRAM_SHA_256, ScramServer } from "../../core/scram.ts";
import { SERVER_BUSY } from "../../wire/mqtt/codes.ts";
import type { PropertiesWriter } from "../../wire/mqtt/properties.ts";
import { AUTHENTICATION_DATA, AUTHENTICATION_METHOD } from "../../wire/mqtt/property-table.ts";
import { close, refuseConnect } from "./close.ts";
import type { Connection } from "./connection.ts";
import { because } from "./reason-words.ts";
import { CONNECTED } from "./states.ts";

/** Exchanges under way, of all connections. */
export const EXCHANGES_MAX = 64;
/** So long an exchange keeps its place however many wait: a small device derives its key for a second. */
export const EXCHANGE_GRACE_MS = 3000;
/** How often who waits for a place asks again. */
const RECHECK_MS = 250;
/** Of one exchange: two messages of the client and one of ours, at one byte per character. */
export const EXCHANGE_BYTES = 1536;

/** The exchanges under way, oldest first. */
export class Exchanges {
  readonly #open = new Map<Connection, { readonly scram: ScramServer; readonly sinceMs: number }>();
  readonly #granted: Counter;
  readonly #refused: Counter;
  readonly #evicted: Counter;
  readonly #deferred: Counter;

  constructor(counters: Counters) {
    this.#granted = counters.counter("mqtt.auth.granted");
    this.#refused = counters.counter("mqtt.auth.refused");
    this.#deferred = counters.counter("mqtt.auth.deferred");
    this.#evicted = counters.counter("mqtt.auth.evicted");
    counters.gauge("mqtt.auth.exchanges", () => this.#open.size);
  }

  of(connection: Connection): ScramServer | undefined {
    return this.#open.get(connection)?.scram;
  }

  /** 0 = one more may begin; otherwise ms to wait before asking again: all places are taken by who came lately. */
  waitMs(nowMs: number): number {
    const oldest = this.#open.values().next();
    if (this.#open.size < EXCHANGES_MAX || oldest.done === true) return 0;
    const restMs = oldest.value.sinceMs + EXCHANGE_GRACE_MS - nowMs;
    if (restMs <= 0) return 0;
    this.#deferred.value++;
    return Math.min(restMs, RECHECK_MS);
  }

  begin(connection: Connection): ScramServer {
    const oldest = this.#open.keys().next();
    if (this.#open.size >= EXCHANGES_MAX && oldest.done !== true) {
      this.#evicted.value++;
      this.end(oldest.value);
      because(connection.server, SERVER_BUSY, "too many log in at once");
      refuse(oldest.value, SERVER_BUSY);
    }
    const exchange = new ScramServer();
    this.#open.set(connection, { scram: exchange, sinceMs: connection.server.parts.time.nowMs() });
    return exchange;
  }

  /** The proof was right. */
  granted(connection: Connection): void {
    this.#granted.value++;
    this.end(connection);
  }

  refused(connection: Connection): void {
    this.#refused.value++;
    this.end(connection);
  }

  /** Also when there is none. */
  end(connection: Connection): void {
    this.#open.delete(connection);
  }
}

/** Ends the conversation of an exchange that failed: with DISCONNECT once it had its CONNACK. */
export function refuse(connection: Connection, reasonCode: number): void {
  if (connection.state === CONNECTED) close(connection, reasonCode);
  else refuseConnect(connection, reasonCode);
}

/** What the exchange has to say, as properties of AUTH or CONNACK [MQTT5-4.12.0-5]. */
export function addAuthentication(properties: PropertiesWriter, exchange: ScramServer): void {
  properties.string(AUTHENTICATION_METHOD, SCRAM_SHA_256);
  properties.string(AUTHENTICATION_DATA, exchange.answer);
}
