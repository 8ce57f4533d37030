/**
 * To the device: messages of `write` as frames. At QoS 1 it is a durable receiver: a message is acknowledged when its
 * frame has left the machine, and waits in the queue while the port is away. QoS 0 frames that the port cannot take are
 * dropped and counted.
 *
 *     queue --> rule (the first that matches): frame --> lane (batch, or turns) --> the port
 */
import type { SerialWriteConfig } from "../../config/serial-write.ts";
import type { DeliveryQueue } from "../../core/delivery-queue.ts";
import { DeviceReceiver, type DeviceWriter } from "../../core/device-receiver.ts";
import type { Message } from "../../core/message.ts";
import type { Publication } from "../../core/publication.ts";
import { filterMatches } from "../../core/topic.ts";
import type { EncoderProblem, FrameEncoder } from "../../wire/serial/framing.ts";
import type { SerialDevice, SerialParts } from "./parts.ts";
import { REPLY_BYTES_MAX, Replies, type RepliesOwner, type Reply, readReply } from "./replies.ts";
import { WriteBatch } from "./write-batch.ts";
import type { Frame, LaneOwner, WriteLane } from "./write-lane.ts";
import { WriteRule } from "./write-rule.ts";
import { WriteTurns } from "./write-turns.ts";

/** Messages sent and not written. */
const SERIAL_WINDOW = 64;
const NEVER = Number.POSITIVE_INFINITY;

/** What is to be written of a message. */
interface Prepared {
  readonly rule: WriteRule;
  /** Without what the framing adds. */
  readonly content: Buffer;
  readonly reply: Reply | null;
}

export class SerialOutput implements DeviceWriter, LaneOwner, RepliesOwner {
  readonly receiver: DeviceReceiver;
  readonly #parts: SerialParts;
  readonly #rules: readonly WriteRule[];
  readonly #device: SerialDevice;
  readonly #encoder: FrameEncoder;
  readonly #replies: Replies;
  readonly #lane: WriteLane;
  /** Of the lane, where a rule has requests: takes frames of the device that are responses. */
  readonly responses: WriteTurns | null;
  /** Of the message that the queue offers. */
  #offered: Message | null = null;
  #prepared: Prepared | null = null;

  constructor(
    parts: SerialParts,
    writes: readonly SerialWriteConfig[],
    device: SerialDevice,
    queue: DeliveryQueue | null,
    encoder: FrameEncoder,
  ) {
    this.#parts = parts;
    this.#rules = writes.map((write) => new WriteRule(write));
    this.#device = device;
    this.#encoder = encoder;
    this.#replies = new Replies(parts, this);
    const turns = takesTurns(writes) ? new WriteTurns(device, this, parts, this.#replies) : null;
    this.#lane = turns ?? new WriteBatch(device, this, parts.counters);
    this.responses = hasRequests(writes) ? turns : null;
    const receiver = new DeviceReceiver(parts.router, parts.principal, writes, this, queue, SERIAL_WINDOW);
    // Of those that match, the first one holds.
    if (writes.length > 1) receiver.grantOf = (topic) => receiver.grant(this.#ruleOf(() => topic).config.qos);
    this.receiver = receiver;
  }

  start(): void {
    this.receiver.start();
    this.#replies.slot = this.receiver.slot;
  }

  close(): void {
    this.onAway();
    this.#replies.close();
    this.receiver.close();
  }

  // ---- the port ----------------------------------------------------------------------------------------------

  onOpen(): void {
    this.receiver.attach();
  }

  onAway(): void {
    this.receiver.detach();
    this.#parts.counters.writesDropped.value += this.#lane.onAway();
  }

  onWritten(): void {
    this.#lane.onWritten();
  }

  acknowledge(packetId: number): void {
    this.receiver.acknowledge(packetId);
  }

  onExpired({ rule, reply, packetId }: Frame): void {
    const { ledger, counters, clock, principal } = this.#parts;
    counters.writesExpired.value++;
    ledger.record(principal.name, () => rule.config.topic, "expired", clock.wallMs());
    if (reply !== null) this.#replies.failLater(rule, reply, "expired");
    this.receiver.acknowledge(packetId);
  }

  onRoom(): void {
    this.receiver.pump();
  }

  onRepliesOpen(): void {
    this.responses?.onRepliesOpen();
  }

  // ---- messages ----------------------------------------------------------------------------------------------

  deliver(publication: Publication): void {
    const { bytes, propertiesFrom, propertiesEnd, payloadFrom, payloadEnd, expirySeconds } = publication;
    const payload = bytes.subarray(payloadFrom, payloadEnd);
    const prepared = this.#prepare(() => publication.topic, bytes, propertiesFrom, propertiesEnd, payload);
    if (prepared === null) return;
    const leftMs = expirySeconds < 0 ? NEVER : expirySeconds * 1000;
    if (this.#device.isOpen && !this.#lane.isFull) this.#send(prepared, 0, leftMs);
    else this.#drop(prepared);
  }

  #drop({ rule, reply }: Prepared): void {
    this.#parts.counters.writesDropped.value++;
    if (reply !== null) this.#replies.failLater(rule, reply, this.#device.isOpen ? "busy" : "away");
  }

  prepare(message: Message): boolean {
    if (this.#offered !== message) {
      const { bytes, topicEnd, propertiesEnd, payload } = message;
      this.#prepared = this.#prepare(() => message.topic, bytes, topicEnd, propertiesEnd, payload);
      this.#offered = this.#prepared === null ? null : message;
    }
    return this.#offered !== null;
  }

  write({ expiresMs, acceptedMs }: Message, packetId: number): void {
    const prepared = this.#prepared as Prepared;
    this.#offered = null;
    this.#prepared = null;
    const leftMs = expiresMs === 0 ? NEVER : expiresMs - acceptedMs - this.#parts.clock.elapsedMs(acceptedMs);
    this.#send(prepared, packetId, leftMs);
  }

  writable(): boolean {
    return this.#device.isOpen && this.#lane.wantsMore;
  }

  #ruleOf(topic: () => string): WriteRule {
    const rules = this.#rules;
    if (rules.length === 1) return rules[0] as WriteRule;
    const name = topic();
    // A message of an earlier configuration may match none.
    return rules.find(({ config }) => filterMatches(config.topic, name)) ?? (rules[0] as WriteRule);
  }

  /** @returns null for a message that cannot be a frame: it is counted and listed */
  #prepare(topic: () => string, bytes: Buffer, from: number, end: number, payload: Buffer): Prepared | null {
    const rule = this.#ruleOf(topic);
    const content = rule.frameOf(topic, payload);
    const reply = rule.config.request === null ? null : readReply(rule, topic, bytes, from, end);
    const problem = content === null ? "invalid" : this.#problemOf(content, reply);
    if (problem === null) return { rule, content: content as Buffer, reply };
    const { ledger, counters, clock, principal } = this.#parts;
    counters.writesInvalid.value++;
    ledger.record(principal.name, topic, problem, clock.wallMs());
    if (reply !== null) this.#replies.failLater(rule, reply, problem);
    return null;
  }

  #problemOf(content: Buffer, reply: Reply | null): EncoderProblem | null {
    if (reply !== null && reply.bytes > REPLY_BYTES_MAX) return "too-large";
    // A line has to stay a line: one with a line end inside would reach the device as two.
    return this.#encoder.problem(content);
  }

  /** @param leftMs until its message expires */
  #send({ rule, content, reply }: Prepared, packetId: number, leftMs: number): void {
    const expiresMs = this.#parts.clock.nowMs() + leftMs;
    this.#lane.push({ bytes: this.#encoder.encode(content), packetId, expiresMs, rule, reply });
  }
}

/** Whether frames need a pause or a response between them. */
export function takesTurns(writes: readonly SerialWriteConfig[]): boolean {
  return writes.some(({ gapMs, request }) => gapMs > 0 || request !== null);
}

export function hasRequests(writes: readonly SerialWriteConfig[]): boolean {
  return writes.some(({ request }) => request !== null);
}
