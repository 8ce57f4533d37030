/**
 * From the device: each line becomes a publication. A line has no acknowledgement on the wire, so what the gateway
 * refuses is held here with the port paused (the device, or its tty, waits), and tried again for `refusal_hold`.
 *
 *     FLOWING --- refused ---> HOLDING --- taken ---> FLOWING
 *                                 |
 *                                 +-- refusal_hold --> DROPPING --- a line is taken ---> FLOWING
 *
 * When the hold is over, the held lines are dropped and counted, and so is each refused line after them, until one is
 * taken again: holding every single one would let the tty lose the others without a count.
 *
 *     pending  | settled | waiting for the store | refused | waiting |     in order of arrival, bounded
 */
import { RingBuffer } from "../../base/ring-buffer.ts";
import { type Expirable, Timer } from "../../base/timer-wheel.ts";
import { SETTLED, type StoreWaiter } from "../../core/ports.ts";
import { Publication } from "../../core/publication.ts";
import { FORBIDDEN, NO_WAITER, STORED_LATER } from "../../core/router.ts";
import { QUOTA_EXCEEDED } from "../../wire/mqtt/codes.ts";
import type { BadFrame, FrameDecoder } from "../../wire/serial/framing.ts";
import type { BadFrames } from "./bad-frames.ts";
import { FrameReader, type FrameTaker } from "./frame-reader.ts";
import type { FrameMapping, PublicationSink, ResponseTaker, SerialDevice, SerialParts, SerialTopic } from "./parts.ts";

/** Publications that are not settled; the port is paused while one more line's may not fit, or at as many bytes. */
export const PENDING_LINES_MAX = 64;
export const PENDING_BYTES_MAX = 64 * 1024;
const RETRY_MS = 500;

const WAITING = 0;
const TAKEN = 1;
const REFUSED = 2;

/** A publication of a line. */
interface PendingLine {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: number;
  readonly retain: boolean;
  state: number;
}

export class SerialInput implements FrameTaker, PublicationSink, StoreWaiter, Expirable {
  readonly #parts: SerialParts;
  /** Where lines go as they are; null: a mapping makes something else of them. */
  readonly #plain: SerialTopic | null;
  readonly #mapping: FrameMapping | null;
  /** Pending publications beyond which the next line's may not fit. */
  readonly #pendingMax: number;
  readonly #reader: FrameReader;
  readonly #responses: ResponseTaker | null;
  readonly #publication = new Publication();
  readonly #pending = new RingBuffer<PendingLine>(PENDING_LINES_MAX);
  #pendingBytes = 0;
  /** Token of the oldest pending line. */
  #headToken = 0;
  readonly #retry = new Timer(this, 0);
  /** Lines in state REFUSED. */
  #refused = 0;
  #holdUntilMs = 0;
  #dropping = false;
  #droppedInARow = 0;
  #denied = false;
  /** Slot of the write side, whose own subscription must not bring these lines back to the device. */
  publisherSlot = -1;
  readonly #badFrames: BadFrames;

  /** @param responses null: the line has no requests */
  constructor(
    parts: SerialParts,
    to: SerialTopic | FrameMapping,
    device: SerialDevice,
    decoder: FrameDecoder,
    badFrames: BadFrames,
    responses: ResponseTaker | null,
  ) {
    this.#parts = parts;
    this.#plain = "topic" in to ? to : null;
    this.#mapping = "topic" in to ? null : to;
    this.#pendingMax = PENDING_LINES_MAX - (this.#mapping?.publicationsMax ?? 1);
    this.#reader = new FrameReader(parts, device, decoder, this);
    this.#badFrames = badFrames;
    this.#responses = responses;
  }

  onData(chunk: Buffer): void {
    this.#mapping?.onRead();
    this.#reader.onData(chunk);
  }

  onAway(): void {
    this.#reader.onAway();
  }

  onOpen(): void {
    this.#reader.onOpen();
  }

  onTurn(): void {
    this.#reader.onTurn();
  }

  close(): void {
    this.#parts.wheel.cancel(this.#retry);
    this.#reader.close();
  }

  onBadFrame(cause: BadFrame, bytes: Buffer, from: number, end: number): void {
    this.#reader.work--;
    this.#badFrames.add(cause, bytes, from, end, this.publisherSlot);
  }

  onFrame(bytes: Buffer, from: number, end: number): boolean {
    this.#reader.work--;
    if (from === end) return this.#goesOn;
    this.#parts.counters.linesReceived.value++;
    if (this.#responses?.takeResponse(bytes, from, end)) return this.#goesOn;
    if (this.#plain === null) this.#mapping?.map(bytes, from, end, this);
    else this.onPublication(this.#plain.topic, bytes.subarray(from, end), this.#plain.qos, false);
    return this.#goesOn;
  }

  /** One of those that a line becomes. Behind a refused one of the same line it waits, so that order is kept. */
  onPublication(topic: string, payload: Buffer, qos: number, retain: boolean): void {
    const { authority, principal } = this.#parts;
    this.#reader.work--;
    if (!authority.mayPublish(principal, topic)) {
      this.#deny(topic);
    } else if (this.#refused > 0) {
      this.#publication.setParts(topic, payload, qos, retain);
      this.#keep(topic, REFUSED);
    } else {
      this.#publishNew(topic, payload, qos, retain);
    }
  }

  get #goesOn(): boolean {
    return this.open && this.#reader.work > 0;
  }

  /** Whether one more line can be taken. */
  get open(): boolean {
    return this.#refused === 0 && this.#pending.length <= this.#pendingMax && this.#pendingBytes < PENDING_BYTES_MAX;
  }

  #publishNew(topic: string, payload: Buffer, qos: number, retain: boolean): void {
    const outcome = this.#publish(topic, payload, qos, retain, this.#headToken + this.#pending.length);
    if (outcome === STORED_LATER) {
      this.#keep(topic, WAITING);
    } else if (outcome < 0x80) {
      this.#taken();
    } else if (outcome === FORBIDDEN) {
      this.#deny(topic);
    } else if (this.#dropping) {
      this.#drop(topic, outcome);
    } else {
      this.#keep(topic, REFUSED);
      this.#hold();
    }
  }

  #publish(topic: string, payload: Buffer, qos: number, retain: boolean, token: number): number {
    this.#publication.setParts(topic, payload, qos, retain);
    this.#publication.publisher = this.publisherSlot;
    return this.#parts.router.publish(this.#publication, qos === 0 ? NO_WAITER : this, token);
  }

  /** The publication's bytes are its own copy of the payload. */
  #keep(topic: string, state: number): void {
    const { bytes, payloadFrom, payloadEnd, qos, retain } = this.#publication;
    const payload = bytes.subarray(payloadFrom, payloadEnd);
    this.#pending.push({ topic, payload, qos, retain, state });
    this.#pendingBytes += payload.length;
    if (state === REFUSED) this.#refused++;
  }

  onStored(token: number, reason: number): void {
    const line = this.#pending.at(token - this.#headToken) as PendingLine;
    if (reason === SETTLED) {
      line.state = TAKEN;
      this.#taken();
    } else if (this.#dropping) {
      line.state = TAKEN;
      this.#drop(line.topic, reason);
    } else {
      line.state = REFUSED;
      this.#refused++;
      this.#hold();
    }
    this.#forget();
    this.#reader.goOn();
  }

  /** The pending lines that nothing has to be done for any more leave at the front. */
  #forget(): void {
    for (let line = this.#pending.peek(); line?.state === TAKEN; line = this.#pending.peek()) {
      this.#pending.shift();
      this.#pendingBytes -= line.payload.length;
      this.#headToken++;
    }
  }

  // ---- refusals ----------------------------------------------------------------------------------------------

  #hold(): void {
    this.#reader.pause();
    if (this.#retry.armed) return;
    this.#holdUntilMs = this.#parts.clock.nowMs() + this.#parts.limits.refusalHoldMs;
    this.#parts.wheel.schedule(this.#retry, RETRY_MS);
  }

  /** Tries the refused lines again, in order; at the end of the hold drops them. */
  onTimer(): void {
    const last = this.#parts.clock.nowMs() >= this.#holdUntilMs;
    for (let i = 0; i < this.#pending.length && this.#refused > 0; i++) {
      const line = this.#pending.at(i) as PendingLine;
      if (line.state !== REFUSED) continue;
      const outcome = this.#publish(line.topic, line.payload, line.qos, line.retain, this.#headToken + i);
      if (outcome >= 0x80 && !last) break;
      this.#refused--;
      line.state = outcome === STORED_LATER ? WAITING : TAKEN;
      if (outcome >= 0x80) this.#drop(line.topic, outcome);
      else if (outcome !== STORED_LATER) this.#taken();
    }
    this.#forget();
    if (this.#refused > 0) this.#parts.wheel.schedule(this.#retry, RETRY_MS);
    else this.#reader.goOn();
  }

  #drop(topic: string, reason: number): void {
    const { ledger, log, counters, clock, principal } = this.#parts;
    if (!this.#dropping) log.warn("serial-lines-refused", { name: principal.name, reason });
    this.#dropping = true;
    this.#droppedInARow++;
    counters.linesRefused.value++;
    const cause = reason === QUOTA_EXCEEDED ? "queue-full" : "disk-full";
    ledger.record(principal.name, () => topic, cause, clock.wallMs());
  }

  #taken(): void {
    if (!this.#dropping) return;
    this.#dropping = false;
    this.#parts.log.info("serial-lines-taken-again", {
      name: this.#parts.principal.name,
      dropped: this.#droppedInARow,
    });
    this.#droppedInARow = 0;
  }

  #deny(topic: string): void {
    this.#parts.counters.linesDenied.value++;
    if (this.#denied) return;
    this.#denied = true;
    this.#parts.log.warn("serial-publish-denied", { name: this.#parts.principal.name, topic });
  }
}
