// Who works on a gateway that is killed again and again, each with an account of what it was promised: devices, durable
// sessions that come and go, members of a shared group, a keeper of retained values, one who subscribes and
// unsubscribes, clients with wills. Messages are recognised by source and number in the payload ("pump 17").
import assert from "node:assert/strict";
import type { Random } from "../../src/base/random.ts";
import { eventually } from "./eventually.ts";
import { Journal, type Known, numberOf } from "./journal.ts";
import {
  type ConnectFields,
  connect,
  disconnect,
  field,
  PINGRESP,
  PUBLISH,
  packet,
  pingreq,
  properties,
  publish,
  readConnack,
  readPublish,
  readSuback,
  SUBACK,
  subscribe,
  u16,
} from "./mqtt-packets.ts";
import type { MqttPeer, Outgoing } from "./mqtt-peer.ts";
import { RawMqtt } from "./raw-mqtt.ts";

const UNSUBSCRIBE = 10;
const UNSUBACK = 11;

/** Publishes as fast as it is answered: two topics in turn, and every eighth message a retained value. */
export class Device {
  readonly peer: MqttPeer;
  readonly acknowledged: Outgoing[] = [];
  /** Number of the last retained value that was acknowledged. */
  retained = -1;
  loading = true;
  /** The test says when the next message is due; else an acknowledgement does. */
  paced = false;
  readonly #qos: 1 | 2;
  readonly #topic: string;
  readonly #retainEvery: number;
  #next = 0;

  /** @param root of its topics: root/q1/name/0  @param retainEvery of its messages are retained values */
  constructor(peer: MqttPeer, qos: 1 | 2, root: string, retainEvery = 8) {
    this.peer = peer;
    this.#qos = qos;
    this.#retainEvery = retainEvery;
    this.#topic = `${root}/q${qos}/${peer.clientId}`;
    peer.onAcknowledged = (message) => {
      this.acknowledged.push(message);
      if (message.retain) this.retained = Math.max(this.retained, numberOf(message.payload));
      if (this.loading && !this.paced) this.publish();
    };
  }

  publish(): void {
    const number = this.#next++;
    const retain = number % this.#retainEvery === this.#retainEvery - 1;
    this.#publish(retain ? "state" : String(number % 2), number, retain);
  }

  /** A last message on each topic, behind whatever else is on its way. */
  finish(): void {
    for (const topic of ["0", "1", "state"]) this.#publish(topic, this.#next++, false);
  }

  #publish(topic: string, number: number, retain: boolean): void {
    const payload = `${this.peer.clientId} ${number}`;
    this.peer.publish({ topic: `${this.#topic}/${topic}`, payload, qos: this.#qos, retain });
  }
}

/** Connects its peers whenever they are not, from before the gateway listens: nothing may be promised too early. */
export class Hammer {
  readonly #peers: readonly MqttPeer[];
  readonly #port: number;
  #stopped = false;

  constructor(peers: readonly MqttPeer[], port: number) {
    this.#peers = peers;
    this.#port = port;
    for (const peer of peers) void this.#keep(peer);
  }

  async #keep(peer: MqttPeer): Promise<void> {
    while (!this.#stopped) {
      if (!peer.connected) await peer.connect(this.#port).catch(() => {});
      await moment(2);
    }
  }

  connected(): boolean {
    return this.#peers.every(({ connected }) => connected);
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
  }
}

/** A subscriber with a session that is there in some rounds, and leaves in the middle of some. */
export class Sleeper {
  readonly peer: MqttPeer;
  /** May be that of a group: who got it does not matter. */
  readonly journal: Journal;

  constructor(peer: MqttPeer, journal = new Journal(peer.clientId)) {
    this.peer = peer;
    this.journal = journal;
    peer.onMessage = (message) => journal.arrive(message);
  }

  async round(port: number, random: Random): Promise<void> {
    const mood = random();
    const stayMs = random() * 100;
    if (mood < 0.3) return;
    await this.peer.connect(port).catch(() => {});
    if (mood > 0.6) return;
    await moment(stayMs);
    if (this.peer.connected) await this.peer.leave().catch(() => {});
  }
}

/** Sets and deletes retained values, one change of a topic at a time. */
export class Keeper {
  readonly peer: MqttPeer;
  loading = true;
  /** By topic: as acknowledged, and what is on its way. "" = no value. */
  readonly #acknowledged = new Map<string, string>();
  readonly #pending = new Map<string, string>();
  readonly #qos: 1 | 2;
  readonly #root: string;
  #next = 0;

  constructor(peer: MqttPeer, qos: 1 | 2) {
    this.peer = peer;
    this.#qos = qos;
    this.#root = `kept/${peer.clientId}`;
    peer.onAcknowledged = ({ topic, payload }) => {
      this.#acknowledged.set(topic, payload);
      this.#pending.delete(topic);
      if (this.loading) this.#publish(topic);
    };
  }

  start(): void {
    for (const n of [0, 1, 2]) {
      this.#acknowledged.set(`${this.#root}/${n}`, "");
      this.#publish(`${this.#root}/${n}`);
    }
  }

  #publish(topic: string): void {
    const number = this.#next++;
    const payload = number % 3 === 0 ? "" : `${this.peer.clientId} ${number}`;
    this.#pending.set(topic, payload);
    this.peer.publish({ topic, payload, qos: this.#qos, retain: true });
  }

  /** Each topic has the value that was acknowledged last, or the one on its way. To be asked while it is not connected. */
  async check(port: number): Promise<void> {
    using raw = await RawMqtt.connected(port, { version: 4, clientId: `looks-at-${this.peer.clientId}` });
    await raw.subscribe(4, `${this.#root}/#`, 0);
    for (let turn = 0; turn < 2; turn++) {
      raw.send(pingreq());
      await eventually("PINGRESP", () => raw.packets.filter(({ type }) => type === PINGRESP).length > turn);
    }
    const found = new Map<string, string>();
    for (const each of raw.packets) {
      if (each.type !== PUBLISH) continue;
      const { topic, payload } = readPublish(4, each);
      found.set(topic, payload);
    }
    for (const [topic, acknowledged] of this.#acknowledged) {
      const value = found.get(topic) ?? "";
      const allowed = [acknowledged, this.#pending.get(topic) ?? acknowledged];
      assert.ok(allowed.includes(value), `${topic} is "${value}", not "${allowed.join('" or "')}"`);
    }
  }
}

const CHURNED = ["churn/a", "churn/b", "churn/+/c", "$share/s/churn/d", "churn/e/#"];
/** A topic of each of them that no other filter matches. */
const CHURN_TOPICS = ["churn/a", "churn/b", "churn/x/c", "churn/d", "churn/e/f"];
const CHURN_END = "churn/end";

/** Subscribes and unsubscribes, one at a time; after a restart it has what was acknowledged. */
export class Churner {
  readonly #subscribed = new Map<string, boolean>(CHURNED.map((filter) => [filter, false]));
  #pending = "";
  #packetId = 1;
  #begun = false;
  acknowledged = 0;

  /** Connects to its session, says what it finds there, and goes on until the connection breaks. */
  async round(port: number, random: Random): Promise<void> {
    const raw = await RawMqtt.open(port).catch(() => null);
    if (raw === null) return;
    try {
      const sessionPresent = await this.#connect(raw);
      if (this.#begun) assert.ok(sessionPresent, "the session of the one who subscribes");
      if (!this.#begun) await raw.subscribe(5, CHURN_END, 0);
      this.#begun = true;
      await this.#probe(raw);
      for (;;) await this.#toggle(raw, CHURNED[Math.floor(random() * CHURNED.length)] as string);
    } catch (error) {
      if (!raw.closed) throw error;
    } finally {
      raw.socket.destroy();
    }
  }

  async #connect(raw: RawMqtt): Promise<boolean> {
    const fields: ConnectFields = { version: 5, clientId: "churner", clean: false, expirySeconds: 3600 };
    raw.send(connect(fields));
    return readConnack(await raw.next()).sessionPresent;
  }

  /** What it publishes itself comes back where it has subscribed. */
  async #probe(raw: RawMqtt): Promise<void> {
    for (const topic of [...CHURN_TOPICS, CHURN_END]) raw.send(publish(5, { topic, payload: "?" }));
    const topics: string[] = [];
    while (topics.at(-1) !== CHURN_END) topics.push(readPublish(5, await raw.next()).topic);
    for (const [n, filter] of CHURNED.entries()) {
      const found = topics.includes(CHURN_TOPICS[n] as string);
      if (filter === this.#pending) this.#subscribed.set(filter, found);
      assert.equal(found, this.#subscribed.get(filter), `${filter} after a restart`);
    }
    this.#pending = "";
  }

  async #toggle(raw: RawMqtt, filter: string): Promise<void> {
    const subscribed = this.#subscribed.get(filter) === true;
    const id = (this.#packetId = (this.#packetId % 65_535) + 1);
    this.#pending = filter;
    raw.send(
      subscribed ? packet(UNSUBSCRIBE, 2, u16(id), properties(5), field(filter)) : subscribe(5, id, [filter, 0]),
    );
    const answer = await raw.next();
    assert.equal(answer.type, subscribed ? UNSUBACK : SUBACK);
    if (!subscribed) assert.deepEqual(readSuback(5, answer), [0]);
    this.#subscribed.set(filter, !subscribed);
    this.#pending = "";
    this.acknowledged++;
  }
}

/** Clients with wills, a new one in each round: with and without a session, and one that says goodbye. */
export class Mortals {
  /** Wills that were stored when their clients were cut off, and those of clients that had said goodbye. */
  readonly due: Known[] = [];
  readonly never: Known[] = [];
  #number = 0;

  async round(port: number): Promise<void> {
    const number = this.#number++;
    const known = (name: string): Known => ({ topic: `will/${name}`, payload: `${name} ${number}` });
    const living: RawMqtt[] = [];
    const born: Known[] = [];
    try {
      const goodbye = known("q2-goodbye");
      using polite = await this.#live(port, goodbye);
      polite.send(disconnect());
      await polite.end();
      for (const name of ["q1-stays", "q1-ends", "q2-stays", "q2-ends"]) {
        const raw = await this.#live(port, known(name));
        living.push(raw);
        born.push(known(name));
      }
      // SUBACK: what was entered before it is stored, wills and the end of wills.
      await (living[0] as RawMqtt).subscribe(5, "nothing", 0);
      this.due.push(...born);
      this.never.push(goodbye);
      await eventually("they are cut off", () => living.every(({ closed }) => closed), 60_000);
    } catch (error) {
      // Cut off before that: who is there notices soon.
      await eventually(`cut off, not ${error}`, () => living.every(({ closed }) => closed));
    } finally {
      for (const { socket } of living) socket.destroy();
    }
  }

  #live(port: number, { topic, payload }: Known): Promise<RawMqtt> {
    const qos = topic.includes("q1") ? 1 : 2;
    const stays = topic.endsWith("stays");
    // Every other time the client of before: its new will must not hide that the old one is still there.
    const clientId = `${topic}-${numberOf(payload) >> 1}`;
    const will = { topic, payload, qos, retain: false };
    const fields = { clientId, clean: !stays, expirySeconds: stays ? 3600 : 0 };
    return RawMqtt.connected(port, { version: 5, keepAliveSeconds: 0, ...fields, will });
  }
}

/** QoS 0, which nobody promises anything for, in between. */
export class Noise {
  #next = 0;

  async round(port: number): Promise<void> {
    const fields: ConnectFields = { version: 5, clientId: "noise", keepAliveSeconds: 0 };
    const raw = await RawMqtt.connected(port, fields).catch(() => null);
    if (raw === null) return;
    for (; !raw.closed; this.#next++) {
      raw.send(publish(5, { topic: "load/q0/noise", payload: `noise ${this.#next}`, retain: this.#next % 8 === 0 }));
      await moment(2);
    }
  }
}

export function moment(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
