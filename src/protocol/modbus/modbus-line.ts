/** One configured line with a Modbus master: polls, values, commands. */
import type { Counters } from "../../base/counters.ts";
import type { Line } from "../../config/budget.ts";
import type { ModbusConfig } from "../../config/serial-modbus.ts";
import type { DeliveryQueue } from "../../core/delivery-queue.ts";
import { topicProblem } from "../../core/plain-publish.ts";
import type { StoreWaiter } from "../../core/ports.ts";
import { SETTLED } from "../../core/ports.ts";
import { Publication } from "../../core/publication.ts";
import { FORBIDDEN, NO_WAITER, STORED_LATER } from "../../core/router.ts";
import { type Characters, RtuFraming } from "../../wire/modbus/rtu.ts";
import { TcpFraming } from "../../wire/modbus/tcp.ts";
import { PropertiesWriter } from "../../wire/mqtt/properties.ts";
import { CORRELATION_DATA } from "../../wire/mqtt/property-table.ts";
import { byteMsOf, gapMsOf } from "./bus-time.ts";
import { isBroadcast, type Target } from "./command.ts";
import { COMMANDS_MAX, Commands, RESPONSE_BYTES_MAX, type TellResult } from "./commands.ts";
import { Master } from "./master.ts";
import { ModbusCounters, type ModbusDoor, type ModbusDoorHandler, type ModbusParts } from "./parts.ts";
import { Point } from "./point.ts";
import { Poll } from "./poll.ts";
import { planReads } from "./poll-plan.ts";
import { Slave } from "./slave.ts";
import { hundredths, type ModbusStatus, statusOf } from "./status.ts";

const properties = new PropertiesWriter(RESPONSE_BYTES_MAX + 8);

export interface ModbusLineOptions {
  readonly name: string;
  /** Of the wire; null on a network, whose bytes take no time and need no silence. */
  readonly characters: Characters | null;
  readonly modbus: ModbusConfig;
}

export class ModbusLine implements ModbusDoorHandler, StoreWaiter {
  readonly prompt = true;
  readonly answered = true;
  readonly name: string;
  readonly slaves: readonly Slave[];
  readonly #device: ModbusDoor;
  readonly #parts: ModbusParts;
  readonly #counters: ModbusCounters;
  readonly #points: Point[] = [];
  readonly #master: Master;
  readonly #commands: Commands | null;
  readonly #publication = new Publication();
  #denied = false;

  /** @param queue for commands at QoS 1; null: QoS 0 */
  constructor(device: ModbusDoor, options: ModbusLineOptions, parts: ModbusParts, queue: DeliveryQueue | null) {
    const { name, modbus, characters } = options;
    const nowMs = parts.clock.nowMs();
    this.name = name;
    this.#device = device;
    this.#parts = parts;
    this.#counters = new ModbusCounters(parts.counters);
    const polls: Poll[] = [];
    const targets = new Map<string, Target>();
    const addTarget = (point: Point, slave: Slave, poll: Poll | null): void => {
      if (point.config.write) targets.set(`${point.config.topic}/set`, { point, slave, poll });
    };
    const pollParts = { ...parts, line: name, counters: this.#counters, backoff: modbus.backoff };
    const onNews = (point: Point, now: number): void => this.#publishValue(point, now);
    this.slaves = modbus.slaves.map((config) => {
      const slave = new Slave(name, config, modbus.backoff, parts, nowMs);
      for (const group of config.groups) {
        if (isBroadcast(modbus.transport, slave.unit)) {
          for (const point of group.points) addTarget(new Point(point), slave, null);
          continue;
        }
        for (const read of planReads(group, modbus.maxGap)) {
          const points = read.points.map((point) => new Point(point));
          const poll = new Poll(slave, read, points, group.intervalMs, { ...pollParts, onNews }, nowMs);
          slave.wantedPerSecond += 1000 / group.intervalMs;
          polls.push(poll);
          this.#points.push(...points);
          for (const point of points) addTarget(point, slave, poll);
        }
      }
      return slave;
    });
    const tell: TellResult = (topic, payload, correlation) => this.#publishResult(topic, payload, correlation);
    this.#commands =
      targets.size === 0 ? null : new Commands(targets, parts, this.#counters, queue, tell, () => this.#master.wake());
    const isBus = modbus.transport === "rtu";
    const bus = { ...modbus, byteMs: byteMsOf(characters), isBus, gapMs: gapMsOf(modbus, characters) };
    const framing = modbus.transport === "tcp" ? new TcpFraming() : new RtuFraming();
    this.#master = new Master(polls, this.#commands, device, framing, bus, parts, this.#counters);
    this.#addGauges(parts.counters);
  }

  start(): void {
    this.#device.handler = this;
    this.#commands?.receiver.start();
    this.#device.start();
  }

  /** Resolves when the port is closed. */
  async stop(): Promise<void> {
    await this.#device.close();
    this.#master.onAway();
  }

  /** After `stop`: the router knows it no more. */
  leave(): void {
    this.#commands?.close();
    this.#parts.counters.removeGauges({ under: `modbus.${this.name}.`, except: [] });
  }

  status(): ModbusStatus {
    return statusOf(this.#master, this.slaves, this.#parts.clock.nowMs());
  }

  onOpen(): void {
    this.#commands?.onOpen();
    this.#master.onOpen();
  }

  onData(chunk: Buffer): void {
    this.#master.onData(chunk);
  }

  onWritten(): void {
    this.#master.onWritten();
  }

  onAway(): void {
    this.#master.onAway();
    this.#commands?.onAway();
  }

  /** The store would not have it: the next poll brings it again. */
  onStored(token: number, reason: number): void {
    if (reason === SETTLED) return;
    this.#counters.valuesRefused.value++;
    this.#points[token]?.forget();
  }

  #publishValue(point: Point, nowMs: number): void {
    const { topic, qos, retain } = point.config;
    const payload = point.payload(this.#parts.clock.wallMs());
    point.onPublished(nowMs);
    const waiter = qos === 0 ? NO_WAITER : this;
    const outcome = this.#publish(topic, payload, qos, retain, waiter, qos === 0 ? 0 : this.#points.indexOf(point));
    if (outcome === STORED_LATER || outcome < 0x80) {
      this.#counters.valuesPublished.value++;
      return;
    }
    point.forget();
    if (outcome !== FORBIDDEN) this.#counters.valuesRefused.value++;
  }

  /** Where to may be a client's word. */
  #publishResult(topic: string, payload: string, correlation: Buffer | null): void {
    if (topicProblem(topic, this.#parts.limits) !== null) {
      this.#deny(topic);
      return;
    }
    properties.reset();
    if (correlation !== null) properties.binary(CORRELATION_DATA, correlation);
    this.#publish(topic, payload, 1, false, NO_WAITER, 0, properties.buffer.subarray(0, properties.length));
  }

  #publish(
    topic: string,
    payload: string,
    qos: number,
    retain: boolean,
    waiter: StoreWaiter,
    token: number,
    properties?: Buffer,
  ): number {
    const { authority, principal, router } = this.#parts;
    if (!authority.mayPublish(principal, topic)) {
      this.#deny(topic);
      return FORBIDDEN;
    }
    this.#publication.setParts(topic, Buffer.from(payload), qos, retain, properties);
    this.#publication.publisher = this.#commands?.receiver.slot ?? -1;
    return router.publish(this.#publication, waiter, token);
  }

  #deny(topic: string): void {
    this.#counters.valuesDenied.value++;
    if (this.#denied) return;
    this.#denied = true;
    this.#parts.log.warn("modbus-publish-denied", { name: this.#parts.principal.name, topic });
  }

  /** What the bus has time for, against what was asked of it. */
  #addGauges(counters: Counters): void {
    const gauge = (value: string, read: () => number): void => counters.gauge(`modbus.${this.name}.${value}`, read);
    const { clock } = this.#parts;
    const achieved = (slave: Slave): number => slave.polls.perSecond(clock.nowMs());
    const sum = (of: (slave: Slave) => number): number => this.slaves.reduce((all, slave) => all + of(slave), 0);
    gauge("polls_wanted_per_second", () => hundredths(sum(({ wantedPerSecond }) => wantedPerSecond)));
    gauge("polls_per_second", () => hundredths(sum(achieved)));
    gauge("bus_used_percent", () => Math.round(this.#master.busyPercent()));
    gauge("slaves", () => this.slaves.length);
    gauge("slaves_silent", () => sum(({ state }) => (state === "silent" ? 1 : 0)));
    for (const slave of this.slaves) {
      gauge(`${slave.name}.polls_wanted_per_second`, () => hundredths(slave.wantedPerSecond));
      gauge(`${slave.name}.polls_per_second`, () => hundredths(achieved(slave)));
      gauge(`${slave.name}.answers`, () => (slave.state === "answers" ? 1 : 0));
      gauge(`${slave.name}.timeouts`, () => slave.timeouts);
      gauge(`${slave.name}.exceptions`, () => slave.exceptions);
    }
  }
}

/** Values in `$SYS` of a line, and of each slave: those of `#addGauges`. */
const LINE_VALUES = 5;
const SLAVE_VALUES = 5;
const SYS_VALUE_BYTES = 176;
/** The port's buffer for reading, request, answer and the frame that goes out. */
const LINE_BYTES = 4096 + 4 * 1024;
/** A command with its text. */
const COMMAND_BYTES = 2048 + 256;
/** Estimated: its part of the configuration, names, topics, the value published last, its places in the router. */
const POINT_BYTES = 1024;
const WRITABLE_BYTES = 512;
/** With its rates and the values in `$SYS`. */
const SLAVE_BYTES = 768 + SLAVE_VALUES * SYS_VALUE_BYTES;

/** Worst case of the lines that are given. */
export function budget(lines: readonly ModbusConfig[]): Line[] {
  if (lines.length === 0) return [];
  const slaves = lines.flatMap((line) => line.slaves);
  const points = slaves.flatMap(({ groups }) => groups.flatMap((group) => group.points));
  const writable = points.filter(({ write }) => write).length;
  const line = LINE_BYTES + LINE_VALUES * SYS_VALUE_BYTES + COMMANDS_MAX * COMMAND_BYTES;
  const bytes =
    lines.length * line + slaves.length * SLAVE_BYTES + points.length * POINT_BYTES + writable * WRITABLE_BYTES;
  return [
    {
      owner: "modbus lines",
      bytes,
      how: `${lines.length} lines x ${line} B, ${slaves.length} slaves x ${SLAVE_BYTES} B, ${points.length} points x ${POINT_BYTES} B, ${writable} of them to be written`,
    },
  ];
}

/** Values that `$SYS` remembers for them. */
export function sysValues(lines: readonly ModbusConfig[]): number {
  return lines.reduce((sum, { slaves }) => sum + LINE_VALUES + slaves.length * SLAVE_VALUES, 0);
}
