/**
 * A message that outlives the event-loop turn it arrived in: it waits for the store, for a receiver's window, or for
 * an acknowledgement. A QoS 0 message to live receivers never becomes one; its bytes are copied straight from the
 * publisher's frame into the receivers' output buffers.
 *
 * The bytes lie in one buffer that the message owns:
 *
 *     bytes   | topic name | MQTT 5 properties | payload |
 *             0        topicEnd          propertiesEnd    bytes.length
 *
 * The properties are the forwardable block of the PUBLISH (no Topic Alias, no Subscription Identifier) without its
 * length prefix; empty for publishers that have none.
 */

import { copyBytes } from "../base/copy-bytes.ts";
import type { Durability, StoreWaiter, TimeSource } from "./ports.ts";
import type { Publication } from "./publication.ts";

/** In the open group: nothing of it is in the database yet. */
export const OPEN = 0;
/** In the write-ahead log of the database (safe from `kill -9`), not known to be on the medium. */
export const WRITTEN = 1;
/** On the medium at the configured durability. */
export const DURABLE = 2;
/** The store took it back: the disk refused it, or nobody needed it any more before the commit was due (elided). */
export const WITHDRAWN = 3;

const NO_RECEIVERS: number[] = [];

export class Message {
  /** Place in the log, ascending from 1 in order of acceptance; 0 for a message that only lives in memory. */
  seq = 0;
  /** One of OPEN, WRITTEN, DURABLE, WITHDRAWN. Memory-only messages stay OPEN. */
  state = OPEN;
  readonly bytes: Buffer;
  readonly topicEnd: number;
  readonly propertiesEnd: number;
  /** QoS the publisher used, 0 to 2. */
  readonly qos: number;
  /** The RETAIN flag the publisher set. */
  readonly retain: boolean;
  /** Stamp of its acceptance: ms of age time (base/age-scale.ts). */
  readonly acceptedMs: number;
  /** `acceptedMs` and what it may live; 0 = for ever. */
  readonly expiresMs: number;
  /** Slot of the publishing session, for No Local; -1 for others. */
  readonly publisher: number;

  /** Durable receivers in ascending order of entry: receiver id, 0 once it acknowledged while the message was OPEN. */
  receiverIds = NO_RECEIVERS;
  /** Per entry of receiverIds: see `deliveryOptions` in receiver.ts. */
  receiverOptions = NO_RECEIVERS;
  /** Per entry: Subscription Identifiers, only for entries that have any. */
  subscriptionIds: Map<number, readonly number[]> | null = null;
  /** Durable receivers that have not acknowledged yet; the retained row counts as one until it is written. */
  pending = 0;

  /** Of its topic; null = the store's own settings. */
  durability: Durability | null = null;
  /** Who waits for the store's word on this message; null once told, or when nobody waits. */
  waiter: StoreWaiter | null = null;
  waiterToken = 0;

  constructor(
    bytes: Buffer,
    topicEnd: number,
    propertiesEnd: number,
    qos: number,
    retain: boolean,
    acceptedMs: number,
    expiresMs: number,
    publisher: number,
  ) {
    this.bytes = bytes;
    this.topicEnd = topicEnd;
    this.propertiesEnd = propertiesEnd;
    this.qos = qos;
    this.retain = retain;
    this.acceptedMs = acceptedMs;
    this.expiresMs = expiresMs;
    this.publisher = publisher;
  }

  /** What it costs against limits in bytes: its own bytes plus a fixed share for record and row. */
  get size(): number {
    return this.bytes.length + MESSAGE_OVERHEAD_BYTES;
  }

  /** Ms until it expires, at most what it may live; Infinity = it never does. */
  leftMs(time: TimeSource): number {
    if (this.expiresMs === 0) return Number.POSITIVE_INFINITY;
    return this.expiresMs - this.acceptedMs - time.elapsedMs(this.acceptedMs);
  }

  get topic(): string {
    return this.bytes.toString("utf8", 0, this.topicEnd);
  }

  /** A view of the payload; valid as long as the message. */
  get payload(): Buffer {
    return this.bytes.subarray(this.propertiesEnd);
  }

  addReceiver(id: number, options: number): void {
    if (this.receiverIds === NO_RECEIVERS) {
      // Most have one receiver: a list that is pushed to has room for 17, 136 bytes more each.
      this.receiverIds = [id];
      this.receiverOptions = [options];
    } else {
      this.receiverIds.push(id);
      this.receiverOptions.push(options);
    }
    this.pending++;
  }

  /** Tells the waiter, once. `reason` is SETTLED, or the refusal as an MQTT 5 reason code. */
  tellWaiter(reason: number): void {
    const waiter = this.waiter;
    if (waiter === null) return;
    this.waiter = null;
    waiter.onStored(this.waiterToken, reason);
  }
}

/** Estimated bytes of the Message object and of its row's fixed part. */
export const MESSAGE_OVERHEAD_BYTES = 128;

/** Shares the bytes; sequence number and receivers are its own. */
export function copyOf(m: Message): Message {
  const copy = new Message(m.bytes, m.topicEnd, m.propertiesEnd, m.qos, m.retain, m.acceptedMs, m.expiresMs, -1);
  copy.durability = m.durability;
  return copy;
}

/** Copies what `publication` points at into a message of its own, so that it can be kept past the turn. */
export function messageOf(publication: Publication, acceptedMs: number): Message {
  const p = publication;
  const topicLength = p.topicEnd - p.topicFrom;
  const propertiesLength = p.propertiesEnd - p.propertiesFrom;
  const payloadLength = p.payloadEnd - p.payloadFrom;
  // A slice of Node's shared 8 KiB slab would pin the whole slab for as long as this one message waits.
  const bytes = Buffer.allocUnsafeSlow(topicLength + propertiesLength + payloadLength);
  copyBytes(p.bytes, p.topicFrom, topicLength, bytes, 0);
  copyBytes(p.bytes, p.propertiesFrom, propertiesLength, bytes, topicLength);
  copyBytes(p.bytes, p.payloadFrom, payloadLength, bytes, topicLength + propertiesLength);
  return new Message(
    bytes,
    topicLength,
    topicLength + propertiesLength,
    p.qos,
    p.retain,
    acceptedMs,
    p.expirySeconds < 0 ? 0 : acceptedMs + p.expirySeconds * 1000,
    p.publisher,
  );
}
