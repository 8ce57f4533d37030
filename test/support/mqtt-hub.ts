/**
 * The MQTT conversations of a gateway without sockets: real connections, sessions and routes on links in memory, with
 * the store's timing and the clock in the test's hand.
 */

import { Allowance } from "../../src/base/allowance.ts";
import { Counters } from "../../src/base/counters.ts";
import { Log } from "../../src/base/log.ts";
import { TimerWheel } from "../../src/base/timer-wheel.ts";
import { cuttingShared } from "../../src/core/cutting.ts";
import { Ledger } from "../../src/core/ledger.ts";
import type { Authority, LoginRequest, LoginWaiter } from "../../src/core/ports.ts";
import type { QueueLimits } from "../../src/core/queue-limits.ts";
import { Retained } from "../../src/core/retained.ts";
import { Router } from "../../src/core/router.ts";
import type { ScramRecord } from "../../src/core/scram.ts";
import { SessionRegistry } from "../../src/core/session-registry.ts";
import type { Sliced } from "../../src/core/turns.ts";
import { type MqttListenerOptions, MqttServer } from "../../src/protocol/mqtt/server.ts";
import { type Link, type LinkHandler, NO_HANDLER } from "../../src/transport/link.ts";
import type { Output } from "../../src/transport/output.ts";
import { clockOf } from "./clock-of.ts";
import { MemoryStore } from "./memory-store.ts";
import { type ConnectFields, connect, type Packet, PacketReader } from "./mqtt-packets.ts";

export const LIMITS = {
  maxPacketBytes: 256 * 1024,
  outputBytes: 1 << 20,
  pauseMaxMs: 2000,
  refusalHoldMs: 10_000,
  connectTimeoutMs: 10_000,
  keepAliveMaxMs: 65_535_000,
  topicLevels: 20,
  topicBytes: 1024,
  stringBytes: 1024,
  sessionExpiryMaxMs: 3_600_000,
  inflight: 64,
  inflightLive: 2048,
  receiveMaximum: 1024,
  topicAliases: 16,
  validateUtf8Payload: false,
  maxSessions: 100,
  subscriptionsPerClient: 100,
  sessionQueueMessages: 1000,
  sessionWhenFull: "drop-newest" as QueueLimits["whenFull"],
  sessionQueueBytes: 1 << 20,
  retainedMessages: 10_000,
  retainedBytes: 1 << 20,
  retainedPayloadBytes: 256 * 1024,
};

export const OPEN_TO_ALL: Authority = {
  generation: 0,
  open: true,
  authenticate({ userName, clientId }: LoginRequest, waiter: LoginWaiter): void {
    waiter.onLogin({ name: userName ?? "", clientId }, 0);
  },
  scramRecord: () => null,
  mayPublish: () => true,
  mayRead: () => true,
  maySubscribe: () => true,
};

export class Hub {
  nowMs: number;
  /** Off-time that was counted late: stamps up to `untilMs` have it behind them. */
  offTime = { untilMs: 0, ms: 0 };
  /** What a login is told to wait. */
  loginWaitMs = 0;
  /** How the listener is configured that takes the next peer. */
  listener: MqttListenerOptions = { maxQos: 2, retainAvailable: true, anonymous: null };
  readonly store: MemoryStore;
  /** Who may log in by SCRAM. */
  readonly scramUsers = new Map<string, ScramRecord>();
  readonly counters = new Counters();
  /** Lines of its log. */
  readonly logged: string[] = [];
  readonly ledger = new Ledger(this.counters);
  readonly retained: Retained;
  readonly router: Router;
  readonly registry: SessionRegistry;
  readonly server: MqttServer;
  readonly wheel: TimerWheel;
  readonly waitingMemory = new Allowance(1 << 20);

  #due: Sliced[] = [];

  /** @param store as an earlier hub left it (`MemoryStore.crash`)  @param nowMs to begin with */
  constructor(
    memoryLimitBytes = 16 << 20,
    changes: Partial<typeof LIMITS> = {},
    store = new MemoryStore(),
    rights = OPEN_TO_ALL,
    nowMs = 1_000_000,
  ) {
    this.nowMs = nowMs;
    // As the configuration: who gives `inflight` gives it for all.
    const limits = { ...LIMITS, inflightLive: changes.inflight ?? LIMITS.inflightLive, ...changes };
    this.store = store;
    const { counters, ledger } = this;
    const clock = clockOf(() => this.nowMs);
    const elapsedMs = (stampMs: number): number =>
      clock.elapsedMs(stampMs) + (stampMs <= this.offTime.untilMs ? this.offTime.ms : 0);
    const time = { ...clock, elapsedMs };
    this.wheel = new TimerWheel(time);
    const { wheel } = this;
    const scramRecord = (user: string): ScramRecord | null => this.scramUsers.get(user) ?? null;
    // Not a copy: its rights may change.
    const authority: Authority = Object.assign(Object.create(rights), { scramRecord });
    this.retained = new Retained(store, time, limits, counters);
    const { retained } = this;
    this.router = new Router({
      store,
      retained,
      authority,
      time,
      ledger,
      counters,
      durabilityOf: null,
      gate: null,
    });
    const { router } = this;
    const log = new Log({ level: "info", format: "text", write: (line) => this.logged.push(line) });
    this.registry = new SessionRegistry({
      log,
      store,
      time,
      wheel,
      ledger,
      waitingMemory: this.waitingMemory,
      cuts: cuttingShared(wheel, time, counters, memoryLimitBytes),
      retained,
      authority,
      router,
      counters,
      limits,
      memoryLimitBytes,
      queueLimits: {
        messages: limits.sessionQueueMessages,
        bytes: limits.sessionQueueBytes,
        onlineMessages: 1000,
        onlineBytes: 1 << 20,
        maxAgeMs: Number.POSITIVE_INFINITY,
        whenFull: limits.sessionWhenFull,
        windowBytes: 1 << 16,
      },
      schedule: (sliced: Sliced) => this.#due.push(sliced),
    });
    const { registry } = this;
    const loginWaitMs = (): number => this.loginWaitMs;
    const parts = { router, registry, authority, store, time, wheel, counters, log, limits, memoryLimitBytes };
    this.server = new MqttServer({ ...parts, loginWaitMs, responseInformation: "reply/{client}" });
    registry.resumeWills();
  }

  /** Commits and syncs what is open; who asked for a turn gets one. */
  settle(): void {
    this.store.commit();
    this.store.sync();
    this.turn();
  }

  /** Who asked for a turn gets one. @returns how many did */
  turn(): number {
    const due = this.#due.splice(0);
    for (const sliced of due) sliced.runScheduled();
    return due.length;
  }

  advance(ms: number): void {
    this.nowMs += ms;
    this.wheel.tick();
  }

  /** A peer that has sent its CONNECT. Its CONNACK is the first packet it got. */
  connect(fields: ConnectFields): HubPeer {
    const peer = this.open();
    peer.send(connect(fields));
    return peer;
  }

  /** A peer that has said nothing yet. */
  open(): HubPeer {
    const peer = new HubPeer();
    this.server.accept(peer, this.listener);
    return peer;
  }
}

export class HubPeer implements Link {
  readonly remote = "hub";
  readonly remoteAddress = "hub";
  readonly loopback = true;
  readonly certificateName = null;
  readonly output: Output;
  putBack?: (bytes: Buffer, from: number, end: number) => boolean;
  handler: LinkHandler = NO_HANDLER;
  paused = false;
  closed = false;
  /** What it does not read: the connection's output is full. */
  blocked = false;
  readonly #reader = new PacketReader();
  readonly #bytes: Buffer[] = [];

  constructor() {
    const peer = this;
    const output = {
      buffer: Buffer.alloc(0),
      reserve(bytes: number): number {
        this.buffer = Buffer.alloc(bytes);
        return 0;
      },
      commit(end: number): void {
        if (!peer.closed) peer.#bytes.push(this.buffer.subarray(0, end));
      },
      appendShared(source: Buffer, from: number, end: number, ticket: number): number {
        const at = this.reserve(end - from);
        source.copy(this.buffer, at, from, end);
        this.commit(at + end - from);
        return ticket;
      },
      appendLate(source: Buffer, from: number, end: number): void {
        this.appendShared(source, from, end, 0);
      },
      settleLate(): void {},
      get pendingBytes(): number {
        return peer.blocked ? 1 << 30 : 0;
      },
      hasRoom(): boolean {
        return !peer.blocked;
      },
    };
    this.output = output as unknown as Output;
  }

  /** The packets that came since the last call. */
  take(): Packet[] {
    return this.#bytes.splice(0).flatMap((chunk) => [...this.#reader.read(chunk)]);
  }

  send(...packets: Buffer[]): void {
    for (const packet of packets) if (!this.closed) this.handler.onData(packet);
  }

  /** Its socket breaks. */
  drop(): void {
    this.closed = true;
    this.handler.onClose("reset");
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.closed = true;
  }

  destroy(): void {
    this.closed = true;
  }
}
