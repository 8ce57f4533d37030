/** One configured line with a Modbus master: polls, values, commands. */
import type { Counters } from "../../base/counters.ts";
import type { Line } from "../../config/budget.ts";
import type { ModbusConfig } from "../../config/serial-modbus.ts";
import type { DeliveryQueue } from "../../core/delivery-queue.ts";
import { type Characters, RtuFraming } from "../../wire/modbus/rtu.ts";
import { TcpFraming } from "../../wire/modbus/tcp.ts";
import { byteMsOf, gapMsOf } from "./bus-time.ts";
import { isBroadcast, type Target } from "./command.ts";
import { COMMANDS_MAX, Commands, type TellResult } from "./commands.ts";
import { GroupMessage } from "./group-message.ts";
import { Master } from "./master.ts";
import { ModbusCounters, type ModbusDoor, type ModbusDoorHandler, type ModbusParts } from "./parts.ts";
import { Point } from "./point.ts";
import { Poll, type PollParts } from "./poll.ts";
import { type PlannedRead, planReads, splitRead } from "./poll-plan.ts";
import { Publications } from "./publications.ts";
import { Slave } from "./slave.ts";
import { hundredths, type ModbusStatus, statusOf } from "./status.ts";

export interface ModbusLineOptions {
  readonly name: string;
  /** Of the wire; null on a network, whose bytes take no time and need no silence. */
  readonly characters: Characters | null;
  readonly modbus: ModbusConfig;
}

export class ModbusLine implements ModbusDoorHandler {
  readonly prompt = true;
  readonly answered = true;
  readonly name: string;
  readonly slaves: readonly Slave[];
  readonly #device: ModbusDoor;
  readonly #parts: ModbusParts;
  readonly #counters: ModbusCounters;
  readonly #master: Master;
  readonly #commands: Commands | null;
  readonly #publications: Publications;

  /** @param queue for commands at QoS 1; null: QoS 0 */
  constructor(device: ModbusDoor, options: ModbusLineOptions, parts: ModbusParts, queue: DeliveryQueue | null) {
    const { name, modbus, characters } = options;
    const nowMs = parts.clock.nowMs();
    this.name = name;
    this.#device = device;
    this.#parts = parts;
    this.#counters = new ModbusCounters(parts.counters);
    this.#publications = new Publications(parts, this.#counters);
    const polls: Poll[] = [];
    const targets = new Map<string, Target>();
    const addTarget = (point: Point, slave: Slave, poll: Poll | null): void => {
      if (point.config.write) targets.set(`${point.config.topic}/set`, { point, slave, poll });
    };
    const pollParts = { ...parts, line: name, counters: this.#counters, backoff: modbus.backoff };
    this.slaves = modbus.slaves.map((config) => {
      const slave = new Slave(name, config, modbus.backoff, parts, nowMs);
      const { stateTopic } = config;
      if (stateTopic !== null) slave.onChange = (online) => this.#publications.tellState(stateTopic, online);
      for (const group of config.groups) {
        if (isBroadcast(modbus.transport, slave.unit)) {
          for (const point of group.points) addTarget(new Point(point), slave, null);
          continue;
        }
        const message = group.message === null ? null : new GroupMessage(group.message);
        const telling = this.#tellingOf(message);
        const { intervalMs } = group;
        const pollOf = (read: PlannedRead, points: readonly Point[], now: number): Poll => {
          const poll = new Poll(slave, read, points, intervalMs, { ...pollParts, ...telling, onSplit }, now);
          for (const point of points) addTarget(point, slave, poll);
          slave.wantedPerSecond += 1000 / intervalMs;
          return poll;
        };
        const onSplit = (poll: Poll, now: number): void => {
          const [first, second] = splitRead(poll.read);
          const half = first.points.length;
          const halves = [pollOf(first, poll.points.slice(0, half), now), pollOf(second, poll.points.slice(half), now)];
          for (const one of halves) one.begunMs = now; // those of others went before
          slave.wantedPerSecond -= 1000 / intervalMs;
          this.#master.replace(poll, halves);
          message?.replace(poll, halves);
        };
        for (const read of planReads(group, modbus.maxGap)) {
          const points = read.points.map((point) => new Point(point));
          const poll = pollOf(read, points, nowMs);
          polls.push(poll);
          message?.polls.push(poll);
          message?.points.push(...points);
        }
      }
      return slave;
    });
    const tell: TellResult = (topic, payload, correlation) =>
      this.#publications.tellResult(topic, payload, correlation);
    this.#commands =
      targets.size === 0 ? null : new Commands(targets, parts, this.#counters, queue, tell, () => this.#master.wake());
    const isBus = modbus.transport === "rtu";
    const bus = { ...modbus, byteMs: byteMsOf(characters), isBus, gapMs: gapMsOf(modbus, characters) };
    const framing = modbus.transport === "tcp" ? new TcpFraming() : new RtuFraming();
    this.#master = new Master(polls, this.#commands, device, framing, bus, parts, this.#counters);
    this.#addGauges(parts.counters);
  }

  /** Values one by one, or those of a group together. */
  #tellingOf(message: GroupMessage | null): Pick<PollParts, "onNews" | "onEnd"> {
    const publications = this.#publications;
    if (message === null) return { onNews: (point, now) => publications.tell(point, now) };
    const onEnd = (poll: Poll, now: number): void => {
      if (message.onPollEnd(poll)) publications.tell(message, now);
    };
    return { onNews: () => message.onNews(), onEnd };
  }

  start(): void {
    this.#device.handler = this;
    this.#commands?.receiver.start();
    if (this.#commands !== null) this.#publications.slot = this.#commands.receiver.slot;
    for (const slave of this.slaves) slave.onChange?.(false);
    this.#device.start();
  }

  /** Resolves when the port is closed. */
  async stop(): Promise<void> {
    await this.#device.close();
    this.#master.onAway();
    for (const slave of this.slaves) slave.onAway();
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
    for (const slave of this.slaves) slave.onAway();
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
const LINE_BYTES = 4096 + 3 * 1024;
/** A request, and its place in what goes out. */
const EXCHANGE_BYTES = 2 * 260 + 128;
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
  const exchanges = lines.reduce((sum, { inFlight }) => sum + inFlight, 0);
  const bytes =
    lines.length * line +
    exchanges * EXCHANGE_BYTES +
    slaves.length * SLAVE_BYTES +
    points.length * POINT_BYTES +
    writable * WRITABLE_BYTES;
  return [
    {
      owner: "modbus lines",
      bytes,
      how: `${lines.length} lines x ${line} B, ${exchanges} requests in flight x ${EXCHANGE_BYTES} B, ${slaves.length} slaves x ${SLAVE_BYTES} B, ${points.length} points x ${POINT_BYTES} B, ${writable} of them to be written`,
    },
  ];
}

/** Values that `$SYS` remembers for them. */
export function sysValues(lines: readonly ModbusConfig[]): number {
  return lines.reduce((sum, { slaves }) => sum + LINE_VALUES + slaves.length * SLAVE_VALUES, 0);
}
