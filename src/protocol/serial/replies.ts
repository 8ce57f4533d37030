/**
 * Where responses go: the MQTT 5 Response Topic of the request with its Correlation Data, else the topic that
 * `request.reply` makes, else the way of all frames. What comes instead of a response goes there, too.
 *
 * The Response Topic is a client's word: the line must be allowed to publish there as to any topic. A request of QoS 1 is
 * acknowledged when its response is stored, or nobody has to store it: before, it is written again after a crash.
 */
import { RingBuffer } from "../../base/ring-buffer.ts";
import { type Expirable, Timer } from "../../base/timer-wheel.ts";
import { topicProblem } from "../../core/plain-publish.ts";
import { type ResponseTopic, responseTopicOf } from "../../core/response-topic.ts";
import { PropertiesWriter } from "../../wire/mqtt/properties.ts";
import { CORRELATION_DATA } from "../../wire/mqtt/property-table.ts";
import { type HeldOwner, HeldPublications } from "./held-publications.ts";
import type { SerialParts } from "./parts.ts";
import type { Frame } from "./write-lane.ts";
import { encoded, type WriteRule } from "./write-rule.ts";

/** Of Response Topic and Correlation Data together, for as long as the request waits. */
export const REPLY_BYTES_MAX = 2048;
/** Responses that wait for the store, and their bytes. */
export const RESPONSES_PENDING_MAX = 64;
export const STORING_BYTES_MAX = 32 * 1024;
/** Answers to messages that are not even written: they are given in a turn of their own, so many at once. */
export const UNWRITTEN_MAX = 16;
/** User Property of what is published instead of a response. */
const FAILURE_PROPERTY = "serial-error";
const UNWRITTEN_MS = 1;

/**
 * timeout: the device did not answer. expired: a Message Expiry Interval was over before its turn. away, busy: a message of
 * QoS 0 had no place on the wire. invalid, too-large: it cannot be a frame. encoding: nor text of the device.
 */
export type Failure = "timeout" | "expired" | "away" | "busy" | "invalid" | "too-large" | "encoding";

/** Without a topic it goes the way of all frames. */
export interface Reply extends ResponseTopic {
  /** Of topic and correlation. */
  readonly bytes: number;
}

interface Unwritten {
  readonly rule: WriteRule;
  readonly reply: Reply;
  readonly cause: Failure;
}

/** Who wrote the requests. */
export interface RepliesOwner {
  /** The message with this packet id has had its answer. */
  acknowledge(packetId: number): void;
  /** Responses can be taken again. */
  onRepliesOpen(): void;
}

const NO_BYTES: Buffer = Buffer.alloc(0);
const writer = new PropertiesWriter(REPLY_BYTES_MAX + 64);

/** What the request with properties in `bytes[from..end)` says of its response. */
export function readReply(rule: WriteRule, topicName: () => string, bytes: Buffer, from: number, end: number): Reply {
  const { topic: responseTopic, correlation } = responseTopicOf(bytes, from, end);
  const template = rule.config.request?.reply ?? null;
  const topic = responseTopic ?? (template === null ? null : rule.topics.fill(template, topicName()));
  return { topic, correlation, bytes: Buffer.byteLength(topic ?? "") + (correlation?.length ?? 0) };
}

export class Replies implements HeldOwner, Expirable {
  readonly #parts: SerialParts;
  readonly #owner: RepliesOwner;
  readonly #held: HeldPublications;
  readonly #unwritten = new RingBuffer<Unwritten>(UNWRITTEN_MAX);
  readonly #timer = new Timer(this, 0);

  constructor(parts: SerialParts, owner: RepliesOwner) {
    const { counters } = parts;
    this.#parts = parts;
    this.#owner = owner;
    this.#held = new HeldPublications(parts, this, {
      pendingMax: RESPONSES_PENDING_MAX,
      bytesMax: STORING_BYTES_MAX,
      atOnceMax: 1,
      refused: counters.responsesRefused,
      denied: counters.responsesDenied,
      words: {
        refused: "serial-responses-refused",
        taken: "serial-responses-taken-again",
        denied: "serial-response-denied",
      },
    });
  }

  /** Of the write side: a response is not written to the device it came from. */
  set slot(slot: number) {
    this.#held.publisherSlot = slot;
  }

  /** Whether one more response can be taken: no request is written before. */
  get isOpen(): boolean {
    return this.#held.isOpen;
  }

  /**
   * The owner hears `acknowledge` with the request's packet id, at once or later.
   * @returns false when the request says of no topic: the frame goes the way of all frames
   */
  answer({ rule, reply, packetId }: Frame, frame: Buffer): boolean {
    const topic = reply?.topic ?? null;
    if (topic === null) this.#owner.acknowledge(packetId);
    else this.#publish(rule, reply as Reply, encoded(rule.config.format, frame), null, packetId);
    return topic !== null;
  }

  /** Says that no response comes. The owner hears `acknowledge` as above. */
  fail({ rule, reply, packetId }: Frame, cause: Failure): void {
    const failure = rule.config.request?.failure ?? null;
    if (reply === null || reply.topic === null || failure === null) this.#owner.acknowledge(packetId);
    else this.#publish(rule, reply, Buffer.from(failure), cause, packetId);
  }

  /** Says in a later turn that a message is not written: this one is the router's. */
  failLater(rule: WriteRule, reply: Reply, cause: Failure): void {
    if (reply.topic === null || reply.bytes > REPLY_BYTES_MAX || rule.config.request?.failure === null) return;
    if (this.#unwritten.push({ rule, reply, cause }) && !this.#timer.armed) {
      this.#parts.busWheel().schedule(this.#timer, UNWRITTEN_MS);
    }
  }

  onTimer(): void {
    for (let next = this.#unwritten.shift(); next !== undefined; next = this.#unwritten.shift()) {
      const { rule, reply, cause } = next;
      this.#publish(rule, reply, Buffer.from(rule.config.request?.failure ?? ""), cause, 0);
    }
  }

  /** The messages that were not acknowledged come again, with other packet ids. */
  onAway(): void {
    this.#held.forgetTickets();
  }

  close(): void {
    this.#held.close();
    this.#parts.busWheel().cancel(this.#timer);
  }

  #publish(rule: WriteRule, { topic, correlation }: Reply, payload: Buffer, cause: Failure | null, id: number): void {
    const name = topic as string;
    if (id === 0 && cause !== null && !this.isOpen) {
      this.#held.refuse(name); // of those any number may come
      return;
    }
    if (topicProblem(name, this.#parts.limits) !== null) {
      this.#held.deny(name, id);
      return;
    }
    writer.reset();
    if (correlation !== null) writer.binary(CORRELATION_DATA, correlation);
    if (cause !== null) writer.pair(FAILURE_PROPERTY, cause);
    const properties = writer.length === 0 ? NO_BYTES : writer.buffer.subarray(0, writer.length);
    this.#held.publish(name, payload, rule.config.qos, false, properties, id);
  }

  // ---- what is held ------------------------------------------------------------------------------------------

  onHold(): void {}

  onRoom(): void {
    if (this.isOpen) this.#owner.onRepliesOpen();
  }

  onSettled(packetId: number): void {
    this.#owner.acknowledge(packetId);
  }
}
