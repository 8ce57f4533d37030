/**
 * To the device: messages of `write.topic` as lines. At QoS 1 it is a durable receiver: a message is acknowledged
 * when its line has left the machine, and waits in the queue while the port is away. QoS 0 lines that the port cannot
 * take are dropped and counted.
 *
 *     queue --> batch (lines to go, up to 4 KiB) --> the one write under way --> onWritten: acknowledged
 */
import type { DeliveryQueue } from "../../core/delivery-queue.ts";
import type { Message } from "../../core/message.ts";
import type { Outlet } from "../../core/outlet.ts";
import type { Principal } from "../../core/ports.ts";
import type { Publication } from "../../core/publication.ts";
import type { Receiver } from "../../core/receiver.ts";
import type { FrameEncoder } from "../../wire/serial/framing.ts";
import type { SerialDevice, SerialParts, SerialTopic } from "./parts.ts";

/** Lines that wait for the write under way; the next one goes when they are fewer bytes. */
export const BATCH_BYTES = 4096;
/** Messages sent and not written. */
export const SERIAL_WINDOW = 64;
/** SUBSCRIBE's No Local. */
const NO_LOCAL = 0b100;

export class SerialOutput implements Receiver, Outlet {
  slot = -1;
  readonly principal: Principal;
  readonly queue: DeliveryQueue | null;
  readonly #parts: SerialParts;
  readonly #topic: SerialTopic;
  readonly #device: SerialDevice;
  readonly #encoder: FrameEncoder;
  /** Lines to go, and the packet ids of those among them that are acknowledged; then those of the write under way. */
  #batch: Buffer[] = [];
  #batchBytes = 0;
  #batchIds: number[] = [];
  #writingIds: number[] = [];
  #writing = false;

  constructor(
    parts: SerialParts,
    topic: SerialTopic,
    device: SerialDevice,
    queue: DeliveryQueue | null,
    encoder: FrameEncoder,
  ) {
    this.#parts = parts;
    this.principal = parts.principal;
    this.#topic = topic;
    this.#device = device;
    this.queue = queue;
    this.#encoder = encoder;
  }

  get durable(): boolean {
    return this.queue !== null;
  }

  start(): void {
    this.#parts.router.join(this);
    this.#parts.router.subscribe(this, this.#topic.topic, this.#grant | NO_LOCAL, 0);
  }

  close(): void {
    this.onAway();
    this.#parts.router.unsubscribe(this, this.#topic.topic);
    this.#parts.router.leave(this);
  }

  /** There is no exchange on the line that could make QoS 2 of it. */
  get #grant(): number {
    return this.queue === null ? 0 : Math.min(this.#topic.qos, 1);
  }

  // ---- the port ----------------------------------------------------------------------------------------------

  onOpen(): void {
    this.queue?.attach(this, SERIAL_WINDOW, false);
  }

  onAway(): void {
    this.queue?.detach(); // what has not been written is written when the port is back
    const lost = this.#batch.length - this.#batchIds.length;
    this.#parts.counters.writesDropped.value += lost;
    this.#batch = [];
    this.#batchBytes = 0;
    this.#batchIds = [];
    this.#writingIds = [];
    this.#writing = false;
  }

  onWritten(): void {
    const ids = this.#writingIds;
    this.#writing = false;
    this.#writingIds = [];
    this.#flush();
    for (const packetId of ids) this.queue?.onPuback(packetId);
    this.queue?.pump();
  }

  // ---- messages ----------------------------------------------------------------------------------------------

  effectiveQos(publishQos: number, grantedQos: number): number {
    return Math.min(publishQos, grantedQos, 1);
  }

  congested(): boolean {
    return this.queue?.congested ?? false;
  }

  deliver(publication: Publication, _options: number, _subscriptionIds: readonly number[] | null): void {
    const payload = publication.bytes.subarray(publication.payloadFrom, publication.payloadEnd);
    if (!this.#fits(payload, () => publication.topic)) return;
    if (this.writable()) this.#send(payload, 0);
    else this.#parts.counters.writesDropped.value++;
  }

  parts(message: Message): number {
    return this.#fits(message.payload, () => message.topic) ? 1 : 0;
  }

  partOptions(_message: Message, _part: number, options: number): number {
    return options;
  }

  sendPublish(
    message: Message,
    _part: number,
    _options: number,
    _subscriptionIds: readonly number[] | null,
    packetId: number,
    _dup: boolean,
  ): void {
    this.#send(message.payload, packetId);
  }

  sendPubrel(_packetId: number): void {}

  writable(): boolean {
    return this.#device.isOpen && this.#batchBytes < BATCH_BYTES;
  }

  /** A line has to stay a line: one with a line end inside would reach the device as two. Refused ones are counted. */
  #fits(payload: Buffer, topic: () => string): boolean {
    const problem = this.#encoder.problem(payload);
    if (problem === null) return true;
    const { ledger, counters, clock, principal } = this.#parts;
    counters.writesInvalid.value++;
    ledger.record(principal.name, topic, problem, clock.wallMs());
    return false;
  }

  #send(payload: Buffer, packetId: number): void {
    const line = this.#encoder.encode(payload);
    this.#batch.push(line);
    this.#batchBytes += line.length;
    if (packetId !== 0) this.#batchIds.push(packetId);
    if (!this.#writing) this.#flush();
  }

  #flush(): void {
    if (this.#batch.length === 0) return;
    const bytes = this.#batch.length === 1 ? (this.#batch[0] as Buffer) : Buffer.concat(this.#batch);
    this.#parts.counters.linesWritten.value += this.#batch.length;
    this.#writing = true;
    this.#writingIds = this.#batchIds;
    this.#batch = [];
    this.#batchBytes = 0;
    this.#batchIds = [];
    this.#device.write(bytes);
  }
}
