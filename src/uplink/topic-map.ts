/**
 * From a topic to the topics it is sent on as: what the rules of an uplink say, in both directions.
 *
 *     rule    match: "sensors/+/#"     to: "site/17/{1}/{rest}"
 *     topic   sensors/boiler/temp/in   ──>   site/17/boiler/temp/in
 *
 * Every rule that matches applies, in order; two that give the same topic are one target. The answer for a topic is
 * kept in a small direct-mapped table keyed by the topic's bytes as they stand in the message, so that a hit makes no
 * string; a topic that meets another one in its slot replaces it.
 */
import { assert } from "../base/assert.ts";
import { isOwnTopic } from "../config/topics.ts";
import { filterMatches, isTopicName } from "../core/topic.ts";

/** What the map needs of a rule: `ForwardRule` and `ReceiveRule` of the configuration both are one. */
export interface MapRule {
  /** Topic filter, `$share/group/filter` included. */
  readonly match: string;
  /** "keep": the publisher's. */
  readonly qos: "keep" | 0 | 1 | 2;
  /** With {topic}, {rest}, {node}, and {1}, {2}, ... for what each + matched. */
  readonly to: string;
}

/** One topic a message is to be sent to. */
export interface Target {
  readonly topic: Buffer;
  /** Highest QoS that a rule sets; -1 when none sets one. */
  readonly setQos: number;
  /** Whether a rule keeps the publisher's. */
  readonly keepsQos: boolean;
}

/** Topics whose targets are remembered, and the longest topic that is. */
export const TABLE_SLOTS = 128;
export const TABLE_TOPIC_BYTES_MAX = 256;
/** Estimated bytes of a slot in use with one target, for the memory bill. */
export const TABLE_SLOT_BYTES = 640;

const NONE: readonly Target[] = [];
const EMPTY: Buffer = Buffer.alloc(0);

/** The variable parts of `to`; 1, 2, ... stand for what each + matched. */
const TOPIC = -1;
const REST = -2;

interface CompiledRule {
  /** Without `$share/group/`. */
  readonly filter: string;
  readonly levels: readonly string[];
  readonly pieces: readonly (string | number)[];
  readonly qos: "keep" | 0 | 1 | 2;
}

/** The QoS a message published at `publishQos` is sent to `target` with: the highest of the rules that lead there. */
export function qosOf(target: Target, publishQos: number): number {
  return Math.max(target.setQos, target.keepsQos ? publishQos : 0, 0);
}

export class TopicMap {
  readonly #rules: readonly CompiledRule[];
  readonly #keys: Buffer[] = new Array<Buffer>(TABLE_SLOTS).fill(EMPTY);
  readonly #targets: (readonly Target[])[] = new Array<readonly Target[]>(TABLE_SLOTS).fill(NONE);
  readonly #local: boolean;
  /** Topics that rules made and that nobody can publish to (empty, too long, under this gateway's $SYS): left out. */
  invalid = 0;

  /**
   * The rules are valid: the configuration was checked.
   * @param node  replaces {node}
   * @param local the topics they lead to are this gateway's
   */
  constructor(rules: readonly MapRule[], node: string, local = false) {
    this.#rules = rules.map((rule) => compile(rule, node));
    this.#local = local;
  }

  /** The targets of the topic in `bytes[from..end)`, in the order of the rules; none when no rule matches. */
  targets(bytes: Buffer, from: number, end: number): readonly Target[] {
    const length = end - from;
    if (length > TABLE_TOPIC_BYTES_MAX) return this.#map(bytes.toString("utf8", from, end));
    const slot = hash(bytes, from, end) & (TABLE_SLOTS - 1);
    const key = this.#keys[slot] as Buffer;
    if (key.length === length && sameBytes(key, bytes, from)) return this.#targets[slot] as readonly Target[];
    const copy = Buffer.allocUnsafeSlow(length);
    bytes.copy(copy, 0, from, end);
    const targets = this.#map(copy.toString("utf8"));
    this.#keys[slot] = copy;
    this.#targets[slot] = targets;
    return targets;
  }

  #map(topic: string): readonly Target[] {
    const found = new Map<string, { topic: Buffer; setQos: number; keepsQos: boolean }>();
    for (const rule of this.#rules) {
      if (!filterMatches(rule.filter, topic)) continue;
      const name = expand(rule, topic);
      if (!isTopicName(name) || (this.#local && isOwnTopic(name))) {
        this.invalid++;
        continue;
      }
      let target = found.get(name);
      if (target === undefined) {
        target = { topic: Buffer.from(name), setQos: -1, keepsQos: false };
        found.set(name, target);
      }
      if (rule.qos === "keep") target.keepsQos = true;
      else target.setQos = Math.max(target.setQos, rule.qos);
    }
    return found.size === 0 ? NONE : [...found.values()];
  }
}

/** `$share/group/filter` without its first two levels: what topics are matched against. */
export function plainFilter(filter: string): string {
  return filter.startsWith("$share/") ? filter.split("/").slice(2).join("/") : filter;
}

function compile(rule: MapRule, node: string): CompiledRule {
  const filter = plainFilter(rule.match);
  const pieces: (string | number)[] = [];
  // Splitting at a group keeps what it matched: text and variable take turns.
  for (const [i, part] of rule.to.split(/\{([^{}]*)\}/).entries()) {
    if (i % 2 === 0) pieces.push(part);
    else if (part === "node") pieces.push(node);
    else if (part === "topic") pieces.push(TOPIC);
    else if (part === "rest") pieces.push(REST);
    else {
      assert(/^[1-9]\d?$/.test(part), "a rule's variables were checked with the configuration");
      pieces.push(Number(part));
    }
  }
  return { filter, levels: filter.split("/"), pieces, qos: rule.qos };
}

function expand(rule: CompiledRule, topic: string): string {
  const levels = topic.split("/");
  let name = "";
  for (const piece of rule.pieces) {
    if (typeof piece === "string") name += piece;
    else if (piece === TOPIC) name += topic;
    else if (piece !== REST) name += plusMatch(rule, levels, piece);
    else if (levels.length >= rule.levels.length) name += levels.slice(rule.levels.length - 1).join("/");
    // "a/#" matches "a" too ([MQTT5-4.7.1-2]): nothing is left then, and no slash in front of it either.
    else if (name.endsWith("/")) name = name.slice(0, -1);
  }
  return name;
}

/** What the n-th + of the filter matched; "" when there is no such one. */
function plusMatch(rule: CompiledRule, levels: readonly string[], n: number): string {
  let seen = 0;
  for (let i = 0; i < rule.levels.length; i++) {
    if (rule.levels[i] === "+" && ++seen === n) return levels[i] ?? "";
  }
  return "";
}

/** FNV-1a, folded so that the low bits depend on all bytes. */
function hash(bytes: Buffer, from: number, end: number): number {
  let h = 0x811c9dc5;
  for (let i = from; i < end; i++) h = Math.imul(h ^ (bytes[i] as number), 0x01000193);
  return h ^ (h >>> 15);
}

function sameBytes(key: Buffer, bytes: Buffer, from: number): boolean {
  for (let i = 0; i < key.length; i++) if (key[i] !== bytes[from + i]) return false;
  return true;
}
