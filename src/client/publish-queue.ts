/**
 * Publishes of a client without a store: those in flight, within the server's Receive Maximum, and those that wait,
 * for a place or for a connection. What was in flight on a connection that is gone is sent again before anything new:
 * with DUP and its packet id when the server kept the session ([MQTT5-4.4.0-1]), as if for the first time otherwise.
 * A QoS 2 message that the server had (PUBREC) counts as delivered when it has lost the session.
 */
import { RingBuffer } from "../base/ring-buffer.ts";
import type { TimeSource } from "../core/ports.ts";
import type { MqttClient } from "../uplink/client/client.ts";
import { publishBytes, sendPublish } from "../uplink/out/publish-out.ts";
import { reasonWords } from "../uplink/words.ts";
import { MQTT_5, NO_MATCHING_SUBSCRIBERS, PUBACK, PUBCOMP, PUBREC, UNSPECIFIED_ERROR } from "../wire/mqtt/codes.ts";
import type { PublishResult } from "./api.ts";
import { ClientError } from "./error.ts";
import type { PacketIds } from "./packet-ids.ts";

export interface QueueBounds {
  readonly messages: number;
  readonly bytes: number;
}

/**
 * Messages in flight towards a server before 5.0, which cannot say how many it takes: Mosquitto acknowledges QoS 2
 * messages beyond its `max_inflight_messages` (20) and throws them away.
 */
const UNANNOUNCED_MAX = 20;

const MATCHED: PublishResult = { matched: true };
const UNMATCHED: PublishResult = { matched: false };

/** One publish, from `push` to its promise. */
export class Outgoing {
  readonly topic: Buffer;
  /** Property block without its length, then the payload. */
  readonly body: Buffer;
  readonly propertiesLength: number;
  readonly qos: number;
  readonly retain: boolean;
  /** -1 = never expires. */
  readonly expirySeconds: number;
  /** Set by the queue. */
  queuedMs = 0;
  packetId = 0;
  /** PUBREC came. */
  released = false;
  /** What the server said of it, with PUBREC at QoS 2. */
  result: PublishResult = MATCHED;
  /** On an earlier connection of this session. */
  sentBefore = false;
  settled = false;
  readonly #resolve: (result: PublishResult) => void;
  readonly #reject: (error: ClientError) => void;

  constructor(
    topic: Buffer,
    properties: Buffer,
    payload: Uint8Array,
    options: { readonly qos: number; readonly retain: boolean; readonly expirySeconds: number },
    resolve: (result: PublishResult) => void,
    reject: (error: ClientError) => void,
  ) {
    this.topic = topic;
    this.propertiesLength = properties.length;
    this.body =
      properties.length === 0
        ? Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
        : Buffer.concat([properties, payload]);
    this.qos = options.qos;
    this.retain = options.retain;
    this.expirySeconds = options.expirySeconds;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get bytes(): number {
    return this.topic.length + this.body.length;
  }

  resolve(): void {
    this.settled = true;
    this.#resolve(this.result);
  }

  reject(error: ClientError): void {
    this.settled = true;
    this.#reject(error);
  }
}

export class PublishQueue {
  readonly #client: MqttClient;
  readonly #ids: PacketIds;
  readonly #time: TimeSource;
  readonly #bounds: QueueBounds;
  readonly #waiting: RingBuffer<Outgoing>;
  /** By packet id, in the order they were sent first. */
  readonly #inFlight = new Map<number, Outgoing>();
  /** Of `#inFlight`: to be sent again on this connection. */
  #again: Outgoing[] = [];
  /** Sent on this connection and not answered: what Receive Maximum counts. */
  #outstanding = 0;
  #count = 0;
  #bytes = 0;
  #onIdle: (() => void) | null = null;

  constructor(client: MqttClient, ids: PacketIds, time: TimeSource, bounds: QueueBounds) {
    this.#client = client;
    this.#ids = ids;
    this.#time = time;
    this.#bounds = bounds;
    // What was aborted keeps its place until its turn comes.
    this.#waiting = new RingBuffer(2 * bounds.messages);
  }

  /** Publishes that are not settled. */
  get pending(): number {
    return this.#count;
  }

  /** @returns false when too much waits: nothing was taken */
  push(outgoing: Outgoing): boolean {
    const { messages, bytes } = this.#bounds;
    if (this.#count >= messages || (this.#count > 0 && this.#bytes + outgoing.bytes > bytes)) return false;
    if (!this.#waiting.push(outgoing)) return false;
    this.#count++;
    this.#bytes += outgoing.bytes;
    outgoing.queuedMs = this.#time.nowMs();
    this.pump();
    return true;
  }

  /** The program does not want to wait any longer; what is in flight keeps its packet id until it is answered. */
  abort(outgoing: Outgoing): void {
    if (outgoing.settled) return;
    this.#settle(outgoing, new ClientError("aborted", "aborted"));
  }

  /** Calls back when nothing is pending. */
  whenIdle(callback: () => void): void {
    this.#onIdle = callback;
    if (this.#count === 0) this.#idle();
  }

  /** CONNACK came. @param resumed the server has the session that the packet ids belong to */
  onConnected(resumed: boolean): void {
    this.#outstanding = 0;
    this.#again = [];
    for (const outgoing of [...this.#inFlight.values()]) {
      outgoing.sentBefore = resumed;
      if (!outgoing.released) {
        this.#again.push(outgoing);
      } else if (resumed) {
        this.#outstanding++;
        this.#client.sendPubrel(outgoing.packetId); // [MQTT5-4.4.0-1]
      } else {
        this.#finish(outgoing, null);
      }
    }
    this.pump();
  }

  /** Sends what the window and the socket allow. */
  pump(): void {
    const { server } = this.#client;
    if (server === null) return;
    const windowMax = server.version === MQTT_5 ? server.receiveMaximum : UNANNOUNCED_MAX;
    while (this.#client.writable && this.#again.length > 0) {
      if (this.#outstanding >= windowMax) return; // [MQTT5-3.3.4-9]
      this.#send(this.#again.shift() as Outgoing);
    }
    for (let next = this.#waiting.peek(); next !== undefined && this.#client.writable; next = this.#waiting.peek()) {
      if (!next.settled && next.qos > 0 && this.#outstanding >= windowMax) return;
      this.#waiting.shift();
      if (!next.settled) this.#send(next);
    }
  }

  #send(outgoing: Outgoing): void {
    const { topic, body, propertiesLength, qos, retain } = outgoing;
    const { server } = this.#client;
    if (server === null) return;
    const problem = this.#problemOf(outgoing);
    if (problem !== null) {
      this.#finish(outgoing, problem);
      return;
    }
    if (qos > 0) {
      if (outgoing.packetId === 0) outgoing.packetId = this.#ids.take();
      this.#inFlight.set(outgoing.packetId, outgoing);
      this.#outstanding++;
    }
    const { packetId, sentBefore } = outgoing;
    const end = body.length;
    const expiry = this.#secondsLeft(outgoing);
    sendPublish(
      this.#client,
      topic,
      body,
      0,
      propertiesLength,
      propertiesLength,
      end,
      qos,
      retain,
      packetId,
      sentBefore,
      null,
      expiry,
    );
    if (qos === 0) this.#settle(outgoing, null);
  }

  #problemOf({ topic, propertiesLength, body, qos }: Outgoing): ClientError | null {
    const { server } = this.#client;
    if (server === null) return null;
    if (qos > server.qosMax) return new ClientError("not-supported", `the server takes QoS ${server.qosMax} at most`);
    const bytes = publishBytes(
      server,
      topic.length,
      body,
      0,
      propertiesLength,
      body.length - propertiesLength,
      qos,
      null,
      false,
    );
    if (bytes <= server.packetBytesMax) return null;
    return new ClientError("too-large", `the message has ${bytes} bytes, the server takes ${server.packetBytesMax}`);
  }

  #secondsLeft({ expirySeconds, queuedMs }: Outgoing): number {
    if (expirySeconds < 0) return -1;
    return Math.max(0, expirySeconds - Math.floor((this.#time.nowMs() - queuedMs) / 1000));
  }

  onAck(type: number, packetId: number, reasonCode: number): void {
    const refused = reasonCode >= UNSPECIFIED_ERROR;
    const outgoing = this.#inFlight.get(packetId);
    if (type === PUBREC && !refused) {
      if (outgoing !== undefined && outgoing.qos === 2 && !outgoing.released) {
        outgoing.released = true;
        if (reasonCode === NO_MATCHING_SUBSCRIBERS) outgoing.result = UNMATCHED;
      }
      this.#client.sendPubrel(packetId); // also for an id we do not know, so that the server can forget it
      return;
    }
    const expected = outgoing?.qos === 1 ? PUBACK : outgoing?.released === true ? PUBCOMP : PUBREC;
    if (outgoing === undefined || type !== expected) return;
    this.#outstanding--;
    const words = `refused by the server: ${reasonWords(reasonCode)}`;
    const error = refused && type !== PUBCOMP ? new ClientError("publish-refused", words, reasonCode) : null;
    if (type === PUBACK && reasonCode === NO_MATCHING_SUBSCRIBERS) outgoing.result = UNMATCHED;
    this.#finish(outgoing, error);
    this.pump();
  }

  /** The exchange is over. */
  #finish(outgoing: Outgoing, error: ClientError | null): void {
    if (outgoing.packetId !== 0) {
      this.#inFlight.delete(outgoing.packetId);
      this.#ids.give(outgoing.packetId);
    }
    if (!outgoing.settled) this.#settle(outgoing, error);
  }

  #settle(outgoing: Outgoing, error: ClientError | null): void {
    this.#count--;
    this.#bytes -= outgoing.bytes;
    if (error === null) outgoing.resolve();
    else outgoing.reject(error);
    if (this.#count === 0) this.#idle();
  }

  #idle(): void {
    this.#onIdle?.();
    this.#onIdle = null;
  }

  /** The end: nobody knows what became of what was in flight. */
  fail(error: ClientError): void {
    for (const outgoing of [...this.#inFlight.values()]) this.#finish(outgoing, error);
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (!next.settled) this.#settle(next, error);
    }
    this.#again = [];
  }
}
