/**
 * From a topic to the topics it is sent on as: what the rules of an uplink say, in both directions.
 *
 *     rule    match: "sensors/+/#"     to: "site/17/{1}/{rest}"
 *     topic   sensors/boiler/temp/in   ──>   site/17/boiler/temp/in
 *
 * Every rule that matches applies, in order; two that give the same topic are one target, which has the most that one of
 * them gives it: the highest QoS and priority, the RETAIN flag, the longest life. The answer for a topic is kept in a small direct-mapped table keyed by the topic's bytes as they stand in the message, so that a hit makes no
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
  /** With {topic}, {rest}, {node}, {client}, and {1}, {2}, ... for what each + matched. */
  readonly to: string;
  readonly retain: "keep" | "clear";
  /** Of rules that lead out; absent = 0. */
  readonly priority?: number;
  readonly offline?: "store" | "drop";
  readonly expiryMs?: number | null;
  /** Of rules that lead in: of the subscription that stands for it; absent or 0 = it needs none. */
  readonly identifier?: number;
}

/** What {node} and {client} stand for. */
export interface MapNames {
  readonly node: string;
  readonly client: string;
}

/** One topic a message is to be sent to. */
export interface Target {
  readonly topic: Buffer;
  /** Highest QoS that a rule sets; -1 when none sets one. */
  readonly setQos: number;
  /** Whether a rule keeps the publisher's. */
  readonly keepsQos: boolean;
  /** Whether a rule keeps the RETAIN flag. */
  readonly keepsRetain: boolean;
  /** Highest of the rules that lead there: the class that sends it. */
  readonly priority: number;
  /** Whether a rule stores it while the connection is down. */
  readonly storedOffline: boolean;
  /** Not sent when it is older; Infinity = whenever. */
  readonly expiryMs: number;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Topics whose targets are remembered, and the longest topic that is. */
export const TABLE_SLOTS = 128;
export const TABLE_TOPIC_BYTES_MAX = 256;
/** Estimated bytes of a slot in use with one target, for the memory bill. */
export const TABLE_SLOT_BYTES = 640;

const NONE: readonly Target[] = [];
/** What is known of a topic. */
interface Found {
  readonly all: readonly Target[];
  /** By priority, where the rules have several. */
  readonly byPriority: readonly (readonly Target[])[] | null;
  /** Of the rules that match. */
  readonly identifiers: readonly number[];
}

const NO_NUMBERS: readonly number[] = [];
const NOTHING: Found = { all: NONE, byPriority: null, identifiers: NO_NUMBERS };
const EMPTY: Buffer = Buffer.alloc(0);

/** The variable parts of `to`; 1, 2, ... stand for what each + matched. */
const TOPIC = -1;
const REST = -2;

interface CompiledRule {
  /** Without `$share/group/`. */
  readonly filter: string;
  readonly levels: readonly string[];
  readonly pieces: readonly (string | number)[];
  readonly rule: MapRule;
}

/** The QoS a message published at `publishQos` is sent to `target` with: the highest of the rules that lead there. */
export function qosOf(target: Target, publishQos: number): number {
  return Math.max(target.setQos, target.keepsQos ? publishQos : 0, 0);
}

export class TopicMap {
  readonly #rules: readonly CompiledRule[];
  readonly #keys: Buffer[] = new Array<Buffer>(TABLE_SLOTS).fill(EMPTY);
  readonly #found: Found[] = new Array<Found>(TABLE_SLOTS).fill(NOTHING);
  readonly #local: boolean;
  readonly #priorityMax: number;
  readonly #hasClasses: boolean;
  readonly #hasIdentifiers: boolean;
  /** Topics that rules made and that nobody can publish to (empty, too long, under this gateway's $SYS): left out. */
  invalid = 0;

  /**
   * The rules are valid: the configuration was checked.
   * @param names what {node} and {client} stand for
   * @param local the topics they lead to are this gateway's
   */
  constructor(rules: readonly MapRule[], names: MapNames, local = false) {
    this.#rules = rules.map((rule) => compile(rule, names));
    this.#local = local;
    const priorities = new Set(rules.map(({ priority = 0 }) => priority));
    this.#hasClasses = priorities.size > 1;
    this.#hasIdentifiers = rules.some(({ identifier = 0 }) => identifier > 0);
    this.#priorityMax = Math.max(0, ...priorities);
  }

  /** The targets of the topic in `bytes[from..end)`, in the order of the rules; none when no rule matches. */
  targets(bytes: Buffer, from: number, end: number): readonly Target[] {
    return this.#find(bytes, from, end).all;
  }

  /**
   * The targets that the class of `priority` sends to. A class that sends to none has the message from an earlier
   * configuration: then it is all of them.
   */
  targetsOf(priority: number, bytes: Buffer, from: number, end: number): readonly Target[] {
    const { all, byPriority } = this.#find(bytes, from, end);
    const own = byPriority?.[priority];
    return own === undefined || own.length === 0 ? all : own;
  }

  /**
   * The targets of a copy that came for the subscriptions with these identifiers: those of their rules. Of identifiers
   * that no rule has any more, all.
   */
  targetsFor(identifiers: readonly number[], bytes: Buffer, from: number, end: number): readonly Target[] {
    const { all, identifiers: matching } = this.#find(bytes, from, end);
    const theirs = matching.filter((identifier) => identifiers.includes(identifier));
    if (theirs.length === 0 || theirs.length === matching.length) return all;
    return this.#map(bytes.toString("utf8", from, end), ({ identifier = 0 }) => theirs.includes(identifier));
  }

  /** Those of `topic` that have this priority; none is none here. */
  ownTargets(priority: number, topic: string): readonly Target[] {
    return this.#map(topic).filter((target) => target.priority === priority);
  }

  #find(bytes: Buffer, from: number, end: number): Found {
    const length = end - from;
    if (length > TABLE_TOPIC_BYTES_MAX) return this.#lookAt(bytes.toString("utf8", from, end));
    const slot = hash(bytes, from, end) & (TABLE_SLOTS - 1);
    const key = this.#keys[slot] as Buffer;
    if (key.length === length && sameBytes(key, bytes, from)) return this.#found[slot] as Found;
    const copy = Buffer.allocUnsafeSlow(length);
    bytes.copy(copy, 0, from, end);
    const found = this.#lookAt(copy.toString("utf8"));
    this.#keys[slot] = copy;
    this.#found[slot] = found;
    return found;
  }

  #lookAt(topic: string): Found {
    const all = this.#map(topic);
    const byPriority: (readonly Target[])[] | null = this.#hasClasses ? [] : null;
    for (let priority = 0; byPriority !== null && priority <= this.#priorityMax; priority++) {
      const own = all.filter((target) => target.priority === priority);
      byPriority.push(own.length === all.length ? all : own);
    }
    return { all, byPriority, identifiers: this.#identifiersOf(topic) };
  }

  #identifiersOf(topic: string): readonly number[] {
    if (!this.#hasIdentifiers) return NO_NUMBERS;
    const matching = this.#rules.filter(({ filter }) => filterMatches(filter, topic));
    return [...new Set(matching.map(({ rule: { identifier = 0 } }) => identifier))];
  }

  #map(topic: string, applies: ((rule: MapRule) => boolean) | null = null): readonly Target[] {
    const found = new Map<string, Writable<Target>>();
    for (const compiled of this.#rules) {
      if (!filterMatches(compiled.filter, topic) || applies?.(compiled.rule) === false) continue;
      const name = expand(compiled, topic);
      if (!isTopicName(name) || (this.#local && isOwnTopic(name))) {
        this.invalid++;
        continue;
      }
      let target = found.get(name);
      if (target === undefined) {
        target = { topic: Buffer.from(name), ...NO_RULE };
        found.set(name, target);
      }
      merge(target, compiled.rule);
    }
    return found.size === 0 ? NONE : [...found.values()];
  }
}

/** Of a target that no rule has said anything about. */
const NO_RULE = {
  setQos: -1,
  keepsQos: false,
  keepsRetain: false,
  priority: 0,
  storedOffline: false,
  expiryMs: 0,
} satisfies Omit<Target, "topic">;

function merge(target: Writable<Target>, rule: MapRule): void {
  const { qos, retain, priority = 0, offline, expiryMs } = rule;
  if (qos === "keep") target.keepsQos = true;
  else target.setQos = Math.max(target.setQos, qos);
  target.keepsRetain ||= retain === "keep";
  target.priority = Math.max(target.priority, priority);
  target.storedOffline ||= offline !== "drop" && qos !== 0;
  target.expiryMs = Math.max(target.expiryMs, expiryMs ?? Number.POSITIVE_INFINITY);
}

/** `$share/group/filter` without its first two levels: what topics are matched against. */
export function plainFilter(filter: string): string {
  return filter.startsWith("$share/") ? filter.split("/").slice(2).join("/") : filter;
}

function compile(rule: MapRule, { node, client }: MapNames): CompiledRule {
  const filter = plainFilter(rule.match);
  const pieces: (string | number)[] = [];
  // Splitting at a group keeps what it matched: text and variable take turns.
  for (const [i, part] of rule.to.split(/\{([^{}]*)\}/).entries()) {
    if (i % 2 === 0) pieces.push(part);
    else if (part === "node") pieces.push(node);
    else if (part === "client") pieces.push(client);
    else if (part === "topic") pieces.push(TOPIC);
    else if (part === "rest") pieces.push(REST);
    else {
      assert(/^[1-9]\d?$/.test(part), "a rule's variables were checked with the configuration");
      pieces.push(Number(part));
    }
  }
  return { filter, levels: filter.split("/"), pieces, rule };
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
