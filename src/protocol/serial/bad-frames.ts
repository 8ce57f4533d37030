/** Bytes that are no frame: counted by cause, and some of them shown on a topic for who looks for the reason. */
import { TokenBucket } from "../../base/token-bucket.ts";
import { Publication } from "../../core/publication.ts";
import { NO_WAITER } from "../../core/router.ts";
import type { BadFrame } from "../../wire/serial/framing.ts";
import type { SerialParts, SerialTopic } from "./parts.ts";

/** Noise comes by the thousand: of it so many are published, the others only counted. */
export const ERRORS_PER_SECOND = 10;

export class BadFrames {
  readonly #parts: SerialParts;
  readonly #topic: SerialTopic | null;
  readonly #bucket: TokenBucket | null;
  readonly #publication: Publication | null;

  constructor(parts: SerialParts, topic: SerialTopic | null) {
    this.#parts = parts;
    this.#topic = topic;
    this.#bucket = topic === null ? null : new TokenBucket(ERRORS_PER_SECOND, ERRORS_PER_SECOND, parts.clock);
    this.#publication = topic === null ? null : new Publication();
  }

  add(cause: BadFrame, bytes: Buffer, from: number, end: number, publisherSlot: number): void {
    const { counters } = this.#parts;
    counters.badFrames[cause].value++;
    if (this.#topic === null || this.#publication === null || this.#bucket === null) return;
    if (this.#bucket.take()) this.#publish(this.#topic, this.#publication, bytes.subarray(from, end), publisherSlot);
    else counters.errorsSkipped.value++;
  }

  /** Nobody waits for what becomes of it. */
  #publish({ topic, qos }: SerialTopic, publication: Publication, payload: Buffer, publisherSlot: number): void {
    const { authority, principal, router, counters } = this.#parts;
    if (!authority.mayPublish(principal, topic)) {
      counters.linesDenied.value++;
      return;
    }
    publication.setParts(topic, payload, qos, false);
    publication.publisher = publisherSlot;
    if (router.publish(publication, NO_WAITER, 0) >= 0x80) counters.errorsSkipped.value++;
  }
}
