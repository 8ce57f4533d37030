/** A CoAP listener with a real router and retained values, a clock that the test moves, and clients by hand. */
import assert from "node:assert/strict";
import { generate, type Packet, parse } from "coap-packet";
import { ManualClock } from "../../../../../src/base/clock.ts";
import { Counters } from "../../../../../src/base/counters.ts";
import { seededRandom } from "../../../../../src/base/random.ts";
import { TimerWheel } from "../../../../../src/base/timer-wheel.ts";
import { Ledger } from "../../../../../src/core/ledger.ts";
import { fillPublication, PublishOptions } from "../../../../../src/core/plain-publish.ts";
import type { Authority, Principal } from "../../../../../src/core/ports.ts";
import { Publication } from "../../../../../src/core/publication.ts";
import { Retained } from "../../../../../src/core/retained.ts";
import { NO_WAITER, Router } from "../../../../../src/core/router.ts";
import type { Sliced } from "../../../../../src/core/turns.ts";
import { type CoapListenerOptions, CoapServer } from "../../../../../src/protocol/coap/coap-server.ts";
import { CoapShared } from "../../../../../src/protocol/coap/shared.ts";
import { requestOf } from "../../../../support/coap-messages.ts";
import { MemoryStore } from "../../../../support/memory-store.ts";
import { FakePort } from "../harness.ts";

/** A message that the gateway sent. */
export interface Seen {
  readonly type: "CON" | "NON" | "ACK" | "RST";
  readonly code: string;
  readonly messageId: number;
  readonly token: string;
  readonly payload: string;
  /** Of uint options; undefined = it is not there. */
  readonly observe: number | undefined;
  readonly maxAge: number | undefined;
  readonly format: number | undefined;
  readonly size2: number | undefined;
  readonly block2: { num: number; more: boolean; bytes: number } | undefined;
  readonly etag: string | undefined;
  /** Location-Path. */
  readonly location: readonly string[];
  readonly length: number;
  readonly address: string;
  readonly port: number;
}

export interface Client {
  readonly address: string;
  readonly port: number;
}

export const CLIENT: Client = { address: "192.0.2.7", port: 40_000 };

export interface Published {
  qos?: number;
  retain?: boolean;
  mediaType?: string;
  expirySeconds?: number;
}

export interface WorldOptions extends Partial<CoapListenerOptions> {
  store?: MemoryStore;
  clock?: ManualClock;
  /** DTLS. */
  secure?: boolean;
  /** Topics that nobody may read. */
  forbidden?: readonly string[];
  listenerPort?: number;
  coapObservers?: number;
  /** Largest datagram of the listener. */
  bytesMax?: number;
  /** Of the port: how long an acknowledgement may take. */
  answerMs?: number;
}

export class World {
  readonly clock: ManualClock;
  readonly wheel: TimerWheel;
  readonly counters = new Counters();
  readonly port = new FakePort();
  readonly store: MemoryStore;
  readonly retained: Retained;
  readonly router: Router;
  readonly shared: CoapShared;
  readonly server: CoapServer;
  readonly slices: Sliced[] = [];
  /** Topics and filters that nobody may read. */
  readonly forbidden = new Set<string>();
  /** Whether clients reset the pings that come with a request of theirs. */
  answersPings = false;
  readonly authority: Authority & { generation: number };
  /** Of the one peer of a line. */
  readonly #identity: string | null;
  #messageId = 0;

  constructor({
    store = new MemoryStore(),
    clock = new ManualClock(),
    secure = false,
    forbidden = [],
    listenerPort = 5683,
    coapObservers = 100,
    bytesMax = 65_507,
    answerMs,
    ...options
  }: WorldOptions = {}) {
    for (const topic of forbidden) this.forbidden.add(topic);
    this.clock = clock;
    this.wheel = new TimerWheel(clock, 50);
    this.store = store;
    const { counters, wheel } = this;
    const may = (_principal: Principal, topic: string): boolean => !this.forbidden.has(topic);
    this.authority = {
      generation: 1,
      open: false,
      scramRecord: () => null,
      authenticate: (login, waiter) => waiter.onLogin({ name: login.userName ?? "", clientId: login.clientId }, 0),
      mayPublish: () => true,
      mayRead: may,
      maySubscribe: may,
    };
    const { authority } = this;
    const retainedLimits = { retainedMessages: 5000, retainedBytes: 1_000_000, retainedPayloadBytes: 100_000 };
    this.retained = new Retained(store, clock, retainedLimits, counters);
    const { retained } = this;
    this.router = new Router({
      store,
      retained,
      authority,
      time: clock,
      ledger: new Ledger(counters),
      counters,
      durabilityOf: null,
      gate: null,
    });
    const parts = {
      router: this.router,
      retained,
      authority,
      store,
      health: () => store.health,
      clock,
      wheel,
      random: seededRandom(1),
      counters,
      limits: {
        topicLevels: 8,
        topicBytes: 200,
        maxPacketBytes: 100_000,
        stringBytes: 100,
        coapObservers,
        coapExchanges: 4096,
      },
      admitLogin: () => true,
      schedule: (sliced: Sliced) => void this.slices.push(sliced),
    };
    this.#identity = options.principal?.name ?? null;
    this.port.peersVerified = secure || this.#identity !== null;
    this.port.port = listenerPort;
    this.port.maxPayload = bytesMax;
    if (answerMs !== undefined) this.port.answerMs = answerMs;
    this.shared = new CoapShared(parts);
    this.server = new CoapServer(
      this.port,
      { ...parts, shared: this.shared },
      { anonymous: null, heartbeatMs: 30_000, rate: 1_000_000, notify: "qos", ...options },
    );
  }

  /** What a process finds that is started after `kill -9`; starting takes time. */
  restarted(options: WorldOptions = {}): World {
    this.clock.advance(200);
    const store = this.store.crash();
    store.retained = new Map(this.store.retained);
    return new World({ store, clock: this.clock, ...options });
  }

  // ---- time --------------------------------------------------------------------------------------------------

  /** Gives all turns that were asked for. */
  run(): void {
    for (let turns = 0; this.slices.length > 0; turns++) {
      assert.ok(turns < 10_000, "turns come to an end");
      for (const sliced of this.slices.splice(0)) sliced.runScheduled();
    }
  }

  advance(ms: number): void {
    this.run();
    for (let rest = ms; rest > 0; rest -= 50) {
      this.clock.advance(Math.min(50, rest));
      this.wheel.tick();
      this.run();
    }
  }

  count(name: string): number {
    return Number(Object.fromEntries(this.counters.entries())[name]);
  }

  // ---- messages ----------------------------------------------------------------------------------------------

  receive(bytes: Buffer, { address, port }: Client = CLIENT): void {
    this.port.handler?.onDatagram(bytes, address, port, this.#identity);
  }

  /** What has been sent since the last `take`, pings of ours left out. */
  take(): Seen[] {
    this.run();
    return this.port.sent
      .splice(0)
      .map(({ bytes, address, port }) => seen(bytes, address, port))
      .filter(({ type, code }) => type !== "CON" || code !== "0.00");
  }

  /** The only one. */
  one(): Seen {
    const messages = this.take();
    assert.equal(messages.length, 1, JSON.stringify(messages));
    return messages[0] as Seen;
  }

  /** Sends a request; the answer is the first message of its token since. */
  ask(packet: Packet, path: string, client: Client = CLIENT): Seen {
    this.run();
    const before = this.port.sent.length;
    const token = packet.token ?? Buffer.from("aa", "hex");
    this.receive(requestOf({ messageId: ++this.#messageId, confirmable: true, ...packet, token }, path), client);
    if (this.answersPings) this.#answerPings();
    // What is large waits for the answer to a ping.
    let answer = this.#answerTo(token, before);
    if (answer === null) {
      this.advance(1_000);
      answer = this.#answerTo(token, before);
    }
    assert.ok(answer !== null, `no answer to ${path}`);
    return answer;
  }

  #answerPings(): void {
    for (const { bytes, address, port } of [...this.port.sent]) {
      const message = seen(bytes, address, port);
      if (message.type === "CON" && message.code === "0.00") this.reset(message);
    }
  }

  #answerTo(token: Buffer, before: number): Seen | null {
    for (let i = before; i < this.port.sent.length; i++) {
      const { bytes, address, port } = this.port.sent[i]!;
      const message = seen(bytes, address, port);
      if (message.code === "0.00" || message.token !== token.toString("hex")) continue;
      this.port.sent.splice(i, 1);
      return message;
    }
    return null;
  }

  /** A GET with Observe. @param value 0 = register, 1 = deregister */
  observe(path: string, token = "01", client: Client = CLIENT, value = 0, packet: Packet = {}): Seen {
    const options = [
      { name: "Observe", value: Buffer.from(value === 0 ? [] : [value]) },
      ...(packet.options ?? []),
    ] as NonNullable<Packet["options"]>;
    return this.ask({ ...packet, options, token: Buffer.from(token, "hex") }, path, client);
  }

  /** As `observe`, and the client proves its address by the first notification, which it acknowledges. */
  proven(path: string, token = "01", client: Client = CLIENT): Seen {
    const answer = this.observe(path, token, client);
    const peer = this.server.endpoint.tables.peers;
    const found = peer.find(this.server.endpoint, peer.hashOf(client.address), client.address, client.port, null);
    if (found !== null) peer.verify(found);
    return answer;
  }

  acknowledge(message: Seen): void {
    this.#answer({ ack: true }, message);
  }

  reset(message: Seen): void {
    this.#answer({ reset: true }, message);
  }

  #answer(packet: Packet, { messageId, address, port }: Seen): void {
    this.receive(generate({ ...packet, code: "0.00", messageId }), { address, port });
  }

  // ---- publishers --------------------------------------------------------------------------------------------

  publish(topic: string, payload: string | Buffer, published: Published = {}): void {
    const { qos = 0, retain = false, mediaType = null, expirySeconds = -1 } = published;
    const publication = new Publication();
    const options = new PublishOptions();
    options.reset(qos);
    options.retain = retain;
    options.expirySeconds = expirySeconds;
    fillPublication(publication, topic, Buffer.from(payload), options, mediaType);
    this.router.publish(publication, NO_WAITER, 0);
  }
}

function seen(bytes: Buffer, address: string, port: number): Seen {
  const packet = parse(bytes);
  const values = (name: string): Buffer[] => packet.options.filter((o) => o.name === name).map((o) => o.value);
  const uint = (name: string): number | undefined => values(name)[0]?.reduce((sum, byte) => sum * 256 + byte, 0);
  const block = uint("Block2");
  return {
    type: packet.confirmable ? "CON" : packet.ack ? "ACK" : packet.reset ? "RST" : "NON",
    code: packet.code,
    messageId: packet.messageId,
    token: packet.token.toString("hex"),
    payload: packet.payload.toString(),
    observe: uint("Observe"),
    maxAge: uint("Max-Age"),
    format: uint("Content-Format"),
    size2: uint("Size2"),
    block2: block === undefined ? undefined : { num: block >>> 4, more: (block & 8) !== 0, bytes: 16 << (block & 7) },
    etag: values("ETag")[0]?.toString("hex"),
    location: values("Location-Path").map(String),
    length: bytes.length,
    address,
    port,
  };
}
