/**
 * Where responses go: the MQTT 5 Response Topic of the request with its Correlation Data, else the topic that
 * `request.reply` makes, else the way of all frames.
 *
 * The Response Topic is a client's word: the line must be allowed to publish there as to any topic.
 */

import { topicProblem } from "../../core/plain-publish.ts";
import type { StoreWaiter } from "../../core/ports.ts";
import { Publication } from "../../core/publication.ts";
import { FORBIDDEN, NO_WAITER, STORED_LATER } from "../../core/router.ts";
import { PUBLISH, QUOTA_EXCEEDED } from "../../wire/mqtt/codes.ts";
import { decodeProperties, PropertiesView, PropertiesWriter } from "../../wire/mqtt/properties.ts";
import { CORRELATION_DATA } from "../../wire/mqtt/property-table.ts";
import type { SerialParts } from "./parts.ts";
import type { Frame } from "./write-lane.ts";
import { encoded, type WriteRule } from "./write-rule.ts";

/** Of Response Topic and Correlation Data together, for as long as the request waits. */
export const REPLY_BYTES_MAX = 2048;
/** Responses of QoS 1 and 2 that wait for the store. */
export const REPLIES_STORING_MAX = 64;
/** User Property of what is published instead of a response: timeout or away. */
export const FAILURE_PROPERTY = "serial-error";

export interface Reply {
  /** null = the way of all frames. */
  readonly topic: string | null;
  readonly correlation: Buffer | null;
  /** Of both. */
  readonly bytes: number;
}

const NO_BYTES: Buffer = Buffer.alloc(0);
const view = new PropertiesView();
const writer = new PropertiesWriter(REPLY_BYTES_MAX + 64);

/** What the request in `bytes` with properties in [from..end) says of its response. */
export function readReply(rule: WriteRule, topic: () => string, bytes: Buffer, from: number, end: number): Reply {
  let responseTopic: string | null = null;
  let correlation: Buffer | null = null;
  if (from < end && decodeProperties(bytes, from, end, PUBLISH, view) === 0) {
    const { responseTopicAt, responseTopicLength, correlationDataAt, correlationDataLength } = view;
    if (responseTopicAt > 0) {
      responseTopic = bytes.toString("utf8", responseTopicAt, responseTopicAt + responseTopicLength);
    }
    if (correlationDataAt > 0) {
      correlation = Buffer.from(bytes.subarray(correlationDataAt, correlationDataAt + correlationDataLength));
    }
  }
  const template = rule.config.request?.reply ?? null;
  if (responseTopic === null && template !== null) responseTopic = rule.topics.fill(template, topic());
  const size = Buffer.byteLength(responseTopic ?? "") + (correlation?.length ?? 0);
  return { topic: responseTopic, correlation, bytes: size };
}

export class Replies {
  readonly #parts: SerialParts;
  readonly #publication = new Publication();
  /** Slot of the write side: a response is not written to the device it came from. */
  slot = -1;
  /** Responses that wait for the store. */
  storing = 0;
  #denied = false;

  constructor(parts: SerialParts) {
    this.#parts = parts;
  }

  /** @returns false when the request says of no topic: the frame goes the way of all frames */
  answer({ rule, reply }: Frame, frame: Buffer): boolean {
    if (reply === null || reply.topic === null) return false;
    this.#publish(rule, reply.topic, encoded(rule.config.format, frame), reply.correlation, null);
    return true;
  }

  /** Says that no response comes. */
  fail({ rule, reply }: Frame, cause: "timeout" | "away"): void {
    const failure = rule.config.request?.failure ?? null;
    if (reply === null || reply.topic === null || failure === null) return;
    this.#publish(rule, reply.topic, Buffer.from(failure), reply.correlation, cause);
  }

  #publish(rule: WriteRule, topic: string, payload: Buffer, correlation: Buffer | null, cause: string | null): void {
    const { router, authority, principal, limits } = this.#parts;
    if (topicProblem(topic, limits) !== null || !authority.mayPublish(principal, topic)) {
      this.#deny(topic);
      return;
    }
    writer.reset();
    if (correlation !== null) writer.binary(CORRELATION_DATA, correlation);
    if (cause !== null) writer.pair(FAILURE_PROPERTY, cause);
    const properties = writer.length === 0 ? NO_BYTES : writer.buffer.subarray(0, writer.length);
    const { qos } = rule.config;
    if (qos > 0 && this.storing >= REPLIES_STORING_MAX) {
      this.refused(topic, QUOTA_EXCEEDED);
      return;
    }
    this.#publication.setParts(topic, payload, qos, false, properties);
    this.#publication.publisher = this.slot;
    const outcome = router.publish(this.#publication, qos === 0 ? NO_WAITER : new StoringReply(this, topic), 0);
    if (outcome === STORED_LATER) this.storing++;
    else if (outcome === FORBIDDEN) this.#deny(topic);
    else if (outcome >= 0x80) this.refused(topic, outcome);
  }

  /** The store, or who should get it, did not take the response. */
  refused(topic: string, reason: number): void {
    const { ledger, clock, counters, principal } = this.#parts;
    counters.responsesRefused.value++;
    ledger.record(principal.name, () => topic, reason === QUOTA_EXCEEDED ? "queue-full" : "disk-full", clock.wallMs());
  }

  #deny(topic: string): void {
    const { counters, log, principal } = this.#parts;
    counters.responsesDenied.value++;
    if (this.#denied) return;
    this.#denied = true;
    log.warn("serial-response-denied", { name: principal.name, topic });
  }
}

/** Hears from the store what became of one response. */
class StoringReply implements StoreWaiter {
  readonly #replies: Replies;
  readonly #topic: string;

  constructor(replies: Replies, topic: string) {
    this.#replies = replies;
    this.#topic = topic;
  }

  onStored(_token: number, reason: number): void {
    this.#replies.storing--;
    if (reason !== 0) this.#replies.refused(this.#topic, reason);
  }
}
