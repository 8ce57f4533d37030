/**
 * Retained values: the last message published with RETAIN for each topic. The values are rows of the store; memory
 * holds an index of their topics, as a tree of levels, with size and expiry. Bounded in number and bytes; a value that
 * does not fit is refused, nothing old is thrown away.
 *
 * @see MQTT 5.0 section 3.3.1.3
 */
import type { Counter, Counters } from "../base/counters.ts";
import type { Line } from "../config/budget.ts";
import { isOwnTopic } from "../config/topics.ts";
import { Message } from "./message.ts";
import type { Store, TimeSource } from "./ports.ts";
import type { Publication } from "./publication.ts";
import { bytesOfTopic, EXPIRY_BYTES, RetainedIndex, type WalkPlace } from "./retained-index.ts";
import { levelCount } from "./topic.ts";

export interface RetainedLimits {
  readonly retainedMessages: number;
  readonly retainedBytes: number;
  readonly retainedPayloadBytes: number;
}

/** Told of each topic whose value is another one now, or none. */
export interface RetainedWatcher {
  onRetainedChanged(topic: string): void;
}

/** Values that are not kept but computed when they are asked for: `$SYS`. */
export interface ComputedValues {
  match(filter: string, walk?: WalkPlace): Generator<string | null>;
  get(topic: string): Message | undefined;
}

/** Bytes of the index for each value that there may be: 110 to 130 where many share a level, 260 with one for each device. */
const INDEX_BYTES = 176;
/** And some more, for few values under long topics. */
const INDEX_BYTES_MORE = 32 * 1024;

/** When there is no room, expired values go: so many at a time, and so often. */
const SWEEP_TOPICS_MAX = 512;
const SWEEP_MS = 1000;

export class Retained {
  readonly #store: Store;
  readonly #time: TimeSource;
  readonly #limits: RetainedLimits;
  readonly #index: RetainedIndex;
  readonly #refused: Counter;
  #nextSweepMs = 0;
  /** What is under `$SYS`, where nobody publishes; null = nothing is. */
  computed: ComputedValues | null = null;
  /** null = nobody is to be told of changes. */
  watcher: RetainedWatcher | null = null;

  constructor(store: Store, time: TimeSource, limits: RetainedLimits, counters: Counters) {
    this.#store = store;
    this.#time = time;
    this.#limits = limits;
    this.#index = new RetainedIndex(
      (expiry) => time.elapsedMs(expiry.acceptedMs) >= expiry.expiresMs - expiry.acceptedMs,
    );
    this.#refused = counters.counter("retained.refused");
    counters.gauge("retained.messages", () => this.count);
    counters.gauge("retained.bytes", () => this.bytes);
    counters.gauge("retained.index_bytes", () => this.indexBytes);
    store.loadRetained((message) => this.#enter(message));
    store.onRetainedWithdrawn = (topic) => this.#enterAgain(topic);
  }

  get count(): number {
    return this.#index.count;
  }

  /** Of the values. */
  get bytes(): number {
    return this.#index.valueBytes;
  }

  /** Of memory. */
  get indexBytes(): number {
    return this.#index.bytes;
  }

  /** Whether the publication's value may be kept: room, or it replaces or deletes one. Counts the refusal. */
  takes(p: Publication): boolean {
    if (p.payloadFrom === p.payloadEnd) return true;
    if (this.takesPayload(p) && (this.#hasRoom(p) || (this.#dropExpired() && this.#hasRoom(p)))) return true;
    this.#refused.value++;
    return false;
  }

  /** Whether the payload is small enough to be retained at all. */
  takesPayload(p: Publication): boolean {
    return p.payloadEnd - p.payloadFrom <= this.#limits.retainedPayloadBytes;
  }

  #hasRoom(p: Publication): boolean {
    const old = this.#index.find(p.topic);
    const oldBytes = old === null ? 0 : old.bytes;
    const count = this.count + (oldBytes === 0 ? 1 : 0);
    const bytes = this.bytes + p.length - oldBytes;
    const { retainedMessages, retainedBytes } = this.#limits;
    // Of a new topic not all levels may be new; counting them all keeps this short.
    const more =
      (old === null ? bytesOfTopic(p.topic, levelCount(p.topic)) : 0) +
      (p.expirySeconds >= 0 && (old === null || old.expiry === null) ? EXPIRY_BYTES : 0);
    const fits = more === 0 || this.indexBytes + more <= indexBytesMax(retainedMessages);
    return count <= retainedMessages && bytes <= retainedBytes && fits;
  }

  /** Deletes some of the expired values, not too often. @returns whether there were any */
  #dropExpired(): boolean {
    const nowMs = this.#time.nowMs();
    if (nowMs < this.#nextSweepMs) return false;
    this.#nextSweepMs = nowMs + SWEEP_MS;
    const topics: string[] = [];
    for (const topic of this.#index.expired()) if (topic !== null && topics.push(topic) === SWEEP_TOPICS_MAX) break;
    const ageMs = this.#time.ageMs();
    for (const topic of topics) {
      const bytes = Buffer.from(topic);
      this.put(new Message(bytes, bytes.length, bytes.length, 0, true, ageMs, 0, -1));
    }
    return topics.length > 0;
  }

  /** Keeps the message as its topic's value, or deletes that when the payload is empty ([MQTT5-3.3.1-6]). */
  put(message: Message): void {
    if (this.#store.putRetained(message)) this.#enter(message);
  }

  /** The topic has the value again that it had before, or none; which of them, a store that has failed does not say. */
  #enterAgain(topic: string): void {
    const message = this.#store.getRetained(topic);
    if (message !== null) {
      this.#enter(message);
      return;
    }
    if (this.#store.health !== "failed") this.#index.delete(topic);
    this.watcher?.onRetainedChanged(topic);
  }

  #enter({ topic, bytes, propertiesEnd, acceptedMs, expiresMs }: Message): void {
    if (bytes.length === propertiesEnd) this.#index.delete(topic);
    else this.#index.set(topic, bytes.length, expiresMs === 0 ? null : { acceptedMs, expiresMs });
    this.watcher?.onRetainedChanged(topic);
  }

  /** The value of `topic`; undefined when there is none, or it has expired. */
  get(topic: string): Message | undefined {
    if (isOwnTopic(topic)) return this.computed?.get(topic);
    const node = this.#index.find(topic);
    if (node === null || !this.#index.hasValue(node)) return undefined;
    return this.#store.getRetained(topic) ?? undefined;
  }

  /** Whether `topic` has a value: true of one that the store cannot give, because it has failed. */
  has(topic: string): boolean {
    if (isOwnTopic(topic)) return this.computed?.get(topic) !== undefined;
    const node = this.#index.find(topic);
    return node !== null && this.#index.hasValue(node);
  }

  /**
   * The topics that have a value and match `filter`, one by one: values may come and go between two of them. null is a
   * level that was looked at in vain, for who counts steps.
   * @param walk where it begins; a walk itself, 180 B for each level that it is below, is not to be kept for long
   */
  match(filter: string, walk?: WalkPlace): Generator<string | null> {
    if (this.computed !== null && isOwnTopic(filter)) return this.computed.match(filter, walk);
    return this.#index.match(filter, walk);
  }
}

function indexBytesMax(retainedMessages: number): number {
  return retainedMessages * INDEX_BYTES + INDEX_BYTES_MORE;
}

/** Worst case of the index; the values are rows of the store. */
export function budget(limits: RetainedLimits): Line[] {
  const { retainedMessages } = limits;
  return [
    {
      owner: "retained index",
      bytes: indexBytesMax(retainedMessages),
      how: `${retainedMessages} topics x ${INDEX_BYTES} B, and ${INDEX_BYTES_MORE} B for long ones`,
    },
  ];
}
