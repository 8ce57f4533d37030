/**
 * Members of shared subscriptions, and who publishes to them, on links in memory: what they got, what they owe, and when
 * they answer is in the test's hand.
 */
import assert from "node:assert/strict";
import type { Hub, HubPeer } from "./mqtt-hub.ts";
import {
  ack,
  field,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  type Publish,
  packet,
  properties,
  publish,
  readPublish,
  UNSUBSCRIBE,
  u16,
} from "./mqtt-packets.ts";

export const SHARE = "$share/g/t";

export interface ShareFields {
  readonly clientId: string;
  readonly qos?: number;
  readonly filter?: string;
  readonly options?: number;
  readonly receiveMaximum?: number;
  /** Its session outlives its connection. */
  readonly kept?: boolean;
}

/** A client of a hub and what it owes. */
export class Worker {
  readonly peer: HubPeer;
  readonly got: Publish[] = [];
  /** Packet ids of PUBLISHes at QoS 1 and 2 not answered. */
  readonly owed: Publish[] = [];
  readonly releases: number[] = [];
  readonly #known = new Set<number>();

  constructor(hub: Hub, fields: ShareFields, known?: Worker) {
    const { clientId, kept = false, receiveMaximum = 0 } = fields;
    if (known !== undefined) this.#known = known.#known;
    this.peer = hub.connect({
      version: 5,
      clientId,
      clean: !kept,
      expirySeconds: kept ? 600 : 0,
      properties: receiveMaximum > 0 ? [0x21, ...u16(receiveMaximum)] : [],
    });
  }

  static sharing(hub: Hub, fields: ShareFields): Worker {
    const worker = new Worker(hub, fields);
    worker.subscribe(fields.filter ?? SHARE, fields.options ?? fields.qos ?? 2);
    hub.settle();
    worker.read();
    return worker;
  }

  subscribe(filter: string, options: number, block: Buffer = properties(5)): void {
    this.peer.send(packet(8, 2, u16(1), block, field(filter), options));
  }

  unsubscribe(filter: string): void {
    this.peer.send(packet(UNSUBSCRIBE, 2, u16(1), properties(5), field(filter)));
  }

  /** @returns the payloads that came since the last call, of QoS 2 only new ones */
  read(): string[] {
    const payloads: string[] = [];
    for (const found of this.peer.take()) {
      if (found.type === PUBREL) this.releases.push(found.body.readUInt16BE(0));
      if (found.type !== PUBLISH) continue;
      const message = readPublish(5, found);
      if (message.qos > 0) this.#owe(message);
      if (message.qos === 2 && this.#known.has(message.packetId)) continue;
      if (message.qos === 2) this.#known.add(message.packetId);
      this.got.push(message);
      payloads.push(message.payload);
    }
    return payloads;
  }

  #owe(message: Publish): void {
    const inUse = this.owed.some(({ packetId }) => packetId === message.packetId);
    assert.ok(!inUse, `packet id ${message.packetId} is in use`);
    this.owed.push(message);
  }

  /** Answers one of the PUBLISHes it owes. */
  answer(n = 0): void {
    const [message] = this.owed.splice(n, 1);
    if (message !== undefined) this.peer.send(ack(message.qos === 1 ? PUBACK : PUBREC, message.packetId));
  }

  complete(): void {
    for (const packetId of this.releases.splice(0)) {
      this.#known.delete(packetId);
      this.peer.send(ack(PUBCOMP, packetId));
    }
  }

  /** Reads and answers until nothing more comes. */
  drain(hub: Hub): void {
    for (let idle = 0; idle < 4; ) {
      hub.settle();
      this.read();
      const busy = this.owed.length > 0 || this.releases.length > 0;
      idle = busy ? 0 : idle + 1;
      while (this.owed.length > 0) this.answer();
      this.complete();
    }
  }
}

export class Source {
  readonly peer: HubPeer;
  /** Number of the next message; its packet id is one more. */
  next: number;

  constructor(hub: Hub, next = 0) {
    this.next = next;
    this.peer = hub.connect({ version: 5, clientId: "source", clean: true });
  }

  send(qos: number, topic = "t", retain = false): string {
    const payload = `m${this.next}`;
    const packetId = (this.next++ % 65_535) + 1;
    this.peer.send(publish(5, { topic, qos, packetId, payload, retain }));
    return payload;
  }

  /** Packet ids acknowledged since the last call, and releases what has to be released. */
  acknowledged(): number[] {
    const ids: number[] = [];
    for (const { type, body } of this.peer.take()) {
      if (type !== PUBACK && type !== PUBREC) continue;
      if ((body[2] ?? 0) < 0x80) ids.push(body.readUInt16BE(0));
      if (type === PUBREC) this.peer.send(ack(PUBREL, body.readUInt16BE(0)));
    }
    return ids;
  }
}
