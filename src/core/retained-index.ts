/**
 * The topics that have retained values, as a tree of levels. What is below a level lies in an array in the order of its
 * names, so that a walk can be left at any topic and taken up behind it later with nothing kept but that topic.
 *
 *     root ── hall ──┬── line-1 ──┬── speed
 *                    │            └── state           a topic comes before those below it
 *                    └── line-2 ───── state
 *
 * A walk that is kept as it stands, a generator for each level, took 35 kB for a topic of 200 levels: 460 slow clients
 * that subscribed to `#` ended the process. Arrays instead of Maps take a third less, too: 20,000 levels for 10,000
 * values of one per device 2.5 MB, with Maps 4.0.
 */

import { ownString } from "../base/own-string.ts";

/** Where a walk has come to: it may be left there, and another one goes on behind it. "" = it has not begun. */
export interface WalkPlace {
  place: string;
}

/** How long a value may be kept. */
export interface Expiry {
  /** Stamps, as a message has them. */
  readonly acceptedMs: number;
  readonly expiresMs: number;
}

export interface Node {
  readonly name: string;
  /** In the order of their names; null = none. */
  children: Node[] | null;
  /** Of topic, properties and payload; 0 = the topic has no value. */
  bytes: number;
  /** null = for ever. */
  expiry: Expiry | null;
}

/** Measured bytes of a level and its place above, without the characters of its name; of an array below it. */
const NODE_BYTES = 96;
const CHILDREN_BYTES = 48;
/** Of an Expiry. */
export const EXPIRY_BYTES = 72;
/** Arrays that grow by themselves have room for half as many more and 16: shorter ones are made anew. */
const EXACT_MAX = 32;

export class RetainedIndex {
  readonly #root: Node = newNode("");
  readonly #expired: (expiry: Expiry) => boolean;
  /** Topics with a value. */
  count = 0;
  /** Of their values. */
  valueBytes = 0;
  /** Of memory. */
  bytes = 0;

  constructor(expired: (expiry: Expiry) => boolean) {
    this.#expired = expired;
  }

  find(topic: string): Node | null {
    let node: Node | undefined = this.#root;
    for (const level of topic.split("/")) {
      node = childOf(node, level);
      if (node === undefined) return null;
    }
    return node;
  }

  hasValue(node: Node): boolean {
    return node.bytes > 0 && !this.#isExpired(node);
  }

  /** @param bytes of the value */
  set(topic: string, bytes: number, expiry: Expiry | null): void {
    let node = this.#root;
    for (const level of topic.split("/")) node = childOf(node, level) ?? this.#addChild(node, level);
    if (node.bytes === 0) this.count++;
    this.#setValue(node, bytes, expiry);
  }

  delete(topic: string): void {
    this.#delete(this.#root, topic.split("/"), 0);
  }

  /**
   * The topics that have a value and match `filter`, in order; others may come and go between two of them. null is a
   * level that was looked at in vain, for who counts steps.
   * @param walk begins behind its place, which goes along with the steps
   */
  match(filter: string, walk: WalkPlace = { place: "" }): Generator<string | null> {
    const after = walk.place === "" ? null : walk.place.slice(0, -1).split("/");
    return this.#match(this.#root, filter.split("/"), 0, "", after, walk);
  }

  /** The topics whose value has expired, and null as above. */
  expired(): Generator<string | null> {
    return this.#all(this.#root, 0, "", null, { place: "" }, true);
  }

  /**
   * @param path  the node's topic with a slash behind it, as places are; "" for the root
   * @param after levels of the place that the walk begins behind, when they begin with this path
   */
  *#match(
    node: Node,
    levels: readonly string[],
    depth: number,
    path: string,
    after: readonly string[] | null,
    walk: WalkPlace,
  ): Generator<string | null> {
    const level = levels[depth];
    const child = level === undefined || level === "#" || level === "+" ? undefined : childOf(node, level);
    if (level === "#") {
      yield* this.#all(node, depth, path, after, walk, false);
    } else if (child !== undefined) {
      yield* this.#match(child, levels, depth + 1, `${path}${level}/`, after, walk);
    } else if (level === "+" && node.children !== null) {
      for (const each of childrenFrom(node, after?.[depth])) {
        const { name } = each;
        const behind = name === after?.[depth] ? after : null;
        if (depth > 0 || !name.startsWith("$"))
          yield* this.#match(each, levels, depth + 1, `${path}${name}/`, behind, walk);
      }
    } else if (after === null && depth > 0) {
      walk.place = path;
      yield level === undefined && this.hasValue(node) ? path.slice(0, -1) : null;
    }
  }

  /** Topics from `node` downwards whose value is there, or has expired. */
  *#all(
    node: Node,
    depth: number,
    path: string,
    after: readonly string[] | null,
    walk: WalkPlace,
    expired: boolean,
  ): Generator<string | null> {
    if (after === null && depth > 0) {
      walk.place = path;
      yield node.bytes > 0 && this.#isExpired(node) === expired ? path.slice(0, -1) : null;
    }
    for (const child of childrenFrom(node, after?.[depth])) {
      const { name } = child;
      const behind = name === after?.[depth] ? after : null;
      // No wildcard matches `$` at the front ([MQTT5-4.7.2-1]); what has expired there goes all the same.
      if (expired || depth > 0 || !name.startsWith("$"))
        yield* this.#all(child, depth + 1, `${path}${name}/`, behind, walk, expired);
    }
  }

  #delete(node: Node, levels: readonly string[], depth: number): void {
    const level = levels[depth];
    if (level === undefined) {
      if (node.bytes > 0) this.count--;
      this.#setValue(node, 0, null);
      return;
    }
    const child = childOf(node, level);
    if (child === undefined) return;
    this.#delete(child, levels, depth + 1);
    if (child.bytes === 0 && child.children === null) this.#removeChild(node, child);
  }

  #setValue(node: Node, bytes: number, expiry: Expiry | null): void {
    this.valueBytes += bytes - node.bytes;
    node.bytes = bytes;
    this.bytes += ((expiry === null ? 0 : 1) - (node.expiry === null ? 0 : 1)) * EXPIRY_BYTES;
    node.expiry = expiry;
  }

  #addChild(node: Node, level: string): Node {
    const child = newNode(level);
    const { children } = node;
    this.bytes += NODE_BYTES + charactersOf(child.name) + (children === null ? CHILDREN_BYTES : 0);
    if (children === null) {
      node.children = [child];
      return child;
    }
    const place = placeOf(children, level);
    if (children.length < EXACT_MAX) node.children = children.toSpliced(place, 0, child);
    else children.splice(place, 0, child);
    return child;
  }

  #removeChild(node: Node, child: Node): void {
    const children = node.children as Node[];
    const isLast = children.length === 1;
    this.bytes -= NODE_BYTES + charactersOf(child.name) + (isLast ? CHILDREN_BYTES : 0);
    const place = placeOf(children, child.name);
    if (isLast) node.children = null;
    else if (children.length <= EXACT_MAX) node.children = children.toSpliced(place, 1);
    else children.splice(place, 1);
  }

  #isExpired({ expiry }: Node): boolean {
    return expiry !== null && this.#expired(expiry);
  }
}

/** What a topic with a value takes at most, when all its `levels` are new. */
export function bytesOfTopic(topic: string, levels: number): number {
  return levels * (NODE_BYTES + CHILDREN_BYTES) + charactersOf(topic);
}

/** Bytes of a string's characters in memory, at most: one beyond Latin 1 makes it two bytes for each. */
function charactersOf(text: string): number {
  return Buffer.byteLength(text) === text.length ? text.length : 2 * text.length;
}

/** @param level may be a part of a topic, which a part would keep in memory as a whole: it gets a copy of its own */
function newNode(level: string): Node {
  return { name: ownString(level), children: null, bytes: 0, expiry: null };
}

function childOf({ children }: Node, level: string): Node | undefined {
  if (children === null) return undefined;
  const child = children[placeOf(children, level)];
  return child !== undefined && child.name === level ? child : undefined;
}

/** Index of the first whose name is not before `name`. */
function placeOf(children: readonly Node[], name: string): number {
  let from = 0;
  let end = children.length;
  while (from < end) {
    const middle = (from + end) >> 1;
    if ((children[middle] as Node).name < name) from = middle + 1;
    else end = middle;
  }
  return from;
}

/** Those below `node` from `name` on; some may come and go between two of them. */
function* childrenFrom(node: Node, name = ""): Generator<Node> {
  let at = node.children === null ? 0 : placeOf(node.children, name);
  for (;;) {
    const child = node.children?.[at];
    if (child === undefined) return;
    yield child;
    if (node.children?.[at] === child) at++;
    else if (node.children !== null) at = placeOf(node.children, `${child.name}\0`);
  }
}
