/**
 * What a client is subscribed to, and the SUBSCRIBE and UNSUBSCRIBE that are to be sent or answered. A request that
 * the connection took with it is sent again on the next; what was granted is asked for again when the server has lost
 * the session. Requests keep their order.
 */

import type { MqttClient } from "../uplink/client/client.ts";
import { sendSubscribe, sendUnsubscribe } from "../uplink/client/client-send.ts";
import { reasonWords } from "../uplink/words.ts";
import { SUBACK, UNSPECIFIED_ERROR } from "../wire/mqtt/codes.ts";
import { PropertiesWriter } from "../wire/mqtt/properties.ts";
import { SUBSCRIPTION_IDENTIFIER } from "../wire/mqtt/property-table.ts";
import type { SubscriptionRequest } from "../wire/mqtt/subscribe.ts";
import type { Granted } from "./api.ts";
import { ClientError } from "./error.ts";
import type { PacketIds } from "./packet-ids.ts";

/** Filters of one call. */
export const FILTERS_MAX = 1000;
/** Requests that are not answered. */
export const REQUESTS_MAX = 1024;
/** Filters that a client may be subscribed to. */
export const SUBSCRIPTIONS_MAX = 65_536;
/** Filters of one SUBSCRIBE when subscriptions are renewed. */
const RENEWED_AT_ONCE = 64;

/** A subscription as it is asked for. */
export interface Wanted {
  readonly request: SubscriptionRequest & { readonly filter: string };
  /** 0 = none. */
  readonly identifier: number;
}

interface Request {
  /** null: UNSUBSCRIBE. */
  readonly wanted: readonly Wanted[] | null;
  readonly filters: readonly string[];
  packetId: number;
  /** Null when subscriptions are renewed. */
  readonly done: ((error: ClientError | null, granted: Granted[]) => void) | null;
}

export class Subscriptions {
  readonly #client: MqttClient;
  readonly #ids: PacketIds;
  readonly #onLost: (filter: string, error: ClientError) => void;
  /** Granted, by filter. */
  readonly #held = new Map<string, Wanted>();
  /** Not answered, in order. */
  #requests: Request[] = [];

  constructor(client: MqttClient, ids: PacketIds, onLost: (filter: string, error: ClientError) => void) {
    this.#client = client;
    this.#ids = ids;
    this.#onLost = onLost;
  }

  subscribe(wanted: readonly Wanted[]): Promise<Granted[]> {
    if (this.#held.size + wanted.length > SUBSCRIPTIONS_MAX) return Promise.reject(tooMany());
    return this.#ask(
      wanted,
      wanted.map(({ request }) => request.filter),
    );
  }

  unsubscribe(filters: readonly string[]): Promise<Granted[]> {
    return this.#ask(null, filters);
  }

  #ask(wanted: readonly Wanted[] | null, filters: readonly string[]): Promise<Granted[]> {
    if (this.#requests.length >= REQUESTS_MAX) return Promise.reject(tooMany());
    return new Promise((resolve, reject) => {
      const done = (error: ClientError | null, granted: Granted[]): void => {
        if (error === null) resolve(granted);
        else reject(error);
      };
      const request: Request = { wanted, filters, packetId: 0, done };
      this.#requests.push(request);
      if (this.#client.server !== null) this.#send(request);
    });
  }

  /** CONNACK came. @param resumed the server has the session with its subscriptions */
  onConnected(resumed: boolean): void {
    const requests = this.#requests.filter(({ done }) => done !== null);
    for (const { packetId } of this.#requests) this.#ids.give(packetId);
    this.#requests = resumed ? requests : [...this.#renewals(), ...requests];
    for (const request of this.#requests) this.#send(request);
  }

  /** One SUBSCRIBE has one identifier. */
  #renewals(): Request[] {
    const byIdentifier = new Map<number, Wanted[]>();
    for (const wanted of this.#held.values()) {
      const list = byIdentifier.get(wanted.identifier) ?? [];
      list.push(wanted);
      byIdentifier.set(wanted.identifier, list);
    }
    const requests: Request[] = [];
    for (const list of byIdentifier.values()) {
      for (let i = 0; i < list.length; i += RENEWED_AT_ONCE) {
        const wanted = list.slice(i, i + RENEWED_AT_ONCE);
        requests.push({ wanted, filters: wanted.map(({ request }) => request.filter), packetId: 0, done: null });
      }
    }
    return requests;
  }

  #send(request: Request): void {
    request.packetId = this.#ids.take();
    const { wanted, filters, packetId } = request;
    if (wanted === null) {
      sendUnsubscribe(this.#client, packetId, filters);
      return;
    }
    const identifier = wanted[0]?.identifier ?? 0;
    const requests = wanted.map((one) => one.request);
    let properties: PropertiesWriter | null = null;
    if (identifier > 0) {
      properties = new PropertiesWriter(8);
      properties.varint(SUBSCRIPTION_IDENTIFIER, identifier);
    }
    sendSubscribe(this.#client, packetId, requests, properties);
  }

  /** SUBACK or UNSUBACK. */
  onAnswer(type: number, packetId: number, codes: Uint8Array): void {
    const i = this.#requests.findIndex((request) => request.packetId === packetId);
    const request = this.#requests[i];
    if (request === undefined || (request.wanted !== null) !== (type === SUBACK)) return;
    this.#requests.splice(i, 1);
    this.#ids.give(packetId);
    if (request.wanted === null) this.#onUnsubscribed(request, codes);
    else this.#onSubscribed(request, request.wanted, codes);
  }

  #onSubscribed(request: Request, wanted: readonly Wanted[], codes: Uint8Array): void {
    const granted: Granted[] = [];
    let refusal: ClientError | null = null;
    for (const [i, one] of wanted.entries()) {
      const { filter } = one.request;
      const code = codes[i] ?? UNSPECIFIED_ERROR;
      if (code < UNSPECIFIED_ERROR) {
        this.#held.set(filter, one);
        granted.push({ filter, qos: (code & 3) as 0 | 1 | 2 });
        continue;
      }
      const error = new ClientError("subscription-refused", `${filter} was refused: ${reasonWords(code)}`, code);
      refusal ??= error;
      if (request.done !== null) continue;
      this.#held.delete(filter);
      this.#onLost(filter, error);
    }
    request.done?.(refusal, granted);
  }

  #onUnsubscribed(request: Request, codes: Uint8Array): void {
    let refusal: ClientError | null = null;
    for (const [i, filter] of request.filters.entries()) {
      const code = codes[i] ?? 0; // none before 5.0
      if (code < UNSPECIFIED_ERROR) this.#held.delete(filter);
      else refusal ??= new ClientError("subscription-refused", `${filter}: ${reasonWords(code)}`, code);
    }
    request.done?.(refusal, []);
  }

  /** The end. */
  fail(error: ClientError): void {
    const requests = this.#requests;
    this.#requests = [];
    for (const { done } of requests) done?.(error, []);
  }
}

function tooMany(): ClientError {
  return new ClientError("queue-full", "too many subscriptions, or requests that wait for their answer");
}
