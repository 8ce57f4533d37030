/**
 * What the server's session is subscribed to: what the receive rules want, what it has as far as we know, and the
 * packets in between. What it has is stored, so that a restart neither subscribes again (which brings all retained
 * values again before 5.0) nor forgets to give up what the rules want no more.
 */
import type { Log } from "../../base/log.ts";
import type { Store } from "../../core/ports.ts";
import { SUBACK, UNSPECIFIED_ERROR } from "../../wire/mqtt/codes.ts";
import { PropertiesWriter } from "../../wire/mqtt/properties.ts";
import { SUBSCRIPTION_IDENTIFIER } from "../../wire/mqtt/property-table.ts";
import type { SubscriptionRequest } from "../../wire/mqtt/subscribe.ts";
import type { MqttClient } from "../client/client.ts";
import { sendSubscribe, sendUnsubscribe } from "../client/client-send.ts";
import { reasonWords } from "../words.ts";
import type { Wanted } from "./receive-plan.ts";

/** Packet ids that no class of the spool has (spool-class.ts): for SUBSCRIBE so many at a time, and for UNSUBSCRIBE. */
const SUBSCRIBE_IDS = [65_535, 65_533, 65_532, 65_531, 65_530, 65_529];
const UNSUBSCRIBE_ID = 65_534;

const properties = new PropertiesWriter(8);

export interface SubscriptionsParts {
  readonly store: Store;
  readonly log: Log;
}

/** A filter as the server has it. */
interface Known {
  readonly options: number;
  readonly subscriptionId: number;
}

export class Subscriptions {
  readonly wanted: readonly Wanted[];
  readonly #name: string;
  readonly #ownId: number;
  /** Of the connection. */
  #receiverId: number;
  readonly #client: MqttClient;
  readonly #parts: SubscriptionsParts;
  /** What the server has, by the receiver it is kept under (one, or one for each server) and by filter. */
  readonly #knownOf = new Map<number, Map<string, Known>>();
  /** Of the connection. */
  #known = new Map<string, Known>();
  /** The SUBSCRIBEs to be sent yet, and those under way by packet id; all of one have the same identifier. */
  #waiting: (readonly Wanted[])[] = [];
  readonly #asked = new Map<number, readonly Wanted[]>();
  /** What the UNSUBSCRIBE under way asks for. */
  #givenUp: readonly string[] = [];

  constructor(
    name: string,
    wanted: readonly Wanted[],
    receiverId: number,
    client: MqttClient,
    parts: SubscriptionsParts,
  ) {
    this.wanted = wanted;
    this.#name = name;
    this.#ownId = receiverId;
    this.#receiverId = receiverId;
    this.#client = client;
    this.#parts = parts;
  }

  /**
   * CONNACK came: asks for the difference.
   * @param resumed  the server has our session
   * @param receiverId  under which it is kept what this server's session is subscribed to
   */
  begin(resumed: boolean, receiverId: number = this.#ownId): void {
    this.#receiverId = receiverId;
    this.#known = this.#knownOf.get(receiverId) ?? this.#load(receiverId);
    if (!resumed) for (const filter of [...this.#known.keys()]) this.#forget(filter);
    const missing = this.wanted.filter((request) => !this.#has(request));
    this.#asked.clear();
    this.#waiting = [];
    const alike = missing.filter((request) => this.#identifierOf(request) === 0);
    if (alike.length > 0) this.#waiting.push(alike);
    for (const request of missing) if (this.#identifierOf(request) > 0) this.#waiting.push([request]);
    for (const packetId of SUBSCRIBE_IDS) this.#ask(packetId);
    this.#givenUp = [...this.#known.keys()].filter(
      (filter) => !this.wanted.some((request) => request.filter === filter),
    );
    if (this.#givenUp.length > 0) sendUnsubscribe(this.#client, UNSUBSCRIBE_ID, this.#givenUp);
  }

  #load(receiverId: number): Map<string, Known> {
    const known = new Map<string, Known>();
    for (const { filter, ...as } of this.#parts.store.loadSubscriptions(receiverId)) known.set(filter, as);
    this.#knownOf.set(receiverId, known);
    return known;
  }

  /** Where several copies of a message may come, and the server says with each what for. */
  #identifierOf({ identifier }: Wanted): number {
    return this.#client.server?.subscriptionIds === true ? identifier : 0;
  }

  #has(request: Wanted): boolean {
    const known = this.#known.get(request.filter);
    return known?.options === optionsOf(request) && known.subscriptionId === this.#identifierOf(request);
  }

  #ask(packetId: number): void {
    const requests = this.#waiting.shift();
    if (requests === undefined) return;
    this.#asked.set(packetId, requests);
    const identifier = this.#identifierOf(requests[0] as Wanted);
    properties.reset();
    if (identifier > 0) properties.varint(SUBSCRIPTION_IDENTIFIER, identifier);
    sendSubscribe(this.#client, packetId, requests, identifier > 0 ? properties : null);
  }

  /** @param type SUBACK or UNSUBACK  @param codes of MQTT 5, one per filter; none in an UNSUBACK before it */
  onAnswer(type: number, packetId: number, codes: Uint8Array): void {
    if (type !== SUBACK) {
      for (const filter of this.#givenUp) this.#forget(filter);
      return;
    }
    const requests = this.#asked.get(packetId) ?? [];
    this.#asked.delete(packetId);
    for (const [i, request] of requests.entries()) this.#onGranted(request, codes[i] ?? UNSPECIFIED_ERROR);
    this.#ask(packetId);
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
    const known = { options: optionsOf(request), subscriptionId: this.#identifierOf(request) };
    this.#known.set(filter, known);
    store.putSubscription(this.#receiverId, { filter, ...known });
    if (granted < qos) log.warn("uplink-subscription-lowered", { ...fields, asked: qos, granted });
  }

  #forget(filter: string): void {
    if (this.#known.delete(filter)) this.#parts.store.deleteSubscription(this.#receiverId, filter);
  }
}

function optionsOf({ qos, noLocal, retainAsPublished, retainHandling }: SubscriptionRequest): number {
  return qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4);
}
