/** The template of one entry of `write`: static bytes, the payload, parts of the topic, values of a payload that is JSON. */
import { atJsonPath } from "../../base/json-path.ts";
import type { FramePiece } from "../../config/frame-template.ts";
import { jsonText, numberSource, parseExact } from "./mapping/exact-json.ts";
import type { TopicParts } from "./topic-parts.ts";

export class WriteTemplate {
  readonly #pieces: readonly FramePiece[];
  readonly #topics: TopicParts;
  readonly #hasJson: boolean;
  /** Whether frames depend on the topic. */
  readonly isNamed: boolean;

  constructor(pieces: readonly FramePiece[], topics: TopicParts) {
    this.#pieces = pieces;
    this.#topics = topics;
    this.#hasJson = pieces.some((piece) => typeof piece === "object" && "json" in piece);
    this.isNamed = pieces.some((piece) => typeof piece === "string" && piece !== "payload");
  }

  /** @returns null when the payload does not have the JSON values that are asked for */
  fill(payload: Buffer, topic: string): Buffer | null {
    const json = this.#hasJson ? parsed(payload) : undefined;
    const parts: Buffer[] = [];
    for (const piece of this.#pieces) {
      const part = this.#part(piece, payload, topic, json);
      if (part === null) return null;
      parts.push(part);
    }
    return Buffer.concat(parts);
  }

  #part(piece: FramePiece, payload: Buffer, topic: string, json: unknown): Buffer | null {
    if (Buffer.isBuffer(piece)) return piece;
    if (piece === "payload") return payload;
    if (typeof piece === "string") return Buffer.from(this.#topics.part(piece, topic));
    const text = textOf(atJsonPath(json, piece.json));
    return text === null ? null : Buffer.from(text);
  }
}

/** @returns undefined for what is no JSON */
function parsed(payload: Buffer): unknown {
  try {
    return parseExact(payload.toString());
  } catch {
    return undefined;
  }
}

/** A text without its quotes, a number as it was written, an object or array as JSON. */
function textOf(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  return numberSource(value) ?? (typeof value === "object" ? jsonText(value) : String(value));
}
