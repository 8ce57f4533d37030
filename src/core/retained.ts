/**
 * Retained values: the last message published with RETAIN for each topic, in memory as a tree of topic levels, and as
 * rows in the store. Bounded in number and bytes; a value that does not fit is refused, nothing old is thrown away.
 *
 * @see MQTT 5.0 section 3.3.1.3
 */
import type { Counter, Counters } from "../base/counters.ts";
import type { Message } from "./message.ts";
import type { Store, TimeSource } from "./ports.ts";
import type { Publication } from "./publication.ts";

export interface RetainedLimits {
  readonly retainedMessages: number;
  readonly retainedBytes: number;
}

interface Node {
  children: Map<string, Node> | null;
  message: Message | null;
}

export class Retained {
  readonly #store: Store;
  readonly #time: TimeSource;
  readonly #limits: RetainedLimits;
  readonly #root: Node = { children: null, message: null };
  readonly #refused: Counter;
  count = 0;
  bytes = 0;

  constructor(store: Store, time: TimeSource, limits: RetainedLimits, counters: Counters) {
    this.#store = store;
    this.#time = time;
    this.#limits = limits;
    this.#refused = counters.counter("retained.refused");
    counters.gauge("retained.messages", () => this.count);
    counters.gauge("retained.bytes", () => this.bytes);
    store.loadRetained((message) => this.#set(message));
  }

  /** Whether the publication's value may be kept: room, or it replaces or deletes one. Counts the refusal. */
  takes(p: Publication): boolean {
    if (p.payloadFrom === p.payloadEnd) return true;
    const old = this.get(p.topic);
    const count = this.count + (old === undefined ? 1 : 0);
    const bytes = this.bytes + p.length - (old === undefined ? 0 : old.bytes.length);
    if (count <= this.#limits.retainedMessages && bytes <= this.#limits.retainedBytes) return true;
    this.#refused.value++;
    return false;
  }

  /** Keeps the message as its topic's value, or deletes that when the payload is empty ([MQTT5-3.3.1-6]). */
  put(message: Message): void {
    this.#store.putRetained(message);
    this.#set(message);
  }

  get(topic: string): Message | undefined {
    let node: Node | undefined = this.#root;
    for (const level of topic.split("/")) {
      node = node.children?.get(level);
      if (node === undefined) return undefined;
    }
    return node.message === null || this.#expired(node.message) ? undefined : node.message;
  }

  /** Visits the values whose topic matches `filter`. */
  match(filter: string, visit: (message: Message) => void): void {
    this.#match(this.#root, filter.split("/"), 0, visit);
  }

  #match(node: Node, levels: readonly string[], depth: number, visit: (message: Message) => void): void {
    const level = levels[depth];
    if (level === "#") {
      this.#all(node, depth === 0, visit);
      return;
    }
    if (level === undefined) {
      if (node.message !== null && !this.#expired(node.message)) visit(node.message);
      return;
    }
    if (level !== "+") {
      const child = node.children?.get(level);
      if (child !== undefined) this.#match(child, levels, depth + 1, visit);
      return;
    }
    if (node.children === null) return;
    for (const [name, child] of node.children) {
      if (depth > 0 || !name.startsWith("$")) this.#match(child, levels, depth + 1, visit);
    }
  }

  #all(node: Node, top: boolean, visit: (message: Message) => void): void {
    if (node.message !== null && !this.#expired(node.message)) visit(node.message);
    if (node.children === null) return;
    for (const [name, child] of node.children) if (!top || !name.startsWith("$")) this.#all(child, false, visit);
  }

  #set(message: Message): void {
    const levels = message.topic.split("/");
    if (message.bytes.length === message.propertiesEnd) {
      this.#delete(this.#root, levels, 0);
      return;
    }
    let node = this.#root;
    for (const level of levels) {
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) {
        child = { children: null, message: null };
        node.children.set(level, child);
      }
      node = child;
    }
    this.#uncount(node.message);
    node.message = message;
    this.count++;
    this.bytes += message.bytes.length;
  }

  #delete(node: Node, levels: readonly string[], depth: number): void {
    const level = levels[depth];
    if (level === undefined) {
      this.#uncount(node.message);
      node.message = null;
      return;
    }
    const child = node.children?.get(level);
    if (child === undefined) return;
    this.#delete(child, levels, depth + 1);
    if (child.message === null && child.children === null) {
      node.children?.delete(level);
      if (node.children?.size === 0) node.children = null;
    }
  }

  #uncount(message: Message | null): void {
    if (message === null) return;
    this.count--;
    this.bytes -= message.bytes.length;
  }

  #expired(message: Message): boolean {
    return message.expiresMs !== 0 && this.#time.wallMs() >= message.expiresMs;
  }
}
