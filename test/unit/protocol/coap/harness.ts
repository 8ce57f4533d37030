/** A CoAP listener on a fake port, with a clock that the test moves and a store that answers when the test says so. */
import { generate, type Packet } from "coap-packet";
import { ManualClock } from "../../../../src/base/clock.ts";
import { Counters } from "../../../../src/base/counters.ts";
import { seededRandom } from "../../../../src/base/random.ts";
import { TimerWheel } from "../../../../src/base/timer-wheel.ts";
import { type Message, messageOf } from "../../../../src/core/message.ts";
import { fillPublication, PublishOptions } from "../../../../src/core/plain-publish.ts";
import type {
  Authority,
  DatagramHandler,
  DatagramPort,
  LoginRequest,
  LoginWaiter,
  Principal,
  StoreHealth,
  StoreWaiter,
} from "../../../../src/core/ports.ts";
import { Publication } from "../../../../src/core/publication.ts";
import type { WalkPlace } from "../../../../src/core/retained-index.ts";
import { ROUTED, STORED_LATER } from "../../../../src/core/router.ts";
import { filterMatches } from "../../../../src/core/topic.ts";
import type { Sliced } from "../../../../src/core/turns.ts";
import { type CoapListenerOptions, type CoapParts, CoapServer } from "../../../../src/protocol/coap/coap-server.ts";
import type { Peer } from "../../../../src/protocol/coap/message/peer.ts";
import { CoapShared, type SharedParts } from "../../../../src/protocol/coap/shared.ts";
import { type Response, requestOf, responseOf } from "../../../support/coap-messages.ts";
import { MemoryStore } from "../../../support/memory-store.ts";

export interface Sent {
  bytes: Buffer;
  address: string;
  port: number;
}

export class FakePort implements DatagramPort {
  readonly address = "127.0.0.1";
  port = 5683;
  maxPayload = 65_507;
  /** As over DTLS; the limits for addresses that are not proven have tests of their own. */
  peersVerified = true;
  answerMs?: number;
  handler: DatagramHandler | null = null;
  readonly sent: Sent[] = [];

  send(bytes: Buffer, from: number, end: number, address: string, port: number): boolean {
    this.sent.push({ bytes: Buffer.from(bytes.subarray(from, end)), address, port });
    return true;
  }

  close(): void {}
}

export interface Published {
  topic: string;
  payload: string;
  qos: number;
  retain: boolean;
  expirySeconds: number;
  message: Message;
}

export class Harness {
  readonly clock = new ManualClock();
  readonly wheel = new TimerWheel(this.clock, 50);
  readonly counters = new Counters();
  readonly port = new FakePort();
  readonly published: Published[] = [];
  readonly waiters: StoreWaiter[] = [];
  /** Of retained values. */
  reads = 0;
  readonly retainedValues = new Map<string, Message>();
  readonly logins: LoginRequest[] = [];
  readonly loginWaiters: LoginWaiter[] = [];
  readonly limits: {
    topicLevels: number;
    topicBytes: number;
    maxPacketBytes: number;
    stringBytes: number;
    coapObservers: number;
    coapExchanges: number;
  };
  health: StoreHealth = "ok";
  /** What `router.publish` answers. */
  outcome = ROUTED;
  loginsWait = false;
  readable = true;
  /** Topics that nobody may read. */
  readonly unreadable = new Set<string>();
  readonly slices: Sliced[] = [];
  writable = true;
  /** DTLS identity that requests come with. */
  identity: string | null = null;
  readonly server: CoapServer;
  readonly shared: CoapShared;
  readonly #serve: (port: FakePort) => CoapServer;
  #messageId = 0;

  /** @param authority null = who gives a password gives "secret" */
  constructor(
    options: Partial<CoapListenerOptions> = {},
    authority: Authority | null = null,
    limits: Partial<Harness["limits"]> = {},
  ) {
    this.limits = {
      topicLevels: 8,
      topicBytes: 64,
      maxPacketBytes: 2048,
      stringBytes: 100,
      coapObservers: 160,
      coapExchanges: 4096,
      ...limits,
    };
    const { clock, wheel, counters } = this;
    const parts = {
      router: {
        publish: (publication: Publication, waiter: StoreWaiter) => this.#publish(publication, waiter),
        keep: (publication: Publication) => messageOf(publication, clock.ageMs()),
        join(): void {},
        leave(): void {},
        subscribe: () => true,
        unsubscribe: () => true,
      },
      retained: this.retained(),
      authority: authority ?? {
        authenticate: (login, waiter) => this.#authenticate(login, waiter),
        mayPublish: () => this.writable,
        mayRead: (_principal: Principal, topic: string) => this.readable && !this.unreadable.has(topic),
        maySubscribe: () => this.readable,
        generation: 0,
      },
      store: new MemoryStore(),
      health: () => this.health,
      clock,
      wheel,
      random: seededRandom(1),
      counters,
      limits: this.limits,
      admitLogin: () => true,
      schedule: (sliced: Sliced) => void this.slices.push(sliced),
    } satisfies Omit<CoapParts, "shared"> & SharedParts;
    this.shared = new CoapShared(parts);
    const serve = (port: FakePort): CoapServer =>
      new CoapServer(
        port,
        { ...parts, shared: this.shared },
        { anonymous: null, heartbeatMs: 30_000, rate: 1_000_000, notify: "qos", ...options },
      );
    this.server = serve(this.port);
    this.#serve = serve;
  }

  /** Another listener of the same gateway. */
  another(): FakePort {
    return this.listen().port;
  }

  /** The same, with its server. */
  listen(): { port: FakePort; server: CoapServer } {
    const port = new FakePort();
    return { port, server: this.#serve(port) };
  }

  retained(): SharedParts["retained"] {
    const values = this.retainedValues;
    const retained: SharedParts["retained"] = {
      watcher: null,
      get: (topic) => {
        this.reads++;
        return this.health === "failed" ? undefined : values.get(topic);
      },
      has: (topic) => values.has(topic),
      match: (filter, walk) => this.#match(filter, walk),
    };
    values.set = (topic, message) => {
      retained.watcher?.onRetainedChanged(topic);
      return Map.prototype.set.call(values, topic, message) as typeof values;
    };
    values.delete = (topic) => {
      retained.watcher?.onRetainedChanged(topic);
      return Map.prototype.delete.call(values, topic);
    };
    return retained;
  }

  /** As the index does: in order, behind the place. */
  *#match(filter: string, walk: WalkPlace = { place: "" }): Generator<string | null> {
    const topics = [...this.retainedValues.keys()].sort();
    for (const topic of topics) {
      if (`${topic}/` <= walk.place) continue;
      walk.place = `${topic}/`;
      yield filterMatches(filter, topic) ? topic : null;
    }
  }

  /** Gives those their turn that asked for one. */
  runSlices(): void {
    for (const sliced of this.slices.splice(0)) sliced.runScheduled();
  }

  #publish(publication: Publication, waiter: StoreWaiter): number {
    this.published.push({
      topic: publication.topic,
      payload: publication.bytes.toString("utf8", publication.payloadFrom, publication.payloadEnd),
      qos: publication.qos,
      retain: publication.retain,
      expirySeconds: publication.expirySeconds,
      message: messageOf(publication, this.clock.ageMs()),
    });
    if (this.outcome === STORED_LATER) this.waiters.push(waiter);
    return this.outcome;
  }

  #authenticate(login: LoginRequest, waiter: LoginWaiter): void {
    this.logins.push(login);
    if (this.loginsWait) this.loginWaiters.push(waiter);
    else if (login.password !== null && login.password.toString() !== "secret") waiter.onLogin(null, 0x86);
    else waiter.onLogin(principalOf(login), 0);
  }

  retain(topic: string, payload: string | Buffer, mediaType: string | null = null, expirySeconds = -1): void {
    const publication = new Publication();
    const options = new PublishOptions();
    options.retain = true;
    options.expirySeconds = expirySeconds;
    fillPublication(publication, topic, Buffer.from(payload), options, mediaType);
    this.retainedValues.set(topic, messageOf(publication, this.clock.ageMs()));
  }

  advance(ms: number): void {
    for (let rest = ms; rest > 0; rest -= 50) {
      this.clock.advance(Math.min(50, rest));
      this.wheel.tick();
    }
  }

  receive(bytes: Buffer, address = "192.0.2.7", port = 40_000): void {
    this.port.handler?.onDatagram(bytes, address, port, this.identity);
  }

  /** Sends a request and takes what was sent within the call. */
  request(packet: Packet, path: string, address?: string, port?: number): Response[] {
    const from = this.port.sent.length;
    this.receive(requestOf({ messageId: ++this.#messageId, confirmable: true, ...packet }, path), address, port);
    return this.port.sent.slice(from).map((sent) => responseOf(sent.bytes));
  }

  /** The one response to it. */
  ask(packet: Packet, path: string): Response {
    const responses = this.request(packet, path);
    if (responses.length !== 1) throw new Error(`${responses.length} responses`);
    return responses[0] as Response;
  }

  /** Answers a message of ours by an Empty ACK, or an RST. */
  acknowledge(response: Response | undefined, type: "ACK" | "RST" = "ACK", address?: string, port?: number): void {
    if (response === undefined) throw new Error("no message to answer");
    const { messageId } = response;
    this.receive(generate({ code: "0.00", ack: type === "ACK", reset: type === "RST", messageId }), address, port);
  }

  /** Who a request came from. */
  peer(address = "192.0.2.7", port = 40_000, identity: string | null = null): Peer {
    const { peers } = this.shared.messages;
    const peer = peers.find(this.server.endpoint, peers.hashOf(address), address, port, identity);
    if (peer === null) throw new Error(`nobody is known at ${address} ${port}`);
    return peer;
  }

  /** What has been sent since the last call of `take`. */
  take(): Response[] {
    return this.port.sent.splice(0).map((sent) => responseOf(sent.bytes));
  }
}

export function principalOf(login: LoginRequest): Principal {
  return { name: login.userName ?? "", clientId: login.clientId };
}
