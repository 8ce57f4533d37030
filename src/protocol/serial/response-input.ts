/** From a device whose frames are responses only (`publish: off`): those that nobody asked for are read and forgotten. */
import type { BadFrame, FrameDecoder } from "../../wire/serial/framing.ts";
import type { BadFrames } from "./bad-frames.ts";
import { FrameReader, type FrameTaker } from "./frame-reader.ts";
import type { ResponseTaker, SerialDevice, SerialParts } from "./parts.ts";

export class ResponseInput implements FrameTaker {
  readonly open = true;
  readonly #reader: FrameReader;
  readonly #parts: SerialParts;
  readonly #badFrames: BadFrames;
  readonly #responses: ResponseTaker;
  /** As serial-input.ts has it; only bad frames are published here. */
  publisherSlot = -1;

  constructor(
    parts: SerialParts,
    device: SerialDevice,
    decoder: FrameDecoder,
    badFrames: BadFrames,
    responses: ResponseTaker,
  ) {
    this.#parts = parts;
    this.#reader = new FrameReader(parts, device, decoder, this);
    this.#badFrames = badFrames;
    this.#responses = responses;
  }

  onOpen(): void {
    this.#reader.onOpen();
  }

  onData(chunk: Buffer): void {
    this.#reader.onData(chunk);
  }

  onAway(): void {
    this.#reader.onAway();
  }

  onTurn(): void {
    this.#reader.onTurn();
  }

  close(): void {
    this.#reader.close();
  }

  onBadFrame(cause: BadFrame, bytes: Buffer, from: number, end: number): void {
    this.#reader.work--;
    this.#badFrames.add(cause, bytes, from, end, this.publisherSlot);
  }

  onFrame(bytes: Buffer, from: number, end: number): boolean {
    this.#reader.work--;
    if (from < end) {
      this.#parts.counters.linesReceived.value++;
      this.#responses.takeResponse(bytes, from, end);
    }
    return this.#reader.work > 0;
  }
}
