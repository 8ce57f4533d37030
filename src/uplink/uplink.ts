/**
 * One uplink: a connection that is kept for ever (reach.ts), the spool on the way out, the receive rules on the way in,
 * and what the server's packets mean for them.
 *
 * Trouble is logged once per change, in words; the counters tell how often. The socket is never paused: it would hide
 * the acknowledgements that make room.
 */
import type { Counter } from "../base/counters.ts";
import type { UplinkConfig } from "../config/uplinks.ts";
import type { UseStore } from "../core/data-use.ts";
import type { Dial } from "../transport/dialer.ts";
import {
  NORMAL_DISCONNECTION,
  PACKET_IDENTIFIER_NOT_FOUND,
  PUBACK,
  PUBREC,
  QUOTA_EXCEEDED,
  UNSPECIFIED_ERROR,
} from "../wire/mqtt/codes.ts";
import type { PublishView } from "../wire/mqtt/publish.ts";
import type { Aggregation } from "./aggregate/aggregation.ts";
import type { CborEncoder } from "./aggregate/formats.ts";
import { hasAggregation } from "./aggregate/rules.ts";
import { MqttClient } from "./client/client.ts";
import type { ClientHandler } from "./client/client-handler.ts";
import type { ServerLimits } from "./client/client-options.ts";
import type { Owed } from "./client/owed.ts";
import { Receive, type ReceiveParts } from "./in/receive.ts";
import { planOf } from "./in/receive-plan.ts";
import { Subscriptions } from "./in/subscriptions.ts";
import { Reach, type ReachOwner, type ReachParts, type StateListener } from "./link/reach.ts";
import { type Sending, ServerSessions, sendingRules } from "./link/server-sessions.ts";
import { STALL_MS, Stall } from "./link/stall.ts";
import { isMetered, windowOf } from "./link/uplink-connection.ts";
import type { Metered, MeteredStatus } from "./metering/metered.ts";
import { LoopMark } from "./out/loop-mark.ts";
import { Spool, type SpoolParts } from "./out/spool.ts";
import { Rates } from "./rates.ts";
import { spoolStatus, type UplinkStatus } from "./uplink-status.ts";
import { reasonWords } from "./words.ts";

export interface UplinkParts extends SpoolParts, ReceiveParts, Omit<ReachParts, "host"> {
  /** Name of the gateway, for {node}. */
  readonly node: string;
  /** See metered.ts; null = no uplink needs it, and it is not loaded. */
  readonly Metered: typeof Metered | null;
  /** Whether the wall clock is to be believed. */
  readonly isClockSet: () => boolean;
  /** Loaded when a rule gathers: see `hasAggregation`. */
  readonly Aggregation: typeof Aggregation | null;
  readonly memoryLimitBytes: number;
  /** Loaded when a rule writes senml-cbor. */
  readonly cbor: CborEncoder | null;
  /** What the store keeps of data caps. */
  readonly uses: UseStore;
}

export type { UplinkStatus } from "./uplink-status.ts";

/** Places of counters in `Rates`. */
const SENT = 0;
const RECEIVED = 1;

export class Uplink implements ClientHandler, ReachOwner {
  readonly name: string;
  readonly spool: Spool;
  readonly receive: Receive;
  readonly #config: UplinkConfig;
  readonly #parts: UplinkParts;
  readonly #client: MqttClient;
  readonly reach: Reach;
  readonly rates: Rates;
  readonly #subscriptions: Subscriptions;
  readonly #stall: Stall;
  readonly #metered: Metered | null;
  readonly #sessions: ServerSessions;
  readonly #sending: Sending;
  readonly #aggregation: Aggregation | null;
  readonly #forwarded: Counter;
  readonly #refused: Counter;
  readonly #connects: Counter;
  readonly #failures: Counter;
  #window = 0;
  /** End of the log when the connection came: what lies below is backlog. */
  #drainSeq = 0;

  constructor(config: UplinkConfig, parts: UplinkParts) {
    const { name, clientId, forward, receive, drain, window } = config;
    const { node, counters, host, wheel, log } = parts;
    this.name = name;
    this.#config = config;
    this.#parts = parts;
    const dial = isMetered(config) ? this.#dialCounted : parts.dial;
    this.#client = new MqttClient(dial, wheel, this);
    this.reach = new Reach(config, this.#client, { ...parts, dial: this.#dialToLook }, this);
    const mark = config.loopMark ? new LoopMark(node) : null;
    const out = { name, node, clientId, mark, forward, spool: config.spool, drain, window };
    const spool = new Spool(out, this.#client, parts);
    this.spool = spool;
    const { slot, id: receiverId } = spool;
    const sendsQos2 = forward.some(({ qos }) => qos === 2 || qos === "keep");
    const rules = sendingRules([node, clientId, forward, config.drain], sendsQos2);
    this.#sessions = new ServerSessions(name, config.urls, rules, receiverId, host.store);
    this.#sending = {
      queues: () => spool.queues(),
      sendAnew: () => spool.sendAnew(),
      windowMax: config.window,
    };
    const { wanted, identifiers } = planOf(receive);
    this.receive = new Receive(
      { name, node, clientId, mark, receive, identifiers, receiverId, slot },
      this.#client,
      parts,
    );
    this.#subscriptions = new Subscriptions(name, wanted, receiverId, this.#client, { log, store: host.store });
    this.#stall = new Stall(wheel, host.store, spool, () =>
      this.#client.fail(NORMAL_DISCONNECTION, `no acknowledgement within ${STALL_MS / 1000} s`),
    );
    this.#metered = isMetered(config) && parts.Metered !== null ? new parts.Metered(config, this, parts) : null;
    const { sent } = spool;
    const { received } = this.receive;
    this.rates = new Rates(wheel, host.time, [() => sent.value, () => received.value]);
    const gathers = parts.Aggregation !== null && hasAggregation(config, host.store);
    this.#aggregation = gathers ? new parts.Aggregation(config, spool, parts) : null;
    this.#forwarded = counters.counter(`uplink.${name}.forwarded`);
    this.#refused = counters.counter(`uplink.${name}.refused`);
    this.#connects = counters.counter(`uplink.${name}.connects`);
    this.#failures = counters.counter(`uplink.${name}.failures`);
    counters.gauge(`uplink.${name}.connected`, () => (this.online ? 1 : 0));
    counters.gauge(`uplink.${name}.spool_messages`, () => spool.count);
    counters.gauge(`uplink.${name}.spool_bytes`, () => spool.bytes);
    counters.gauge(`uplink.${name}.in_flight`, () => spool.inFlight);
    counters.gauge(`uplink.${name}.ack_time_ms`, () => this.ackTimeMs);
  }

  /** Connected. */
  get online(): boolean {
    return this.reach.online;
  }

  /** How pace, data cap and schedule stand; null = it has none of them. */
  get metered(): MeteredStatus | null {
    return this.#metered?.status() ?? null;
  }

  /** Smoothed ms from PUBLISH to its acknowledgement, for `commit_delay: auto`; 0 = not known. */
  get ackTimeMs(): number {
    return this.spool.ackTimeMs;
  }

  /** Of an uplink that has something metered. */
  readonly #dialCounted: Dial = (target, onLink, onError, onConnecting) =>
    this.#parts.dial({ ...target, traffic: this.#metered?.traffic ?? null }, onLink, onError, onConnecting);

  /** Beside the connection, whose traffic goes on. */
  readonly #dialToLook: Dial = (target, onLink, onError, onConnecting) =>
    this.#parts.dial({ ...target, traffic: this.#metered?.looks ?? null }, onLink, onError, onConnecting);

  start(): void {
    this.rates.start();
    this.#metered?.start();
    this.reach.start();
  }

  /** Leaves the server in order (reach.ts); resolves when the link is closed. */
  async stop(): Promise<void> {
    this.#metered?.stop();
    await this.reach.stop();
    this.#metered?.end();
  }

  /**
   * After `stop`, for good: the router and the timers know it no more. Its receivers stay in the store, for an uplink of the same name
   * that is made in the same turn, or to be deleted.
   */
  leave(): void {
    this.#aggregation?.leave();
    this.rates.stop();
    this.spool.leave();
  }

  /** See Reach.hold. */
  hold(reason: string, words?: () => string): void {
    this.reach.hold(reason, words);
  }

  /** See Reach.release. */
  release(reason: string): void {
    this.reach.release(reason);
  }

  /** `listener` is told of each change of state. */
  watch(listener: StateListener): void {
    this.reach.watch(listener);
  }

  status(): UplinkStatus {
    const { spool, reach } = this;
    const { outage } = reach;
    return {
      name: this.name,
      state: reach.state,
      url: reach.url,
      urls: this.#config.urls,
      protocol: this.protocol,
      connectedSinceMs: reach.connectedSinceMs,
      forMs: outage.forMs,
      lastError: outage.lastError,
      lastErrorAtMs: outage.lastError === null ? null : outage.lastErrorAtMs,
      failedTries: outage.tries,
      lastOutage: outage.past,
      retryInMs: reach.retryInMs,
      heldBy: reach.heldBy,
      spool: spoolStatus(spool.classes, this.#parts.host),
      inFlight: spool.inFlight,
      window: this.window,
      ackTimeMs: Math.round(this.ackTimeMs * 10) / 10,
      forwarded: this.#forwarded.value,
      sentPerSecond: this.rates.perSecond(SENT),
      receivedPerSecond: this.rates.perSecond(RECEIVED),
      received: this.receive.received.value,
      dropped: spool.dropped,
      metered: this.metered,
      aggregates: this.#aggregation?.status() ?? [],
    };
  }

  /** 4 or 5; null while not connected. */
  get protocol(): number | null {
    return this.#client.server?.version ?? null;
  }

  /** Messages that may be in flight. */
  get window(): number {
    return this.online ? this.#window : this.#config.window;
  }

  // ---- the connection comes and goes -------------------------------------------------------------------------

  onConnecting(): void {
    this.reach.onConnecting();
  }

  onConnected(): void {
    const server = this.#client.server as ServerLimits;
    this.#connects.value++;
    this.#window = windowOf(this.#config, server);
    this.#drainSeq = this.#parts.host.store.lastSeq;
    this.reach.onConnected(this.spool.count);
    this.#stall.start();
    const { url } = this.reach;
    const receiverId = this.#sessions.receiverOf(url);
    const { resumed, lingering } = this.#sessions.arrive(url, server.sessionPresent, this.#sending);
    for (const packetId of lingering) this.#client.sendPubrel(packetId);
    this.receive.begin(server.sessionPresent, receiverId);
    this.#subscriptions.begin(server.sessionPresent, receiverId);
    this.spool.attach(this.#window, resumed);
  }

  onClosed(why: string | null): void {
    this.spool.detach();
    this.receive.end();
    this.#stall.stop();
    this.reach.onClosed(why);
  }

  get inFlight(): number {
    return this.spool.inFlight;
  }

  get awaitsAnswer(): boolean {
    return this.inFlight > 0;
  }

  onLeaving(): void {
    this.spool.closing = true;
  }

  onFailure(): void {
    this.#failures.value++;
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
    const { spool } = this;
    if (reasonCode >= UNSPECIFIED_ERROR && type !== PUBREC && type !== PUBACK) reasonCode = 0;
    if (reasonCode === QUOTA_EXCEEDED) {
      // It is full, not unwilling: the message stays, and is sent again after the backoff.
      this.#client.fail(NORMAL_DISCONNECTION, "the server has no room: quota exceeded");
      return;
    }
    if (type === PUBACK) {
      if (spool.onPuback(packetId, reasonCode)) this.#count(reasonCode);
    } else if (type === PUBREC) {
      const known = spool.onPubrec(packetId, reasonCode);
      if (known && reasonCode >= UNSPECIFIED_ERROR) this.#count(reasonCode);
      if (!known && reasonCode < UNSPECIFIED_ERROR) this.#client.sendPubrel(packetId, PACKET_IDENTIFIER_NOT_FOUND);
    } else if (spool.onPubcomp(packetId)) {
      this.#count(0);
    } else {
      this.#sessions.released(packetId);
    }
    if (this.reach.state === "draining" && spool.headSeq > this.#drainSeq) this.reach.onDrained();
    this.reach.onQuieter();
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

  onSubscribed(type: number, packetId: number, codes: Uint8Array): void {
    this.#subscriptions.onAnswer(type, packetId, codes);
  }

  onWritable(): void {
    this.spool.pump();
  }
}
