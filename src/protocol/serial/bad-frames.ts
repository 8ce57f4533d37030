/** Bytes that are no frame: counted by cause, and some of them shown on a topic for who looks for the reason. */
import { TokenBucket } from "../../base/token-bucket.ts";
import { Publication } from "../../core/publication.ts";
import { NO_WAITER } from "../../core/router.ts";
import type { BadFrame } from "../../wire/serial/framing.ts";
import type { SerialParts, SerialTopic } from "./parts.ts";

/** Noise comes by the thousand: of it so many are published, the others only counted. */
export const ERRORS_PER_SECOND = 10;
/** Bytes of a bad frame that are published, in hexadecimal; its length says how many there were. */
export const ERROR_BYTES_MAX = 512;

export interface ErrorTopic extends SerialTopic {
  /** `json`: an object with cause, time, length and the bytes; `raw`: the bytes alone. */
  readonly format: "json" | "raw";
}

export class BadFrames {
  readonly #parts: SerialParts;
  readonly #topic: ErrorTopic | null;
  readonly #bucket: TokenBucket | null;
  readonly #publication: Publication | null;
  #denied = false;

  constructor(parts: SerialParts, topic: ErrorTopic | null) {
    this.#parts = parts;
    this.#topic = topic;
    this.#bucket = topic === null ? null : new TokenBucket(ERRORS_PER_SECOND, ERRORS_PER_SECOND, parts.clock);
    this.#publication = topic === null ? null : new Publication();
  }

  add(cause: BadFrame, bytes: Buffer, from: number, end: number, publisherSlot: number): void {
    const { counters, clock } = this.#parts;
    counters.badFrames[cause].value++;
    if (this.#topic === null || this.#publication === null || this.#bucket === null) return;
    if (!this.#bucket.take()) {
      counters.errorsSkipped.value++;
      return;
    }
    const shown = bytes.subarray(from, Math.min(end, from + ERROR_BYTES_MAX));
    const payload = this.#topic.format === "raw" ? shown : described(cause, shown, end - from, clock.wallMs());
    this.#publish(this.#topic, this.#publication, payload, publisherSlot);
  }

  /** Nobody waits for what becomes of it. */
  #publish({ topic, qos }: SerialTopic, publication: Publication, payload: Buffer, publisherSlot: number): void {
    const { authority, principal, router, counters, log } = this.#parts;
    if (!authority.mayPublish(principal, topic)) {
      counters.linesDenied.value++;
      if (!this.#denied) log.warn("serial-publish-denied", { name: principal.name, topic });
      this.#denied = true;
      return;
    }
    publication.setParts(topic, payload, qos, false);
    publication.publisher = publisherSlot;
    if (router.publish(publication, NO_WAITER, 0) >= 0x80) counters.errorsSkipped.value++;
  }
}

/** In the words of `sluice serial sniff --json`. Where bytes are no UTF-8, `text` has U+FFFD. */
function described(cause: BadFrame, shown: Buffer, length: number, wallMs: number): Buffer {
  const time = new Date(wallMs).toISOString();
  const hex = shown.toString("hex");
  return Buffer.from(JSON.stringify({ time, verdict: cause, bytes: length, hex, text: shown.toString() }));
}
