/** GET and FETCH of a topic: its retained value. */
import type { Clock } from "../../../base/clock.ts";
import { isOwnTopic } from "../../../config/topics.ts";
import type { Message } from "../../../core/message.ts";
import {
  entityTagOf,
  mediaTypeOf as mediaTypeOfMessage,
  type RetainedValues,
  secondsToExpiry,
} from "../../../core/plain-publish.ts";
import type { Authority, Principal } from "../../../core/ports.ts";
import { FORBIDDEN, NOT_FOUND } from "../../../wire/coap/codes.ts";
import { formatOf, NO_FORMAT } from "../../../wire/coap/content-format.ts";
import { BLOCK_SZX_MAX, blockBytes } from "../../../wire/coap/options.ts";
import type { RequestView } from "../../../wire/coap/request.ts";
import type { LargeReads } from "../blocks/large-reads.ts";
import type { Reply } from "../message/reply.ts";
import { type Representation, respondContent } from "./content.ts";
import { refuseBusy } from "./refusal.ts";

export interface ReadParts {
  readonly retained: RetainedValues;
  readonly authority: Pick<Authority, "mayRead">;
  readonly clock: Clock;
}

export class TopicReader {
  readonly #parts: ReadParts;
  readonly #largeReads: LargeReads;

  constructor(parts: ReadParts, largeReads: LargeReads) {
    this.#parts = parts;
    this.#largeReads = largeReads;
  }

  read(topic: string, request: RequestView, reply: Reply, principal: Principal): void {
    const { authority, retained, clock } = this.#parts;
    if (!authority.mayRead(principal, topic)) {
      reply.refuse(FORBIDDEN, "may not read this topic");
      return;
    }
    const read = this.#largeReads.find(topic);
    if (read !== null) {
      respondContent(reply, request, read);
      return;
    }
    const message = retained.get(topic);
    if (message === undefined) {
      if (retained.has(topic)) refuseBusy(reply, "the store cannot be read");
      else reply.refuse(NOT_FOUND, "no retained value");
      return;
    }
    const content = representationOf(message, clock);
    if (content.payload.length > blockBytes(BLOCK_SZX_MAX) && !isOwnTopic(topic)) {
      this.#largeReads.keep(topic, content, message);
    }
    respondContent(reply, request, content);
  }
}

/** A message as CoAP shows it. */
export function representationOf(message: Message, clock: Clock): Representation {
  return {
    format: contentFormatOf(message),
    entityTag: entityTagOf(message),
    maxAgeSeconds: secondsToExpiry(message, clock),
    payload: message.payload,
  };
}

/** NO_FORMAT when its publisher gave it no content type, or one that has no number. */
export function contentFormatOf(message: Message): number {
  const mediaType = mediaTypeOfMessage(message);
  return mediaType === null ? NO_FORMAT : formatOf(mediaType);
}
