/**
 * Where a frame begins and ends on a line of bytes. A decoder is fed chunks as they come, cut anywhere, and gives frames
 * where they lie; it finds the beginning of the next frame by itself after bytes that are none. Time is not known here:
 * who feeds a decoder with a `gapMs` says when nothing came for that long.
 */
import type { FrameCheck } from "./check.ts";

/**
 * Why bytes were thrown away: longer than the limit; the check is wrong; an escape that the framing does not have; it
 * ended, or the next one began, before its end; bytes outside of any frame (once for each run of them); bytes that are
 * nothing in its encoding.
 */
export const BAD_FRAMES = ["too-long", "check", "escape", "cut", "noise", "encoding"] as const;
export type BadFrame = (typeof BAD_FRAMES)[number];

export interface FrameSink {
  /**
   * The content of one frame, `bytes[from..end)`, without delimiters, escapes and check; valid until return.
   * @returns false to be given no more for now
   */
  onFrame(bytes: Buffer, from: number, end: number): boolean;
  /** What is at hand of a frame that is none, possibly nothing; valid until return. */
  onBadFrame(cause: BadFrame, bytes: Buffer, from: number, end: number): void;
}

export interface FrameDecoder {
  /** Bytes of a frame whose end has not come. */
  readonly pendingBytes: number;
  /** There is more to look through than one turn may take: it is to be fed on, if need be with nothing, in another one. */
  readonly busy: boolean;
  /** After this long without a byte `onGap` is to be called; null = time does not matter. */
  readonly gapMs: number | null;
  /**
   * Takes `chunk[from..)`; `chunk` may be empty, for what an earlier "no more" of the sink left inside.
   * @returns the index to go on from: chunk.length, or less when the sink said false or the decoder is busy
   */
  feed(chunk: Buffer, from: number, sink: FrameSink): number;
  /** Nothing came for `gapMs`. */
  onGap(sink: FrameSink): void;
  /** Forgets the frame that is under way: the port was closed in between. */
  reset(): void;
}

/** Too large; it would arrive as another frame or as several; it has characters that the encoding does not have. */
export type EncoderProblem = "too-large" | "invalid" | "encoding";

export interface FrameEncoder {
  /** Why `payload` cannot be a frame; null = it can. */
  problem(payload: Buffer): EncoderProblem | null;
  /** The bytes for the line, a new buffer. Only for a payload without problem. */
  encode(payload: Buffer): Buffer;
}

/** Gives the sink the frame `bytes[from..end)`, or says that its check is wrong. */
export function deliver(sink: FrameSink, check: FrameCheck | null, bytes: Buffer, from: number, end: number): boolean {
  if (check === null) return sink.onFrame(bytes, from, end);
  if (from === end) return true;
  if (check.holds(bytes, from, end)) return sink.onFrame(bytes, from + check.cutBefore, end - check.cutBehind);
  sink.onBadFrame("check", bytes, from, end);
  return true;
}
