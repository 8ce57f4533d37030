/**
 * From the device: each frame becomes a publication, or several. What the gateway refuses is held with the port paused:
 * the device, or its tty, waits (held-publications.ts).
 *
 *     FrameReader --> a response? --> mapping, or as it is --> HeldPublications
 */
import type { BadFrame, FrameDecoder } from "../../wire/serial/framing.ts";
import type { BadFrames } from "./bad-frames.ts";
import { FrameReader, type FrameTaker } from "./frame-reader.ts";
import { type HeldOwner, HeldPublications } from "./held-publications.ts";
import type { FrameMapping, PublicationSink, ResponseTaker, SerialDevice, SerialParts, SerialTopic } from "./parts.ts";

/**
 * Publications that are not settled: the port is paused when one more frame's may find no place, or at as many bytes. They
 * are what one commit takes: 64 short lines came to 2,900 a second, which 115,200 baud can exceed; 192 come to 6,500.
 */
export const FRAMES_PENDING_MAX = 192;
export const PENDING_BYTES_MAX = 64 * 1024;
const NO_PROPERTIES: Buffer = Buffer.alloc(0);

export class SerialInput implements FrameTaker, PublicationSink, HeldOwner {
  readonly #parts: SerialParts;
  /** Where frames go as they are; null: a mapping makes something else of them. */
  readonly #plain: SerialTopic | null;
  readonly #mapping: FrameMapping | null;
  readonly #reader: FrameReader;
  readonly #responses: ResponseTaker | null;
  readonly #held: HeldPublications;
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
    const { counters } = parts;
    this.#parts = parts;
    this.#plain = "topic" in to ? to : null;
    this.#mapping = "topic" in to ? null : to;
    this.#held = new HeldPublications(parts, this, {
      pendingMax: FRAMES_PENDING_MAX,
      bytesMax: PENDING_BYTES_MAX,
      atOnceMax: this.#mapping?.publicationsMax ?? 1,
      refused: counters.linesRefused,
      denied: counters.linesDenied,
      words: { refused: "serial-lines-refused", taken: "serial-lines-taken-again", denied: "serial-publish-denied" },
    });
    this.#reader = new FrameReader(parts, device, decoder, this);
    this.#badFrames = badFrames;
    this.#responses = responses;
  }

  /** Of the write side, whose own subscription must not bring these frames back to the device. */
  set publisherSlot(slot: number) {
    this.#held.publisherSlot = slot;
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
    this.#held.close();
    this.#reader.close();
  }

  onBadFrame(cause: BadFrame, bytes: Buffer, from: number, end: number): void {
    this.#reader.work--;
    this.#badFrames.add(cause, bytes, from, end, this.#held.publisherSlot);
  }

  onFrame(bytes: Buffer, from: number, end: number): boolean {
    this.#reader.work--;
    if (from === end) return this.#goesOn;
    this.#parts.counters.linesReceived.value++;
    if (this.#responses?.takeResponse(bytes, from, end)) return this.#goesOn;
    if (this.#mapping !== null) {
      this.#reader.work -= this.#mapping.workOf(end - from);
      this.#mapping.map(bytes, from, end, this);
    } else if (this.#plain !== null)
      this.onPublication(this.#plain.topic, bytes.subarray(from, end), this.#plain.qos, false);
    return this.#goesOn;
  }

  /** One of those that a frame becomes. */
  onPublication(topic: string, payload: Buffer, qos: number, retain: boolean): void {
    this.#reader.work--;
    this.#held.publish(topic, payload, qos, retain, NO_PROPERTIES, 0);
  }

  get #goesOn(): boolean {
    return this.open && this.#reader.work > 0;
  }

  /** Whether one more frame can be taken. */
  get open(): boolean {
    return this.#held.isOpen;
  }

  onHold(): void {
    this.#reader.pause();
    this.#responses?.onInputHeld(true);
  }

  onRoom(): void {
    this.#reader.goOn();
    if (this.open) this.#responses?.onInputHeld(false);
  }

  onSettled(): void {}
}
