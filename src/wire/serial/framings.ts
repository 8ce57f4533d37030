/** The framings by their names in the configuration. */
import { type CheckOptions, FrameCheck } from "./check.ts";
import { CobsDecoder, CobsEncoder, type CobsOptions } from "./cobs.ts";
import { FixedEncoder, FixedMeasure, type FixedOptions } from "./fixed.ts";
import type { EncoderProblem, FrameDecoder, FrameEncoder } from "./framing.ts";
import { IdleDecoder, IdleEncoder, type IdleOptions } from "./idle.ts";
import { LengthEncoder, LengthMeasure, type LengthOptions } from "./length.ts";
import { LineDecoder, LineEncoder, type LineOptions } from "./line.ts";
import { SlipDecoder, SlipEncoder, type SlipOptions } from "./slip.ts";
import { StartEndDecoder, StartEndEncoder, type StartEndOptions } from "./start-end.ts";
import { TextFrameDecoder, TextFrameEncoder, type TextOptions } from "./text.ts";
import { WindowDecoder } from "./window.ts";

export type FramingOptions = TextOptions & Framing;

type Framing =
  | (LineOptions & { readonly type: "line" })
  | (SlipOptions & { readonly type: "slip" })
  | (CobsOptions & { readonly type: "cobs" })
  | (LengthOptions & { readonly type: "length"; readonly gapMs: number })
  | (FixedOptions & { readonly type: "fixed"; readonly gapMs: number; readonly frameBytesMax: number })
  | (StartEndOptions & { readonly type: "start-end" })
  | (IdleOptions & { readonly type: "idle" });

/** Reads frames whose content has a check of `check`, and gives them without it. */
export function decoderOf(framing: FramingOptions, check: CheckOptions | null): FrameDecoder {
  const { encoding = null, trim = false, frameBytesMax } = framing;
  const frameCheck = check === null ? null : new FrameCheck(check);
  if (encoding === null && !trim) return plainDecoderOf(framing, frameCheck);
  // A check among hexadecimal digits is in digits, too, and of what they say; one behind the end is of what was sent.
  const inDigits = encoding === "hex" && frameCheck?.aside === 0;
  const plain = plainDecoderOf(framing, inDigits ? null : frameCheck);
  return new TextFrameDecoder(plain, framing, frameBytesMax, inDigits ? frameCheck : null);
}

function plainDecoderOf(framing: Framing, frameCheck: FrameCheck | null): FrameDecoder {
  switch (framing.type) {
    case "line":
      return new LineDecoder(framing, frameCheck);
    case "slip":
      return new SlipDecoder(framing, frameCheck);
    case "cobs":
      return new CobsDecoder(framing, frameCheck);
    case "length":
      return new WindowDecoder(new LengthMeasure(framing), framing.gapMs, frameCheck);
    case "fixed":
      return new WindowDecoder(new FixedMeasure(framing), framing.gapMs, frameCheck);
    case "start-end":
      return new StartEndDecoder(framing, frameCheck);
    case "idle":
      return new IdleDecoder(framing, frameCheck);
  }
}

/** Adds the check and makes a frame of it. */
export function encoderOf(framing: FramingOptions, check: CheckOptions | null): FrameEncoder {
  const { encoding = null } = framing;
  const frameCheck = check === null ? null : new FrameCheck(check);
  const aside = (frameCheck?.aside ?? 0) > 0;
  const plain = plainEncoderOf(framing, aside ? frameCheck : null);
  const checking = (inner: FrameEncoder) =>
    frameCheck === null || aside ? inner : new CheckingEncoder(inner, frameCheck);
  if (encoding === null) return checking(plain);
  return encoding === "hex"
    ? checking(new TextFrameEncoder(plain, encoding))
    : new TextFrameEncoder(checking(plain), encoding);
}

/** @param check one behind the end bytes */
function plainEncoderOf(framing: Framing, check: FrameCheck | null): FrameEncoder {
  switch (framing.type) {
    case "line":
      return new LineEncoder(framing);
    case "slip":
      return new SlipEncoder(framing);
    case "cobs":
      return new CobsEncoder(framing);
    case "length":
      return new LengthEncoder(framing);
    case "fixed":
      return new FixedEncoder(framing);
    case "start-end":
      return new StartEndEncoder(framing, check);
    case "idle":
      return new IdleEncoder(framing);
  }
}

class CheckingEncoder implements FrameEncoder {
  readonly #inner: FrameEncoder;
  readonly #check: FrameCheck;

  constructor(inner: FrameEncoder, check: FrameCheck) {
    this.#inner = inner;
    this.#check = check;
  }

  problem(payload: Buffer): EncoderProblem | null {
    return this.#inner.problem(this.#check.added(payload));
  }

  encode(payload: Buffer): Buffer {
    return this.#inner.encode(this.#check.added(payload));
  }
}
