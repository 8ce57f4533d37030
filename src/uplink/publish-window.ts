/**
 * Publishes of a client without a store: in flight within the server's Receive Maximum, the rest waiting in memory,
 * each with somebody who wants to know how it ended.
 */
import { RingBuffer } from "../base/ring-buffer.ts";
import { Inflight } from "../core/inflight.ts";
import { PUBACK, PUBREC, UNSPECIFIED_ERROR } from "../wire/mqtt/codes.ts";
import type { MqttClient } from "./client.ts";
import { publishBytes, sendPublish } from "./publish-out.ts";
import { reasonWords } from "./words.ts";

/** Publishes that may wait; beyond it `push` answers false. */
export const WAITING_MAX = 16_384;
/** Distance from the packet ids in flight to those that SUBSCRIBE takes; both go round the same 65,535. */
const SPARE_DISTANCE = 32_768;

export interface Outgoing {
  readonly topic: Buffer;
  /** Property block without its length. */
  readonly properties: Buffer;
  readonly payload: Buffer;
  readonly qos: number;
  readonly retain: boolean;
  /** Called once. @param problem in words; null = the server has it (QoS 0: it has been written) */
  readonly done: (problem: string | null) => void;
}

export class PublishWindow {
  readonly #client: MqttClient;
  readonly #inflight = new Inflight();
  readonly #waiting = new RingBuffer<Outgoing>(WAITING_MAX);
  readonly #byId = new Map<number, Outgoing>();
  #spare = 0;

  constructor(client: MqttClient) {
    this.#client = client;
  }

  /** Publishes not acknowledged yet. */
  get pending(): number {
    return this.#waiting.length + this.#byId.size;
  }

  /** @returns false when too many wait: nothing was taken */
  push(outgoing: Outgoing): boolean {
    if (!this.#waiting.push(outgoing)) return false;
    this.pump();
    return true;
  }

  /** A packet id for SUBSCRIBE or UNSUBSCRIBE. */
  takeSpareId(): number {
    this.#spare = (this.#spare + 1) % 1024;
    return Inflight.packetIdOf(this.#inflight.head + SPARE_DISTANCE + this.#spare);
  }

  /** Sends what the window and the socket allow. */
  pump(): void {
    const { server } = this.#client;
    if (server === null) return;
    for (let next = this.#waiting.peek(); next !== undefined && this.#client.writable; next = this.#waiting.peek()) {
      this.#inflight.windowMax = server.receiveMaximum;
      if (next.qos > 0 && !this.#inflight.hasRoom) return;
      this.#waiting.shift();
      this.#send(next);
    }
  }

  #send(outgoing: Outgoing): void {
    const { topic, properties, payload, qos, retain, done } = outgoing;
    const server = this.#client.server;
    if (server === null) return;
    if (qos > server.qosMax) {
      done(`the server takes QoS ${server.qosMax} at most`);
      return;
    }
    const bytes = publishBytes(server, topic.length, properties.length, payload.length, qos);
    if (bytes > server.packetBytesMax) {
      done(`the message has ${bytes} bytes, the server takes ${server.packetBytesMax}`);
      return;
    }
    let packetId = 0;
    if (qos > 0) {
      packetId = Inflight.packetIdOf(this.#inflight.push(0, qos, bytes, null));
      this.#byId.set(packetId, outgoing);
    }
    const both = Buffer.concat([properties, payload]);
    const at = properties.length;
    sendPublish(this.#client, topic, both, 0, at, at, both.length, qos, retain, packetId, false, -1);
    if (qos === 0) done(null);
  }

  onAck(type: number, packetId: number, reasonCode: number): void {
    const refused = reasonCode >= UNSPECIFIED_ERROR;
    if (type === PUBREC && !refused) {
      // Also for an id we do not know, so that the server can forget it.
      this.#inflight.received(packetId);
      this.#client.sendPubrel(packetId);
      return;
    }
    const known =
      type === PUBACK || type === PUBREC ? this.#inflight.finish(packetId) : this.#inflight.complete(packetId);
    if (!known) return;
    const outgoing = this.#byId.get(packetId);
    this.#byId.delete(packetId);
    outgoing?.done(refused ? `refused by the server: ${reasonWords(reasonCode)}` : null);
    this.pump();
  }

  /** The connection is gone: nobody knows what became of these. */
  fail(why: string): void {
    const pending = [...this.#byId.values()];
    this.#byId.clear();
    this.#inflight.reset();
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) pending.push(next);
    for (const { done } of pending) done(why);
  }
}
