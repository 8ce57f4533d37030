/**
 * The exchanges of enhanced authentication that are under way. A connection holds its exchange only while it lasts; of
 * all connections together there are EXCHANGES_MAX at most, and the oldest gives way: who answers at all does so long
 * before.
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
export const EXCHANGES_MAX = 16;
/** Of one exchange: two messages of the client and one of ours, at one byte per character. */
export const EXCHANGE_BYTES = 1536;

/** The exchanges under way, oldest first. */
export class Exchanges {
  readonly #open = new Map<Connection, ScramServer>();
  readonly #granted: Counter;
  readonly #refused: Counter;
  readonly #evicted: Counter;

  constructor(counters: Counters) {
    this.#granted = counters.counter("mqtt.auth.granted");
    this.#refused = counters.counter("mqtt.auth.refused");
    this.#evicted = counters.counter("mqtt.auth.evicted");
    counters.gauge("mqtt.auth.exchanges", () => this.#open.size);
  }

  of(connection: Connection): ScramServer | undefined {
    return this.#open.get(connection);
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
    this.#open.set(connection, exchange);
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
