/** A Modbus line on a fake port: slaves whose answers the test decides, and a clock that it moves. */
import { Allowance } from "../../../../src/base/allowance.ts";
import { ManualClock } from "../../../../src/base/clock.ts";
import { Counters } from "../../../../src/base/counters.ts";
import { Log } from "../../../../src/base/log.ts";
import { load } from "../../../../src/config/load.ts";
import { linesOf } from "../../../../src/config/serial.ts";
import type { ModbusConfig } from "../../../../src/config/serial-modbus.ts";
import { DeliveryQueue } from "../../../../src/core/delivery-queue.ts";
import { Ledger } from "../../../../src/core/ledger.ts";
import { messageOf } from "../../../../src/core/message.ts";
import type { StoreWaiter } from "../../../../src/core/ports.ts";
import { Publication } from "../../../../src/core/publication.ts";
import type { QueueLimits } from "../../../../src/core/queue-limits.ts";
import type { Receiver } from "../../../../src/core/receiver.ts";
import { ROUTED, STORED_LATER } from "../../../../src/core/router.ts";
import { ModbusLine } from "../../../../src/protocol/modbus/modbus-line.ts";
import type { Alarm, ModbusDoor, ModbusDoorHandler } from "../../../../src/protocol/modbus/parts.ts";
import { crc16 } from "../../../../src/wire/modbus/crc.ts";
import { cutsOf } from "../../../support/cuts.ts";
import { MemoryStore } from "../../../support/memory-store.ts";

/** What a slave answers to a PDU; null = nothing. */
export type Answer = (pdu: Buffer) => Buffer | null;

const QUEUE_LIMITS: QueueLimits = {
  messages: 100,
  bytes: 64 * 1024,
  onlineMessages: 100,
  onlineBytes: 64 * 1024,
  maxAgeMs: Number.POSITIVE_INFINITY,
  whenFull: "drop-newest",
  windowBytes: 64 * 1024,
};

class FakeAlarm implements Alarm {
  atMs = Number.POSITIVE_INFINITY;
  readonly ring: () => void;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock, ring: () => void) {
    this.#clock = clock;
    this.ring = ring;
  }

  set(delayMs: number): void {
    this.atMs = this.#clock.nowMs() + delayMs;
  }

  clear(): void {
    this.atMs = Number.POSITIVE_INFINITY;
  }
}

export class FakeBus implements ModbusDoor {
  handler: ModbusDoorHandler | null = null;
  isOpen = false;
  /** Requests that came, as unit and PDU in hexadecimal. */
  readonly asked: string[] = [];
  readonly slaves = new Map<number, Answer>();
  /** The wire brings back what is sent. */
  echoes = false;
  /** Modbus TCP; answers wait in `unsaid` for the test to say them. */
  mbap = false;
  readonly unsaid: Buffer[] = [];
  /** Why the master did. */
  readonly hungUp: string[] = [];
  #output: Buffer | null = null;

  start(): void {}

  async close(): Promise<void> {
    this.away();
  }

  hangUp(why: string): void {
    this.hungUp.push(why);
    this.away();
  }

  open(): void {
    this.isOpen = true;
    this.handler?.onOpen();
  }

  away(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#output = null;
    this.handler?.onAway();
  }

  write(bytes: Buffer): void {
    if (this.#output !== null) throw new Error("a write is under way");
    this.#output = Buffer.from(bytes);
  }

  /** The request leaves, and the slave answers. @returns whether there was one */
  turn(): boolean {
    const frame = this.#output;
    if (frame === null) return false;
    this.#output = null;
    this.handler?.onWritten();
    if (this.mbap) this.#takeMbap(frame);
    else this.#takeRtu(frame);
    return true;
  }

  #takeRtu(frame: Buffer): void {
    if (crc16(frame, 0, frame.length) !== 0) throw new Error("a request with a wrong CRC");
    if (this.echoes) this.handler?.onData(frame);
    this.asked.push(`${frame[0]}:${frame.toString("hex", 1, frame.length - 2)}`);
    const pdu = this.slaves.get(frame[0] as number)?.(frame.subarray(1, -2)) ?? null;
    if (pdu !== null) this.say(frame[0] as number, pdu);
  }

  /** Several requests in one write. */
  #takeMbap(frames: Buffer): void {
    for (let at = 0; at < frames.length; ) {
      const end = at + 6 + frames.readUInt16BE(at + 4);
      const unit = frames[at + 6] as number;
      const transaction = frames.readUInt16BE(at);
      this.asked.push(`${unit}:${frames.toString("hex", at + 7, end)}`);
      const pdu = this.slaves.get(unit)?.(frames.subarray(at + 7, end)) ?? null;
      if (pdu !== null) this.unsaid.push(mbapFrame(transaction, unit, pdu));
      at = end;
    }
  }

  say(unit: number, pdu: Buffer): void {
    const bytes = Buffer.concat([Buffer.of(unit), pdu, Buffer.alloc(2)]);
    bytes.writeUInt16LE(crc16(bytes, 0, bytes.length - 2), bytes.length - 2);
    this.handler?.onData(bytes);
  }
}

function mbapFrame(transaction: number, unit: number, pdu: Buffer): Buffer {
  const header = Buffer.alloc(7);
  header.writeUInt16BE(transaction, 0);
  header.writeUInt16BE(pdu.length + 1, 4);
  header[6] = unit;
  return Buffer.concat([header, pdu]);
}

/** Holding registers and coils that are read and written. */
export function registers(values: number[], coils: boolean[] = []): Answer {
  return (pdu) => {
    const address = pdu.readUInt16BE(1);
    const count = pdu.readUInt16BE(3);
    switch (pdu[0]) {
      case 1: {
        const bits = Buffer.alloc(Math.ceil(count / 8));
        for (let i = 0; i < count; i++)
          if (coils[address + i]) bits[i >> 3] = (bits[i >> 3] as number) | (1 << (i & 7));
        return Buffer.concat([Buffer.of(1, bits.length), bits]);
      }
      case 3: {
        if (address + count > values.length) return Buffer.of(0x83, 2);
        const bytes = Buffer.alloc(2 * count);
        for (let i = 0; i < count; i++) bytes.writeUInt16BE(values[address + i] as number, 2 * i);
        return Buffer.concat([Buffer.of(3, bytes.length), bytes]);
      }
      case 5:
        coils[address] = count === 0xff00;
        return Buffer.from(pdu);
      case 6:
        values[address] = count;
        return Buffer.from(pdu);
      case 15:
        for (let i = 0; i < count; i++) coils[address + i] = ((pdu[6] as number) >> i) % 2 === 1;
        return Buffer.from(pdu.subarray(0, 5));
      case 22:
        values[address] = ((values[address] as number) & count) | (pdu.readUInt16BE(5) & ~count & 0xffff);
        return Buffer.from(pdu);
      case 16:
        for (let i = 0; i < count; i++) values[address + i] = pdu.readUInt16BE(6 + 2 * i);
        return Buffer.from(pdu.subarray(0, 5));
      default:
        return Buffer.of((pdu[0] as number) | 0x80, 1);
    }
  };
}

/** One as in the configuration, with one group. */
export function slave(unit: number, points: Record<string, unknown>[], group: Record<string, unknown> = {}) {
  return { name: `s${unit}`, unit, groups: [{ interval: "1s", points, ...group }] };
}

export function modbusOf(modbus: Record<string, unknown>): ModbusConfig {
  const text = JSON.stringify({ serial: [{ name: "bus", port: "/dev/bus", protocol: "modbus", modbus }] });
  const { config, complaints } = load(text, { directory: "/", checkFiles: false });
  const found = linesOf(config?.serial ?? [], "modbus")[0]?.modbus;
  if (found == null) throw new Error(JSON.stringify(complaints));
  return found;
}

export class Harness {
  readonly clock = new ManualClock();
  readonly counters = new Counters();
  readonly ledger = new Ledger(this.counters);
  readonly store = new MemoryStore();
  readonly bus = new FakeBus();
  readonly logged: string[] = [];
  readonly published: { topic: string; payload: string }[] = [];
  /** Topics that the line may not publish to. */
  readonly denied = new Set<string>();
  /** Properties of what was published last. */
  properties: Buffer = Buffer.alloc(0);
  readonly waiting: { waiter: StoreWaiter; token: number }[] = [];
  readonly filters: string[] = [];
  receiver: Receiver | null = null;
  outcome = ROUTED;
  readonly line: ModbusLine;
  readonly queue: DeliveryQueue;
  #alarm: FakeAlarm | null = null;

  constructor(modbus: Record<string, unknown>, baud = 115_200) {
    const { clock, counters, ledger } = this;
    const config = modbusOf(modbus);
    this.bus.mbap = config.transport === "tcp";
    const host = {
      store: this.store,
      time: clock,
      ledger,
      waitingMemory: new Allowance(1e6),
      cuts: cutsOf(clock),
      schedule: (queue: DeliveryQueue) => queue.runScheduled(),
    };
    this.queue = new DeliveryQueue(host, "serial:bus", this.store.createReceiver("serial", "bus"), QUEUE_LIMITS);
    this.store.register(this.queue);
    this.line = new ModbusLine(
      this.bus,
      { name: "bus", characters: { baud, bits: 11 }, modbus: config },
      {
        principal: { name: "serial:bus", clientId: "serial:bus" },
        router: {
          publish: (publication, waiter, token) => this.#publish(publication, waiter, token),
          join: (receiver) => {
            receiver.slot = 7;
            this.receiver = receiver;
          },
          leave: () => {
            this.receiver = null;
          },
          subscribe: (_receiver, filter) => this.filters.push(filter) > 0,
          unsubscribe: () => true,
        },
        authority: { mayPublish: (_principal, topic) => !this.denied.has(topic) },
        ledger,
        clock,
        limits: { topicLevels: 20, topicBytes: 512, maxPacketBytes: 65536 },
        random: () => 1,
        log: new Log({ level: "debug", format: "text", write: (text) => this.logged.push(text.slice(25)) }),
        counters,
        alarm: (ring) => {
          this.#alarm = new FakeAlarm(clock, ring);
          return this.#alarm;
        },
      },
      config.writeQos === 0 ? null : this.queue,
    );
    this.line.start();
  }

  #publish(publication: Publication, waiter: StoreWaiter, token: number): number {
    const payload = publication.bytes.toString("utf8", publication.payloadFrom, publication.payloadEnd);
    this.published.push({ topic: publication.topic, payload });
    this.properties = Buffer.from(publication.bytes.subarray(publication.propertiesFrom, publication.propertiesEnd));
    if (this.outcome === STORED_LATER) this.waiting.push({ waiter, token });
    return this.outcome;
  }

  /** Lets `ms` pass; requests leave and are answered in no time. */
  advance(ms: number): void {
    const end = this.clock.nowMs() + ms;
    for (;;) {
      while (this.bus.turn());
      const alarm = this.#alarm as FakeAlarm;
      if (alarm.atMs > end) break;
      this.clock.advance(Math.max(0, alarm.atMs - this.clock.nowMs()));
      alarm.clear();
      alarm.ring();
    }
    this.clock.advance(end - this.clock.nowMs());
  }

  /** @param properties of MQTT 5 */
  deliver(topic: string, payload: string, qos: number, properties?: Buffer, expirySeconds = -1): void {
    const publication = new Publication();
    publication.setParts(topic, Buffer.from(payload), qos, false, properties);
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

  taken(): string[] {
    return this.published.splice(0).map(({ topic, payload }) => `${topic} ${payload}`);
  }
}
