/** Frames as a technician reads them: when, whether the check holds, how long, bytes and text; and a sum at the end. */
import { BAD_FRAMES, type BadFrame, type FrameSink } from "../wire/serial/framing.ts";

/** What is asked of a frame's check. */
export interface SniffedCheck {
  readonly before: number;
  readonly behind: number;
  holds(bytes: Buffer, from: number, end: number): boolean;
  /** `content` with its check. */
  added(content: Buffer): Buffer;
}

/** `unchecked`: a frame, and no check is known. */
export type Verdict = "ok" | "unchecked" | BadFrame;

export interface SnifferOptions {
  readonly check: SniffedCheck | null;
  /** `check` is null because whoever gives frames has judged it, and taken it off. */
  readonly checkedBefore: boolean;
  readonly json: boolean;
  /** Takes a line. */
  readonly say: (line: string) => void;
  /** Unix time in ms. */
  readonly wallMs: () => number;
  /** No more than so many are told; Infinity = all. */
  readonly framesMax: number;
}

/** Bytes of a row. */
const ROW_BYTES = 16;
const VERDICT_WIDTH = Math.max(...["unchecked", ...BAD_FRAMES].map((verdict) => verdict.length));

export class Sniffer implements FrameSink {
  readonly #options: SnifferOptions;
  /** Those that were whole. */
  frames = 0;
  /** All that came, frames or not. */
  bytes = 0;
  readonly #bad = new Map<BadFrame, number>();

  constructor(options: SnifferOptions) {
    this.#options = options;
  }

  /** Given frames with their check, which is judged here, so that it is seen. */
  onFrame(bytes: Buffer, from: number, end: number): boolean {
    const { check, checkedBefore } = this.#options;
    if (this.full) return false;
    if (check !== null && from === end) return true;
    if (check !== null && !check.holds(bytes, from, end)) {
      this.onBadFrame("check", bytes, from, end);
      return !this.full;
    }
    this.frames++;
    this.#tell(check === null && !checkedBefore ? "unchecked" : "ok", bytes.subarray(from, end));
    return !this.full;
  }

  onBadFrame(cause: BadFrame, bytes: Buffer, from: number, end: number): void {
    if (this.full) return;
    this.#bad.set(cause, (this.#bad.get(cause) ?? 0) + 1);
    this.#tell(cause, bytes.subarray(from, end));
  }

  /** Enough are told. */
  get full(): boolean {
    return this.frames + this.badFrames >= this.#options.framesMax;
  }

  /** Frames that were none. */
  get badFrames(): number {
    let sum = 0;
    for (const count of this.#bad.values()) sum += count;
    return sum;
  }

  /** "12 frames, 2 bad (check 1, too-long 1), 345 bytes" */
  summary(): string {
    const causes = [...this.#bad].map(([cause, count]) => `${cause} ${count}`).join(", ");
    if (this.#options.json) {
      return JSON.stringify({ frames: this.frames, bad: Object.fromEntries(this.#bad), bytes: this.bytes });
    }
    const bad = this.#bad.size === 0 ? "none bad" : `${this.badFrames} bad (${causes})`;
    return `${this.frames} frames, ${bad}, ${this.bytes} bytes`;
  }

  #tell(verdict: Verdict, frame: Buffer): void {
    const { json, say, wallMs } = this.#options;
    const time = new Date(wallMs()).toISOString();
    const expected = verdict === "check" ? this.#expected(frame) : null;
    if (json) {
      const checked = expected === null ? {} : { expected: expected.toString("hex") };
      const hex = frame.toString("hex");
      say(JSON.stringify({ time, verdict, ...checked, bytes: frame.length, hex, text: frame.toString() }));
      return;
    }
    const start = `${time.slice(11, -1)} ${verdict.padEnd(VERDICT_WIDTH)} ${String(frame.length).padStart(5)}  `;
    if (frame.length === 0) say(start.trimEnd());
    for (let at = 0; at < frame.length; at += ROW_BYTES) {
      say((at === 0 ? start : " ".repeat(start.length)) + rowOf(frame.subarray(at, at + ROW_BYTES)));
    }
    if (expected !== null) say(`${" ".repeat(start.length)}its check would be ${hexOf(expected)}`);
  }

  /** What the check of its content is; null when it is too short for one. */
  #expected(frame: Buffer): Buffer | null {
    const { check } = this.#options;
    if (check === null || frame.length <= check.before + check.behind) return null;
    const whole = check.added(frame.subarray(check.before, frame.length - check.behind));
    return check.before > 0 ? whole.subarray(0, check.before) : whole.subarray(whole.length - check.behind);
  }
}

/** "01 03 02 00 d7  .....": control characters, which a terminal might obey, are dots. */
function rowOf(bytes: Buffer): string {
  const text = bytes.toString("latin1").replace(/[^ -~]/g, ".");
  return `${hexOf(bytes).padEnd(ROW_BYTES * 3 - 1)}  ${text}`;
}

function hexOf(bytes: Buffer): string {
  return bytes.toString("hex").replace(/..(?=.)/g, "$& ");
}
