/** Counts frames and bytes, and has each frame told with its verdict; a sum at the end. */
import type { LineErrors } from "../../transport/serial/stream.ts";
import type { BadFrame, FrameSink } from "../../wire/serial/framing.ts";
import type { Teller } from "./frame-text.ts";
import { type Judgement, judgement, type Reading, type Verdict } from "./reading.ts";

export interface SnifferOptions {
  readonly reading: Pick<Reading, "judge">;
  readonly teller: Teller;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  /** No more than so many are told. */
  readonly framesMax: number;
}

/** What there was. */
export interface Sum {
  /** Those that were whole. */
  readonly frames: number;
  /** Those that were none, by cause. */
  readonly bad: Readonly<Record<string, number>>;
  /** All that came, frames or not. */
  readonly bytes: number;
  readonly seconds: number;
  /** What the driver counted; absent = it does not count. */
  readonly errors?: LineErrors;
}

export class Sniffer implements FrameSink {
  readonly #options: SnifferOptions;
  readonly #startMs: number;
  /** Those that were whole. */
  frames = 0;
  /** Frames that were none. */
  badFrames = 0;
  /** All that came, frames or not. */
  bytes = 0;
  readonly #bad = new Map<Verdict, number>();
  /** What the driver counted; null = it does not count, or is not open. */
  errors: LineErrors | null = null;

  constructor(options: SnifferOptions) {
    this.#options = options;
    this.#startMs = options.nowMs();
  }

  onFrame(bytes: Buffer, from: number, end: number): boolean {
    if (this.full || from === end) return !this.full;
    const frame = bytes.subarray(from, end);
    this.#take(frame, this.#options.reading.judge(frame));
    return !this.full;
  }

  onBadFrame(cause: BadFrame, bytes: Buffer, from: number, end: number): void {
    if (!this.full) this.#take(bytes.subarray(from, end), judgement(cause));
  }

  /** Enough are told. */
  get full(): boolean {
    return this.frames + this.badFrames >= this.#options.framesMax;
  }

  get sum(): Sum {
    const seconds = Math.round(this.#options.nowMs() - this.#startMs) / 1000;
    const errors = this.errors === null ? {} : { errors: this.errors };
    return { frames: this.frames, bad: Object.fromEntries(this.#bad), bytes: this.bytes, seconds, ...errors };
  }

  #take(frame: Buffer, judged: Judgement): void {
    const { verdict } = judged;
    if (verdict === "ok" || verdict === "unchecked") {
      this.frames++;
    } else {
      this.badFrames++;
      this.#bad.set(verdict, (this.#bad.get(verdict) ?? 0) + 1);
    }
    this.#options.teller.tell(frame, judged);
  }
}
