/**
 * Frames whose length is known from their first bytes, with no mark that tells where one begins. Bytes go through a
 * window; at its head a frame is measured, and checked when all of it is there.
 *
 *     | done | head: frame under way ... tail | free |
 *
 * What is no frame at the head may be one a byte further: with a check, the next whole frame is found like that also
 * behind a length that was wrong. Without a check nothing tells a wrong beginning from a right one but a length beyond
 * the limit, and a gap: nothing came for `gapMs`, so what is incomplete stays it.
 */
import type { FrameCheck } from "./check.ts";
import type { BadFrame, FrameDecoder, FrameSink } from "./framing.ts";

/** What `measure` says besides the bytes of a frame: its length is not there yet; it is beyond the limit, or negative. */
export const UNKNOWN = 0;
export const IMPOSSIBLE = -1;

export interface FrameMeasure {
  /** Bytes before the content. */
  readonly skipped: number;
  /** Most bytes of a whole frame. */
  readonly wholeBytesMax: number;
  /** Bytes of the whole frame that begins `bytes[from..end)`. */
  measure(bytes: Buffer, from: number, end: number): number;
}

export class WindowDecoder implements FrameDecoder {
  readonly gapMs: number;
  readonly #measure: FrameMeasure;
  readonly #check: FrameCheck | null;
  readonly #window: Buffer;
  #head = 0;
  #tail = 0;
  /** A frame was bad, and no good one has been found since: it is counted once. */
  #lost = false;
  /** A gap came behind what is in the window. */
  #over = false;

  constructor(measure: FrameMeasure, gapMs: number, check: FrameCheck | null) {
    this.gapMs = gapMs;
    this.#measure = measure;
    this.#check = check;
    this.#window = Buffer.allocUnsafeSlow(measure.wholeBytesMax);
  }

  get pendingBytes(): number {
    return this.#tail - this.#head;
  }

  feed(chunk: Buffer, from: number, sink: FrameSink): number {
    let at = from;
    for (;;) {
      if (!this.#scan(sink)) {
        // What came with this chunk goes back to it: the caller keeps it, also when the port is closed.
        const back = Math.min(this.#tail - this.#head, at - from);
        this.#tail -= back;
        return at - back;
      }
      if (at === chunk.length) return at;
      if (this.#tail === this.#window.length) this.#compact();
      const n = Math.min(chunk.length - at, this.#window.length - this.#tail);
      chunk.copy(this.#window, this.#tail, at, at + n);
      this.#tail += n;
      at += n;
    }
  }

  onGap(sink: FrameSink): void {
    this.#over = true;
    this.#scan(sink);
  }

  reset(): void {
    this.#head = 0;
    this.#tail = 0;
    this.#lost = false;
    this.#over = false;
  }

  /** @returns false when the sink takes no more */
  #scan(sink: FrameSink): boolean {
    while (this.#head < this.#tail) {
      const head = this.#head;
      const bytes = this.#measure.measure(this.#window, head, this.#tail);
      const end = head + bytes;
      if (bytes === IMPOSSIBLE) {
        this.#lose("too-long", this.#tail, sink);
      } else if (bytes === UNKNOWN || end > this.#tail) {
        if (!this.#over) return true;
        this.#lose("cut", this.#tail, sink);
      } else if (this.#check !== null && !this.#check.holds(this.#window, head + this.#measure.skipped, end)) {
        this.#lose("check", end, sink);
      } else {
        this.#head = end;
        this.#lost = false;
        const { before, behind } = this.#check ?? NO_CHECK;
        if (!sink.onFrame(this.#window, head + this.#measure.skipped + before, end - behind)) return false;
      }
    }
    this.#head = 0;
    this.#tail = 0;
    if (this.#over) this.#lost = false;
    this.#over = false;
    return true;
  }

  #lose(cause: BadFrame, end: number, sink: FrameSink): void {
    if (!this.#lost) sink.onBadFrame(cause, this.#window, this.#head, end);
    this.#lost = true;
    if (this.#over && this.#check === null) this.#head = this.#tail;
    else this.#head++;
  }

  #compact(): void {
    this.#window.copyWithin(0, this.#head, this.#tail);
    this.#tail -= this.#head;
    this.#head = 0;
  }
}

const NO_CHECK = { before: 0, behind: 0 };
