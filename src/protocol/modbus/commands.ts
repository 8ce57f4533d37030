/**
 * To the slaves: a message of a point's `set` topic is a write, and what came of it is published to `.../set/result`. At QoS 1
 * the line is a durable receiver: a message is acknowledged when its result is known, and waits in the queue while the
 * port is away. What a slave that is silent is told fails at once, and says so.
 *
 *     queue --> commands (64 at most) --> the bus --> result published, message acknowledged
 */
import type { DeliveryQueue } from "../../core/delivery-queue.ts";
import { DeviceReceiver, type DeviceWriter } from "../../core/device-receiver.ts";
import type { Message } from "../../core/message.ts";
import type { Publication } from "../../core/publication.ts";
import { exceptionText } from "../../wire/modbus/codes.ts";
import type { Request } from "../../wire/modbus/request.ts";
import { type Job, SILENT } from "./job.ts";
import type { ModbusCounters, ModbusParts } from "./parts.ts";
import { type Point, valueText } from "./point.ts";
import { isAway, type Poll } from "./poll.ts";
import { parseCommand, type Write } from "./set-value.ts";
import type { Slave } from "./slave.ts";

/** That wait for the bus. */
export const COMMANDS_MAX = 64;

/** A point that may be written, with the polls that read it back. */
export interface Target {
  readonly point: Point;
  readonly slave: Slave;
  readonly poll: Poll;
}

class Command implements Job {
  readonly slave: Slave;
  readonly target: Target;
  readonly packetId: number;
  /** Or what is wrong with it. */
  readonly write: Write | string;
  readonly #done: (command: Command, problem: string | null, nowMs: number) => void;

  constructor(target: Target, packetId: number, write: Write | string, done: Command["finish"]) {
    this.target = target;
    this.slave = target.slave;
    this.packetId = packetId;
    this.write = write;
    this.#done = done;
  }

  fill(request: Request): void {
    const { address, writeMultiple } = this.target.point.config;
    const { bytes } = this.write as Write;
    const { unit } = this.slave;
    if (typeof bytes === "boolean") {
      if (writeMultiple) request.writeCoils(unit, address, [bytes]);
      else request.writeCoil(unit, address, bytes);
    } else if (bytes.length === 2 && !writeMultiple) {
      request.writeRegister(unit, address, bytes);
    } else {
      request.writeRegisters(unit, address, bytes);
    }
  }

  onAnswer(_bytes: Buffer, _from: number, _end: number, nowMs: number): void {
    this.slave.onAnswer();
    this.target.poll.dueMs = Math.min(this.target.poll.dueMs, nowMs);
    this.finish(this, null, nowMs);
  }

  onFailure(code: number, nowMs: number): void {
    if (code === SILENT || isAway(code))
      this.slave.onSilence(nowMs, code === SILENT ? "no answer" : exceptionText(code));
    else this.slave.onAnswer();
    this.finish(this, code === SILENT ? "no answer" : exceptionText(code), nowMs);
  }

  finish(command: Command, problem: string | null, nowMs: number): void {
    this.#done(command, problem, nowMs);
  }
}

export class Commands implements DeviceWriter {
  readonly receiver: DeviceReceiver;
  readonly #targets: ReadonlyMap<string, Target>;
  readonly #parts: ModbusParts;
  readonly #counters: ModbusCounters;
  readonly #publish: (topic: string, payload: string) => void;
  readonly #wake: () => void;
  #waiting: Command[] = [];
  /** Handed to the bus; still the receiver's until its result is known. */
  #underWay: Command | null = null;
  #open = false;

  /**
   * @param targets by `set` topic
   * @param queue   null: QoS 0
   * @param publish a result
   */
  constructor(
    targets: ReadonlyMap<string, Target>,
    parts: ModbusParts,
    counters: ModbusCounters,
    queue: DeliveryQueue | null,
    publish: (topic: string, payload: string) => void,
    wake: () => void,
  ) {
    this.#targets = targets;
    this.#parts = parts;
    this.#counters = counters;
    const filters = [...targets.keys()].map((topic) => ({ topic, qos: 1 }));
    this.receiver = new DeviceReceiver(parts.router, parts.principal, filters, this, queue, COMMANDS_MAX);
    this.#publish = publish;
    this.#wake = wake;
  }

  onOpen(): void {
    this.#open = true;
    this.receiver.attach();
  }

  /** What the queue holds comes again when the port is back; the others are lost. */
  onAway(): void {
    this.#open = false;
    this.receiver.detach();
    const lost = this.#underWay === null ? this.#waiting : [this.#underWay, ...this.#waiting];
    this.#underWay = null;
    this.#waiting = [];
    for (const command of lost) if (command.packetId === 0) this.#drop(command.target, "the port is away");
  }

  close(): void {
    this.onAway();
    this.receiver.close();
  }

  /** The next one for the bus. Those that cannot go end here. */
  take(nowMs: number): Job | null {
    for (let command = this.#waiting.shift(); command !== undefined; command = this.#waiting.shift()) {
      this.#underWay = command;
      if (typeof command.write === "string") {
        this.#counters.writesInvalid.value++;
        const { principal, ledger, clock } = this.#parts;
        ledger.record(principal.name, () => setTopic(command.target), "invalid", clock.wallMs());
        this.#finish(command, command.write);
      } else if (command.slave.blockedUntilMs > nowMs) {
        this.#finish(command, "no answer");
      } else {
        return command;
      }
    }
    return null;
  }

  // ---- messages ----------------------------------------------------------------------------------------------

  deliver(publication: Publication): void {
    const target = this.#targets.get(publication.topic);
    if (target === undefined) return;
    const { bytes, payloadFrom, payloadEnd } = publication;
    if (!this.writable()) this.#drop(target, this.#open ? "too many commands wait" : "the port is away");
    else this.#enter(target, bytes.subarray(payloadFrom, payloadEnd), 0);
  }

  prepare(message: Message): boolean {
    return this.#targets.has(message.topic);
  }

  write(message: Message, packetId: number): void {
    const target = this.#targets.get(message.topic);
    if (target !== undefined) this.#enter(target, message.payload, packetId);
  }

  writable(): boolean {
    return this.#open && this.#waiting.length < COMMANDS_MAX;
  }

  #enter(target: Target, payload: Buffer, packetId: number): void {
    const write = parseCommand(target.point.config, payload);
    this.#waiting.push(new Command(target, packetId, write, (command, problem) => this.#finish(command, problem)));
    this.#wake();
  }

  #finish(command: Command, problem: string | null): void {
    if (this.#underWay !== command) return;
    this.#underWay = null;
    if (problem === null) this.#counters.writesDone.value++;
    else this.#counters.writesFailed.value++;
    this.#tell(command.target, typeof command.write === "string" ? null : command.write, problem);
    this.receiver.acknowledge(command.packetId);
    this.receiver.pump();
  }

  #drop(target: Target, problem: string): void {
    this.#counters.writesDropped.value++;
    this.#tell(target, null, problem);
  }

  #tell(target: Target, write: Write | null, problem: string | null): void {
    const value = write === null ? "" : `,"value":${valueText(write.value)}`;
    const error = problem === null ? "" : `,"error":${JSON.stringify(problem)}`;
    this.#publish(`${setTopic(target)}/result`, `{"ok":${problem === null}${value}${error}}`);
  }
}

function setTopic({ point }: Target): string {
  return `${point.config.topic}/set`;
}
