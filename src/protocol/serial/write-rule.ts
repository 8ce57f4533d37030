/**
 * What one entry of `write` makes of a message:
 *
 *     payload --- format: hex, base64, utf8 ---> bytes --- template ---> frame
 */
import { isUtf8 } from "node:buffer";
import { assert } from "../../base/assert.ts";
import { type BytePattern, bytePattern, frameTemplate } from "../../config/frame-template.ts";
import type { PayloadFormat, SerialWriteConfig } from "../../config/serial-write.ts";
import { TopicParts } from "./topic-parts.ts";
import { WriteTemplate } from "./write-template.ts";

export class WriteRule {
  readonly config: SerialWriteConfig;
  readonly topics: TopicParts;
  /** Of a response; null = any frame is one. */
  readonly match: BytePattern | null;
  readonly #template: WriteTemplate | null;

  constructor(config: SerialWriteConfig) {
    this.config = config;
    this.topics = new TopicParts(config.topic);
    const template = config.template === null ? null : frameTemplate(config.template, config.topic);
    const match = config.request?.match == null ? null : bytePattern(config.request.match);
    assert(typeof template !== "string" && typeof match !== "string", "they were checked with the configuration");
    this.#template = template === null ? null : new WriteTemplate(template, this.topics);
    this.match = match;
  }

  /** @returns the frame, which may be `payload` itself; null when it is not what `format` or the template says */
  frameOf(topic: () => string, payload: Buffer): Buffer | null {
    const { format } = this.config;
    const template = this.#template;
    const bytes = format === "raw" ? payload : decoded(format, payload);
    if (bytes === null || template === null) return bytes;
    return template.fill(bytes, template.isNamed ? topic() : "");
  }
}

/** @returns null for what is not in this format */
function decoded(format: PayloadFormat, payload: Buffer): Buffer | null {
  if (format === "hex") return hexBytes(payload);
  if (format === "base64") return base64Bytes(payload);
  return format === "utf8" && !isUtf8(payload) ? null : payload;
}

/** Pairs of digits, with or without blanks between the pairs. */
function hexBytes(text: Buffer): Buffer | null {
  const bytes = Buffer.allocUnsafe(text.length >> 1);
  let length = 0;
  for (let at = 0; at < text.length; ) {
    const high = digit(text[at] as number);
    if (high < 0) {
      if (!isBlank(text[at] as number)) return null;
      at++;
      continue;
    }
    const low = at + 1 < text.length ? digit(text[at + 1] as number) : -1;
    if (low < 0) return null;
    bytes[length++] = (high << 4) | low;
    at += 2;
  }
  return bytes.subarray(0, length);
}

function digit(char: number): number {
  if (char >= 0x30 && char <= 0x39) return char - 0x30;
  const lower = char | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

function isBlank(char: number): boolean {
  return char === 0x20 || (char >= 0x09 && char <= 0x0d);
}

/** With its padding or without; Node's own decoder passes over what does not belong there. */
function base64Bytes(payload: Buffer): Buffer | null {
  const text = payload.toString("latin1").trim();
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  const bytes = Buffer.from(text, "base64");
  const plain = text.replace(/=+$/, "");
  if (text.length !== plain.length && text.length % 4 !== 0) return null;
  return bytes.toString("base64").replace(/=+$/, "") === plain ? bytes : null;
}

/** A payload for the response in the format of its request. */
export function encoded(format: PayloadFormat, frame: Buffer): Buffer {
  return format === "hex" || format === "base64" ? Buffer.from(frame.toString(format), "latin1") : frame;
}
