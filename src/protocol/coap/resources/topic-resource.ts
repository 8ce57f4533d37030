/**
 * `/ps/{topic}` and `/mqtt/publish/{topic}`: publishing, and reading or clearing the retained value.
 *
 * A 2.04 or 2.02 to a CON means that every durable receiver has the message; so a CON publishes at QoS 1 unless its
 * query says otherwise, a NON at QoS 0.
 */
import type { Clock } from "../../../base/clock.ts";
import type { Counter, Counters } from "../../../base/counters.ts";
import {
  entityTagOf,
  fillPublication,
  mediaTypeOf as mediaTypeOfMessage,
  type PlainLimits,
  type Publisher,
  PublishOptions,
  type RetainedValues,
  secondsToExpiry,
  topicProblem,
} from "../../../core/plain-publish.ts";
import type { Authority, Principal } from "../../../core/ports.ts";
import { Publication } from "../../../core/publication.ts";
import { STORED_LATER } from "../../../core/router.ts";
import {
  BAD_REQUEST,
  CHANGED,
  DELETE,
  DELETED,
  FORBIDDEN,
  GET,
  NOT_FOUND,
  POST,
  PUT,
  REQUEST_ENTITY_TOO_LARGE,
  SIZE1,
} from "../../../wire/coap/codes.ts";
import { formatOf, mediaTypeOf, NO_FORMAT } from "../../../wire/coap/content-format.ts";
import { uintOption } from "../../../wire/coap/options.ts";
import type { RequestView } from "../../../wire/coap/request.ts";
import type { Reply } from "../message/reply.ts";
import { respondContent } from "./content.ts";
import { refuseStored } from "./refusal.ts";
import { methods, type Resource } from "./resource.ts";

export interface TopicParts {
  readonly router: Publisher;
  readonly retained: RetainedValues;
  readonly authority: Pick<Authority, "mayPublish" | "mayRead">;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly limits: PlainLimits;
}

const NO_BYTES: Buffer = Buffer.alloc(0);

export class TopicResource implements Resource {
  readonly methods: number;
  readonly guarded = true;
  readonly #parts: TopicParts;
  readonly #prefixSegments: number;
  readonly #publication = new Publication();
  readonly #options = new PublishOptions();
  readonly #published: Counter;

  /**
   * @param prefixSegments path segments before the topic
   * @param readable whether it has GET and DELETE, too
   */
  constructor(parts: TopicParts, prefixSegments: number, readable: boolean) {
    this.#parts = parts;
    this.#prefixSegments = prefixSegments;
    this.methods = readable ? methods(GET, POST, PUT, DELETE) : methods(POST, PUT);
    this.#published = parts.counters.counter("coap.published");
  }

  handle(request: RequestView, reply: Reply, principal: Principal): void {
    const topic = request.path.slice(this.#prefixSegments).join("/");
    if (request.code === GET) this.#read(topic, request, reply, principal);
    else this.#write(topic, request, reply, principal);
  }

  #read(topic: string, request: RequestView, reply: Reply, principal: Principal): void {
    const { authority, retained, clock } = this.#parts;
    if (!authority.mayRead(principal, topic)) {
      reply.refuse(FORBIDDEN, "may not read this topic");
      return;
    }
    const message = retained.get(topic);
    if (message === undefined) {
      reply.refuse(NOT_FOUND, "no retained value");
      return;
    }
    const mediaType = mediaTypeOfMessage(message);
    respondContent(reply, request, {
      format: mediaType === null ? NO_FORMAT : formatOf(mediaType),
      entityTag: entityTagOf(message),
      maxAgeSeconds: secondsToExpiry(message, clock),
      payload: message.payload,
    });
  }

  #write(topic: string, request: RequestView, reply: Reply, principal: Principal): void {
    const { authority, retained, limits } = this.#parts;
    const options = this.#options;
    const problem = topicProblem(topic, limits) ?? this.#readOptions(request, reply);
    if (problem !== null) {
      reply.refuse(BAD_REQUEST, problem);
      return;
    }
    if (!authority.mayPublish(principal, topic)) {
      reply.refuse(FORBIDDEN, "may not publish to this topic");
      return;
    }
    if (request.payload.length > limits.maxPacketBytes) {
      // RFC 7252 section 5.9.2.9
      reply.refuse(REQUEST_ENTITY_TOO_LARGE, "the payload is too large", [uintOption(SIZE1, limits.maxPacketBytes)]);
      return;
    }
    if (request.code !== DELETE) {
      const mediaType = request.contentFormat === NO_FORMAT ? null : mediaTypeOf(request.contentFormat);
      fillPublication(this.#publication, topic, request.payload, options, mediaType);
      this.#publish(reply, CHANGED);
    } else if (retained.get(topic) === undefined) {
      reply.respond(DELETED); // RFC 7252 section 5.8.4: also when there was nothing
    } else {
      options.retain = true;
      fillPublication(this.#publication, topic, NO_BYTES, options, null);
      this.#publish(reply, DELETED);
    }
  }

  /** EMQX's query options; keys that mean something else are passed over. */
  #readOptions(request: RequestView, reply: Reply): string | null {
    const options = this.#options;
    options.reset(reply.confirmable ? 1 : 0);
    for (const argument of request.query) {
      const equals = argument.indexOf("=");
      const problem =
        equals < 0 ? options.take(argument, "") : options.take(argument.slice(0, equals), argument.slice(equals + 1));
      if (problem !== null) return problem;
    }
    return null;
  }

  #publish(reply: Reply, settledCode: number): void {
    this.#published.value++;
    reply.settledCode = settledCode;
    const outcome = this.#parts.router.publish(this.#publication, reply, 0);
    if (outcome === STORED_LATER) reply.awaited++;
    else if (outcome < 0x80) reply.respond(settledCode);
    else refuseStored(reply, outcome);
  }
}
