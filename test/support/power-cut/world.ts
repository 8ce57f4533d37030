/**
 * What the clients of a gateway know: what they sent, what they were told, what they got. Built from the lines that they
 * say, each before the next thing happens, so that it can be had for any moment of a recorded run.
 *
 *     life                        a gateway starts; no client is connected
 *     pub P ID K QOS RETAIN EMPTY TOPIC    P sends message K          dup P ID     P sends it again
 *     told P ID                   PUBACK or PUBREC                    no P ID      a refusal
 *     comp P ID                   PUBCOMP
 *     clean C                     C ends its session and begins a new one
 *     sub C QOS FILTER, unsub C FILTER     C asks                     sure C       SUBACK or UNSUBACK
 *     got C ID K QOS              C gets message K                    done C K     C acknowledges it (QoS 1)
 *     rel C ID                    C gets PUBREL
 *     cloud P K                   the cloud has message K of P, by the rule that gathers
 */

import { GATHERED, HASTY_TOPICS } from "./habits.ts";

export interface Sent {
  readonly k: number;
  readonly qos: number;
  readonly retain: boolean;
  readonly empty: boolean;
  readonly topic: string;
  /** PUBREC came. */
  readonly received: boolean;
}

interface Owed {
  /** Its publisher was told. */
  readonly told: boolean;
}

export interface Subscription {
  readonly qos: number;
  /** unknown: a gateway ended before it answered; no answer of a later one is about it. */
  readonly state: "asked" | "there" | "leaving" | "unknown";
}

export class Client {
  /** By packet id, in the order sent. */
  readonly outgoing = new Map<number, Sent>();
  /** Packet ids whose exchange is over, the last ones. */
  readonly over: number[] = [];
  /** The session must be there, as it is now. */
  sure = false;
  /** Messages before it were for an earlier session. */
  firstK = 0;
  readonly filters = new Map<string, Subscription>();
  /** Messages that it must still get. */
  readonly owed = new Map<number, Owed>();
  /** QoS 2, not released: packet id to message. */
  readonly incoming = new Map<number, number>();
  /** QoS 2 messages it got. */
  readonly received = new Set<number>();
}

export class World {
  readonly clients = new Map<string, Client>();
  /** Messages that may be in the gateway twice, or in another order. */
  readonly resent = new Set<number>();
  /** By topic: the messages that may be its retained value. Message 0: none. */
  readonly retained = new Map<string, number[]>();
  /** Messages that are gathered: those that their publisher was told of, and those that the cloud has. */
  readonly gathered = new Set<number>();
  readonly atCloud = new Set<number>();
  /** Messages with an empty payload. */
  readonly empty = new Set<number>([0]);
  lastK = 0;

  client(name: string): Client {
    let client = this.clients.get(name);
    if (client === undefined) {
      client = new Client();
      this.clients.set(name, client);
    }
    return client;
  }

  fork(): World {
    const copy = new World();
    for (const [name, client] of this.clients) copy.clients.set(name, forkClient(client));
    for (const k of this.resent) copy.resent.add(k);
    for (const [topic, values] of this.retained) copy.retained.set(topic, [...values]);
    for (const k of this.gathered) copy.gathered.add(k);
    for (const k of this.atCloud) copy.atCloud.add(k);
    for (const k of this.empty) copy.empty.add(k);
    copy.lastK = this.lastK;
    return copy;
  }

  apply(line: string): void {
    const [verb, name = "", a = "", b = "", c = "", d = "", e = "", f = ""] = line.split(" ");
    if (verb === "life") {
      this.#askedOfAnother();
      return;
    }
    const client = this.client(name);
    if (verb === "pub") {
      this.#published(client, Number(a), Number(b), { qos: Number(c), retain: d === "1", empty: e === "1", topic: f });
    } else if (verb === "dup") {
      const sent = client.outgoing.get(Number(a));
      if (sent !== undefined && !sent.received) this.#sentAgain(sent);
    } else if (verb === "told") this.#told(client, Number(a));
    else if (verb === "cloud") this.atCloud.add(Number(a));
    else if (verb === "no") this.#refused(client, Number(a));
    else if (verb === "comp") over(client, Number(a));
    else if (verb === "clean") this.#began(client);
    else if (verb === "sub") client.filters.set(b, { qos: Number(a), state: "asked" });
    else if (verb === "unsub") this.#unsubscribes(client, a);
    else if (verb === "sure") sure(client);
    else if (verb === "got") this.#got(client, Number(a), Number(b), c);
    else if (verb === "done") client.owed.delete(Number(a));
    else if (verb === "rel") client.incoming.delete(Number(a));
    else throw new Error(`not a line of a world: ${line}`);
  }

  #askedOfAnother(): void {
    for (const { filters } of this.clients.values())
      for (const [filter, { qos, state }] of filters)
        if (state !== "there") filters.set(filter, { qos, state: "unknown" });
  }

  #published(client: Client, id: number, k: number, message: Omit<Sent, "k" | "received">): void {
    this.lastK = Math.max(this.lastK, k);
    if (message.empty) this.empty.add(k);
    if (message.retain) {
      const values = this.retained.get(message.topic) ?? [0];
      values.push(k);
      this.retained.set(message.topic, values);
    }
    if (message.qos === 0) return;
    client.outgoing.set(id, { ...message, k, received: false });
    for (const receiver of this.clients.values()) {
      const subscription = subscriptionOf(receiver, message.topic);
      if (receiver.sure && subscription?.state === "there") receiver.owed.set(k, { told: false });
    }
  }

  /** An older value may now come after a newer one. */
  #sentAgain({ k, topic, retain }: Sent): void {
    this.resent.add(k);
    if (retain) this.retained.get(topic)?.push(k);
  }

  #told(client: Client, id: number): void {
    const sent = client.outgoing.get(id);
    if (sent === undefined) return;
    const hasty = HASTY_TOPICS.includes(sent.topic);
    if (sent.topic.startsWith(`m/${GATHERED}/`) && !sent.empty) this.gathered.add(sent.k);
    for (const receiver of this.clients.values()) {
      if (hasty) receiver.owed.delete(sent.k);
      else if (receiver.owed.has(sent.k)) receiver.owed.set(sent.k, { told: true });
    }
    if (sent.retain && !hasty) {
      const values = this.retained.get(sent.topic) ?? [];
      const at = values.indexOf(sent.k);
      if (at > 0) values.splice(0, at);
    }
    if (sent.qos === 1) over(client, id);
    else client.outgoing.set(id, { ...sent, received: true });
  }

  #refused(client: Client, id: number): void {
    const sent = client.outgoing.get(id);
    if (sent === undefined) return;
    for (const receiver of this.clients.values()) receiver.owed.delete(sent.k);
    // It may be in the log nevertheless, and sent again by nobody.
    this.resent.add(sent.k);
    over(client, id);
  }

  #began(client: Client): void {
    // What it was not told of it will not send again.
    for (const { k, received } of client.outgoing.values()) {
      if (!received) for (const receiver of this.clients.values()) receiver.owed.delete(k);
    }
    client.sure = false;
    client.firstK = this.lastK + 1;
    client.filters.clear();
    client.owed.clear();
    client.incoming.clear();
    client.received.clear();
    client.outgoing.clear();
  }

  #unsubscribes(client: Client, filter: string): void {
    const subscription = client.filters.get(filter);
    if (subscription === undefined) return;
    client.filters.set(filter, { ...subscription, state: "leaving" });
    // What is in its queue it gets; what was published and not stored yet it may not.
    client.owed.clear();
  }

  #got(client: Client, id: number, k: number, qos: string): void {
    if (qos !== "2") return;
    client.incoming.set(id, k);
    client.received.add(k);
    client.owed.delete(k);
  }
}

export function subscriptionOf(client: Client, topic: string): Subscription | undefined {
  return client.filters.get(`${topic.slice(0, topic.lastIndexOf("/"))}/+`);
}

/** SUBACK or UNSUBACK: whatever it asked for until now is stored. */
function sure(client: Client): void {
  client.sure = true;
  for (const [filter, { qos, state }] of client.filters) {
    if (state === "asked") client.filters.set(filter, { qos, state: "there" });
    else if (state === "leaving") client.filters.delete(filter);
  }
}

const OVER_MAX = 12;

function over(client: Client, id: number): void {
  client.outgoing.delete(id);
  client.over.push(id);
  if (client.over.length > OVER_MAX) client.over.shift();
}

function forkClient(client: Client): Client {
  const copy = new Client();
  for (const [id, sent] of client.outgoing) copy.outgoing.set(id, sent);
  copy.over.push(...client.over);
  copy.sure = client.sure;
  copy.firstK = client.firstK;
  for (const [filter, subscription] of client.filters) copy.filters.set(filter, subscription);
  for (const [k, owed] of client.owed) copy.owed.set(k, owed);
  for (const [id, k] of client.incoming) copy.incoming.set(id, k);
  for (const k of client.received) copy.received.add(k);
  return copy;
}

/** Text of message `k`: mostly a JSON number, with white space behind it. */
export function payloadOf(k: number, bytes: number): string {
  return `${k} ${(k % 4 === 0 ? "x" : " ").repeat((k * 7919) % bytes)}`;
}
