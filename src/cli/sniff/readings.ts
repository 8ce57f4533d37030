/** The reading of a line, by what is spoken there. */
import { FrameCheck } from "../../wire/serial/check.ts";
import { decoderOf, type FramingOptions } from "../../wire/serial/framings.ts";
import type { SniffedFrames } from "./options.ts";
import { type Judgement, judgement, type Reading } from "./reading.ts";

/** Loads what the line's protocol needs. */
export async function readingOf({ framing, check, protocol, settings }: SniffedFrames): Promise<Reading> {
  switch (protocol) {
    case "slipmux":
    case "coap":
      return (await import("./slipmux-words.ts")).coapReading(protocol);
    case "mqtt-sn":
    case "mqtt-sn-length":
      return (await import("./mqtt-sn-words.ts")).mqttSnReading(protocol);
    case "modbus":
      return (await import("./modbus-words.ts")).modbusReading(settings);
    case "frames":
      return framesReading(framing, check);
  }
}

/**
 * The decoder judges where it needs the check, to find frames behind noise or the check behind a frame, or is to have it
 * before the text becomes another. All others are judged here, where they can be shown.
 */
function framesReading(framing: FramingOptions, options: SniffedFrames["check"]): Reading {
  const name = options === null ? framing.type : `${framing.type}, ${options.type}`;
  const isFound = framing.type === "length" || framing.type === "fixed" || options?.position === "behind";
  const finds = options !== null && (isFound || (framing.encoding ?? null) !== null || framing.trim === true);
  const decoder = decoderOf(framing, finds ? options : null);
  const wide = options !== null && (options.type.startsWith("crc16") || options.type === "crc32");
  const strength = wide ? "strong" : options !== null ? "weak" : "none";
  if (options === null) return { decoder, name, strength, judge: () => judgement("unchecked") };
  if (finds) return { decoder, name, strength, judge: () => judgement("ok") };
  const check = new FrameCheck(options);
  const judge = (frame: Buffer): Judgement =>
    check.holds(frame, 0, frame.length) ? judgement("ok") : judgement("check", null, expectedOf(check, frame));
  return { decoder, name, strength, judge };
}

/** What the check of its content is; null when it is too short for one. */
function expectedOf(check: FrameCheck, frame: Buffer): Buffer | null {
  if (frame.length <= check.before + check.behind) return null;
  const whole = check.added(frame.subarray(check.before, frame.length - check.behind));
  return check.before > 0 ? whole.subarray(0, check.before) : whole.subarray(whole.length - check.behind);
}
