/**
 * EMQX's connection mode: a client that once proved who it is gets a token, and comes with that from then on, wherever
 * its datagrams come from. No password travels again, and no key is derived again.
 *
 *      POST  ----> open ----------------- any request with the token ----+
 *                   ^                                                    | heard: silence begins anew
 *                   +----------------------------------------------------+
 *                   |
 *                   +-- DELETE | silent for 1.5 heartbeats | another POST of the same client id --> ended
 *
 * All listeners share one table. When it is full, the connection that has been silent longest gives way, if it has
 * missed a heartbeat; else the newcomer is refused. So who keeps its heartbeat keeps its place.
 */
import type { Clock } from "../../../base/clock.ts";
import type { Counter, Counters } from "../../../base/counters.ts";
import { crypto } from "../../../base/crypto.ts";
import { type Expirable, Timer, type TimerWheel } from "../../../base/timer-wheel.ts";
import type { Line } from "../../../config/budget.ts";
import type { Principal } from "../../../core/ports.ts";

/** Connections at a time, over all listeners. */
export const CONNECTIONS_MAX = 150;
/** Bytes of the client ids and names of all connections. */
export const NAMES_BYTES_MAX = 10 * 1024;
/** Estimated bytes of a connection beside its names: records, place in the map, token. */
const CONNECTION_BYTES = 256;
/** Of randomness: nobody guesses one of 2^96 within a heartbeat. */
const TOKEN_RANDOM_BYTES = 12;
/** A connection ends after so many heartbeats of silence, as with EMQX and MQTT's Keep Alive. */
const SILENCE_HEARTBEATS = 1.5;
const SWEEP_MS_MIN = 50;

/** Who has something that lasts as long as a connection. */
export interface ConnectionFollower {
  /** The connection of this client is no more. @param saidGoodbye false = silent for too long, or taken over */
  onConnectionEnded(principal: Principal, saidGoodbye: boolean): void;
}

export class Connection {
  readonly principal: Principal;
  /** DTLS identity that opened it; null = by password, or nobody in particular. */
  readonly identity: string | null;
  readonly token: string;
  readonly heartbeatMs: number;
  heardMs: number;

  constructor(principal: Principal, identity: string | null, token: string, heartbeatMs: number, nowMs: number) {
    this.principal = principal;
    this.identity = identity;
    this.token = token;
    this.heartbeatMs = heartbeatMs;
    this.heardMs = nowMs;
  }

  get expiresMs(): number {
    return this.heardMs + this.heartbeatMs * SILENCE_HEARTBEATS;
  }
}

/** What `open` answers instead of a connection: another principal has this client id. */
export const FOREIGN = 1;
/** No room, and everybody there keeps its heartbeat. */
export const FULL = 2;

export interface ConnectionParts {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly counters: Counters;
}

export class ConnectionTable implements Expirable {
  readonly #clock: Clock;
  readonly #wheel: TimerWheel;
  /** By client id. */
  readonly #connections = new Map<string, Connection>();
  readonly #timer = new Timer(this, 0);
  /** When the timer expires; Infinity while it is not armed. */
  #sweepMs = Number.POSITIVE_INFINITY;
  #namesBytes = 0;
  /** Told of each end; null = nobody listens. */
  follower: ConnectionFollower | null = null;

  readonly #opened: Counter;
  readonly #closed: Counter;
  readonly #expired: Counter;
  readonly #takenOver: Counter;
  readonly #evicted: Counter;
  readonly #full: Counter;
  readonly #tokensRefused: Counter;

  constructor({ clock, wheel, counters }: ConnectionParts) {
    this.#clock = clock;
    this.#wheel = wheel;
    this.#opened = counters.counter("coap.connections.opened");
    this.#closed = counters.counter("coap.connections.closed");
    this.#expired = counters.counter("coap.connections.expired");
    this.#takenOver = counters.counter("coap.connections.taken_over");
    this.#evicted = counters.counter("coap.connections.evicted");
    this.#full = counters.counter("coap.connections.full");
    this.#tokensRefused = counters.counter("coap.connections.tokens_refused");
    counters.gauge("coap.connections", () => this.#connections.size);
  }

  get size(): number {
    return this.#connections.size;
  }

  /**
   * Opens a connection for a client that has shown who it is; an earlier one of the same client ends.
   * @param identity DTLS identity of the request
   * @returns the connection, FOREIGN or FULL
   */
  open(principal: Principal, identity: string | null, heartbeatMs: number): Connection | typeof FOREIGN | typeof FULL {
    const earlier = this.#connections.get(principal.clientId);
    if (earlier !== undefined) {
      if (earlier.principal.name !== principal.name) return FOREIGN;
      this.#end(earlier, this.#takenOver);
    }
    if (!this.#makeRoom(namesBytes(principal))) {
      this.#full.value++;
      return FULL;
    }
    // Names are pieces of a request; as they are they would keep all of it.
    const owner = { name: compact(principal.name), clientId: compact(principal.clientId) };
    const token = crypto().randomBytes(TOKEN_RANDOM_BYTES).toString("base64url");
    const connection = new Connection(owner, identity, token, heartbeatMs, this.#clock.nowMs());
    this.#connections.set(owner.clientId, connection);
    this.#namesBytes += namesBytes(owner);
    this.#opened.value++;
    this.#sweepAt(connection.expiresMs);
    return connection;
  }

  /**
   * The connection that a request's client id and token name, which it thereby keeps open; null when there is none.
   * @param identity of the request: a connection that was opened over DTLS is used by the same identity alone, and one
   *   that was not, without any
   */
  find(clientId: string, token: string, identity: string | null): Connection | null {
    const connection = this.#connections.get(clientId);
    const now = this.#clock.nowMs();
    if (
      connection === undefined ||
      !isSame(connection.token, token) ||
      connection.identity !== identity ||
      connection.expiresMs <= now
    ) {
      this.#tokensRefused.value++;
      return null;
    }
    connection.heardMs = now;
    return connection;
  }

  /** The client said goodbye. */
  close(clientId: string): void {
    const connection = this.#connections.get(clientId);
    if (connection !== undefined) this.#end(connection, this.#closed);
  }

  /** The gateway ends: nobody is told. */
  stop(): void {
    this.#wheel.cancel(this.#timer);
    this.#sweepMs = Number.POSITIVE_INFINITY;
    this.#connections.clear();
    this.#namesBytes = 0;
  }

  /** Ends who was silent for too long; each request moves its connection's end, not the timer. */
  onTimer(): void {
    const now = this.#clock.nowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const connection of this.#connections.values()) {
      if (connection.expiresMs <= now) this.#end(connection, this.#expired);
      else nextMs = Math.min(nextMs, connection.expiresMs);
    }
    this.#sweepMs = Number.POSITIVE_INFINITY;
    if (nextMs !== Number.POSITIVE_INFINITY) this.#sweepAt(Math.max(nextMs, now + SWEEP_MS_MIN));
  }

  #sweepAt(atMs: number): void {
    if (atMs >= this.#sweepMs) return;
    this.#sweepMs = atMs;
    this.#wheel.schedule(this.#timer, atMs - this.#clock.nowMs());
  }

  /** @returns false when everybody who would have to go keeps its heartbeat */
  #makeRoom(bytes: number): boolean {
    while (this.#connections.size >= CONNECTIONS_MAX || this.#namesBytes + bytes > NAMES_BYTES_MAX) {
      let silent: Connection | null = null;
      for (const connection of this.#connections.values()) {
        if (silent === null || overdueMs(connection) < overdueMs(silent)) silent = connection;
      }
      if (silent === null || overdueMs(silent) > this.#clock.nowMs()) return false;
      this.#end(silent, this.#evicted);
    }
    return true;
  }

  #end(connection: Connection, counter: Counter): void {
    counter.value++;
    this.#connections.delete(connection.principal.clientId);
    this.#namesBytes -= namesBytes(connection.principal);
    this.follower?.onConnectionEnded(connection.principal, counter === this.#closed);
  }
}

/** When its next heartbeat is due. */
function overdueMs(connection: Connection): number {
  return connection.heardMs + connection.heartbeatMs;
}

/** Strings take one or two bytes a character. */
function namesBytes({ name, clientId }: Principal): number {
  return charactersBytes(name) + charactersBytes(clientId);
}

function charactersBytes(text: string): number {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0xff) return text.length * 2;
  return text.length;
}

function compact(text: string): string {
  return Buffer.from(text).toString();
}

/** Takes the same time wherever the first difference is. */
function isSame(token: string, given: string): boolean {
  if (token.length !== given.length) return false;
  let difference = 0;
  for (let i = 0; i < token.length; i++) difference |= token.charCodeAt(i) ^ given.charCodeAt(i);
  return difference === 0;
}

/** Worst case of the connection mode of all listeners. */
export function budget(): Line {
  return {
    owner: "coap connections",
    bytes: CONNECTIONS_MAX * CONNECTION_BYTES + NAMES_BYTES_MAX,
    how: `${CONNECTIONS_MAX} connections x ${CONNECTION_BYTES} B + ${NAMES_BYTES_MAX} B of names`,
  };
}
