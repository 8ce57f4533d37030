/**
 * To the slaves: a message of a point's `set` topic is a write, and what came of it is published to its MQTT 5 Response
 * Topic, or to `.../set/result`. At QoS 1 the line is a durable receiver: a message is acknowledged when its result is
 * known, and waits in the queue while the port is away. What a slave that is silent is told fails at once, and says so.
 *
 *     queue --> commands (64 at most) --> the bus --> result published, message acknowledged
 */
import type { DeliveryQueue } from "../../core/delivery-queue.ts";
import { DeviceReceiver, type DeviceWriter } from "../../core/device-receiver.ts";
import type { DropCause } from "../../core/drop-causes.ts";
import type { Message } from "../../core/message.ts";
import type { Publication } from "../../core/publication.ts";
import { responseTopicOf } from "../../core/response-topic.ts";
import { Command, type Origin, type Target } from "./command.ts";
import type { Job } from "./job.ts";
import type { ModbusCounters, ModbusParts } from "./parts.ts";
import { valueText } from "./point.ts";
import { parseCommand, type Write } from "./set-value.ts";

/** That wait for the bus. */
export const COMMANDS_MAX = 64;
/** Of Response Topic and Correlation Data together, for as long as the command waits. */
export const RESPONSE_BYTES_MAX = 2048;
const NEVER = Number.POSITIVE_INFINITY;

/** Publishes a result. @param correlation goes with it */
export type TellResult = (topic: string, payload: string, correlation: Buffer | null) => void;

export class Commands implements DeviceWriter {
  readonly receiver: DeviceReceiver;
  readonly #targets: ReadonlyMap<string, Target>;
  readonly #parts: ModbusParts;
  readonly #counters: ModbusCounters;
  readonly #publish: TellResult;
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
    publish: TellResult,
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
    for (const command of lost) {
      if (command.origin.packetId === 0) this.#drop(command.target, command.origin, "the port is away");
    }
  }

  close(): void {
    this.onAway();
    this.receiver.close();
  }

  /** When `take` may have one. */
  get readyMs(): number {
    return this.#underWay === null ? (this.#waiting[0]?.slave.heldUntilMs ?? NEVER) : NEVER;
  }

  /** The next one for the bus, one at a time. Those that cannot go end here. */
  take(nowMs: number): Job | null {
    while (this.readyMs <= nowMs) {
      const command = this.#waiting.shift() as Command;
      this.#underWay = command;
      if (typeof command.write === "string") {
        this.#counters.writesInvalid.value++;
        this.#list(command, "invalid");
        this.#finish(command, command.write);
      } else if (command.origin.expiresMs <= nowMs) {
        this.#counters.writesExpired.value++;
        this.#list(command, "expired");
        this.#finish(command, "expired");
      } else if (command.slave.blockedUntilMs > nowMs) {
        this.#finish(command, "no answer");
      } else {
        return command;
      }
    }
    return null;
  }

  #list({ target }: Command, cause: DropCause): void {
    const { principal, ledger, clock } = this.#parts;
    ledger.record(principal.name, () => setTopic(target), cause, clock.wallMs());
  }

  // ---- messages ----------------------------------------------------------------------------------------------

  deliver(publication: Publication): void {
    const target = this.#targets.get(publication.topic);
    if (target === undefined) return;
    const { bytes, propertiesFrom, propertiesEnd, payloadFrom, payloadEnd, expirySeconds } = publication;
    const leftMs = expirySeconds < 0 ? NEVER : expirySeconds * 1000;
    const origin = this.#originOf(bytes, propertiesFrom, propertiesEnd, leftMs, 0);
    if (!this.writable()) this.#drop(target, origin, this.#open ? "too many commands wait" : "the port is away");
    else this.#enter(target, bytes.subarray(payloadFrom, payloadEnd), origin);
  }

  prepare(message: Message): boolean {
    return this.#targets.has(message.topic);
  }

  write(message: Message, packetId: number): void {
    const target = this.#targets.get(message.topic);
    if (target === undefined) return;
    const { bytes, topicEnd, propertiesEnd } = message;
    const leftMs = message.leftMs(this.#parts.clock);
    this.#enter(target, message.payload, this.#originOf(bytes, topicEnd, propertiesEnd, leftMs, packetId));
  }

  writable(): boolean {
    return this.#open && this.#waiting.length < COMMANDS_MAX;
  }

  #originOf(bytes: Buffer, from: number, end: number, leftMs: number, packetId: number): Origin {
    const { topic, correlation } = responseTopicOf(bytes, from, end);
    const expiresMs = this.#parts.clock.nowMs() + leftMs;
    return { packetId, expiresMs, responseTopic: topic, correlation };
  }

  #enter(target: Target, payload: Buffer, origin: Origin): void {
    const { responseTopic, correlation } = origin;
    const isTooLong = Buffer.byteLength(responseTopic ?? "") + (correlation?.length ?? 0) > RESPONSE_BYTES_MAX;
    const write = isTooLong ? "the Response Topic is too long" : parseCommand(target.point.config, payload);
    const kept = isTooLong ? { ...origin, responseTopic: null, correlation: null } : origin;
    this.#waiting.push(new Command(target, kept, write, (command, problem) => this.#finish(command, problem)));
    this.#wake();
  }

  #finish(command: Command, problem: string | null): void {
    if (this.#underWay !== command) return;
    this.#underWay = null;
    if (problem === null) this.#counters.writesDone.value++;
    else this.#counters.writesFailed.value++;
    const { target, origin, write } = command;
    this.#tell(target, origin, typeof write === "string" ? null : write, problem);
    this.receiver.acknowledge(origin.packetId);
    this.receiver.pump();
  }

  #drop(target: Target, origin: Origin, problem: string): void {
    this.#counters.writesDropped.value++;
    this.#tell(target, origin, null, problem);
  }

  #tell(target: Target, { responseTopic, correlation }: Origin, write: Write | null, problem: string | null): void {
    const value = write === null ? "" : `,"value":${valueText(write.value)}`;
    const error = problem === null ? "" : `,"error":${JSON.stringify(problem)}`;
    const topic = responseTopic ?? `${setTopic(target)}/result`;
    this.#publish(topic, `{"ok":${problem === null}${value}${error}}`, correlation);
  }
}

function setTopic({ point }: Target): string {
  return `${point.config.topic}/set`;
}
