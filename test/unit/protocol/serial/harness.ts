/** A serial line on a fake port, with a router whose answers the test decides. */
import { Allowance } from "../../../../src/base/allowance.ts";
import { ManualClock } from "../../../../src/base/clock.ts";
import { Counters } from "../../../../src/base/counters.ts";
import { Log } from "../../../../src/base/log.ts";
import { TimerWheel } from "../../../../src/base/timer-wheel.ts";
import type { SerialRequestConfig, SerialWriteConfig } from "../../../../src/config/serial-write.ts";
import { DeliveryQueue } from "../../../../src/core/delivery-queue.ts";
import { Ledger } from "../../../../src/core/ledger.ts";
import { messageOf } from "../../../../src/core/message.ts";
import {
  decodePropertiesBlock,
  encodeProperties,
  type MessageProperties,
} from "../../../../src/core/message-properties.ts";
import type { StoreWaiter } from "../../../../src/core/ports.ts";
import { Publication } from "../../../../src/core/publication.ts";
import type { QueueLimits } from "../../../../src/core/queue-limits.ts";
import type { Receiver } from "../../../../src/core/receiver.ts";
import { ROUTED, STORED_LATER } from "../../../../src/core/router.ts";
import type { SerialDeviceHandler } from "../../../../src/protocol/serial/parts.ts";
import { type SerialDoor, SerialLine, type SerialLineOptions } from "../../../../src/protocol/serial/serial-line.ts";
import { cutsOf } from "../../../support/cuts.ts";
import { MemoryStore } from "../../../support/memory-store.ts";

export const LINE_BYTES_MAX = 8192;

export class FakeDevice implements SerialDoor {
  handler: SerialDeviceHandler | null = null;
  isOpen = false;
  paused = false;
  /** A turn was asked for, and not given yet. */
  awaitsTurn = false;
  started = false;
  readonly written: string[] = [];

  start(): void {
    this.started = true;
  }

  async close(): Promise<void> {
    this.away();
  }

  open(): void {
    this.isOpen = true;
    this.paused = false;
    this.handler?.onOpen();
  }

  away(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.handler?.onAway();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  awaitTurn(): void {
    this.awaitsTurn = true;
  }

  /** Gives the turn that was asked for. */
  turn(): void {
    if (!this.awaitsTurn) throw new Error("no turn was asked for");
    this.awaitsTurn = false;
    this.handler?.onTurn?.();
  }

  write(bytes: Buffer): void {
    this.written.push(bytes.toString());
  }

  data(text: string): void {
    if (this.paused) throw new Error("the port is paused");
    this.handler?.onData(Buffer.from(text));
  }
}

/** An entry of `write` with the defaults of the configuration. */
export function write(entry: Partial<SerialWriteConfig>): SerialWriteConfig {
  return { topic: "w", qos: 1, format: "raw", template: null, gapMs: 0, request: null, ...entry };
}

/** What it has of a request. */
export function request(part: Partial<SerialRequestConfig> = {}): SerialRequestConfig {
  return { timeoutMs: 100, retries: 0, match: null, reply: null, failure: "", ...part };
}

const QUEUE_LIMITS: QueueLimits = {
  messages: 100,
  bytes: 64 * 1024,
  onlineMessages: 100,
  onlineBytes: 64 * 1024,
  maxAgeMs: Number.POSITIVE_INFINITY,
  whenFull: "drop-newest",
  windowBytes: 64 * 1024,
};

export class Harness {
  readonly clock = new ManualClock();
  readonly wheel = new TimerWheel(this.clock, 50);
  readonly busWheel = new TimerWheel(this.clock, 1);
  readonly counters = new Counters();
  readonly ledger = new Ledger(this.counters);
  readonly store = new MemoryStore();
  readonly device = new FakeDevice();
  readonly logged: string[] = [];
  readonly published: { topic: string; payload: string; qos: number; publisher: number }[] = [];
  /** Of each of them. */
  readonly properties: MessageProperties[] = [];
  readonly waiting: { waiter: StoreWaiter; token: number }[] = [];
  readonly subscriptions: { filter: string; options: number }[] = [];
  receiver: Receiver | null = null;
  outcome = ROUTED;
  /** For the next publications, before `outcome`. */
  answers: number[] = [];
  /** Where the line may not publish. */
  denied = "";
  writable = true;
  readonly line: SerialLine;
  readonly queue: DeliveryQueue;

  constructor(options: Partial<SerialLineOptions> = {}) {
    const { clock, wheel, counters, ledger, device } = this;
    const host = {
      store: this.store,
      time: clock,
      ledger,
      waitingMemory: new Allowance(1e6),
      cuts: cutsOf(clock),
      schedule: (queue: DeliveryQueue) => queue.runScheduled(),
    };
    this.queue = new DeliveryQueue(host, "serial:meter", this.store.createReceiver("serial", "meter"), QUEUE_LIMITS);
    this.store.register(this.queue);
    this.line = new SerialLine(
      device,
      {
        name: "meter",
        publish: { topic: "serial/meter", qos: 1 },
        write: [write({ topic: "serial/meter/set" })],
        framing: { type: "line", delimiter: Buffer.from("\n"), frameBytesMax: LINE_BYTES_MAX },
        check: null,
        errors: null,
        ...options,
      },
      {
        router: {
          publish: (publication, waiter, token) => this.#publish(publication, waiter, token),
          join: (receiver) => {
            receiver.slot = 7;
            this.receiver = receiver;
          },
          leave: () => {
            this.receiver = null;
          },
          subscribe: (_receiver, filter, bits) => this.subscriptions.push({ filter, options: bits }) > 0,
          unsubscribe: () => this.subscriptions.pop() !== undefined,
        },
        authority: { mayPublish: (_who, topic) => this.writable && topic !== this.denied },
        ledger,
        clock,
        wheel,
        busWheel: () => this.busWheel,
        log: new Log({ level: "debug", format: "text", write: (text) => this.logged.push(text.slice(25)) }),
        counters,
        limits: { refusalHoldMs: 10_000, maxPacketBytes: 256 * 1024, topicBytes: 1024, topicLevels: 200 },
      },
      options.write?.every(({ qos }) => qos === 0) ? null : this.queue,
    );
    this.line.start();
    device.open();
  }

  #publish(publication: Publication, waiter: StoreWaiter, token: number): number {
    const payload = publication.bytes.toString("utf8", publication.payloadFrom, publication.payloadEnd);
    const { topic, qos, publisher } = publication;
    this.published.push({ topic, payload, qos, publisher });
    const { bytes, propertiesFrom, propertiesEnd } = publication;
    this.properties.push(decodePropertiesBlock(bytes, propertiesFrom, propertiesEnd - propertiesFrom).properties);
    const outcome = this.answers.shift() ?? this.outcome;
    if (outcome !== STORED_LATER) return outcome;
    if (qos === 0) return ROUTED; // nobody is told
    this.waiting.push({ waiter, token });
    return STORED_LATER;
  }

  /** The store answers the publications that wait, oldest first. */
  settle(count: number, reason = 0): void {
    for (const { waiter, token } of this.waiting.splice(0, count)) waiter.onStored(token, reason);
  }

  /** The router has a message of `write.topic`. */
  deliver(
    payload: string | Buffer,
    qos: number,
    topic = "serial/meter/set",
    properties: MessageProperties = {},
    expirySeconds = -1,
  ): void {
    const publication = new Publication();
    publication.setParts(topic, Buffer.from(payload), qos, false, encodeProperties(properties));
    publication.expirySeconds = expirySeconds;
    if (qos === 0) {
      this.receiver?.deliver(publication, 0, null);
      return;
    }
    const message = messageOf(publication, this.clock.ageMs());
    message.addReceiver(this.queue.id, 1);
    this.store.append(message);
    this.queue.enqueue(message, 1, null);
  }

  /** The device says bytes that are no text. */
  handle(bytes: Buffer): void {
    this.device.handler?.onData(bytes);
  }

  advance(ms: number): void {
    for (let rest = ms; rest > 0; rest -= 50) {
      this.clock.advance(Math.min(50, rest));
      this.wheel.tick();
      this.busWheel.tick();
    }
  }

  /** Millisecond by millisecond, as gaps and timeouts on the wire run. */
  tick(ms: number): void {
    for (let i = 0; i < ms; i++) {
      this.clock.advance(1);
      this.busWheel.tick();
    }
  }

  /** What was written, and it has left the machine. */
  sent(): string[] {
    this.device.handler?.onWritten();
    return this.device.written.splice(0);
  }

  lines(): string[] {
    return this.published.splice(0).map((publication) => publication.payload);
  }
}
