/**
 * An MQTT client for programs: one connection, promises at its edges, nothing stored. What `sluice pub` and `sluice
 * sub` use, and what the library gives out. It does not connect again by itself.
 */
import { SystemClock } from "../base/clock.ts";
import { Counters } from "../base/counters.ts";
import { IdSet } from "../base/id-set.ts";
import { Log } from "../base/log.ts";
import { TimerWheel } from "../base/timer-wheel.ts";
import { createDial, type Dial, type DialTarget } from "../transport/dialer.ts";
import { Transport } from "../transport/transport.ts";
import { PACKET_IDENTIFIER_NOT_FOUND, SUCCESS } from "../wire/mqtt/codes.ts";
import type { WillOptions } from "../wire/mqtt/connect.ts";
import type { PublishView } from "../wire/mqtt/publish.ts";
import type { SubscriptionRequest } from "../wire/mqtt/subscribe.ts";
import { type ClientHandler, CONNECTED, IDLE, MqttClient } from "./client.ts";
import type { ClientOptions, ServerLimits } from "./client-options.ts";
import { sendSubscribe, sendUnsubscribe } from "./client-send.ts";
import { Inbox, type InboxOwner, type ReceivedMessage } from "./inbox.ts";
import type { Owed } from "./owed.ts";
import { PublishWindow } from "./publish-window.ts";

export interface ConnectOptions {
  /** mqtt://host, mqtts://host, with a port if it is not 1883 or 8883. */
  readonly url: string;
  /** 5 goes down to 4 when the server does not know it. Default 5. */
  readonly protocol?: 4 | 5;
  /** Default "": the server chooses one. */
  readonly clientId?: string;
  readonly userName?: string | null;
  readonly password?: string | Buffer | null;
  /** Paths of PEM files, for mqtts. */
  readonly tls?: Partial<NonNullable<DialTarget["tls"]>>;
  /** Default true. */
  readonly cleanStart?: boolean;
  /** How long the server keeps the session. Default 0. */
  readonly sessionExpirySeconds?: number;
  /** Default 60; 0 = off. */
  readonly keepAliveSeconds?: number;
  /** QoS 1 and 2 messages that the server sends before the first is acknowledged. Default 64. */
  readonly receiveMaximum?: number;
  /** Largest packet taken. Default 1 MiB. */
  readonly maxPacketBytes?: number;
  readonly bindAddress?: string | null;
  /** Name look-up, TCP and TLS together. Default 30 s. */
  readonly timeoutMs?: number;
  readonly will?: WillOptions | null;
}

export interface PublishOptions {
  /** Default 0. */
  readonly qos?: 0 | 1 | 2;
  readonly retain?: boolean;
  /** MQTT 5 property block without its length (`PropertiesWriter` makes them). */
  readonly properties?: Buffer;
}

export interface SubscribeOptions {
  /** Default 0. */
  readonly qos?: 0 | 1 | 2;
  readonly noLocal?: boolean;
  readonly retainAsPublished?: boolean;
  readonly retainHandling?: 0 | 1 | 2;
}

/** The server said no, or is not there; the message says why in words. */
export class ClientError extends Error {
  override readonly name = "ClientError";
}

const NOTHING: Buffer = Buffer.alloc(0);
const DEFAULTS = { keepAliveSeconds: 60, receiveMaximum: 64, maxPacketBytes: 1024 * 1024, timeoutMs: 30_000 };
/** Of the client's own transport: bytes that may wait for its socket. */
const OUTPUT_BYTES = 1024 * 1024;

/** Connects. Rejects with a ClientError. @param dial for tests; otherwise each client has a transport of its own */
export function connect(options: ConnectOptions, wheel?: TimerWheel, dial?: Dial): Promise<Client> {
  const timers = wheel ?? ownWheel();
  return new Promise((resolve, reject) => {
    const client = new Client(timers, dial ?? ownDial(timers), (why) => {
      if (why === null) resolve(client);
      else reject(new ClientError(why));
    });
    // A wheel sleeps on after its last timer was cancelled, and would keep the process for as long.
    if (wheel === undefined) void client.closed.then(() => timers.stop());
    client.open(options);
  });
}

interface PendingSubscription {
  readonly resolve: (granted: number[]) => void;
  readonly reject: (error: Error) => void;
}

export class Client implements ClientHandler, InboxOwner {
  /** What the server allows. */
  server: ServerLimits | null = null;
  /** Settles when the connection is gone: null after `close`, otherwise why in words. */
  readonly closed: Promise<string | null>;
  /** Messages of all subscriptions, in order of arrival. One reader at a time. */
  readonly messages: Inbox;
  readonly #client: MqttClient;
  readonly #window: PublishWindow;
  readonly #ids = new IdSet();
  readonly #subscriptions = new Map<number, PendingSubscription>();
  #onOpened: ((why: string | null) => void) | null;
  #onClosed: (why: string | null) => void = () => {};

  /** Made by `connect`. */
  constructor(wheel: TimerWheel, dial: Dial, onOpened: (why: string | null) => void) {
    this.#client = new MqttClient(dial, wheel, this);
    this.#window = new PublishWindow(this.#client);
    this.#onOpened = onOpened;
    this.messages = new Inbox(this);
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
  }

  /** Once, by `connect`. @throws TypeError when the URL is none */
  open(options: ConnectOptions): void {
    this.#client.open(clientOptions(options), targetOf(options));
  }

  /** The client id, the server's choice if it made one. */
  get assignedClientId(): string | null {
    return this.server?.assignedClientId ?? null;
  }

  /** Resolves when the server has it; at QoS 0 when it is on its way. Rejects with a ClientError. */
  publish(topic: string, payload: string | Uint8Array, options: PublishOptions = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      const taken =
        this.#client.state === CONNECTED &&
        this.#window.push({
          topic: Buffer.from(topic),
          properties: options.properties ?? NOTHING,
          payload:
            typeof payload === "string"
              ? Buffer.from(payload)
              : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength),
          qos: options.qos ?? 0,
          retain: options.retain ?? false,
          done: (problem) => {
            if (problem === null) resolve();
            else reject(new ClientError(problem));
          },
        });
      if (!taken)
        reject(new ClientError(this.#client.state === CONNECTED ? "too many publishes wait" : "not connected"));
    });
  }

  /** Resolves with the QoS granted, one per filter; 0x80 and above: refused. */
  subscribe(filters: string | readonly string[], options: SubscribeOptions = {}): Promise<number[]> {
    const { qos = 0, noLocal = false, retainAsPublished = false, retainHandling = 0 } = options;
    const list = typeof filters === "string" ? [filters] : filters;
    const requests: SubscriptionRequest[] = list.map((filter) => ({
      filter,
      qos,
      noLocal,
      retainAsPublished,
      retainHandling,
    }));
    return this.#ask((packetId) => sendSubscribe(this.#client, packetId, requests));
  }

  /** Resolves with a reason code per filter; none before 5.0. */
  unsubscribe(filters: string | readonly string[]): Promise<number[]> {
    const list = typeof filters === "string" ? [filters] : filters;
    return this.#ask((packetId) => sendUnsubscribe(this.#client, packetId, list));
  }

  #ask(send: (packetId: number) => boolean): Promise<number[]> {
    return new Promise((resolve, reject) => {
      if (this.#client.state !== CONNECTED) {
        reject(new ClientError("not connected"));
        return;
      }
      const packetId = this.#window.takeSpareId();
      if (send(packetId)) this.#subscriptions.set(packetId, { resolve, reject });
      else reject(new ClientError("a topic filter is longer than 65,535 bytes"));
    });
  }

  /** Says goodbye; publishes that wait fail. Resolves when the connection is gone. */
  async close(): Promise<void> {
    if (this.#client.state !== IDLE) this.#client.close();
    await this.closed;
  }

  // ---- ClientHandler -----------------------------------------------------------------------------------------

  onConnected(): void {
    this.server = this.#client.server;
    this.#onOpened?.(null);
    this.#onOpened = null;
  }

  onPublish(bytes: Buffer, view: PublishView, owed: Owed | null): void {
    if (owed !== null && view.qos === 2 && !this.#ids.add(owed.packetId)) {
      this.#client.acknowledge(owed); // [MQTT5-4.3.3-10] we have it already
      return;
    }
    const client = this.#client;
    this.messages.push({
      topic: bytes.toString("utf8", view.topicAt, view.topicAt + view.topicLength),
      payload: Buffer.from(bytes.subarray(view.payloadAt, view.payloadAt + view.payloadLength)),
      qos: view.qos,
      retain: view.retain,
      dup: view.dup,
      properties: Buffer.from(bytes.subarray(view.propertiesAt, view.propertiesAt + view.propertiesLength)),
      acknowledge(): void {
        if (owed !== null) client.acknowledge(owed);
      },
    });
  }

  onOversize(): void {}

  onPubrel(packetId: number): void {
    this.#client.sendPubcomp(packetId, this.#ids.delete(packetId) ? SUCCESS : PACKET_IDENTIFIER_NOT_FOUND);
  }

  onAck(type: number, packetId: number, reasonCode: number): void {
    this.#window.onAck(type, packetId, reasonCode);
  }

  onSubscribed(_type: number, packetId: number, codes: Uint8Array): void {
    this.#subscriptions.get(packetId)?.resolve([...codes]);
    this.#subscriptions.delete(packetId);
  }

  onWritable(): void {
    this.#window.pump();
  }

  onClosed(why: string | null): void {
    const words = why ?? "closed";
    this.#onOpened?.(words);
    this.#onOpened = null;
    this.#window.fail(words);
    for (const { reject } of this.#subscriptions.values()) reject(new ClientError(words));
    this.#subscriptions.clear();
    this.messages.close(why === null ? null : new ClientError(why));
    this.#onClosed(why);
  }

  // ---- InboxOwner --------------------------------------------------------------------------------------------

  setReading(on: boolean): void {
    this.#client.setReading(on);
  }
}

export type { ReceivedMessage };

function clientOptions(options: ConnectOptions): ClientOptions {
  return {
    version: options.protocol ?? 5,
    bridge: false,
    clientId: options.clientId ?? "",
    userName: options.userName ?? null,
    password: options.password ?? null,
    cleanStart: options.cleanStart ?? true,
    sessionExpirySeconds: options.sessionExpirySeconds ?? 0,
    keepAliveSeconds: options.keepAliveSeconds ?? DEFAULTS.keepAliveSeconds,
    receiveMaximum: options.receiveMaximum ?? DEFAULTS.receiveMaximum,
    packetBytesMax: options.maxPacketBytes ?? DEFAULTS.maxPacketBytes,
    will: options.will ?? null,
  };
}

function targetOf(options: ConnectOptions): DialTarget {
  const url = new URL(options.url);
  const secure = url.protocol === "mqtts:";
  if (!secure && url.protocol !== "mqtt:")
    throw new ClientError(`${url.protocol}// is not possible: mqtt:// or mqtts://`);
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? (secure ? 8883 : 1883) : Number(url.port),
    tls: secure ? { ca: null, cert: null, key: null, alpn: [], servername: null, ...options.tls } : null,
    bindAddress: options.bindAddress ?? null,
    timeoutMs: options.timeoutMs ?? DEFAULTS.timeoutMs,
  };
}

function ownWheel(): TimerWheel {
  const wheel = new TimerWheel(new SystemClock());
  wheel.start();
  return wheel;
}

function ownDial(wheel: TimerWheel): Dial {
  const log = new Log({ level: "error", format: "text" });
  // It accepts nobody: these are the least there can be.
  const admission = { maxConnections: 1, connectionsPerAddress: 1, connectTimeoutMs: 1000, handshakesPerSecond: 1 };
  const limits = { ...admission, outputBytes: OUTPUT_BYTES };
  return createDial(new Transport(limits, { clock: new SystemClock(), wheel, counters: new Counters(), log }));
}
