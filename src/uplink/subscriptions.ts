/**
 * What the server's session is subscribed to: what the receive rules want, what it has as far as we know, and the
 * packets in between. What it has is stored, so that a restart neither subscribes again (which brings all retained
 * values again before 5.0) nor forgets to give up what the rules want no more.
 */
import type { Log } from "../base/log.ts";
import type { ReceiveRule } from "../config/uplink-rules.ts";
import type { Store } from "../core/ports.ts";
import { SUBACK, UNSPECIFIED_ERROR } from "../wire/mqtt/codes.ts";
import type { SubscriptionRequest } from "../wire/mqtt/subscribe.ts";
import type { MqttClient } from "./client.ts";
import { sendSubscribe, sendUnsubscribe } from "./client-send.ts";
import { reasonWords } from "./words.ts";

/** Packet ids that no class of the spool has (spool-class.ts). */
const SUBSCRIBE_ID = 65_535;
const UNSUBSCRIBE_ID = 65_534;

export interface SubscriptionsParts {
  readonly store: Store;
  readonly log: Log;
}

interface Wanted extends SubscriptionRequest {
  readonly filter: string;
}

export class Subscriptions {
  readonly wanted: readonly Wanted[];
  readonly #name: string;
  readonly #receiverId: number;
  readonly #client: MqttClient;
  readonly #parts: SubscriptionsParts;
  /** By filter: options as in SUBSCRIBE. */
  readonly #known = new Map<string, number>();
  /** What the SUBSCRIBE and UNSUBSCRIBE under way ask for. */
  #asked: readonly Wanted[] = [];
  #givenUp: readonly string[] = [];

  constructor(
    name: string,
    rules: readonly ReceiveRule[],
    receiverId: number,
    client: MqttClient,
    parts: SubscriptionsParts,
  ) {
    this.wanted = wantedOf(rules);
    this.#name = name;
    this.#receiverId = receiverId;
    this.#client = client;
    this.#parts = parts;
    for (const { filter, options } of parts.store.loadSubscriptions(receiverId)) this.#known.set(filter, options);
  }

  /**
   * CONNACK came: asks for the difference.
   * @param resumed  the server has our session
   */
  begin(resumed: boolean): void {
    if (!resumed) for (const filter of [...this.#known.keys()]) this.#forget(filter);
    this.#asked = this.wanted.filter((request) => this.#known.get(request.filter) !== optionsOf(request));
    this.#givenUp = [...this.#known.keys()].filter(
      (filter) => !this.wanted.some((request) => request.filter === filter),
    );
    if (this.#asked.length > 0) sendSubscribe(this.#client, SUBSCRIBE_ID, this.#asked);
    if (this.#givenUp.length > 0) sendUnsubscribe(this.#client, UNSUBSCRIBE_ID, this.#givenUp);
  }

  /** @param type SUBACK or UNSUBACK  @param codes of MQTT 5, one per filter; none in an UNSUBACK before it */
  onAnswer(type: number, codes: Uint8Array): void {
    if (type !== SUBACK) {
      for (const filter of this.#givenUp) this.#forget(filter);
      return;
    }
    for (const [i, request] of this.#asked.entries()) this.#onGranted(request, codes[i] ?? UNSPECIFIED_ERROR);
  }

  #onGranted(request: Wanted, granted: number): void {
    const { filter, qos } = request;
    const { log, store } = this.#parts;
    const fields = { uplink: this.#name, filter };
    if (granted >= UNSPECIFIED_ERROR) {
      this.#forget(filter);
      log.warn("uplink-subscription-refused", { ...fields, reason: reasonWords(granted) });
      return;
    }
    this.#known.set(filter, optionsOf(request));
    store.putSubscription(this.#receiverId, { filter, options: optionsOf(request), subscriptionId: 0 });
    if (granted < qos) log.warn("uplink-subscription-lowered", { ...fields, asked: qos, granted });
  }

  #forget(filter: string): void {
    if (this.#known.delete(filter)) this.#parts.store.deleteSubscription(this.#receiverId, filter);
  }
}

/**
 * One subscription per filter, none for a filter that another one covers, with the highest QoS of the rules it stands
 * for: servers may send a message once for each subscription that matches it.
 */
function wantedOf(rules: readonly ReceiveRule[]): Wanted[] {
  const wide = new Map<string, number>();
  for (const { match } of rules) {
    if (!rules.some((other) => other.match !== match && covers(other.match, match))) wide.set(match, 0);
  }
  for (const { match, qos } of rules) {
    for (const [filter, before] of wide) {
      if (filter === match || covers(filter, match)) wide.set(filter, Math.max(before, qos));
    }
  }
  return [...wide].map(([filter, qos]) => {
    const noLocal = !isShared(filter); // [MQTT5-3.8.3-4]
    // Retained values come with a new subscription only.
    return { filter, qos, noLocal, retainAsPublished: true, retainHandling: 1 };
  });
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

function isShared(filter: string): boolean {
  return filter.startsWith("$share/");
}

function optionsOf({ qos, noLocal, retainAsPublished, retainHandling }: SubscriptionRequest): number {
  return qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4);
}
