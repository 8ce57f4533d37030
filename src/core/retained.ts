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
import { levelCount } from "./topic.ts";

export interface RetainedLimits {
  readonly retainedMessages: number;
  readonly retainedBytes: number;
  readonly retainedPayloadBytes: number;
}

/** Values that are not kept but computed when they are asked for: `$SYS`. */
export interface ComputedValues {
  match(filter: string): Generator<string | null>;
  get(topic: string): Message | undefined;
}

interface Node {
  children: Map<string, Node> | null;
  /** Of topic, properties and payload; 0 = the topic has no value. */
  bytes: number;
  /** Stamps, as a message has them; `expiresMs` 0 = never. */
  acceptedMs: number;
  expiresMs: number;
}

/** Estimated bytes of a topic in the index: its levels' nodes, maps and strings. */
const INDEX_BYTES = 224;
/** Levels in the index, per value that there may be: what a topic of hundreds of levels takes, others cannot have. */
const LEVELS_PER_VALUE = 3;
/** And some more, for few values under long topics. */
const LEVELS_MORE = 256;

/** When there is no room, expired values go: so many at a time, and so often. */
const SWEEP_TOPICS_MAX = 512;
const SWEEP_MS = 1000;

export class Retained {
  readonly #store: Store;
  readonly #time: TimeSource;
  readonly #limits: RetainedLimits;
  readonly #root: Node = newNode();
  readonly #refused: Counter;
  count = 0;
  bytes = 0;
  /** Levels in the index. */
  nodes = 0;
  #nextSweepMs = 0;
  /** What is under `$SYS`, where nobody publishes; null = nothing is. */
  computed: ComputedValues | null = null;

  constructor(store: Store, time: TimeSource, limits: RetainedLimits, counters: Counters) {
    this.#store = store;
    this.#time = time;
    this.#limits = limits;
    this.#refused = counters.counter("retained.refused");
    counters.gauge("retained.messages", () => this.count);
    counters.gauge("retained.bytes", () => this.bytes);
    store.loadRetained((message) => this.#index(message));
    store.onRetainedWithdrawn = (topic) => this.#indexAgain(topic);
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
    const old = this.#find(p.topic);
    const oldBytes = old === null ? 0 : old.bytes;
    const count = this.count + (oldBytes === 0 ? 1 : 0);
    const bytes = this.bytes + p.length - oldBytes;
    const { retainedMessages, retainedBytes } = this.#limits;
    // Of a new topic not all levels may be new; counting them all keeps this short.
    const nodes = old === null ? this.nodes + levelCount(p.topic) : 0;
    const nodesMax = retainedMessages * LEVELS_PER_VALUE + LEVELS_MORE;
    return count <= retainedMessages && bytes <= retainedBytes && nodes <= nodesMax;
  }

  /** Deletes some of the expired values, not too often. @returns whether there were any */
  #dropExpired(): boolean {
    const nowMs = this.#time.nowMs();
    if (nowMs < this.#nextSweepMs) return false;
    this.#nextSweepMs = nowMs + SWEEP_MS;
    const topics: string[] = [];
    for (const topic of this.#all(this.#root, "", true))
      if (topic !== null && topics.push(topic) === SWEEP_TOPICS_MAX) break;
    const ageMs = this.#time.ageMs();
    for (const topic of topics) {
      const bytes = Buffer.from(topic);
      this.put(new Message(bytes, bytes.length, bytes.length, 0, true, ageMs, 0, -1));
    }
    return topics.length > 0;
  }

  /** Keeps the message as its topic's value, or deletes that when the payload is empty ([MQTT5-3.3.1-6]). */
  put(message: Message): void {
    if (this.#store.putRetained(message)) this.#index(message);
  }

  /** The topic has the value again that it had before, or none. */
  #indexAgain(topic: string): void {
    const message = this.#store.getRetained(topic);
    if (message === null) this.#remove(this.#root, topic.split("/"), 0);
    else this.#index(message);
  }

  /** The value of `topic`; undefined when there is none, or it has expired. */
  get(topic: string): Message | undefined {
    if (isOwnTopic(topic)) return this.computed?.get(topic);
    const node = this.#find(topic);
    if (node === null || node.bytes === 0 || this.#expired(node)) return undefined;
    return this.#store.getRetained(topic) ?? undefined;
  }

  /**
   * The topics that have a value and match `filter`, one by one: values may come and go between two of them. null is a
   * level that was looked at in vain, for who counts steps.
   */
  match(filter: string): Generator<string | null> {
    if (this.computed !== null && isOwnTopic(filter)) return this.computed.match(filter);
    return this.#match(this.#root, filter.split("/"), 0, "");
  }

  /** @param path the node's topic with a slash behind it; "" for the root */
  *#match(node: Node, levels: readonly string[], depth: number, path: string): Generator<string | null> {
    const level = levels[depth];
    if (level === "#") {
      yield* this.#all(node, path, false);
    } else if (level === undefined) {
      yield this.#hasValue(node) ? path.slice(0, -1) : null;
    } else if (level !== "+") {
      const child = node.children?.get(level);
      if (child === undefined) yield null;
      else yield* this.#match(child, levels, depth + 1, `${path}${level}/`);
    } else if (node.children !== null) {
      for (const [name, child] of node.children) {
        if (depth > 0 || !name.startsWith("$")) yield* this.#match(child, levels, depth + 1, `${path}${name}/`);
      }
    }
  }

  /** Topics from `node` downwards whose value is there, or has expired. */
  *#all(node: Node, path: string, expired: boolean): Generator<string | null> {
    yield node.bytes > 0 && this.#expired(node) === expired ? path.slice(0, -1) : null;
    if (node.children === null) return;
    for (const [name, child] of node.children) {
      // No wildcard matches `$` at the front ([MQTT5-4.7.2-1]); what has expired there goes all the same.
      if (expired || path !== "" || !name.startsWith("$")) yield* this.#all(child, `${path}${name}/`, expired);
    }
  }

  #hasValue(node: Node): boolean {
    return node.bytes > 0 && !this.#expired(node);
  }

  #find(topic: string): Node | null {
    let node: Node | undefined = this.#root;
    for (const level of topic.split("/")) {
      node = node.children?.get(level);
      if (node === undefined) return null;
    }
    return node;
  }

  #index(message: Message): void {
    const levels = message.topic.split("/");
    if (message.bytes.length === message.propertiesEnd) {
      this.#remove(this.#root, levels, 0);
      return;
    }
    let node = this.#root;
    for (const level of levels) {
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) {
        child = newNode();
        this.nodes++;
        node.children.set(level, child);
      }
      node = child;
    }
    if (node.bytes === 0) this.count++;
    this.bytes += message.bytes.length - node.bytes;
    node.bytes = message.bytes.length;
    node.acceptedMs = message.acceptedMs;
    node.expiresMs = message.expiresMs;
  }

  #remove(node: Node, levels: readonly string[], depth: number): void {
    const level = levels[depth];
    if (level === undefined) {
      if (node.bytes > 0) this.count--;
      this.bytes -= node.bytes;
      node.bytes = 0;
      return;
    }
    const child = node.children?.get(level);
    if (child === undefined) return;
    this.#remove(child, levels, depth + 1);
    if (child.bytes === 0 && child.children === null) {
      node.children?.delete(level);
      this.nodes--;
      if (node.children?.size === 0) node.children = null;
    }
  }

  #expired({ acceptedMs, expiresMs }: Node): boolean {
    return expiresMs !== 0 && this.#time.elapsedMs(acceptedMs) >= expiresMs - acceptedMs;
  }
}

function newNode(): Node {
  return { children: null, bytes: 0, acceptedMs: 0, expiresMs: 0 };
}

/** Worst case of the index; the values are rows of the store. */
export function budget(limits: RetainedLimits): Line[] {
  const { retainedMessages } = limits;
  return [
    {
      owner: "retained index",
      bytes: retainedMessages * INDEX_BYTES,
      how: `${retainedMessages} topics x ${INDEX_BYTES} B`,
    },
  ];
}
