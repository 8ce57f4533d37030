/** An uplink with a real router and a store whose timing the test decides, against the FakeServer. */
import assert from "node:assert/strict";
import { Allowance } from "../../../src/base/allowance.ts";
import { Counters } from "../../../src/base/counters.ts";
import { Log } from "../../../src/base/log.ts";
import type { ForwardRule, ReceiveRule } from "../../../src/config/uplink-rules.ts";
import type { UplinkConfig } from "../../../src/config/uplinks.ts";
import { AnyOrderQueue } from "../../../src/core/any-order-queue.ts";
import { cuttingShared } from "../../../src/core/cutting.ts";
import { Ledger } from "../../../src/core/ledger.ts";
import type { Authority } from "../../../src/core/ports.ts";
import { Publication } from "../../../src/core/publication.ts";
import type { Receiver } from "../../../src/core/receiver.ts";
import { Retained } from "../../../src/core/retained.ts";
import { Router, STORED_LATER } from "../../../src/core/router.ts";
import { Turns } from "../../../src/core/turns.ts";
import { Aggregation } from "../../../src/uplink/aggregate/aggregation.ts";
import { Metered } from "../../../src/uplink/metering/metered.ts";
import { Uplink } from "../../../src/uplink/uplink.ts";
import * as codes from "../../../src/wire/mqtt/codes.ts";
import { encodeSenmlCbor } from "../../../src/wire/senml/cbor.ts";
import { MemoryStore } from "../../support/memory-store.ts";
import { type FakeConnection, FakeServer, type Packet } from "./fake-server.ts";

const CONFIG: UplinkConfig = {
  name: "cloud",
  urls: ["mqtt://cloud:1883"],
  returnToPrimaryMs: 300_000,
  protocol: 5,
  clientId: "gw-17",
  username: null,
  passwordFile: null,
  renewBeforeMs: 300_000,
  tls: null,
  keepaliveMs: 60_000,
  sessionExpiryMs: 3_600_000,
  window: 4,
  proxy: null,
  bindAddress: null,
  interface: null,
  loopMark: false,
  forward: [],
  receive: [],
  spool: { maxBytes: 1_000_000, maxMessages: 1000, maxAgeMs: 86_400_000, whenFull: "drop-oldest", priorities: [] },
  drain: "oldest-first",
  pace: null,
  dataCap: null,
  connect: null,
};

const AUTHORITY: Authority = {
  generation: 0,
  open: true,
  scramRecord: () => null,
  authenticate(): void {},
  mayPublish: () => true,
  mayRead: () => true,
  maySubscribe: () => true,
};

const RULE: ForwardRule = {
  match: "#",
  qos: 1,
  to: "{topic}",
  offline: "store",
  retain: "keep",
  priority: 0,
  expiryMs: null,
  batch: null,
  reduce: null,
  onChange: null,
};

export function forward(match: string, options: Partial<ForwardRule> = {}): ForwardRule {
  return { ...RULE, match, ...options };
}

export function receive(match: string, options: Partial<ReceiveRule> = {}): ReceiveRule {
  return { match, qos: 1, to: "{topic}", retain: "keep", ...options };
}

export class UplinkWorld {
  readonly server: FakeServer;
  readonly store: MemoryStore;
  readonly counters = new Counters();
  readonly ledger = new Ledger(this.counters);
  readonly router: Router;
  readonly uplink: Uplink;
  readonly log: string[] = [];
  /** The machine's: addresses and routes in one text. */
  readonly network = {
    now: "eth0",
    gone: "",
    fingerprint: () => this.network.now,
    has: (a: string) => a !== this.network.gone,
  };
  /** Whether the board's clock is right, as far as the gateway knows. */
  clockSet = true;
  /** What local publishers were told: token and reason. */
  readonly told: [token: number, reason: number][] = [];
  readonly #config: UplinkConfig;
  /** Of packet ids in flight, which sessions share. */
  readonly ringMemory = new Allowance(1e6);
  readonly #waiting = new Allowance(1e6);
  #token = 0;

  constructor(
    config: Partial<UplinkConfig>,
    store = new MemoryStore(),
    server = new FakeServer(),
    maxPacketBytes = 1000,
  ) {
    this.#config = { ...CONFIG, ...config };
    this.store = store;
    this.server = server;
    const { clock, wheel, dial } = server;
    const { counters, ledger } = this;
    const limits = { retainedMessages: 10, retainedBytes: 1_000_000, retainedPayloadBytes: 1_000_000 };
    this.router = new Router({
      store,
      retained: new Retained(store, clock, limits, counters),
      authority: AUTHORITY,
      time: clock,
      ledger,
      counters,
      durabilityOf: null,
      gate: null,
    });
    const turns = new Turns(this.counters);
    this.uplink = new Uplink(this.#config, {
      host: {
        store,
        time: clock,
        ledger,
        waitingMemory: this.#waiting,
        ringMemory: this.ringMemory,
        cuts: cuttingShared(wheel, clock, counters, 64 * 2 ** 20),
        schedule: turns.schedule,
      },
      router: this.router,
      wheel,
      counters,
      log: new Log({ level: "info", format: "text", write: (line) => this.log.push(line.slice(25)) }),
      dial,
      network: this.network,
      Metered,
      Aggregation,
      memoryLimitBytes: 16 * 2 ** 20,
      AnyOrderQueue,
      cbor: encodeSenmlCbor,
      uses: store.uses,
      isClockSet: () => this.clockSet,
      random: () => 1,
      node: "gw-17",
      limits: { maxPacketBytes },
    });
  }

  /** Bytes of messages in memory that wait for the window. */
  get waitingBytes(): number {
    return this.#waiting.used;
  }

  /** The same gateway after `kill -9`: what was committed is there. */
  crash(config: Partial<UplinkConfig> = {}): UplinkWorld {
    return new UplinkWorld({ ...this.#config, ...config }, this.store.crash(), new FakeServer());
  }

  /** Starts and gets through to CONNACK. */
  connect(present = false): FakeConnection {
    if (!this.server.dialling) this.uplink.start();
    return this.accept(present);
  }

  /** The next dial gets through to CONNACK. */
  accept(present = true): FakeConnection {
    const connection = this.server.accept();
    connection.takeOne(codes.CONNECT);
    connection.connack({ present });
    return connection;
  }

  /** @returns the token under which `told` will have it, -1 if nobody will be told */
  publish(topic: string, payload: string, qos = 1, retain = false, expirySeconds = -1): number {
    const p = new Publication();
    const expiry = Buffer.from([0x02, 0, 0, expirySeconds >> 8, expirySeconds & 0xff]);
    p.setParts(topic, Buffer.from(payload), qos, retain, expirySeconds < 0 ? undefined : expiry);
    p.expirySeconds = expirySeconds;
    const waiter = { onStored: (token: number, reason: number): void => void this.told.push([token, reason]) };
    const token = ++this.#token;
    return this.router.publish(p, waiter, token) === STORED_LATER ? token : -1;
  }

  /** Commit and sync: what was entered is durable. */
  persist(): void {
    this.store.commit();
    this.store.sync();
  }

  /** A local subscriber; gives "topic payload qos retain". */
  subscriber(filter: string): string[] {
    const got: string[] = [];
    const receiver: Receiver = {
      slot: -1,
      principal: null,
      queue: null,
      durable: false,
      effectiveQos: (publishQos) => publishQos,
      deliver(p, options) {
        got.push(`${p.topic} ${p.bytes.toString("utf8", p.payloadFrom, p.payloadEnd)} ${options & 3} ${options >> 2}`);
      },
      congested: () => false,
    };
    this.router.join(receiver);
    this.router.subscribe(receiver, filter, 2 | 8, 0);
    return got;
  }

  /** Answers everything the client sends until it sends nothing: a server that acknowledges. @returns the PUBLISHes in order */
  async serve(connection: FakeConnection, limit = Number.POSITIVE_INFINITY): Promise<Packet[]> {
    const publishes: Packet[] = [];
    for (let quiet = 0; quiet < 3 && publishes.length < limit; ) {
      const packets = connection.take();
      quiet = packets.length === 0 ? quiet + 1 : 0;
      for (const packet of packets) {
        if (packet.type === codes.PUBLISH) publishes.push(packet);
        if (packet.type === codes.PUBLISH && packet.qos === 1) connection.puback(packet.packetId);
        if (packet.type === codes.PUBLISH && packet.qos === 2)
          connection.send(connection.ack(codes.PUBREC, packet.packetId));
        if (packet.type === codes.PUBREL) connection.send(connection.ack(codes.PUBCOMP, packet.packetId));
      }
      this.persist();
      connection.turn();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return publishes;
  }
}

/** "topic payload qos" of PUBLISH packets; other packets are not expected. */
export function published(packets: readonly Packet[]): string[] {
  return packets.map(({ type, topic, payload, qos }) => {
    assert.equal(type, codes.PUBLISH);
    return `${topic} ${payload} ${qos}`;
  });
}
