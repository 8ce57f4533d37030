/**
 * Which subscriptions stand for the receive rules, and which rules each stands for.
 *
 *     rules           a/+/c   a/b/#   a/b/x   d/#
 *     subscriptions   a/+/c   a/b/#           d/#        a/b/x is covered by a/b/#
 *     identifier        1       2              -         a/+/c and a/b/# overlap: a/b/c may come once for each
 *
 * A server of 5.0 may send a message once for each subscription that it matches, and says with each copy for which one
 * (Subscription Identifier): a copy brings those rules only. Filters that overlap no other need none.
 */
import type { ReceiveRule } from "../../config/uplink-rules.ts";
import type { SubscriptionRequest } from "../../wire/mqtt/subscribe.ts";
import { plainFilter } from "../topic-map.ts";

export interface Wanted extends SubscriptionRequest {
  readonly filter: string;
  /** Of the subscription, where the server has such; 0 = none is needed. */
  readonly identifier: number;
}

export interface ReceivePlan {
  readonly wanted: readonly Wanted[];
  /** For each rule the identifier of the subscription that stands for it; 0 = none. */
  readonly identifiers: readonly number[];
}

/** Subscription Identifiers are of 28 bits, and not 0. */
const IDENTIFIERS = 2 ** 28 - 1;

/**
 * One subscription per filter, none for a filter that another one covers, with the highest QoS of the rules it stands
 * for: a message that matches several may come several times.
 */
export function planOf(rules: readonly ReceiveRule[]): ReceivePlan {
  const wide: string[] = [];
  for (const { match } of rules) {
    const isCovered = rules.some((other) => other.match !== match && covers(other.match, match));
    if (!isCovered && !wide.includes(match)) wide.push(match);
  }
  const taken = new Set<number>();
  const wanted = wide.map((filter): Wanted => {
    const qos = Math.max(...rules.filter(({ match }) => match === filter || covers(filter, match)).map((r) => r.qos));
    const isAlone = !wide.some((other) => other !== filter && overlaps(other, filter));
    const noLocal = !isShared(filter); // [MQTT5-3.8.3-4]
    // Retained values come with a new subscription only.
    const options = { noLocal, retainAsPublished: true, retainHandling: 1 };
    return { filter, qos, ...options, identifier: isAlone ? 0 : identifierOf(filter, taken) };
  });
  const identifiers = rules.map(({ match }) => {
    const standsFor =
      wanted.find(({ filter }) => filter === match) ?? wanted.find(({ filter }) => covers(filter, match));
    return standsFor?.identifier ?? 0;
  });
  return { wanted, identifiers };
}

/**
 * Follows from the filter: what waits at the server with identifiers from before a change of the rules is not taken for
 * another subscription's.
 */
function identifierOf(filter: string, taken: Set<number>): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(filter)) hash = Math.imul(hash ^ byte, 0x01000193);
  let identifier = 1 + ((hash >>> 0) % IDENTIFIERS);
  while (taken.has(identifier)) identifier = 1 + (identifier % IDENTIFIERS);
  taken.add(identifier);
  return identifier;
}

/** Whether every topic that matches `narrow` matches `wide`. A shared subscription stands for itself. */
export function covers(wide: string, narrow: string): boolean {
  if (isShared(wide) || isShared(narrow)) return wide === narrow;
  const w = wide.split("/");
  const n = narrow.split("/");
  // [MQTT5-4.7.2-1] a wildcard at the first level does not match topics that begin with $.
  if (narrow.startsWith("$") && (w[0] === "#" || w[0] === "+")) return false;
  for (let i = 0; i < w.length; i++) {
    if (w[i] === "#") return true;
    if (i >= n.length || n[i] === "#") return false;
    if (w[i] !== "+" && w[i] !== n[i]) return false;
  }
  return w.length === n.length;
}

/** Whether a topic may match both; of shared subscriptions as well, which get copies of their own. */
export function overlaps(one: string, other: string): boolean {
  const a = plainFilter(one).split("/");
  const b = plainFilter(other).split("/");
  if (isWildcard(a[0]) !== isWildcard(b[0]) && `${isWildcard(a[0]) ? b[0] : a[0]}`.startsWith("$")) return false;
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    if (a[i] === "#" || b[i] === "#") return true;
    if (a[i] === undefined || b[i] === undefined) return false;
    if (a[i] !== "+" && b[i] !== "+" && a[i] !== b[i]) return false;
  }
  return true;
}

function isWildcard(level: string | undefined): boolean {
  return level === "#" || level === "+";
}

function isShared(filter: string): boolean {
  return filter.startsWith("$share/");
}
