/** One delivery queue between a store in memory and a peer by the book, for tests that play days of trouble. */
import assert from "node:assert/strict";
import { Allowance } from "../../src/base/allowance.ts";
import { Counters } from "../../src/base/counters.ts";
import { AnyOrderQueue } from "../../src/core/any-order-queue.ts";
import type { DrainOrder } from "../../src/core/any-order-source.ts";
import type { Cutting } from "../../src/core/cutting.ts";
import { DeliveryQueue } from "../../src/core/delivery-queue.ts";
import { Ledger } from "../../src/core/ledger.ts";
import type { LiveQueue } from "../../src/core/live-queue.ts";
import { Message } from "../../src/core/message.ts";
import type { Outlet, QueueHost } from "../../src/core/outlet.ts";
import type { ReceiverRecord } from "../../src/core/ports.ts";
import { type QueueLimits, TAKES } from "../../src/core/queue-limits.ts";
import type { SpoolQueue } from "../../src/core/spool-queue.ts";
import type { Sliced } from "../../src/core/turns.ts";
import { clockOf } from "./clock-of.ts";
import { cutsOf } from "./cuts.ts";
import { MemoryStore } from "./memory-store.ts";

export const LIMITS: QueueLimits = {
  messages: 1000,
  bytes: 1_000_000,
  onlineMessages: 10_000,
  onlineBytes: 1_000_000,
  maxAgeMs: Number.POSITIVE_INFINITY,
  whenFull: "drop-newest",
  windowBytes: 4 * 200,
};

/** A peer by the book: QoS 2 ids it knows are not delivered again. */
export class Peer implements Outlet {
  delivered: string[] = [];
  /** By packet id: what it received at QoS 2 and was not released. */
  known = new Map<number, string>();
  /** What it owes: packets as they came. */
  owed: { kind: "publish" | "pubrel"; packetId: number; qos: number }[] = [];
  dups = 0;
  /** As mosquitto counts: QoS 2 that is not released counts from one connection to the next. */
  receiveMax = Number.POSITIVE_INFINITY;

  parts(_m?: Message): number {
    return 1;
  }

  /** What it sees of one part. */
  payloadOf(m: Message, _part: number): string {
    return m.payload.toString();
  }

  partOptions(_m: Message, _part: number, options: number): number {
    return options;
  }

  sendPublish(
    m: Message,
    part: number,
    options: number,
    _ids: readonly number[] | null,
    packetId: number,
    dup: boolean,
  ): void {
    const qos = options & 3;
    if (dup) this.dups++;
    const payload = this.payloadOf(m, part);
    const known = qos === 2 ? this.known.get(packetId) : undefined;
    if (known === undefined) this.delivered.push(payload);
    else assert.equal(payload, known, `packet id ${packetId} comes with another message: this one would be lost`);
    if (qos === 2) this.known.set(packetId, payload);
    this.owed.push({ kind: "publish", packetId, qos });
    const taken = this.known.size + this.owed.filter((packet) => packet.qos === 1).length;
    assert.ok(taken <= this.receiveMax, `${taken} in flight where ${this.receiveMax} may`);
  }

  sendPubrel(packetId: number): void {
    this.known.delete(packetId);
    this.owed.push({ kind: "pubrel", packetId, qos: 2 });
  }

  writable(): boolean {
    return true;
  }

  /** Answers packet `n` of those it owes. */
  answer(queue: SpoolQueue | LiveQueue, n: number): void {
    const [packet] = this.owed.splice(n, 1);
    if (packet === undefined) return;
    if (packet.kind === "pubrel") queue.onPubcomp(packet.packetId);
    else if (packet.qos === 1) queue.onPuback(packet.packetId);
    else queue.onPubrec(packet.packetId, 0);
  }
}

export type MakeQueue<Q> = (host: QueueHost, label: string, record: ReceiverRecord, limits: QueueLimits) => Q;

const inLogOrder: MakeQueue<DeliveryQueue> = (host, label, record, limits) =>
  new DeliveryQueue(host, label, record, limits);

/** For a world whose queue has another order. */
export function inOrder(order: DrainOrder, windowMax = 8): MakeQueue<AnyOrderQueue> {
  return (host, label, record, limits) => new AnyOrderQueue(host, label, record, limits, order, windowMax);
}

export class World<Q extends DeliveryQueue | AnyOrderQueue = DeliveryQueue> {
  store = new MemoryStore();
  counters = new Counters();
  ledger = new Ledger(this.counters);
  memory = new Allowance(1e6);
  wallMs = 1000;
  time = clockOf(() => this.wallMs);
  due: Sliced[] = [];
  host!: QueueHost;
  limits: QueueLimits;
  queue: Q;
  peer = new Peer();
  #sent = 0;
  #queueOf: MakeQueue<Q>;

  constructor(limits = LIMITS, queueOf: MakeQueue<Q> = inLogOrder as MakeQueue<Q>) {
    this.limits = limits;
    this.#queueOf = queueOf;
    this.queue = this.#make();
  }

  #make(): Q {
    this.host = {
      store: this.store,
      time: this.time,
      ledger: this.ledger,
      waitingMemory: this.memory,
      cuts: cutsOf(this.time, this.counters),
      schedule: (sliced: Sliced): void => {
        this.due.push(sliced);
      },
    };
    const record = this.store.createReceiver("session", "t");
    const queue = this.#queueOf(this.host, "session:t", record, this.limits);
    this.store.register(queue);
    return queue;
  }

  /** Publishes through the store as the router does. @returns the payload, or null when it was not taken */
  publish(qos: number, expiresMs = 0, topic = "t"): string | null {
    const payload = `m${this.#sent++}`;
    const bytes = Buffer.from(topic + payload);
    const m = new Message(bytes, topic.length, topic.length, qos, false, this.wallMs, expiresMs, -1);
    if (this.queue.admit(m.size) !== TAKES) return null;
    m.addReceiver(this.queue.id, qos);
    this.store.append(m);
    this.queue.enqueue(m, qos, null);
    return payload;
  }

  /** What drops messages of the queue. */
  get cuts(): Cutting {
    return this.queue.cuts;
  }

  turn(): void {
    const due = this.due;
    this.due = [];
    for (const queue of due) queue.runScheduled();
  }

  /** @param queueOf makes the queue from now on */
  crash(queueOf: MakeQueue<Q> = this.#queueOf): void {
    this.#queueOf = queueOf;
    this.store = this.store.crash();
    this.memory = new Allowance(this.memory.bytesMax);
    this.due = [];
    this.queue = this.#make();
  }

  /** Everything is committed, delivered and answered. */
  settle(): void {
    for (let i = 0; i < 5000 && (this.queue.count > 0 || this.peer.owed.length > 0 || i < 3); i++) {
      this.store.commit();
      this.store.sync();
      this.turn();
      this.peer.answer(this.queue, 0);
    }
  }
}
