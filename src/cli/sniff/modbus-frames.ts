/**
 * Modbus RTU frames of both sides of a conversation. Silence ends a frame, but a program reads late and what an adapter
 * gives at once is often a request with its answer, or half a frame. So bytes are gathered until nothing comes for longer
 * than that, and cut where a CRC says that a frame ends; its place is known from the function, for most.
 */
import { EXCEPTION } from "../../wire/modbus/codes.ts";
import { crc16 } from "../../wire/modbus/crc.ts";
import { RTU_BYTES_MAX } from "../../wire/modbus/rtu.ts";
import type { FrameDecoder, FrameSink } from "../../wire/serial/framing.ts";

/** Longer than what USB adapters wait before they hand on (FTDI: 16 ms). */
const LATE_MS = 20;
const HELD_BYTES_MAX = 4 * RTU_BYTES_MAX;
const FRAME_BYTES_MIN = 4;

export class ModbusFrames implements FrameDecoder {
  readonly gapMs: number;
  readonly busy = false;
  readonly #held = Buffer.allocUnsafeSlow(HELD_BYTES_MAX);
  #length = 0;

  /** @param silenceMs what the line has between two frames */
  constructor(silenceMs: number) {
    this.gapMs = Math.max(silenceMs, LATE_MS);
  }

  get pendingBytes(): number {
    return this.#length;
  }

  feed(chunk: Buffer, from: number, sink: FrameSink): number {
    while (from < chunk.length) {
      const n = Math.min(chunk.length - from, HELD_BYTES_MAX - this.#length);
      chunk.copy(this.#held, this.#length, from, from + n);
      this.#length += n;
      from += n;
      if (this.#length === HELD_BYTES_MAX) this.#cut(sink, RTU_BYTES_MAX);
    }
    return chunk.length;
  }

  onGap(sink: FrameSink): void {
    this.#cut(sink, 0);
  }

  reset(): void {
    this.#length = 0;
  }

  /** @param keeps so many bytes may be the beginning of a frame whose rest is to come */
  #cut(sink: FrameSink, keeps: number): void {
    let from = 0;
    let noiseFrom = 0;
    while (this.#length - from > keeps) {
      const end = this.#endOf(from);
      if (end < 0) {
        from++;
        continue;
      }
      if (noiseFrom < from) sink.onFrame(this.#held, noiseFrom, from);
      sink.onFrame(this.#held, from, end);
      from = end;
      noiseFrom = end;
    }
    if (noiseFrom < from) sink.onFrame(this.#held, noiseFrom, from);
    this.#held.copy(this.#held, 0, from, this.#length);
    this.#length -= from;
  }

  /** Where the frame ends that begins at `from`; -1 = none does. */
  #endOf(from: number): number {
    const held = this.#held;
    const code = held[from + 1] as number;
    const lengths = code >= EXCEPTION ? [5] : [8, 5 + (held[from + 2] as number), 9 + (held[from + 6] as number)];
    for (const length of lengths) if (this.#isFrame(from, from + length)) return from + length;
    if ((code > 0 && code <= 6) || code === 15 || code === 16) return -1;
    const longest = Math.min(this.#length, from + RTU_BYTES_MAX);
    for (let end = from + FRAME_BYTES_MIN; end <= longest; end++) if (this.#isFrame(from, end)) return end;
    return -1;
  }

  #isFrame(from: number, end: number): boolean {
    return end <= this.#length && crc16(this.#held, from, end) === 0;
  }
}
