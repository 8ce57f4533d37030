/**
 * PUT, POST and DELETE of a topic: publishing, and clearing the retained value.
 *
 * A 2.01, 2.02 or 2.04 to a CON means that every durable receiver has the message; so a CON publishes at QoS 1 unless
 * its query says otherwise, a NON at QoS 0. A payload that comes in blocks is published with the last of them.
 */
import type { Counter, Counters } from "../../../base/counters.ts";
import {
  fillPublication,
  layOutPublication,
  type PlainLimits,
  type Publisher,
  PublishOptions,
  type RetainedValues,
  topicProblem,
} from "../../../core/plain-publish.ts";
import type { Authority, Principal } from "../../../core/ports.ts";
import { Publication } from "../../../core/publication.ts";
import { STORED_LATER } from "../../../core/router.ts";
import {
  BAD_OPTION,
  BAD_REQUEST,
  BLOCK1,
  CHANGED,
  CREATED,
  DELETE,
  DELETED,
  FORBIDDEN,
  LOCATION_PATH,
  POST,
  REQUEST_ENTITY_TOO_LARGE,
  SIZE1,
} from "../../../wire/coap/codes.ts";
import { mediaTypeOf, NO_FORMAT } from "../../../wire/coap/content-format.ts";
import { blockBytes, blockOption, type CoapOption, uintOption } from "../../../wire/coap/options.ts";
import type { RequestView } from "../../../wire/coap/request.ts";
import { operationKey } from "../blocks/operation-key.ts";
import type { Upload } from "../blocks/upload.ts";
import { blockProblem, type Uploads } from "../blocks/uploads.ts";
import type { Peer } from "../message/peer.ts";
import type { Reply } from "../message/reply.ts";
import { refuseStored } from "./refusal.ts";

export interface WriteParts {
  readonly router: Publisher;
  readonly retained: RetainedValues;
  readonly authority: Pick<Authority, "mayPublish">;
  readonly counters: Counters;
  readonly limits: PlainLimits;
  readonly uploads: Uploads;
  /** Which receiver a client is, for No Local. */
  readonly observers: { slotOf(peer: Peer): number };
}

/** The largest block with which such a request is no larger than messages of ours may be: so a DTLS session's `mtu` holds both ways. */
function szxFor(request: RequestView, reply: Reply): number {
  const head = reply.requestBytes - request.payload.length;
  let szx = request.block1Szx;
  while (szx > 0 && head + blockBytes(szx) > reply.responseBytesMax) szx--;
  return szx;
}

const NO_BYTES: Buffer = Buffer.alloc(0);

export class TopicWriter {
  readonly #parts: WriteParts;
  readonly #listener: number;
  readonly #publication = new Publication();
  readonly #options = new PublishOptions();
  readonly #published: Counter;

  /** @param listener  a number of its own for each listener */
  constructor(parts: WriteParts, listener: number) {
    this.#parts = parts;
    this.#listener = listener;
    this.#published = parts.counters.counter("coap.published");
  }

  write(topic: string, request: RequestView, reply: Reply, principal: Principal): void {
    const { authority, limits } = this.#parts;
    const problem = topicProblem(topic, limits) ?? this.#readOptions(request, reply);
    if (problem !== null) {
      reply.refuse(BAD_REQUEST, problem);
    } else if (!authority.mayPublish(principal, topic)) {
      reply.refuse(FORBIDDEN, "may not publish to this topic");
    } else if (request.code === DELETE) {
      this.#clear(topic, request, reply);
    } else if (request.hasBlock1) {
      this.#writeBlock(topic, request, reply, principal);
    } else {
      this.#writeWhole(topic, request, reply);
    }
  }

  #writeWhole(topic: string, request: RequestView, reply: Reply): void {
    const { payload } = request;
    const { maxPacketBytes } = this.#parts.limits;
    if (payload.length > maxPacketBytes) {
      // RFC 7252 section 5.9.2.9
      reply.refuse(REQUEST_ENTITY_TOO_LARGE, "the payload is too large", [uintOption(SIZE1, maxPacketBytes)]);
      return;
    }
    this.#settleAs(topic, request, reply, payload.length);
    const at = this.#layOut(topic, request, payload.length);
    this.#publication.bytes.set(payload, at);
    this.#publish(reply);
  }

  #writeBlock(topic: string, request: RequestView, reply: Reply, principal: Principal): void {
    const { uploads } = this.#parts;
    const problem = blockProblem(request);
    if (problem !== null) {
      reply.refuse(BAD_REQUEST, problem);
      return;
    }
    const key = operationKey(request, reply, principal, this.#listener);
    if (request.block1Num === 0 && !request.block1More) {
      uploads.forget(key);
      this.#writeWhole(topic, request, reply);
      return;
    }
    if (request.block1Num === 0 && reply.askProof()) return;
    const upload = uploads.take(key, request, reply, szxFor(request, reply));
    if (upload === null) return;
    this.#settleAs(topic, request, reply, upload.length);
    const at = this.#layOut(topic, request, upload.length);
    uploads.read(upload, this.#publication.bytes, at);
    this.#publishUpload(upload, reply);
    this.#publication.setParts("", NO_BYTES, 0, false); // so that the bytes are not kept for longer
  }

  #clear(topic: string, request: RequestView, reply: Reply): void {
    if (request.hasBlock1) {
      reply.refuse(BAD_OPTION, "no Block1 in a DELETE");
    } else if (!this.#parts.retained.has(topic)) {
      reply.respond(DELETED); // RFC 7252 section 5.8.4: also when there was nothing
    } else {
      this.#options.retain = true;
      reply.settledCode = DELETED;
      fillPublication(this.#publication, topic, NO_BYTES, this.#options, null);
      this.#publish(reply);
    }
  }

  /**
   * Prepares the response: 2.04 for a message, and for a value in the place of another; 2.01 for a value where there
   * was none, with its location when that may be another path than the request's (RFC 7252 sections 5.8.2 and 5.8.3).
   */
  #settleAs(topic: string, request: RequestView, reply: Reply, length: number): void {
    const created = this.#options.retain && length > 0 && this.#parts.retained.get(topic) === undefined;
    const options: CoapOption[] = [];
    if (created && request.code === POST) options.push(...locationOf(topic));
    if (request.hasBlock1) options.push(blockOption(BLOCK1, request.block1Num, false, request.block1Szx));
    reply.settledCode = created ? CREATED : CHANGED;
    reply.settledOptions = options;
  }

  /** @returns where the payload goes in the publication's bytes */
  #layOut(topic: string, request: RequestView, length: number): number {
    const mediaType = request.contentFormat === NO_FORMAT ? null : mediaTypeOf(request.contentFormat);
    return layOutPublication(this.#publication, topic, length, this.#options, mediaType);
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

  #publish(reply: Reply): void {
    this.#published.value++;
    this.#publication.publisher = this.#parts.observers.slotOf(reply.peer);
    const outcome = this.#parts.router.publish(this.#publication, reply, 0);
    if (outcome === STORED_LATER) reply.awaited++;
    else if (outcome < 0x80) reply.respond(reply.settledCode, reply.settledOptions);
    else refuseStored(reply, outcome);
  }

  /** The upload waits for the store in place of the reply, as a client that asks again has another one. */
  #publishUpload(upload: Upload, reply: Reply): void {
    this.#published.value++;
    this.#publication.publisher = this.#parts.observers.slotOf(reply.peer);
    upload.settledCode = reply.settledCode;
    const outcome = this.#parts.router.publish(this.#publication, upload, 0);
    if (outcome === STORED_LATER) {
      upload.await(reply);
    } else if (outcome < 0x80) {
      upload.settle();
      reply.respond(reply.settledCode, reply.settledOptions);
    } else {
      upload.refuse();
      refuseStored(reply, outcome);
    }
  }
}

/** Nothing for a topic whose path cannot be said: "." and ".." are no segments of a location (RFC 7252 section 5.10.7). */
function locationOf(topic: string): CoapOption[] {
  const levels = topic.split("/");
  if (levels.includes(".") || levels.includes("..")) return [];
  return ["ps", ...levels].map((level) => ({ name: LOCATION_PATH, value: Buffer.from(level) }));
}
