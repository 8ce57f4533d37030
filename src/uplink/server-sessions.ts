/**
 * What is known of our session at each server, for uplinks that have several. A session belongs to one server: that B
 * has one from before says nothing about what is in flight to A.
 *
 *     A ──in flight: 5, 6 (QoS 2)──x        B takes what A did not acknowledge, sent anew; 5 and 6 linger at A
 *     B ──7, 8, ...──> A again ──session present──> PUBREL 5, PUBREL 6, then what is in flight, sent anew
 *
 * - What waits for PUBACK or PUBREC when the server changes is sent anew there, without DUP. It may come twice, once by
 *   each server. What has its PUBREC counts as delivered: the first server has taken it.
 * - Packet ids of QoS 2 messages that a server was sent linger there until PUBREL, and would make it take a later message
 *   under the same id for a copy. So they are remembered and released when that server is back, before anything else.
 * - Packet ids of QoS 2 messages that came from a server, and what its session is subscribed to, are kept apart by
 *   server, too (`receiverOf`).
 *
 * In the store a server has two receivers, which no message is for: `server` for what comes from it, and `server-sent`,
 * whose packet ids are those that linger and whose only subscription says that what is in flight is in flight to it.
 */
import { IdSet } from "../base/id-set.ts";
import type { Store } from "../core/ports.ts";
import type { SpoolQueue } from "../core/spool-queue.ts";
import { SERVER_KINDS, serverRecordName } from "./server-records.ts";

const IN_FLIGHT = { filter: "in flight", options: 0, subscriptionId: 0 };

interface Known {
  readonly receiverId: number;
  readonly sentId: number;
  readonly lingering: IdSet;
}

/** What is in flight to a server. */
export interface Sending {
  queues(): Iterable<SpoolQueue>;
  /** Messages of QoS 2 may be among them. */
  readonly sendsQos2: boolean;
  /** Most that a restart may have forgotten, of each queue. */
  readonly windowMax: number;
}

export interface Arrival {
  /** The server knows what is in flight. */
  readonly resumed: boolean;
  /** Packet ids to be released there. */
  readonly lingering: readonly number[];
}

export class ServerSessions {
  readonly #store: Store;
  readonly #known = new Map<string, Known>();
  readonly #ownId: number;
  /** The url that what is in flight is in flight to; null = not known, or there is one alone. */
  #home: string | null = null;
  /** The url of the connection. */
  #here: Known | null = null;
  /** Nobody has been connected since the start: what is in flight is not known one by one. */
  #restarted = true;

  /** @param ownId  of the uplink in the store, for those with one server */
  constructor(uplink: string, urls: readonly string[], ownId: number, store: Store) {
    this.#store = store;
    this.#ownId = ownId;
    const names = urls.map((url) => serverRecordName(uplink, url));
    for (const kind of SERVER_KINDS) {
      store.deleteOthers(kind, (name) => !name.startsWith(`${uplink} `) || (urls.length > 1 && names.includes(name)));
    }
    if (urls.length === 1) return;
    for (const [i, url] of urls.entries()) {
      const [received, sent] = SERVER_KINDS.map((kind) => store.createReceiver(kind, names[i] as string).id);
      const lingering = new IdSet();
      for (const id of store.loadInbound(sent as number)) lingering.add(id);
      this.#known.set(url, { receiverId: received as number, sentId: sent as number, lingering });
      if (store.loadSubscriptions(sent as number).length > 0) this.#home = url;
    }
  }

  /** The receiver under which it is kept what came from `url` and what is subscribed there. */
  receiverOf(url: string): number {
    return this.#known.get(url)?.receiverId ?? this.#ownId;
  }

  /** CONNACK came from `url`. To be asked before anything is sent. @param present  it has a session of ours */
  arrive(url: string, present: boolean, sending: Sending): Arrival {
    const here = this.#known.get(url) ?? null;
    this.#here = here;
    if (here === null) return { resumed: present, lingering: [] };
    const left = this.#home === null || this.#home === url ? null : this.#home;
    if (left !== null) this.#leaveBehind(this.#known.get(left) as Known, sending);
    if (this.#home !== url) this.#moveTo(url, here);
    this.#restarted = false;
    if (!present) for (const id of [...here.lingering]) this.#forget(here, id);
    return { resumed: present && left === null, lingering: [...here.lingering] };
  }

  /** PUBCOMP for an id that is not in flight. */
  released(packetId: number): void {
    if (this.#here !== null) this.#forget(this.#here, packetId);
  }

  #moveTo(url: string, here: Known): void {
    const before = this.#home === null ? undefined : this.#known.get(this.#home);
    if (before !== undefined) this.#store.deleteSubscription(before.sentId, IN_FLIGHT.filter);
    this.#store.putSubscription(here.sentId, IN_FLIGHT);
    this.#home = url;
  }

  #leaveBehind(left: Known, { queues, sendsQos2, windowMax }: Sending): void {
    if (!sendsQos2) return;
    for (const { inflight } of queues()) {
      const end = this.#restarted ? Math.max(inflight.next, inflight.head + windowMax) : inflight.next;
      for (let ordinal = inflight.head; ordinal < end; ordinal++) {
        const isQos1 = ordinal < inflight.next && inflight.qosAt(ordinal) === 1;
        const packetId = inflight.packetIdOf(ordinal);
        if (!isQos1 && left.lingering.add(packetId)) this.#store.putInbound(left.sentId, packetId, null);
      }
    }
  }

  #forget(server: Known, packetId: number): void {
    if (server.lingering.delete(packetId)) this.#store.deleteInbound(server.sentId, packetId);
  }
}
