/**
 * What is known of our session at each server. A session belongs to one server: that B has one from before says nothing
 * about what is in flight to A.
 *
 *     A ──in flight: 5, 6 (QoS 2)──x        B takes what A did not acknowledge, sent anew; 5 and 6 linger at A
 *     B ──7, 8, ...──> A again ──session present──> PUBREL 5, PUBREL 6, then what is in flight, sent anew
 *
 * - What waits for PUBACK or PUBREC when the server changes is sent anew there, without DUP. It may come twice, once by
 *   each server. What has its PUBREC counts as delivered: the first server has taken it.
 * - Packet ids of QoS 2 messages that a server was sent linger there until PUBREL, and would make it take a later message
 *   under the same id for a copy. So they are remembered and released when that server is back, before anything else.
 * - The same holds for one server when the rules are others than those by which it was sent what is in flight: a message
 *   may have another number of topics now, and those behind it other packet ids.
 * - Packet ids of QoS 2 messages that came from a server, and what its session is subscribed to, are kept apart by
 *   server, too (`receiverOf`).
 *
 * In the store a server has two receivers, which no message is for: `server` for what comes from it (where there are
 * several), and `server-sent`,
 * whose packet ids are those that linger and whose only subscription says that what is in flight is in flight to it, by
 * which rules, and whether QoS 2 may be among it.
 */
import { IdSet } from "../../base/id-set.ts";
import type { Store } from "../../core/ports.ts";
import type { SpoolQueue } from "../../core/spool-queue.ts";
import { SERVER_KINDS, serverRecordName } from "./server-records.ts";

const IN_FLIGHT = "in flight";

/** By what messages are sent. */
export interface SendingRules {
  /** Rules that send in another way have another number; not 0. */
  readonly stamp: number;
  readonly sendsQos2: boolean;
}

/** To whom, and how, what is in flight was sent. */
interface Home extends SendingRules {
  readonly url: string;
}

interface Known {
  readonly receiverId: number;
  readonly sentId: number;
  readonly lingering: IdSet;
}

/** What is in flight to a server. */
export interface Sending {
  queues(): Iterable<SpoolQueue>;
  /** The rules are others: see `Spool.sendAnew`. */
  sendAnew(): void;
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
  /** null = not known, or it does not matter. */
  #home: Home | null = null;
  readonly #rules: SendingRules;
  /** The url of the connection. */
  #here: Known | null = null;
  /** Nobody has been connected since the start: what is in flight is not known one by one. */
  #restarted = true;

  /** @param ownId  of the uplink in the store, for those with one server */
  constructor(uplink: string, urls: readonly string[], rules: SendingRules, ownId: number, store: Store) {
    this.#store = store;
    this.#ownId = ownId;
    this.#rules = rules;
    const several = urls.length > 1;
    const names = urls.map((url) => serverRecordName(uplink, url));
    const [received, sent] = SERVER_KINDS;
    const isOld = (name: string): boolean => name.startsWith(`${uplink} `) && !names.includes(name);
    store.deleteOthers(sent, (name) => !isOld(name));
    store.deleteOthers(received, (name) => !(isOld(name) || (!several && name.startsWith(`${uplink} `))));
    for (const [i, url] of urls.entries()) {
      const name = names[i] as string;
      const sentId = store.createReceiver(sent, name).id;
      const lingering = new IdSet();
      for (const id of store.loadInbound(sentId)) lingering.add(id);
      const receiverId = several ? store.createReceiver(received, name).id : ownId;
      this.#known.set(url, { receiverId, sentId, lingering });
      for (const { options, subscriptionId } of store.loadSubscriptions(sentId))
        this.#home = { url, stamp: subscriptionId, sendsQos2: options > 0 };
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
    const home = this.#home;
    const isHome = home !== null && home.url === url && home.stamp === this.#rules.stamp;
    const left = home === null || isHome ? undefined : this.#known.get(home.url);
    if (left !== undefined && home?.sendsQos2) this.#leaveBehind(left, sending);
    if (home !== null && home.stamp !== this.#rules.stamp) sending.sendAnew();
    if (!isHome) this.#moveTo(url, here);
    this.#restarted = false;
    if (!present) for (const id of [...here.lingering]) this.#forget(here, id);
    return { resumed: present && left === undefined, lingering: [...here.lingering] };
  }

  /** PUBCOMP for an id that is not in flight. */
  released(packetId: number): void {
    if (this.#here !== null) this.#forget(this.#here, packetId);
  }

  #moveTo(url: string, here: Known): void {
    const before = this.#home === null ? undefined : this.#known.get(this.#home.url);
    if (before !== undefined && before !== here) this.#store.deleteSubscription(before.sentId, IN_FLIGHT);
    const { stamp, sendsQos2 } = this.#rules;
    const record = { filter: IN_FLIGHT, options: sendsQos2 ? 1 : 0, subscriptionId: stamp };
    this.#store.putSubscription(here.sentId, record);
    this.#home = { url, stamp, sendsQos2 };
  }

  #leaveBehind(left: Known, { queues, windowMax }: Sending): void {
    for (const { inflight } of queues()) {
      const end = inflight.next + (this.#restarted ? windowMax : 0);
      for (let ordinal = inflight.head; ordinal < end; ordinal++) {
        // A restart may know an entry from before it was sent at another QoS.
        const isQos1 = !this.#restarted && inflight.qosAt(ordinal) === 1;
        const packetId = inflight.packetIdOf(ordinal);
        if (!isQos1 && left.lingering.add(packetId)) this.#store.putInbound(left.sentId, packetId, null);
      }
    }
  }

  #forget(server: Known, packetId: number): void {
    if (server.lingering.delete(packetId)) this.#store.deleteInbound(server.sentId, packetId);
  }
}

/**
 * Of what decides to which topics, at which QoS and by which class a message is sent.
 * @param rules in a form that can be written as JSON
 */
export function sendingRules(rules: unknown, sendsQos2: boolean): SendingRules {
  // FNV-1a. 28 bits, as subscription identifiers have, and one of them always.
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(JSON.stringify(rules))) hash = Math.imul(hash ^ byte, 0x01000193);
  return { stamp: ((hash >>> 4) & 0x0fff_fffe) + 1, sendsQos2 };
}
