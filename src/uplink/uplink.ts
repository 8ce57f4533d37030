/**
 * One uplink: keeps a connection to its server for ever, with the spool on the way out and the receive rules on the
 * way in.
 *
 *     DOWN ──timer──> CONNECTING ──CONNACK──> DRAINING ──what waited is acknowledged──> LIVE
 *       ^                 │                      │                                        │
 *       └──backoff────────┴──────────────────────┴────────────────────────────────────────┘
 *
 * Trouble is logged once per change, in words; the counters tell how often. The socket is never paused: it would hide
 * the acknowledgements that make room.
 */
import { readFile } from "node:fs";
import { Backoff } from "../base/backoff.ts";
import type { Counter } from "../base/counters.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { type Expirable, Timer } from "../base/timer-wheel.ts";
import type { UplinkConfig } from "../config/uplinks.ts";
import type { DropCause } from "../core/ledger.ts";
import type { StoreWaiter } from "../core/ports.ts";
import type { Dial, DialTarget } from "../transport/dialer.ts";
import { describeError } from "../transport/socket-error.ts";
import {
  NORMAL_DISCONNECTION,
  PACKET_IDENTIFIER_NOT_FOUND,
  PUBACK,
  PUBREC,
  QUOTA_EXCEEDED,
  UNSPECIFIED_ERROR,
} from "../wire/mqtt/codes.ts";
import type { PublishView } from "../wire/mqtt/publish.ts";
import { IDLE, MqttClient } from "./client.ts";
import type { ClientHandler } from "./client-handler.ts";
import type { ServerLimits } from "./client-options.ts";
import type { Owed } from "./owed.ts";
import { Receive, type ReceiveParts } from "./receive.ts";
import { Spool, type SpoolParts } from "./spool.ts";
import { Subscriptions } from "./subscriptions.ts";
import { optionsOf, targetOf, windowOf, withoutLineEnd } from "./uplink-connection.ts";
import { reasonWords } from "./words.ts";

export interface UplinkParts extends SpoolParts, ReceiveParts {
  readonly log: Log;
  readonly dial: Dial;
  readonly random: Random;
  /** Name of the gateway, for {node}. */
  readonly node: string;
  readonly limits: {
    /** Largest packet taken from the server. */
    readonly maxPacketBytes: number;
  };
}

export type UplinkState = "down" | "connecting" | "draining" | "live";

export interface UplinkStatus {
  readonly name: string;
  readonly url: string;
  readonly state: UplinkState;
  /** Unix ms; null while not connected. */
  readonly connectedSinceMs: number | null;
  /** 4 or 5; null while not connected. */
  readonly protocol: number | null;
  /** Why it went down last, in words; null = never, or not since the last connection that lasted. */
  readonly lastError: string | null;
  /** Ms until the next try; null while connecting or connected. */
  readonly retryInMs: number | null;
  readonly spool: { readonly messages: number; readonly bytes: number };
  readonly inFlight: number;
  /** Most that may be: ours or the server's, whichever is lower. */
  readonly window: number;
  /** Smoothed time from PUBLISH to its acknowledgement; 0 = not known. */
  readonly ackTimeMs: number;
  /** Packets of QoS 1 and 2 that the server has acknowledged. */
  readonly forwarded: number;
  readonly received: number;
  readonly dropped: Readonly<Partial<Record<DropCause, number>>>;
}

/** First wait after a failure, and the longest; a connection that lasts so long counts as good. */
export const BACKOFF_BASE_MS = 1000;
export const BACKOFF_CAP_MS = 60_000;
export const STABLE_MS = 60_000;
/** The oldest message in flight has this long, twice, to be acknowledged; then the connection is made anew. */
export const STALL_MS = 60_000;
/** What `stop` waits at most. */
export const STOP_MS = 1000;
/** Kinds of timers. */
const RETRY_TIMER = 0;
const STABLE_TIMER = 1;
const STALL_TIMER = 2;
const STOP_TIMER = 3;

export class Uplink implements ClientHandler, StoreWaiter, Expirable {
  readonly name: string;
  readonly spool: Spool;
  readonly receive: Receive;
  readonly #config: UplinkConfig;
  readonly #parts: UplinkParts;
  readonly #client: MqttClient;
  readonly #subscriptions: Subscriptions;
  readonly #target: DialTarget;
  readonly #backoff: Backoff;
  readonly #dropped: ReadonlyMap<DropCause, number>;
  readonly #forwarded: Counter;
  readonly #refused: Counter;
  readonly #connects: Counter;
  readonly #failures: Counter;
  readonly #retryTimer = new Timer(this, RETRY_TIMER);
  readonly #stableTimer = new Timer(this, STABLE_TIMER);
  readonly #stallTimer = new Timer(this, STALL_TIMER);
  readonly #stopTimer = new Timer(this, STOP_TIMER);
  #state: UplinkState = "down";
  #stopping: (() => void) | null = null;
  /** Counts tries, so that a file read for an earlier one is not used. */
  #attempt = 0;
  #lastError: string | null = null;
  #connectedSinceMs: number | null = null;
  #retryAtMs = 0;
  #window = 0;
  /** End of the log when the connection came: what lies below is backlog. */
  #drainSeq = 0;
  #answers = 0;
  /** What the stall timer saw last. */
  #seenHead = 0;
  #seenAnswers = -1;

  constructor(config: UplinkConfig, parts: UplinkParts) {
    const { name, forward, receive, spool } = config;
    const { node, counters } = parts;
    this.name = name;
    this.#config = config;
    this.#parts = parts;
    this.#client = new MqttClient(parts.dial, parts.wheel, this);
    this.spool = new Spool({ name, node, forward, spool }, this.#client, parts);
    const { slot, queue } = this.spool;
    this.receive = new Receive({ name, node, receive, receiverId: queue.id, slot }, this.#client, parts);
    const { log, host } = parts;
    this.#subscriptions = new Subscriptions(name, receive, queue.id, this.#client, { log, store: host.store });
    this.#target = targetOf(config);
    this.#backoff = new Backoff({ baseMs: BACKOFF_BASE_MS, capMs: BACKOFF_CAP_MS }, parts.random);
    this.#dropped = parts.host.ledger.watch(queue.label);
    this.#forwarded = counters.counter(`uplink.${name}.forwarded`);
    this.#refused = counters.counter(`uplink.${name}.refused`);
    this.#connects = counters.counter(`uplink.${name}.connects`);
    this.#failures = counters.counter(`uplink.${name}.failures`);
    counters.gauge(`uplink.${name}.connected`, () => (this.online ? 1 : 0));
    counters.gauge(`uplink.${name}.spool_messages`, () => queue.count);
    counters.gauge(`uplink.${name}.spool_bytes`, () => queue.bytes);
    counters.gauge(`uplink.${name}.in_flight`, () => queue.inFlight);
    counters.gauge(`uplink.${name}.ack_time_ms`, () => this.ackTimeMs);
  }

  /** Connected. */
  get online(): boolean {
    return this.#state === "live" || this.#state === "draining";
  }

  /** Smoothed ms from PUBLISH to its acknowledgement, for `commit_delay: auto`; 0 = not known. */
  get ackTimeMs(): number {
    return this.spool.queue.inflight.ackTimeMs;
  }

  start(): void {
    this.#connect();
  }

  /**
   * Sends nothing more, waits a moment for what is in flight and for what the server is to be told, says goodbye.
   * What is not acknowledged stays in the spool. Resolves when the link is closed.
   */
  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#stopping = resolve;
      this.#attempt++;
      this.#parts.wheel.cancel(this.#retryTimer);
      if (this.#client.state === IDLE) this.#onStopped();
      else if (!this.online) this.#client.close();
      else {
        this.spool.closing = true;
        this.#parts.wheel.schedule(this.#stopTimer, STOP_MS);
        this.#closeWhenQuiet();
      }
    });
  }

  #closeWhenQuiet(): void {
    if (this.spool.queue.inFlight === 0) this.#parts.host.store.barrier(this, 0);
  }

  /** While stopping: everything that came before is stored and acknowledged. */
  onStored(): void {
    this.#client.close();
  }

  #onStopped(): void {
    this.#state = "down";
    const stopped = this.#stopping;
    this.#stopping = null;
    stopped?.();
  }

  status(): UplinkStatus {
    const { queue } = this.spool;
    return {
      name: this.name,
      url: this.#config.urls[0] as string,
      state: this.#state,
      connectedSinceMs: this.#connectedSinceMs,
      protocol: this.#client.server?.version ?? null,
      lastError: this.#lastError,
      retryInMs: this.#retryTimer.armed
        ? Math.max(0, Math.round(this.#retryAtMs - this.#parts.host.time.nowMs()))
        : null,
      spool: { messages: queue.count, bytes: queue.bytes },
      inFlight: queue.inFlight,
      window: this.online ? this.#window : this.#config.window,
      ackTimeMs: Math.round(this.ackTimeMs * 10) / 10,
      forwarded: this.#forwarded.value,
      received: this.receive.received.value,
      dropped: Object.fromEntries(this.#dropped),
    };
  }

  // ---- connecting --------------------------------------------------------------------------------------------

  #connect(): void {
    this.#state = "connecting";
    const attempt = ++this.#attempt;
    const { passwordFile } = this.#config;
    if (passwordFile === null) {
      this.#open(null);
      return;
    }
    // Read anew each time: a token may have been renewed meanwhile.
    readFile(passwordFile, (error, bytes) => {
      if (attempt !== this.#attempt) return;
      if (error === null) this.#open(withoutLineEnd(bytes));
      else this.onClosed(`password_file ${passwordFile}: ${describeError(error)}`);
    });
  }

  #open(password: Buffer | null): void {
    this.#client.open(optionsOf(this.#config, password, this.#parts.limits.maxPacketBytes), this.#target);
  }

  onConnected(): void {
    const { log, host, wheel } = this.#parts;
    const { queue } = this.spool;
    const server = this.#client.server as ServerLimits;
    this.#connects.value++;
    this.#connectedSinceMs = host.time.wallMs();
    this.#lastError = null;
    this.#window = windowOf(this.#config, server);
    this.#drainSeq = host.store.lastSeq;
    this.#state = queue.count > 0 ? "draining" : "live";
    log.info("uplink-connected", {
      uplink: this.name,
      remote: this.#client.remote,
      protocol: server.version,
      session: server.sessionPresent ? "resumed" : "new",
      waiting: queue.count,
    });
    wheel.schedule(this.#stableTimer, STABLE_MS);
    wheel.schedule(this.#stallTimer, STALL_MS);
    this.#seenAnswers = -1;
    this.receive.begin(server.sessionPresent);
    this.#subscriptions.begin(server.sessionPresent, queue.inflight.sparePacketId);
    this.spool.attach(this.#window, server.sessionPresent);
  }

  onClosed(why: string | null): void {
    const { log, host, wheel } = this.#parts;
    const wasOnline = this.online;
    this.spool.detach();
    this.receive.end();
    wheel.cancel(this.#stableTimer);
    wheel.cancel(this.#stallTimer);
    wheel.cancel(this.#stopTimer);
    this.#connectedSinceMs = null;
    this.#state = "down";
    if (this.#stopping !== null) {
      this.#onStopped();
      return;
    }
    this.#failures.value++;
    const words = why ?? "closed";
    const delayMs = this.#backoff.next();
    if (wasOnline || words !== this.#lastError) {
      log.warn("uplink-down", { uplink: this.name, reason: words, retryMs: Math.round(delayMs) });
    }
    this.#lastError = words;
    this.#retryAtMs = host.time.nowMs() + delayMs;
    wheel.schedule(this.#retryTimer, delayMs);
  }

  onTimer(kind: number): void {
    if (kind === RETRY_TIMER) this.#connect();
    else if (kind === STABLE_TIMER) this.#backoff.reset();
    else if (kind === STOP_TIMER) this.#client.close();
    else this.#onStallTimer();
  }

  /** A server that acknowledges everything but one message would hold the spool for ever. */
  #onStallTimer(): void {
    const { queue } = this.spool;
    const head = queue.headSeq;
    const stuck = head === Number.POSITIVE_INFINITY ? this.#answers === this.#seenAnswers : head === this.#seenHead;
    if (queue.inFlight > 0 && stuck && this.#seenAnswers >= 0 && this.#parts.host.store.health === "ok") {
      this.#client.fail(NORMAL_DISCONNECTION, `no acknowledgement within ${STALL_MS / 1000} s`);
      return;
    }
    this.#seenHead = head;
    this.#seenAnswers = queue.inFlight > 0 ? this.#answers : -1;
    this.#parts.wheel.schedule(this.#stallTimer, STALL_MS);
  }

  // ---- packets -----------------------------------------------------------------------------------------------

  onPublish(bytes: Buffer, view: PublishView, owed: Owed | null): void {
    this.receive.onPublish(bytes, view, owed);
  }

  onOversize(): void {
    this.#parts.counters.counter(`uplink.${this.name}.received_too_large`).value++;
  }

  onPubrel(packetId: number): void {
    this.receive.onPubrel(packetId);
  }

  onAck(type: number, packetId: number, reasonCode: number): void {
    const { queue } = this.spool;
    this.#answers++;
    this.spool.answered(packetId);
    if (reasonCode >= UNSPECIFIED_ERROR && type !== PUBREC && type !== PUBACK) reasonCode = 0;
    if (reasonCode === QUOTA_EXCEEDED) {
      // It is full, not unwilling: the message stays, and is sent again after the backoff.
      this.#client.fail(NORMAL_DISCONNECTION, "the server has no room: quota exceeded");
      return;
    }
    if (type === PUBACK) {
      if (queue.onPuback(packetId, reasonCode)) this.#count(reasonCode);
    } else if (type === PUBREC) {
      const known = queue.onPubrec(packetId, reasonCode);
      if (known && reasonCode >= UNSPECIFIED_ERROR) this.#count(reasonCode);
      if (!known && reasonCode < UNSPECIFIED_ERROR) this.#client.sendPubrel(packetId, PACKET_IDENTIFIER_NOT_FOUND);
    } else if (queue.onPubcomp(packetId)) {
      this.#count(0);
    }
    if (this.#state === "draining" && queue.headSeq > this.#drainSeq) this.#state = "live";
    if (this.#stopping !== null) this.#closeWhenQuiet();
  }

  #count(reasonCode: number): void {
    if (reasonCode < UNSPECIFIED_ERROR) {
      this.#forwarded.value++;
      return;
    }
    if (this.#refused.value++ === 0) {
      this.#parts.log.warn("uplink-message-refused", { uplink: this.name, reason: reasonWords(reasonCode) });
    }
  }

  onSubscribed(type: number, _packetId: number, codes: Uint8Array): void {
    this.#subscriptions.onAnswer(type, codes);
  }

  onWritable(): void {
    this.spool.queue.pump();
  }
}
