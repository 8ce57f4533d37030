/**
 * GET and FETCH with Observe: what a client asks for, and what it is answered (RFC 7641 sections 2, 3.1, 3.6, 4.1).
 *
 *     Observe 0, entered              2.05 with Observe: the retained value, or empty when there is none
 *     Observe 0, list is full         as without the option
 *     Observe 1, was entered          2.05 without Observe: the same
 *     Observe 1, was not; other value as without the option
 *
 * A topic has a representation although nobody has published to it: an empty one, or a client could not wait for the
 * first value. A wildcard has an empty one, too; its retained values come as notifications.
 */
import type { Clock } from "../../../base/clock.ts";
import { filterProblem } from "../../../config/topics.ts";
import type { Message } from "../../../core/message.ts";
import type { PlainLimits } from "../../../core/plain-publish.ts";
import type { Authority, Principal } from "../../../core/ports.ts";
import { hasWildcard, levelCount } from "../../../core/topic.ts";
import { addressAndPort } from "../../../transport/peer-address.ts";
import { BAD_REQUEST, FORBIDDEN, NOT_ACCEPTABLE } from "../../../wire/coap/codes.ts";
import { NO_FORMAT, OCTET_STREAM } from "../../../wire/coap/content-format.ts";
import { blockBytes } from "../../../wire/coap/options.ts";
import type { RequestView } from "../../../wire/coap/request.ts";
import type { Reply } from "../message/reply.ts";
import { AMPLIFICATION_MAX } from "../message/responder.ts";
import type { ObservedValues } from "./backlog.ts";
import { NO_PLACE, Notification } from "./notification.ts";
import type { Observers } from "./observers.ts";
import { nextPlace } from "./sequence.ts";
import type { ObservedListener } from "./watcher.ts";

const REGISTER = 0;
const DEREGISTER = 1;
/** Header and options of an answer with all there are. */
const HEAD_BYTES = 34;

export interface RegistrationParts {
  readonly retained: ObservedValues;
  readonly authority: Pick<Authority, "mayRead" | "maySubscribe">;
  readonly clock: Clock;
  readonly limits: PlainLimits;
}

/** EMQX's query of a subscription. */
interface Query {
  qos: number;
  noLocal: boolean;
  /** As Retain Handling of MQTT 5: 0 = retained values are sent, 1 = to a new subscription, 2 = they are not. */
  retainHandling: number;
}

/** The observations of one listener's clients. */
export class Registrations {
  readonly #observers: Observers;
  readonly #listener: ObservedListener;
  readonly #parts: RegistrationParts;
  readonly #answer = new Notification();

  constructor(observers: Observers, listener: ObservedListener, parts: RegistrationParts) {
    this.#observers = observers;
    this.#listener = listener;
    this.#parts = parts;
  }

  /**
   * Answers a GET or FETCH that has the option.
   * @returns false when it is to be answered as if it had not
   */
  handle(filter: string, request: RequestView, reply: Reply, principal: Principal): boolean {
    // A later block of a value is no registration (RFC 7959 section 2.6).
    if (request.block2Num > 0 || reply.multicast) return false;
    if (request.observe === REGISTER) return this.#register(filter, request, reply, principal);
    return request.observe === DEREGISTER && this.#deregister(request, reply);
  }

  #register(filter: string, request: RequestView, reply: Reply, principal: Principal): boolean {
    const query = readQuery(request.query, reply.confirmable ? 1 : 0);
    const problem = problemOf(filter, this.#parts.limits) ?? (typeof query === "string" ? query : null);
    if (problem !== null || typeof query === "string") {
      reply.refuse(BAD_REQUEST, problem ?? "");
      return true;
    }
    const { authority, retained } = this.#parts;
    const isWildcard = hasWildcard(filter);
    if (!authority.maySubscribe(principal, filter) || (!isWildcard && !authority.mayRead(principal, filter))) {
      reply.refuse(FORBIDDEN, "may not read this topic");
      return true;
    }
    const token = reply.token.toString("latin1");
    const known = this.#observers.find(reply.peer, token);
    const isNew = known?.filter !== filter;
    const wantsValues = query.retainHandling === 0 || (query.retainHandling === 1 && isNew);
    const value = isWildcard || !wantsValues ? undefined : retained.get(filter);
    if (value !== undefined && !this.#isAcceptable(value, request, reply)) return true;
    if (value !== undefined && isLarge(value, request, reply) && reply.askProof()) return true;
    const observer = this.#observers.register({
      listener: this.#listener,
      peer: reply.peer,
      token,
      filter,
      principal,
      wanted: { qos: Math.min(query.qos, 1), noLocal: query.noLocal, accept: request.accept, szx: request.block2Szx },
      bytesMax: AMPLIFICATION_MAX * reply.requestBytes,
      keeps: this.#listener.lasting && principal.clientId !== `coap:${addressAndPort(reply.address, reply.port)}`,
    });
    if (observer === null) return false;
    if (isWildcard && wantsValues) this.#observers.tellRetained(observer);
    observer.place = nextPlace(observer.place, this.#parts.clock);
    const isTold = this.#respond(value, observer.place, request, reply);
    this.#observers.told(observer, value, isTold, this.#answer);
    this.#answer.forget();
    return true;
  }

  /** RFC 7641 section 3.6. Who is not entered, any more, is answered as without the option. */
  #deregister(request: RequestView, reply: Reply): boolean {
    const observer = this.#observers.find(reply.peer, reply.token.toString("latin1"));
    if (observer === null) return false;
    this.#observers.remove(observer);
    const { isWildcard, filter, principal } = observer;
    const { retained, authority } = this.#parts;
    const value = isWildcard || !authority.mayRead(principal, filter) ? undefined : retained.get(filter);
    this.#respond(value, NO_PLACE, request, reply);
    this.#answer.forget();
    return true;
  }

  #isAcceptable(value: Message, request: RequestView, reply: Reply): boolean {
    const format = this.#answer.formatOf(value);
    const given = format === NO_FORMAT ? OCTET_STREAM : format;
    if (request.accept === NO_FORMAT || request.accept === given) return true;
    reply.refuse(NOT_ACCEPTABLE, `the value's Content-Format is ${given}`);
    return false;
  }

  /** @returns false when the value is more than may be sent to the client yet: it was told of none */
  #respond(value: Message | undefined, place: number, request: RequestView, reply: Reply): boolean {
    const { clock } = this.#parts;
    const answer = this.#answer;
    const szx = request.block2Szx;
    const frame = { place, namesTopic: false, szx, tokenBytes: reply.token.length, bytesMax: reply.responseBytesMax };
    let isTold = true;
    if (value === undefined) answer.empty(place);
    else if (request.etags.some((known) => answer.entityTagOf(value).equals(known))) answer.valid(value, place, clock);
    else isTold = answer.tell(value, frame, clock);
    if (!isTold) answer.empty(place);
    reply.respond(answer.code, answer.options, answer.payload);
    return isTold;
  }
}

/** Whether the value, or its first block, is more than may go to the client now. */
function isLarge({ payload }: Message, request: RequestView, reply: Reply): boolean {
  const bytes = Math.min(payload.length, blockBytes(request.block2Szx));
  return HEAD_BYTES + reply.token.length + bytes > reply.responseBytesMax;
}

/** @returns what is wrong with it, in words */
function problemOf(filter: string, limits: PlainLimits): string | null {
  const problem = filterProblem(filter);
  if (problem !== null) return `the topic ${problem}`;
  if (filter.startsWith("$share/")) return "shared subscriptions are MQTT's";
  if (Buffer.byteLength(filter) > limits.topicBytes) return `the topic is longer than ${limits.topicBytes} bytes`;
  return levelCount(filter) > limits.topicLevels ? `the topic has more than ${limits.topicLevels} levels` : null;
}

/** @returns what is wrong with it, in words */
function readQuery(query: readonly string[], qos: number): Query | string {
  const read: Query = { qos, noLocal: false, retainHandling: 0 };
  for (const argument of query) {
    const equals = argument.indexOf("=");
    const key = equals < 0 ? argument : argument.slice(0, equals);
    const value = equals < 0 ? "" : argument.slice(equals + 1);
    if (key === "qos") {
      if (value !== "0" && value !== "1" && value !== "2") return "qos is 0, 1 or 2";
      read.qos = Number(value);
    } else if (key === "nl") {
      if (value !== "0" && value !== "1" && value !== "false" && value !== "true") return "nl is 0 or 1";
      read.noLocal = value === "1" || value === "true";
    } else if (key === "rh") {
      if (value !== "0" && value !== "1" && value !== "2") return "rh is 0, 1 or 2";
      read.retainHandling = Number(value);
    }
  }
  return read;
}
