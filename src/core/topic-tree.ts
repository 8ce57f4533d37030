/**
 * Subscriptions by topic filter, as a tree of levels. `match` walks it for one topic name; the router keeps what it
 * finds in a cache, so this is the path of a miss.
 *
 * @see MQTT 5.0 section 4.7
 */

/** One subscription of one receiver. */
export interface Subscription {
  readonly slot: number;
  /** As in SUBSCRIBE: QoS in bits 0-1, No Local bit 2, Retain As Published bit 3. */
  readonly options: number;
  /** Subscription Identifier, 0 = none. */
  readonly subscriptionId: number;
}

interface Node {
  children: Map<string, Node> | null;
  plus: Node | null;
  /** Subscriptions that end at this level, one per receiver. */
  here: Map<number, Subscription> | null;
  /** Subscriptions that end in `#` below this level. */
  below: Map<number, Subscription> | null;
}

export type VisitSubscription = (subscription: Subscription) => void;

export class TopicTree {
  readonly #root: Node = newNode();
  /** Subscriptions held. */
  count = 0;

  /** Enters or replaces the receiver's subscription to `filter` (valid). @returns true when it is new */
  add(filter: string, subscription: Subscription): boolean {
    const levels = filter.split("/");
    const many = levels.at(-1) === "#";
    if (many) levels.pop();
    let node = this.#root;
    for (const level of levels) {
      if (level === "+") {
        node.plus ??= newNode();
        node = node.plus;
        continue;
      }
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) {
        child = newNode();
        node.children.set(level, child);
      }
      node = child;
    }
    let entries = many ? node.below : node.here;
    if (entries === null) {
      entries = new Map();
      if (many) node.below = entries;
      else node.here = entries;
    }
    const isNew = !entries.has(subscription.slot);
    entries.set(subscription.slot, subscription);
    if (isNew) this.count++;
    return isNew;
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
    return this.#root.children?.has(level) === true;
  }

  /** Visits each subscription that matches `topic`; a receiver with overlapping ones is visited once for each. */
  match(topic: string, visit: VisitSubscription): void {
    this.#matchAt(this.#root, topic, 0, visit);
  }

  #removeAt(node: Node, levels: readonly string[], depth: number, many: boolean, slot: number): boolean {
    if (depth === levels.length) {
      const entries = many ? node.below : node.here;
      if (entries === null || !entries.delete(slot)) return false;
      if (entries.size === 0) {
        if (many) node.below = null;
        else node.here = null;
      }
      this.count--;
      return true;
    }
    const level = levels[depth] as string;
    const child = level === "+" ? node.plus : node.children?.get(level);
    if (child === null || child === undefined || !this.#removeAt(child, levels, depth + 1, many, slot)) return false;
    if (isEmpty(child)) {
      if (level === "+") node.plus = null;
      else node.children?.delete(level);
      if (node.children?.size === 0) node.children = null;
    }
    return true;
  }

  /** @param from index of the level to match, topic.length + 1 when all are matched */
  #matchAt(node: Node, topic: string, from: number, visit: VisitSubscription): void {
    // [MQTT5-4.7.2-1] wildcards at the first level do not match topics that begin with $.
    const wild = from > 0 || topic.charCodeAt(0) !== 0x24;
    if (node.below !== null && wild) for (const subscription of node.below.values()) visit(subscription);
    if (from > topic.length) {
      if (node.here !== null) for (const subscription of node.here.values()) visit(subscription);
      return;
    }
    const slash = topic.indexOf("/", from);
    const end = slash < 0 ? topic.length : slash;
    if (node.plus !== null && wild) this.#matchAt(node.plus, topic, end + 1, visit);
    const child = node.children?.get(topic.slice(from, end));
    if (child !== undefined) this.#matchAt(child, topic, end + 1, visit);
  }
}

function newNode(): Node {
  return { children: null, plus: null, here: null, below: null };
}

function isEmpty(node: Node): boolean {
  return node.here === null && node.below === null && node.plus === null && node.children === null;
}
