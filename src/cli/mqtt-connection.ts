/**
 * One MQTT connection for a command that ends with it: no session to keep, so packet ids and what waits for them live
 * here and promises are welcome.
 */
import { SystemClock } from "../base/clock.ts";
import { Counters } from "../base/counters.ts";
import { Log } from "../base/log.ts";
import { TimerWheel } from "../base/timer-wheel.ts";
import { defaultConfig } from "../config/config.ts";
import { createDial, type DialTarget } from "../transport/dialer.ts";
import { Transport } from "../transport/transport.ts";
import { type ClientHandler, MqttClient } from "../uplink/client.ts";
import type { ClientOptions, ServerLimits } from "../uplink/client-options.ts";
import { sendSubscribe } from "../uplink/client-send.ts";
import type { Owed } from "../uplink/owed.ts";
import { publishBytes, sendPublish } from "../uplink/publish-out.ts";
import { reasonWords } from "../uplink/words.ts";
import { PUBREC, SUBACK } from "../wire/mqtt/codes.ts";
import type { PublishView } from "../wire/mqtt/publish.ts";

export interface Received {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: number;
  readonly retain: boolean;
}

/** Reason codes from here on say no. */
const REFUSALS = 0x80;
const PACKET_IDS = 65_535;

export class MqttConnection implements ClientHandler {
  /** Resolves when the connection is over: null after `close`, else why. */
  readonly closed: Promise<string | null>;
  readonly #wheel = new TimerWheel(new SystemClock());
  readonly #client: MqttClient;
  readonly #onMessage: (message: Received) => void;
  /** By packet id: who waits for PUBACK, PUBCOMP or SUBACK. */
  readonly #waiting = new Map<number, { resolve: (code: number) => void; reject: (error: Error) => void }>();
  #lastId = 0;
  #onConnectedOrClosed: (why: string | null) => void = () => {};
  #onClosed: (why: string | null) => void = () => {};
  #onWritable: () => void = () => {};

  constructor(onMessage: (message: Received) => void = () => {}) {
    const clock = new SystemClock();
    const counters = new Counters();
    const log = new Log({ level: "error", format: "text" });
    const transport = new Transport(defaultConfig().limits, { clock, wheel: this.#wheel, counters, log });
    this.#client = new MqttClient(createDial(transport), this.#wheel, this);
    this.#onMessage = onMessage;
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
  }

  /** @throws Error that says why not */
  async open(options: ClientOptions, target: DialTarget): Promise<void> {
    this.#wheel.start();
    const why = await new Promise<string | null>((resolve) => {
      this.#onConnectedOrClosed = resolve;
      this.#client.open(options, target);
    });
    if (why !== null) throw new Error(why);
  }

  /** Resolves when the server has it (QoS 0: when it is on its way). @throws Error that says why it has not */
  async publish(topic: string, payload: Buffer, qos: number, retain: boolean): Promise<void> {
    while (!this.#client.writable) await this.#writable();
    const server = this.#server();
    const name = Buffer.from(topic);
    if (qos > server.qosMax) throw new Error(`the server takes QoS ${server.qosMax} at most`);
    const bytes = publishBytes(server, name.length, 0, payload.length, qos);
    if (bytes > server.packetBytesMax)
      throw new Error(`the server takes packets of ${server.packetBytesMax} bytes at most`);
    const packetId = qos === 0 ? 0 : this.#takeId();
    sendPublish(this.#client, name, payload, 0, 0, 0, payload.length, qos, retain, packetId, false, -1);
    if (qos === 0) return;
    const code = await this.#answerTo(packetId);
    if (code >= REFUSALS) throw new Error(`the server refused the message: ${reasonWords(code)}`);
  }

  /** @throws Error when the server refuses one of them */
  async subscribe(filters: readonly string[], qos: number): Promise<void> {
    const packetId = this.#takeId();
    const common = { qos, noLocal: false, retainAsPublished: false, retainHandling: 0 };
    const requests = filters.map((filter) => ({ filter, ...common }));
    if (!sendSubscribe(this.#client, packetId, requests)) throw new Error("a filter is longer than 65,535 bytes");
    const code = await this.#answerTo(packetId);
    if (code >= REFUSALS) throw new Error(`the server refused the subscription: ${reasonWords(code)}`);
  }

  async close(): Promise<void> {
    this.#client.close();
    await this.closed;
  }

  onConnected(): void {
    this.#onConnectedOrClosed(null);
  }

  onClosed(why: string | null): void {
    this.#wheel.stop();
    const error = new Error(why ?? "closed");
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#onConnectedOrClosed(why ?? "closed");
    this.#onWritable();
    this.#onClosed(why);
  }

  onPublish(bytes: Buffer, view: PublishView, owed: Owed | null): void {
    const topic = bytes.toString("utf8", view.topicAt, view.topicAt + view.topicLength);
    const payload = Buffer.from(bytes.subarray(view.payloadAt, view.payloadAt + view.payloadLength));
    this.#onMessage({ topic, payload, qos: view.qos, retain: view.retain });
    if (owed !== null) this.#client.acknowledge(owed);
  }

  onOversize(): void {}

  onWritable(): void {
    this.#onWritable();
  }

  onPubrel(packetId: number): void {
    this.#client.sendPubcomp(packetId, 0);
  }

  onAck(type: number, packetId: number, reasonCode: number): void {
    if (type === PUBREC && reasonCode < REFUSALS) this.#client.sendPubrel(packetId);
    else this.#answered(packetId, reasonCode);
  }

  onSubscribed(type: number, packetId: number, codes: Uint8Array): void {
    if (type === SUBACK) this.#answered(packetId, Math.max(0, ...codes));
  }

  #server(): ServerLimits {
    if (this.#client.server === null) throw new Error("the connection is closed");
    return this.#client.server;
  }

  #takeId(): number {
    do this.#lastId = (this.#lastId % PACKET_IDS) + 1;
    while (this.#waiting.has(this.#lastId));
    return this.#lastId;
  }

  #answerTo(packetId: number): Promise<number> {
    return new Promise((resolve, reject) => this.#waiting.set(packetId, { resolve, reject }));
  }

  #answered(packetId: number, code: number): void {
    const waiting = this.#waiting.get(packetId);
    this.#waiting.delete(packetId);
    waiting?.resolve(code);
  }

  #writable(): Promise<void> {
    this.#server();
    return new Promise((resolve) => {
      this.#onWritable = resolve;
    });
  }
}
