/**
 * Frames whose length is known from their first bytes, with no mark that tells where one begins. Bytes go through a
 * window; at its head a frame is measured, and checked when all of it is there.
 *
 *     | done | head: frame under way ... tail | free |
 *
 * What is no frame at the head may be one a byte further: with a check, the next whole frame is found like that also
 * behind a length that was wrong. Without a check nothing tells a wrong beginning from a right one but the bytes that frames
 * start with, a length beyond the limit, and a gap: nothing came for `gapMs`, so what is incomplete stays it.
 *
 * That search sums up to a whole frame for each byte. A turn has `SEARCH_BYTES` of it, then the decoder is busy.
 */
import type { FrameCheck } from "./check.ts";
import type { BadFrame, FrameDecoder, FrameSink } from "./framing.ts";

/**
 * What `measure` says besides the bytes of a frame: its length is not there yet; it is beyond the limit, or negative; no frame
 * begins like that.
 */
export const UNKNOWN = 0;
export const IMPOSSIBLE = -1;
export const STRANGE = -2;

/** Bytes that checks are made of in one turn, a frame more at most: 75 us with frames of 8 KiB, 0.3 ms with the longest. */
export const SEARCH_BYTES = 16 * 1024;
/** Of the window, beyond a whole frame: bytes are moved to its beginning when so many are done. */
const SPARE_BYTES_MAX = 4096;

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
  /** Bytes summed in this turn. */
  #summed = 0;
  busy = false;

  constructor(measure: FrameMeasure, gapMs: number, check: FrameCheck | null) {
    this.gapMs = gapMs;
    this.#measure = measure;
    this.#check = check;
    this.#window = Buffer.allocUnsafeSlow(windowBytes(measure.wholeBytesMax));
  }

  get pendingBytes(): number {
    return this.#tail - this.#head;
  }

  feed(chunk: Buffer, from: number, sink: FrameSink): number {
    let at = from;
    this.#summed = 0;
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
    this.#summed = 0;
    this.#scan(sink);
  }

  reset(): void {
    this.#head = 0;
    this.#tail = 0;
    this.#lost = false;
    this.#over = false;
    this.busy = false;
  }

  /** @returns false when the sink takes no more, or the turn is over */
  #scan(sink: FrameSink): boolean {
    this.busy = false;
    while (this.#head < this.#tail) {
      const head = this.#head;
      const bytes = this.#measure.measure(this.#window, head, this.#tail);
      const end = head + bytes;
      if (bytes < 0) {
        this.#lose(bytes === IMPOSSIBLE ? "too-long" : "noise", this.#tail, sink);
      } else if (bytes === UNKNOWN || end > this.#tail) {
        if (!this.#over) return true;
        this.#lose("cut", this.#tail, sink);
      } else if (this.#check !== null && this.#summed >= SEARCH_BYTES) {
        this.busy = true;
        return false;
      } else if (this.#check !== null && !this.#holds(this.#check, head + this.#measure.skipped, end)) {
        this.#lose("check", end, sink);
      } else {
        this.#head = end;
        this.#lost = false;
        const { cutBefore, cutBehind } = this.#check ?? NO_CHECK;
        if (!sink.onFrame(this.#window, head + this.#measure.skipped + cutBefore, end - cutBehind)) return false;
      }
    }
    this.#head = 0;
    this.#tail = 0;
    if (this.#over) this.#lost = false;
    this.#over = false;
    return true;
  }

  #holds(check: FrameCheck, from: number, end: number): boolean {
    this.#summed += end - from;
    return check.holds(this.#window, from, end);
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

/** Whether `bytes[from..end)` begins with `start`, as far as it has come. */
export function beginsWith(bytes: Buffer, from: number, end: number, start: ArrayLike<number>): boolean {
  const length = Math.min(start.length, end - from);
  for (let i = 0; i < length; i++) if (bytes[from + i] !== start[i]) return false;
  return true;
}

/** Bytes of the window for frames of so many. */
export function windowBytes(wholeBytesMax: number): number {
  return wholeBytesMax + Math.min(wholeBytesMax, SPARE_BYTES_MAX);
}

const NO_CHECK = { cutBefore: 0, cutBehind: 0 };
