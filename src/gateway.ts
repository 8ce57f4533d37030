/**
 * The composition root: the one file that knows every room. Builds them from a configuration, opens the doors, closes
 * them in order, and answers how things stand. Parts that are not configured are not loaded.
 */
import { readFileSync } from "node:fs";
import { Allowance } from "./base/allowance.ts";
import { SystemClock } from "./base/clock.ts";
import { Counters } from "./base/counters.ts";
import type { Log } from "./base/log.ts";
import { TimerWheel } from "./base/timer-wheel.ts";
import type { AuthConfig } from "./config/auth.ts";
import { type Complaint, complaintText } from "./config/complaint.ts";
import type { Config } from "./config/config.ts";
import type { ListenerConfig } from "./config/listeners.ts";
import { type AuthorityFiles, FileAuthority } from "./core/authority.ts";
import { DeliveryQueue } from "./core/delivery-queue.ts";
import { Ledger } from "./core/ledger.ts";
import type { StoreHealth } from "./core/ports.ts";
import { Retained } from "./core/retained.ts";
import { Router } from "./core/router.ts";
import { SessionRegistry } from "./core/session-registry.ts";
import { filterMatches } from "./core/topic.ts";
import { Turns } from "./core/turns.ts";
import { waitingBytesOf } from "./core/waiting.ts";
import { MqttServer } from "./protocol/mqtt/server.ts";
import { pendingBytesOf } from "./store/options.ts";
import { openStore, type SqliteStore } from "./store/store.ts";
import type { Accept } from "./transport/link.ts";
import type { Listener, ListenOptions } from "./transport/listener.ts";
import { listenTcp } from "./transport/tcp.ts";
import { Transport } from "./transport/transport.ts";
import type { Uplink } from "./uplink/uplink.ts";

export interface BoundListener {
  readonly type: string;
  readonly name: string;
  readonly address: string;
}

/** What a reload did. */
export interface ReloadReport {
  readonly applied: readonly string[];
  /** Keys that changed and hold only after a restart. */
  readonly restartRequired: readonly string[];
}

/** Something that the configuration names is wrong: a line of a password or access list. */
export class ComplaintsError extends Error {
  override readonly name = "ComplaintsError";
  readonly complaints: readonly Complaint[];

  constructor(complaints: readonly Complaint[]) {
    super(complaints.map((complaint) => complaintText(complaint, "configuration")).join("\n"));
    this.complaints = complaints;
  }
}

/** Bytes of a session's messages that wait in memory before the log takes over. */
const SESSION_WINDOW_BYTES = 32 * 1024;
/** Bounds of `commit_delay: auto`, and its value while a durable receiver is away. */
const COMMIT_DELAY_MS_MIN = 20;
const COMMIT_DELAY_MS_MAX = 250;
/** Sections of the configuration that `reload` does not take over. */
const RESTART_KEYS = [
  "node",
  "dataDir",
  "memoryLimitBytes",
  "listeners",
  "serial",
  "uplinks",
  "store",
  "durability",
  "limits",
] as const satisfies readonly (keyof Config)[];

/** The rooms, once built. */
interface Rooms {
  readonly store: SqliteStore;
  readonly wheel: TimerWheel;
  readonly authority: FileAuthority;
  readonly ledger: Ledger;
  readonly waitingMemory: Allowance;
  readonly turns: Turns;
  readonly retained: Retained;
  readonly router: Router;
  readonly registry: SessionRegistry;
  readonly transport: Transport;
  readonly mqtt: MqttServer;
}

export class Gateway {
  readonly counters = new Counters();
  readonly #log: Log;
  readonly #clock = new SystemClock();
  readonly #startedMs = this.#clock.nowMs();
  readonly #onHealth: (health: StoreHealth, reason: string) => void;
  #config: Config;
  #rooms: Rooms | null = null;
  #listeners: { config: ListenerConfig; listener: Listener }[] = [];
  #uplinks: Uplink[] = [];
  /** How to end what was started, in order of starting. */
  #stops: (() => void | Promise<void>)[] = [];

  /** @param onHealth told at each change of the store's health */
  constructor(config: Config, log: Log, onHealth: (health: StoreHealth, reason: string) => void = () => {}) {
    this.#config = config;
    this.#log = log;
    this.#onHealth = onHealth;
  }

  /**
   * Opens store, uplinks, serial lines and listeners.
   * @returns the listeners as bound
   * @throws the error of the first part that could not start, in words; what had started is stopped again
   */
  async start(): Promise<readonly BoundListener[]> {
    try {
      const rooms = await this.#build();
      this.#rooms = rooms;
      for (const [index, config] of this.#config.listeners.entries()) {
        this.#listeners.push({ config, listener: await this.#open(rooms, index, config) });
      }
      await this.#startSerial(rooms);
      await this.#startUplinks(rooms);
    } catch (error) {
      await this.stop();
      throw error;
    }
    return this.#listeners.map(({ listener: { type, name, address } }) => ({ type, name, address }));
  }

  /** Stops accepting, says goodbye, writes what is open, closes the store. */
  async stop(): Promise<void> {
    for (const { listener } of this.#listeners) await listener.close();
    this.#listeners = [];
    const stops = this.#stops.reverse();
    this.#stops = [];
    for (const stop of stops) await stop();
    this.#rooms = null;
  }

  /**
   * Takes over what can change while running: log level, passwords and ACL, certificates. The rest is compared and
   * named.
   * @throws when a file is unreadable or wrong; then all stays as it was
   */
  async reload(next: Config): Promise<ReloadReport> {
    const rooms = this.#rooms;
    if (rooms === null) throw new Error("the gateway is not running");
    const restartRequired: string[] = RESTART_KEYS.filter(
      (key) => JSON.stringify(this.#config[key]) !== JSON.stringify(next[key]),
    );
    if (this.#config.log.format !== next.log.format) restartRequired.push("log.format");
    const applied: string[] = [];
    for (const { config, listener } of this.#listeners) {
      if (config.tls === null || listener.reload === undefined) continue;
      listener.reload(config.tls);
      applied.push(`${listener.name}: certificates`);
    }
    const complaints = rooms.authority.reload(readAuthorityFiles(next.auth));
    if (complaints.length > 0) throw new ComplaintsError(complaints);
    applied.push("auth: passwords and access list");
    if (this.#log.level !== next.log.level) applied.push(`log.level: ${next.log.level}`);
    this.#log.level = next.log.level;
    this.#config = { ...this.#config, auth: next.auth, log: { ...this.#config.log, level: next.log.level } };
    return { applied, restartRequired };
  }

  /** How things stand, as plain JSON. @param drops with the last messages lost, and why */
  status(drops = false): Record<string, unknown> {
    const rooms = this.#rooms;
    const memory = process.memoryUsage();
    return {
      node: this.#config.node,
      pid: process.pid,
      uptimeSeconds: Math.floor((this.#clock.nowMs() - this.#startedMs) / 1000),
      memory: { rssBytes: memory.rss, heapUsedBytes: memory.heapUsed },
      listeners: this.#listeners.map(({ listener: { type, address } }) => ({ type, address })),
      sessions: { count: rooms?.registry.count ?? 0, connected: rooms?.registry.connectedCount ?? 0 },
      subscriptions: rooms?.router.subscriptionCount ?? 0,
      retained: { messages: rooms?.retained.count ?? 0, bytes: rooms?.retained.bytes ?? 0 },
      store: rooms?.store.status() ?? null,
      uplinks: this.#uplinks.map((uplink) => uplink.status()),
      counters: Object.fromEntries(this.counters.entries()),
      ...(drops ? { drops: rooms?.ledger.entries() ?? [] } : {}),
    };
  }

  async #build(): Promise<Rooms> {
    const { limits, auth, store: storeConfig } = this.#config;
    const { counters } = this;
    const log = this.#log;
    const clock = this.#clock;
    const wheel = new TimerWheel(clock);
    const authority = new FileAuthority(counters);
    const complaints = authority.reload(readAuthorityFiles(auth));
    if (complaints.length > 0) throw new ComplaintsError(complaints);
    const store = await openStore({
      dataDir: this.#config.dataDir,
      config: storeConfig,
      clock,
      log,
      counters,
      autoCommitDelayMs: () => this.#commitDelayMs(),
      pendingBytesMax: pendingBytesOf(this.#config.memoryLimitBytes),
      onHealth: this.#onHealth,
    });
    this.#stops.push(() => store.close());
    wheel.start();
    this.#stops.push(() => wheel.stop());
    const turns = new Turns();
    const ledger = new Ledger(counters);
    const waitingMemory = new Allowance(waitingBytesOf(this.#config.memoryLimitBytes));
    counters.gauge("queue.waiting_bytes", () => waitingMemory.used);
    const retained = new Retained(store, clock, limits, counters);
    const urgent = this.#urgency();
    const router = new Router({ store, retained, authority, time: clock, ledger, counters, urgent });
    const registry = new SessionRegistry({
      store,
      time: clock,
      wheel,
      ledger,
      waitingMemory,
      retained,
      authority,
      router,
      counters,
      limits,
      memoryLimitBytes: this.#config.memoryLimitBytes,
      queueLimits: {
        messages: limits.sessionQueueMessages,
        bytes: limits.sessionQueueBytes,
        onlineMessages: Number.POSITIVE_INFINITY,
        onlineBytes: Math.max(limits.outputBytes, limits.sessionQueueBytes),
        maxAgeMs: Number.POSITIVE_INFINITY,
        whenFull: limits.sessionWhenFull,
        windowBytes: SESSION_WINDOW_BYTES,
      },
      schedule: turns.schedule,
    });
    const transport = new Transport(limits, { clock, wheel, counters, log });
    const { admission } = transport;
    const loginWaitMs = (): number => (admission.login() ? 0 : admission.loginWaitMs());
    const conversation = { router, registry, authority, store, time: clock, wheel, counters, log, limits, loginWaitMs };
    const mqtt = new MqttServer(conversation);
    this.#stops.push(() => mqtt.stop());
    return { store, wheel, authority, ledger, waitingMemory, turns, retained, router, registry, transport, mqtt };
  }

  async #open(rooms: Rooms, index: number, config: ListenerConfig): Promise<Listener> {
    const { transport, mqtt } = rooms;
    const options: ListenOptions = { transport, index, type: config.type, host: config.host, port: config.port };
    const accept: Accept = (link) => mqtt.accept(link, config);
    switch (config.type) {
      case "mqtt":
        if (config.unix !== null) {
          const { listenUnix } = await import("./transport/unix.ts");
          return listenUnix({ transport, index, type: config.type, path: config.unix, mode: config.unixMode }, accept);
        }
        if (config.tls === null) return listenTcp(options, accept);
        return (await import("./transport/tls.ts")).listenTls({ ...options, tls: config.tls }, accept);
      case "ws": {
        const { listenWs } = await import("./transport/ws.ts");
        const messageBytesMax = this.#config.limits.maxPacketBytes;
        return listenWs(
          { ...options, path: config.path, origins: config.origins, messageBytesMax, tls: config.tls },
          accept,
        );
      }
      case "http":
        return this.#openHttp(rooms, options, config);
      case "coap":
        return this.#openCoap(rooms, options, config);
    }
  }

  async #openHttp(rooms: Rooms, options: ListenOptions, config: ListenerConfig): Promise<Listener> {
    const [{ listenHttp }, { HttpApi }] = await Promise.all([
      import("./transport/http.ts"),
      import("./protocol/http/http-api.ts"),
    ]);
    const { router, retained, authority, store } = rooms;
    const parts = {
      router,
      retained,
      authority,
      health: () => store.health,
      clock: this.#clock,
      counters: this.counters,
    };
    const api = new HttpApi({ ...parts, limits: this.#config.limits }, config);
    return listenHttp({ ...options, tls: config.tls }, api.onRequest);
  }

  async #openCoap(rooms: Rooms, options: ListenOptions, config: ListenerConfig): Promise<Listener> {
    const [{ listenUdp }, { CoapServer }] = await Promise.all([
      import("./transport/udp.ts"),
      import("./protocol/coap/coap-server.ts"),
    ]);
    const { router, retained, authority, store, wheel } = rooms;
    const port = await listenUdp(options);
    const parts = {
      router,
      retained,
      authority,
      health: () => store.health,
      clock: this.#clock,
      counters: this.counters,
    };
    const server = new CoapServer(port, { ...parts, wheel, random: Math.random, limits: this.#config.limits }, config);
    this.#stops.push(() => server.close());
    return port.listener;
  }

  async #startSerial(rooms: Rooms): Promise<void> {
    const { store, wheel, ledger, router, authority } = rooms;
    const { serial, limits } = this.#config;
    store.deleteOthers("serial", (name) => serial.some((line) => line.name === name && (line.write?.qos ?? 0) > 0));
    if (serial.length === 0) return;
    const [{ SerialPort }, { SerialLine }] = await Promise.all([
      import("./transport/serial-port.ts"),
      import("./protocol/serial/serial-line.ts"),
    ]);
    const common = { wheel, counters: this.counters, log: this.#log };
    for (const config of serial) {
      const { name, port, baud, write } = config;
      const device = new SerialPort({ name, path: port, baud }, { ...common, random: Math.random });
      const queue = write !== null && write.qos > 0 ? this.#queue(rooms, "serial", name) : null;
      const parts = { ...common, router, authority, ledger, clock: this.#clock, limits };
      const line = new SerialLine(device, config, parts, queue);
      line.start();
      this.#stops.push(() => line.close());
    }
  }

  /** The queue of a serial line's write side. */
  #queue(rooms: Rooms, kind: string, name: string): DeliveryQueue {
    const { store, ledger, waitingMemory, turns } = rooms;
    const { limits } = this.#config;
    const host = { store, time: this.#clock, ledger, waitingMemory, schedule: turns.schedule };
    const record = store.createReceiver(kind, name);
    const queueLimits = {
      messages: limits.sessionQueueMessages,
      bytes: limits.sessionQueueBytes,
      onlineMessages: limits.sessionQueueMessages,
      onlineBytes: limits.sessionQueueBytes,
      maxAgeMs: Number.POSITIVE_INFINITY,
      whenFull: limits.sessionWhenFull,
      windowBytes: SESSION_WINDOW_BYTES,
    };
    const queue = new DeliveryQueue(host, `${kind}:${name}`, record, queueLimits);
    store.register(queue);
    return queue;
  }

  async #startUplinks(rooms: Rooms): Promise<void> {
    const { store, wheel, ledger, waitingMemory, router, turns, transport } = rooms;
    const { uplinks, node, limits } = this.#config;
    store.deleteOthers("uplink", (name) => uplinks.some((uplink) => uplink.name === name));
    if (uplinks.length === 0) return;
    const [{ Uplink }, { createDial }] = await Promise.all([
      import("./uplink/uplink.ts"),
      import("./transport/dialer.ts"),
    ]);
    const common = { wheel, counters: this.counters, log: this.#log, random: Math.random };
    const host = { store, time: this.#clock, ledger, waitingMemory, schedule: turns.schedule };
    for (const config of uplinks) {
      const uplink = new Uplink(config, { ...common, host, router, dial: createDial(transport), node, limits });
      uplink.start();
      this.#uplinks.push(uplink);
      this.#stops.push(() => uplink.stop());
    }
  }

  /** Topics whose messages close the commit group at once. */
  #urgency(): (topic: string) => boolean {
    const rules = this.#config.durability;
    if (rules.length === 0) return () => false;
    return (topic) => rules.some(({ match }) => filterMatches(match, topic));
  }

  /** `commit_delay: auto`: twice the remote's round trip while every durable receiver is there to acknowledge. */
  #commitDelayMs(): number {
    const rooms = this.#rooms;
    if (rooms === null || rooms.registry.durableAway > 0 || this.#uplinks.some((uplink) => !uplink.online)) {
      return COMMIT_DELAY_MS_MIN;
    }
    const ackTimeMs = Math.max(0, ...this.#uplinks.map((uplink) => uplink.ackTimeMs));
    return Math.min(Math.max(2 * ackTimeMs, COMMIT_DELAY_MS_MIN), COMMIT_DELAY_MS_MAX);
  }
}

function readAuthorityFiles({ anonymous, passwordFile, aclFile }: AuthConfig): AuthorityFiles {
  const read = (file: string | null) => (file === null ? null : { text: readFileSync(file, "utf8"), file });
  return { anonymous, passwords: read(passwordFile), acl: read(aclFile) };
}
