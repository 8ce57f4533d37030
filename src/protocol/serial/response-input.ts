/** From a device whose frames are responses only (`publish: off`): those that nobody asked for are read and forgotten. */
import type { BadFrame, FrameDecoder, FrameSink } from "../../wire/serial/framing.ts";
import { FrameGap, type GapOwner } from "./frame-gap.ts";
import type { ResponseTaker, SerialParts } from "./parts.ts";

export class ResponseInput implements FrameSink, GapOwner {
  readonly #gap: FrameGap | null;
  readonly #parts: SerialParts;
  readonly #decoder: FrameDecoder;
  readonly #responses: ResponseTaker;
  /** As serial-input.ts has it; nothing is published here. */
  publisherSlot = -1;

  constructor(parts: SerialParts, decoder: FrameDecoder, responses: ResponseTaker) {
    this.#parts = parts;
    this.#decoder = decoder;
    this.#responses = responses;
    const { gapMs } = decoder;
    this.#gap = gapMs === null ? null : new FrameGap(this, gapMs, parts.clock, parts.busWheel());
  }

  onOpen(): void {}

  onData(chunk: Buffer): void {
    this.#gap?.beforeChunk();
    this.#decoder.feed(chunk, 0, this);
    this.#gap?.afterChunk();
  }

  onAway(): void {
    if (this.#decoder.pendingBytes > 0) this.#parts.counters.badFrames.cut.value++;
    this.#decoder.reset();
    this.#gap?.stop();
  }

  close(): void {
    this.#gap?.stop();
  }

  get underWay(): boolean {
    return this.#decoder.pendingBytes > 0;
  }

  onFrameGap(): void {
    this.#decoder.onGap(this);
  }

  onBadFrame(cause: BadFrame, _bytes: Buffer, _from: number, _end: number): void {
    this.#parts.counters.badFrames[cause].value++;
  }

  onFrame(bytes: Buffer, from: number, end: number): boolean {
    if (from === end) return true;
    this.#parts.counters.linesReceived.value++;
    this.#responses.takeResponse(bytes, from, end);
    return true;
  }
}
