/**
 * `/ps/{topic}` and `/mqtt/publish/{topic}`: the topic of a request, and who deals with it.
 *
 *      PUT, POST, DELETE       topic-writer.ts
 *      GET, FETCH of a topic   topic-reader.ts
 *      GET, FETCH of a filter  topic-lists.ts, the topics that hold a value
 *
 * A FETCH says more of its topic in its payload (RFC 8132 section 2.3): `FETCH /ps` with `hall/+/speed`, or `FETCH /ps/hall`
 * with `+/speed`, in text/plain, where a wildcard needs no percent-encoding.
 */
import { isUtf8 } from "node:buffer";
import { filterProblem } from "../../../config/topics.ts";
import type { Authority, Principal } from "../../../core/ports.ts";
import { hasWildcard } from "../../../core/topic.ts";
import {
  BAD_OPTION,
  BAD_REQUEST,
  DELETE,
  FETCH,
  FORBIDDEN,
  GET,
  METHOD_NOT_ALLOWED,
  POST,
  PRECONDITION_FAILED,
  PUT,
  REQUEST_ENTITY_TOO_LARGE,
  SIZE1,
  UNSUPPORTED_CONTENT_FORMAT,
} from "../../../wire/coap/codes.ts";
import { NO_FORMAT, TEXT_PLAIN } from "../../../wire/coap/content-format.ts";
import { uintOption } from "../../../wire/coap/options.ts";
import { NOT_OBSERVING, type RequestView } from "../../../wire/coap/request.ts";
import type { LargeReads } from "../blocks/large-reads.ts";
import type { LargeValues } from "../blocks/large-values.ts";
import { operationKey } from "../blocks/operation-key.ts";
import type { Uploads } from "../blocks/uploads.ts";
import type { Reply } from "../message/reply.ts";
import type { Registrations } from "../observe/registration.ts";
import { respondContent } from "./content.ts";
import type { FetchedFilters } from "./fetched-filters.ts";
import { isPreconditionMet } from "./precondition.ts";
import { methods, type Resource } from "./resource.ts";
import type { TopicLists } from "./topic-lists.ts";
import { type ReadParts, representationOf, TopicReader } from "./topic-reader.ts";
import { TopicWriter, type WriteParts } from "./topic-writer.ts";

export interface TopicParts extends ReadParts, Omit<WriteParts, "uploads" | "observers"> {
  readonly authority: Pick<Authority, "mayPublish" | "mayRead">;
  readonly shared: {
    readonly uploads: Uploads;
    readonly lists: TopicLists;
    readonly fetched: FetchedFilters;
    readonly largeReads: LargeReads;
    readonly largeValues: LargeValues;
    readonly observers: WriteParts["observers"];
  };
}

export class TopicResource implements Resource {
  readonly methods: number;
  readonly guarded = true;
  readonly writable = true;
  readonly #parts: TopicParts;
  readonly #registrations: Registrations | null;
  readonly #prefixSegments: number;
  readonly #writer: TopicWriter;
  readonly #reader: TopicReader;
  readonly #lists: TopicLists;
  readonly #fetched: FetchedFilters;
  readonly #largeValues: LargeValues;
  readonly #listener: number;

  /**
   * @param listener  a number of its own for each listener
   * @param prefixSegments path segments before the topic
   * @param registrations its observations; null = it has no GET, FETCH and DELETE
   */
  constructor(parts: TopicParts, listener: number, prefixSegments: number, registrations: Registrations | null) {
    this.#parts = parts;
    this.#prefixSegments = prefixSegments;
    this.#registrations = registrations;
    this.methods = registrations !== null ? methods(GET, POST, PUT, DELETE, FETCH) : methods(POST, PUT);
    const { uploads, lists, fetched, largeReads, largeValues, observers } = parts.shared;
    this.#listener = listener;
    this.#writer = new TopicWriter({ ...parts, uploads, observers }, listener);
    this.#reader = new TopicReader(parts, largeReads);
    this.#lists = lists;
    this.#fetched = fetched;
    this.#largeValues = largeValues;
  }

  handle(request: RequestView, reply: Reply, principal: Principal): void {
    const topic = topicOf(request, this.#prefixSegments);
    if (request.block2Num > 0 || request.block1Num > 0) reply.countAsBlock();
    if (request.code === GET) {
      this.#read(topic, request, reply, principal);
    } else if (request.code === FETCH) {
      this.#fetch(topic, request, reply, principal);
    } else if (request.path.length === this.#prefixSegments) {
      reply.refuse(METHOD_NOT_ALLOWED, "no topic: publish to a path below this one");
    } else if (this.#isConditionMet(topic, request, reply, principal)) {
      this.#writer.write(topic, request, reply, principal);
    }
  }

  #fetch(topic: string, request: RequestView, reply: Reply, principal: Principal): void {
    if (!isFilterReadable(request, reply, this.#parts.limits.topicBytes)) return;
    const key = operationKey(request, reply, principal, this.#listener);
    let filter = request.payload.toString();
    if (filter === "" && request.block2Num > 0) filter = this.#fetched.find(key);
    else this.#fetched.remember(key, filter);
    this.#read(topic === "" || filter === "" ? topic + filter : `${topic}/${filter}`, request, reply, principal);
  }

  /** @param filter  a topic, a filter, or "" for all */
  #read(filter: string, request: RequestView, reply: Reply, principal: Principal): void {
    if (request.hasBlock1 && request.code === GET) {
      reply.refuse(BAD_OPTION, "no Block1 in a GET");
    } else if (request.block2Num > 0 && this.#readNotified(filter, request, reply, principal)) {
      return;
    } else if (request.observe !== NOT_OBSERVING && this.#isObserved(filter, request, reply, principal)) {
      return;
    } else if (filter === "") {
      this.#lists.list("#", request, reply, principal, this.#listener);
    } else if (!hasWildcard(filter)) {
      if (this.#isConditionMet(filter, request, reply, principal)) this.#reader.read(filter, request, reply, principal);
    } else {
      const problem = filterProblem(filter);
      if (problem !== null) reply.refuse(BAD_REQUEST, `the filter: ${problem}`);
      else this.#lists.list(filter, request, reply, principal, this.#listener);
    }
  }

  /** @returns false when it is to be read once */
  #isObserved(filter: string, request: RequestView, reply: Reply, principal: Principal): boolean {
    if (this.#registrations === null || request.ifMatch.length > 0 || request.ifNoneMatch) return false;
    return this.#registrations.handle(filter === "" ? "#" : filter, request, reply, principal);
  }

  /** The rest of a value that was notified with its first block. @returns false when there is none */
  #readNotified(filter: string, request: RequestView, reply: Reply, principal: Principal): boolean {
    const message = this.#largeValues.find(reply.peer, filter);
    if (message === null || !this.#parts.authority.mayRead(principal, message.topic)) return false;
    respondContent(reply, request, representationOf(message, this.#parts.clock));
    return true;
  }

  /** RFC 7252 section 5.10.8. Who asks about a value must be allowed to read it. */
  #isConditionMet(topic: string, request: RequestView, reply: Reply, principal: Principal): boolean {
    if (request.ifMatch.length === 0 && !request.ifNoneMatch) return true;
    if (!this.#parts.authority.mayRead(principal, topic)) {
      reply.refuse(FORBIDDEN, "may not read this topic, so not ask about its value either");
      return false;
    }
    if (isPreconditionMet(request, this.#parts.retained.get(topic))) return true;
    reply.refuse(PRECONDITION_FAILED, "the retained value is another, or there is one, or none");
    return false;
  }
}

/** The topic that the path names: a level for each segment; "" for the path above all topics. */
export function topicOf(request: RequestView, prefixSegments: number): string {
  return request.path.slice(prefixSegments).join("/");
}

/** @returns false when the request has been refused: its payload is no filter */
function isFilterReadable(request: RequestView, reply: Reply, bytesMax: number): boolean {
  const { payload, contentFormat } = request;
  if (request.hasBlock1 && (request.block1More || request.block1Num > 0)) {
    reply.refuse(REQUEST_ENTITY_TOO_LARGE, "a filter fits in one message", [uintOption(SIZE1, bytesMax)]);
  } else if (contentFormat !== NO_FORMAT && contentFormat !== TEXT_PLAIN) {
    reply.refuse(UNSUPPORTED_CONTENT_FORMAT, "a topic filter is text/plain, Content-Format 0");
  } else if (payload.length > bytesMax) {
    reply.refuse(REQUEST_ENTITY_TOO_LARGE, "the filter is too long", [uintOption(SIZE1, bytesMax)]);
  } else if (!isUtf8(payload)) {
    reply.refuse(BAD_REQUEST, "the filter is not UTF-8");
  } else {
    return true;
  }
  return false;
}
