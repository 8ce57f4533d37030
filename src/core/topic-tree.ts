/**
 * Subscriptions by topic filter, as a tree of levels. `match` walks it for one topic name; the router keeps what it
 * finds in a cache, so this is the path of a miss. Where every topic is new it is the path of each message: a topic is
 * read once, by its bytes, into the numbers that its levels have (level-names.ts), and makes no string.
 *
 * @see MQTT 5.0 section 4.7
 */
import { LevelNames, NONE } from "./level-names.ts";

const DOLLAR = 0x24;

/** One subscription of one receiver. */
export interface Subscription {
  readonly slot: number;
  /** As in SUBSCRIBE: QoS in bits 0-1, No Local bit 2, Retain As Published bit 3. */
  readonly options: number;
  /** Subscription Identifier, 0 = none. */
  readonly subscriptionId: number;
}

/** One per receiver. Most filters have a single one, which needs no map: 190 bytes less. */
type Subscriptions = Subscription | Map<number, Subscription> | null;

interface Node {
  /** By the number of the level's name. */
  children: Map<number, Node> | null;
  plus: Node | null;
  /** Subscriptions that end at this level. */
  here: Subscriptions;
  /** Subscriptions that end in `#` below this level. */
  below: Subscriptions;
}

export type VisitSubscription = (subscription: Subscription) => void;

export class TopicTree {
  readonly #root: Node = newNode();
  readonly #names = new LevelNames();
  /** Of the topic that is matched: the numbers of its levels. As long as the deepest filter so far. */
  #levels = new Int32Array(0);
  #levelCount = 0;
  #dollar = false;
  /** Subscriptions held. */
  count = 0;

  /** Enters or replaces the receiver's subscription to `filter` (valid). @returns true when it is new */
  add(filter: string, subscription: Subscription): boolean {
    const levels = filter.split("/");
    const many = levels.at(-1) === "#";
    if (many) levels.pop();
    if (levels.length > this.#levels.length) this.#levels = new Int32Array(levels.length);
    let node = this.#root;
    for (const level of levels) node = level === "+" ? (node.plus ??= newNode()) : this.#childOf(node, level);
    const before = many ? node.below : node.here;
    const isNew = !has(before, subscription.slot);
    const after = withOne(before, subscription);
    if (many) node.below = after;
    else node.here = after;
    if (isNew) this.count++;
    return isNew;
  }

  #childOf(node: Node, level: string): Node {
    const name = Buffer.from(level);
    node.children ??= new Map();
    let child = node.children.get(this.#names.find(name));
    if (child === undefined) {
      child = newNode();
      node.children.set(this.#names.take(name), child);
    }
    return child;
  }

  /** @returns false when the receiver had no such subscription */
  remove(filter: string, slot: number): boolean {
    const levels = filter.split("/");
    const many = levels.at(-1) === "#";
    if (many) levels.pop();
    return this.#removeAt(this.#root, levels, 0, many, slot);
  }

  /** Whether any filter's first level is `level` itself, which is the only way to topics under a level with a $. */
  hasUnder(level: string): boolean {
    return this.#root.children?.has(this.#names.find(Buffer.from(level))) === true;
  }

  /**
   * Visits each subscription that matches the topic in `bytes[from..end)`; a receiver with overlapping ones is visited
   * once for each.
   */
  match(bytes: Uint8Array, from: number, end: number, visit: VisitSubscription): void {
    this.#levelCount = this.#names.read(bytes, from, end, this.#levels);
    this.#dollar = bytes[from] === DOLLAR;
    this.#matchAt(this.#root, 0, visit);
  }

  #removeAt(node: Node, levels: readonly string[], depth: number, many: boolean, slot: number): boolean {
    if (depth === levels.length) {
      const before = many ? node.below : node.here;
      if (!has(before, slot)) return false;
      const after = withoutOne(before, slot);
      if (many) node.below = after;
      else node.here = after;
      this.count--;
      return true;
    }
    const level = levels[depth] as string;
    const name = level === "+" ? NONE : this.#names.find(Buffer.from(level));
    const child = level === "+" ? node.plus : node.children?.get(name);
    if (child === null || child === undefined || !this.#removeAt(child, levels, depth + 1, many, slot)) return false;
    if (isEmpty(child)) {
      if (level === "+") node.plus = null;
      else {
        node.children?.delete(name);
        this.#names.release(name);
      }
      if (node.children?.size === 0) node.children = null;
    }
    return true;
  }

  /** @param depth  index of the level to match */
  #matchAt(node: Node, depth: number, visit: VisitSubscription): void {
    // [MQTT5-4.7.2-1] wildcards at the first level do not match topics that begin with $.
    const wild = depth > 0 || !this.#dollar;
    if (node.below !== null && wild) visitAll(node.below, visit);
    if (depth === this.#levelCount) {
      if (node.here !== null) visitAll(node.here, visit);
      return;
    }
    if (node.plus !== null && wild) this.#matchAt(node.plus, depth + 1, visit);
    if (node.children === null) return;
    const name = this.#levels[depth] as number;
    if (name === NONE) return;
    const child = node.children.get(name);
    if (child !== undefined) this.#matchAt(child, depth + 1, visit);
  }
}

function newNode(): Node {
  return { children: null, plus: null, here: null, below: null };
}

function isEmpty(node: Node): boolean {
  return node.here === null && node.below === null && node.plus === null && node.children === null;
}

// ---- one, or a map of them -----------------------------------------------------------------------------------

function has(subscriptions: Subscriptions, slot: number): boolean {
  if (subscriptions instanceof Map) return subscriptions.has(slot);
  return subscriptions !== null && subscriptions.slot === slot;
}

function withOne(subscriptions: Subscriptions, one: Subscription): Subscriptions {
  if (subscriptions instanceof Map) return subscriptions.set(one.slot, one);
  if (subscriptions === null || subscriptions.slot === one.slot) return one;
  return new Map([
    [subscriptions.slot, subscriptions],
    [one.slot, one],
  ]);
}

/** `slot` is one of them. */
function withoutOne(subscriptions: Subscriptions, slot: number): Subscriptions {
  if (!(subscriptions instanceof Map)) return null;
  subscriptions.delete(slot);
  return subscriptions.size === 0 ? null : subscriptions;
}

function visitAll(subscriptions: Subscription | Map<number, Subscription>, visit: VisitSubscription): void {
  if (subscriptions instanceof Map) for (const subscription of subscriptions.values()) visit(subscription);
  else visit(subscriptions);
}
