/**
 * Keeps a connection to the server for ever: when to try, when to leave, how it stands.
 *
 *     DOWN ──timer──> RESOLVING ──name known──> CONNECTING ──CONNACK──> DRAINING ──backlog gone──> LIVE
 *      ^                  │                         │                      │                        │
 *      └─────backoff──────┴─────────────────────────┴──────────────────────┴────────────────────────┤
 *                                                                                                   │
 *     HELD <────────────────────────────── somebody holds it (data cap, schedule) ──────────────────┘
 *
 * To leave in order is one way for all who want it (stop, hold, another server): nothing more is sent, what is in
 * flight has a moment to be acknowledged, then DISCONNECT. What is not acknowledged stays in the spool.
 */
import type { Log } from "../../base/log.ts";
import type { Random } from "../../base/random.ts";
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import type { UplinkConfig } from "../../config/uplinks.ts";
import type { Store, StoreWaiter, TimeSource } from "../../core/ports.ts";
import type { Dial } from "../../transport/dialer.ts";
import type { Network } from "../../transport/network.ts";
import { NORMAL_DISCONNECTION } from "../../wire/mqtt/codes.ts";
import { DIALLING, IDLE, type MqttClient } from "../client/client.ts";
import { Credentials } from "./credentials.ts";
import { Outage } from "./outage.ts";
import { certificateWords } from "./own-certificate.ts";
import { Retry, synEveryMs } from "./retry.ts";
import { ReturnToPrimary } from "./return-to-primary.ts";
import { Servers } from "./servers.ts";
import { optionsOf } from "./uplink-connection.ts";

export type UplinkState = "down" | "resolving" | "connecting" | "draining" | "live" | "held";

/** Told of each change of state, after it; never within a call of its own into the uplink. */
export type StateListener = (state: UplinkState) => void;

export interface ReachParts {
  readonly dial: Dial;
  readonly network: Network;
  /** Whether the wall clock is right, as far as is known. */
  readonly isClockSet: () => boolean;
  readonly log: Log;
  readonly wheel: TimerWheel;
  readonly random: Random;
  readonly host: { readonly store: Store; readonly time: TimeSource };
  readonly limits: {
    /** Largest packet taken from the server. */
    readonly maxPacketBytes: number;
  };
}

/** Whose connection it is. */
export interface ReachOwner {
  /** Messages in flight to the server. */
  readonly inFlight: number;
  /** The connection is about to be left: nothing new is to go out on it. */
  onLeaving(): void;
  /** It failed, or could not be made. */
  onFailure(): void;
}

/** A connection that lasts so long counts as good. */
export const STABLE_MS = 60_000;
/** How often it looks whether the network has changed: while it waits for the server, and while it is connected. */
export const LOOK_MS = 500;
export const LOOK_ONLINE_MS = 5000;
/** What an orderly end waits at most for acknowledgements. */
export const LEAVE_MS = 1000;
/** Kinds of timers. */
const RETRY_TIMER = 0;
const STABLE_TIMER = 1;
const LEAVE_TIMER = 2;
const LOOK_TIMER = 3;

export class Reach implements StoreWaiter, Expirable {
  state: UplinkState = "down";
  /** Unix ms; null while not connected. */
  connectedSinceMs: number | null = null;
  readonly outage: Outage;
  readonly #config: UplinkConfig;
  readonly #parts: ReachParts;
  readonly #client: MqttClient;
  readonly #owner: ReachOwner;
  readonly #servers: Servers;
  readonly #return: ReturnToPrimary;
  readonly #retry: Retry;
  readonly #credentials: Credentials;
  readonly #listeners: StateListener[] = [];
  readonly #retryTimer = new Timer(this, RETRY_TIMER);
  readonly #stableTimer = new Timer(this, STABLE_TIMER);
  readonly #leaveTimer = new Timer(this, LEAVE_TIMER);
  readonly #lookTimer = new Timer(this, LOOK_TIMER);
  /** Words by reason. */
  readonly #held = new Map<string, () => string>();
  #started = false;
  /** The connection has lasted so long that its end is no sign of a server in trouble. */
  #lasted = false;
  /** The connection is being left in order. */
  #leaving = false;
  /** For the primary's sake. */
  #returning = false;
  #stopping: (() => void) | null = null;
  /** Counts tries, so that a file read for an earlier one is not used. */
  #attempt = 0;
  #retryAtMs = 0;
  /** Of the connection, if an interface has it: 127.0.0.9 is on none. */
  #localAddress = "";
  /** The network when the last try began. */
  #network = "";

  constructor(config: UplinkConfig, client: MqttClient, parts: ReachParts, owner: ReachOwner) {
    this.#config = config;
    this.#parts = parts;
    this.#client = client;
    this.#owner = owner;
    this.outage = new Outage(config.name, parts.log, parts.host.time);
    this.#servers = new Servers(config);
    this.#return = new ReturnToPrimary(this.#servers.primary.target, config.returnToPrimaryMs, parts, () =>
      this.#moveToPrimary(),
    );
    this.#retry = new Retry(parts.random);
    const { log, wheel, isClockSet, host } = parts;
    this.#credentials = new Credentials(config, { log, wheel, isClockSet, time: host.time }, () => this.#renew());
  }

  /** Connected. */
  get online(): boolean {
    return this.state === "live" || this.state === "draining";
  }

  /** Ms until the next try; null while none is due. */
  get retryInMs(): number | null {
    if (!this.#retryTimer.armed) return null;
    return Math.max(0, Math.round(this.#retryAtMs - this.#parts.host.time.nowMs()));
  }

  /** Why it is held, in words; none when it is not. */
  get heldBy(): string[] {
    return [...this.#held.values()].map((words) => words());
  }

  /** The url in use, or the one that is tried next. */
  get url(): string {
    return this.#servers.current.url;
  }

  watch(listener: StateListener): void {
    this.#listeners.push(listener);
  }

  // ---- what others want --------------------------------------------------------------------------------------

  start(): void {
    this.#started = true;
    if (this.#held.size > 0) this.#enter("held");
    else this.#connect();
  }

  /** Leaves in order. Resolves when the link is closed. */
  stop(): Promise<void> {
    this.#started = false;
    return new Promise((resolve) => {
      this.#stopping = resolve;
      this.#leave();
    });
  }

  /**
   * Stays away from the server until every reason that was given is released. Everything is spooled meanwhile.
   * @param reason  a key: "data-cap"; given again it changes the words alone
   * @param words  for people, of the moment they are asked for: "500 MB of this month are used"
   */
  hold(reason: string, words: () => string = () => reason): void {
    const more = this.#held.size > 0;
    this.#held.set(reason, words);
    if (more) return;
    this.#parts.log.info("uplink-held", { uplink: this.#config.name, reason: words() });
    if (this.#started) this.#leave();
  }

  /** With the last reason gone it connects at once. */
  release(reason: string): void {
    if (!this.#held.delete(reason) || this.#held.size > 0) return;
    this.#parts.log.info("uplink-released", { uplink: this.#config.name });
    if (this.state === "held") this.#connect();
  }

  /** It answers again. */
  #moveToPrimary(): void {
    this.#parts.log.info("uplink-returns", { uplink: this.#config.name, to: this.#servers.primary.name });
    this.#returning = true;
    this.#leave();
  }

  /** A later token is there. */
  #renew(): void {
    this.#parts.log.info("uplink-renews", { uplink: this.#config.name, reason: "password_file holds a later token" });
    this.#leave();
  }

  #leave(): void {
    this.#attempt++;
    this.#parts.wheel.cancel(this.#retryTimer);
    this.#parts.wheel.cancel(this.#lookTimer);
    this.#return.stop();
    if (this.#leaving) return;
    this.#leaving = true;
    if (this.#client.state === IDLE) {
      this.onClosed(null);
    } else if (!this.online) {
      this.#client.close();
    } else {
      this.#owner.onLeaving();
      this.#parts.wheel.schedule(this.#leaveTimer, LEAVE_MS);
      this.onQuieter();
    }
  }

  /** The server has acknowledged something. */
  onQuieter(): void {
    if (this.#leaving && this.#owner.inFlight === 0) this.#parts.host.store.barrier(this, this.#attempt);
  }

  /** While leaving: everything that came before is stored and acknowledged. */
  onStored(attempt: number): void {
    if (this.#leaving && attempt === this.#attempt) this.#client.close();
  }

  // ---- connecting --------------------------------------------------------------------------------------------

  #connect(): void {
    this.#enter("resolving");
    this.#network = this.#parts.network.fingerprint();
    this.#parts.wheel.schedule(this.#lookTimer, LOOK_MS);
    const attempt = ++this.#attempt;
    this.#credentials.read((problem, password) => {
      if (attempt !== this.#attempt) return;
      if (problem === null) this.#open(password);
      else this.onClosed(problem);
    });
  }

  #open(password: Buffer | null): void {
    const { ladder } = this.#servers.current;
    const options = optionsOf(this.#config, password, this.#parts.limits.maxPacketBytes);
    this.#client.open(options, this.#servers.dialTarget(synEveryMs(this.outage.forMs)), ladder);
  }

  /** The server's name is known, or needs no look-up. */
  onConnecting(): void {
    if (this.state === "resolving") this.#enter("connecting");
  }

  /** CONNACK came. @param waiting  messages of the backlog */
  onConnected(waiting: number): void {
    const { log, host, wheel } = this.#parts;
    const { server } = this.#client;
    this.connectedSinceMs = host.time.wallMs();
    log.info("uplink-connected", {
      uplink: this.#config.name,
      remote: this.#client.remote,
      protocol: server?.version ?? null,
      session: server?.sessionPresent ? "resumed" : "new",
      waiting,
      ...this.outage.end(),
    });
    wheel.schedule(this.#stableTimer, STABLE_MS);
    wheel.schedule(this.#lookTimer, LOOK_ONLINE_MS);
    const { localAddress } = this.#client;
    this.#localAddress = this.#parts.network.has(localAddress) ? localAddress : "";
    this.#credentials.connected();
    this.#lasted = false;
    if (!this.#servers.onPrimary) this.#return.start();
    this.#enter(waiting > 0 ? "draining" : "live");
  }

  /** What waited when the connection came has been acknowledged. */
  onDrained(): void {
    this.#enter("live");
  }

  /** @param why in words; null after an orderly end */
  onClosed(why: string | null): void {
    const { wheel } = this.#parts;
    if (this.online) this.outage.begin();
    const left = this.#leaving;
    this.#leaving = false;
    if (left) this.#lasted = false;
    if (this.#returning) this.#servers.begin();
    this.#returning = false;
    wheel.cancel(this.#stableTimer);
    wheel.cancel(this.#leaveTimer);
    this.#return.stop();
    this.#credentials.disconnected();
    this.connectedSinceMs = null;
    if (this.#stopping !== null) this.#onStopped(this.#stopping);
    else if (this.#held.size > 0) this.#enterHeld();
    else if (left) this.#connect();
    else this.#onFailed(why ?? "closed");
  }

  /** Another server is tried at once; after a round of all of them it waits, as after a connection that lasted. */
  #onFailed(why: string): void {
    const { host, wheel } = this.#parts;
    this.#owner.onFailure();
    const words = this.#servers.wordsOf(this.#client.unreached ? why : `${why}${this.#notes(why)}`);
    let delayMs = 0;
    if (this.#lasted) delayMs = this.#retry.again();
    else if (this.#servers.failed()) delayMs = this.#retry.next(this.#client.unreached, this.outage.forMs);
    this.#lasted = false;
    this.outage.failed(words, delayMs);
    if (delayMs === 0) {
      this.#connect();
      return;
    }
    this.#retryAtMs = host.time.nowMs() + delayMs;
    wheel.schedule(this.#retryTimer, delayMs);
    this.#enter("down");
  }

  /**
   * The network may have changed. While it waits for a server that nobody could reach, or dials, it tries anew at once; a
   * connection whose local address is gone will not hear anything more, and nobody else would say so for a minute.
   */
  #look(): void {
    const { network, wheel } = this.#parts;
    wheel.schedule(this.#lookTimer, this.online ? LOOK_ONLINE_MS : LOOK_MS);
    if (this.online) {
      const localAddress = this.#localAddress;
      if (localAddress === "" || network.has(localAddress)) return;
      this.#client.fail(NORMAL_DISCONNECTION, `the local address ${localAddress} is gone`);
    } else if (network.fingerprint() !== this.#network) {
      if (this.#retryTimer.armed && this.#client.unreached) {
        wheel.cancel(this.#retryTimer);
        this.#connect();
      } else if (this.#client.state === DIALLING) {
        this.#leave();
      }
    }
  }

  /** What is known here of why a server that was reached did not keep us. */
  #notes(why: string): string {
    const { isClockSet, host } = this.#parts;
    const { tls } = this.#servers.current.target;
    const notes: (string | null)[] = [this.#credentials.expiredWords];
    if (tls !== null && !isClockSet()) notes.push(why.includes("certificate") ? "the clock is not set" : null);
    else if (tls !== null && tls.cert !== null) notes.push(certificateWords(tls.cert, host.time.wallMs()));
    return notes.map((note) => (note === null ? "" : `; ${note}`)).join("");
  }

  #enterHeld(): void {
    this.#servers.begin();
    this.#enter("held");
  }

  #onStopped(stopped: () => void): void {
    this.#stopping = null;
    this.#enter("down");
    stopped();
  }

  onTimer(kind: number): void {
    if (kind === RETRY_TIMER) this.#connect();
    else if (kind === STABLE_TIMER) this.#onStable();
    else if (kind === LOOK_TIMER) this.#look();
    else this.#client.close();
  }

  #onStable(): void {
    this.#lasted = true;
    this.#retry.reset();
    this.#servers.lasted();
    if (this.#servers.onPrimary) this.#return.succeeded();
  }

  #enter(state: UplinkState): void {
    if (state === this.state) return;
    this.state = state;
    for (const listener of this.#listeners) listener(state);
  }
}
