/**
 * A client of a recorded gateway, on a link in memory. It keeps its session state in a `World`, over any number of
 * gateways, says what it does and is told, and notes what the gateway does wrong.
 */
import type { MqttServer } from "../../../src/protocol/mqtt/server.ts";
import { HubPeer } from "../mqtt-hub.ts";
import {
  ack,
  bytes,
  CONNACK,
  connect,
  DISCONNECT,
  field,
  type Packet,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  packet,
  properties,
  publish,
  readAck,
  readConnack,
  readPublish,
  readPublishProperties,
  SUBACK,
  SUBSCRIBE,
  subscribe,
  UNSUBACK,
  UNSUBSCRIBE,
  u16,
} from "../mqtt-packets.ts";
import { type Client, payloadOf, type Sent, type World } from "./world.ts";

/** Ids are used again soon: one that a gateway remembers by mistake is found. */
const PACKET_IDS = 40;
/** Retain Handling: retained values are not sent at a SUBSCRIBE. */
const NO_RETAINED = 0x20;
const EXPIRY_SECONDS = 3600;
const CONTENT_TYPE = 0x03;
const SESSION_EXPIRY = 0x11;
/** The disk has failed: everybody is sent away. */
const IMPLEMENTATION_SPECIFIC_ERROR = 0x83;
const LISTENER = { maxQos: 2, retainAvailable: true, anonymous: "always" } as const;

export class WorldClient {
  readonly name: string;
  readonly #world: World;
  readonly #say: (line: string) => void;
  readonly #payloadBytes: number;
  readonly violations: string[];
  /** Messages as they came on this connection. */
  readonly arrived: number[] = [];
  link: HubPeer | null = null;
  /** A SUBSCRIBE or UNSUBSCRIBE is not answered. */
  asking = false;
  /** Acknowledgements that it owes, in order: a packet, and the message if that is the end of it. */
  readonly due: { readonly bytes: Buffer; readonly k: number }[] = [];
  #lastId = 0;
  /** Where it waits for CONNACK. */
  #entering: MqttServer | null = null;

  constructor(
    name: string,
    world: World,
    payloadBytes: number,
    say: (line: string) => void,
    violations: string[] = [],
  ) {
    this.name = name;
    this.#world = world;
    this.#payloadBytes = payloadBytes;
    this.#say = say;
    this.violations = violations;
    const used = [...this.state.outgoing.keys(), ...this.state.over];
    this.#lastId = used.at(-1) ?? 0;
  }

  get state(): Client {
    return this.#world.client(this.name);
  }

  /** @param clean ends the session that is there */
  connect(server: MqttServer, clean = false): void {
    const link = new HubPeer();
    this.link = link;
    this.asking = false;
    this.due.length = 0;
    this.arrived.length = 0;
    if (clean) this.#say(`clean ${this.name}`);
    server.accept(link, LISTENER);
    const options = { version: 5, clientId: this.name, clean, expirySeconds: EXPIRY_SECONDS } as const;
    link.send(connect({ ...options, keepAliveSeconds: 0 }));
    // CONNACK waits until the session that a clean start ends is gone from the store: until then it asks nothing.
    this.#entering = server;
    this.asking = true;
    this.receive();
  }

  #onConnack(first: Packet, server: MqttServer): void {
    this.#entering = null;
    this.asking = false;
    const late = first.type === DISCONNECT && first.body[0] === IMPLEMENTATION_SPECIFIC_ERROR;
    if (late) {
      this.drop();
      return;
    }
    if (first.type !== CONNACK || readConnack(first).reason !== 0) {
      this.#violation(`not let in: ${first.body.toString("hex")}`);
      this.link = null;
      return;
    }
    const { sessionPresent } = readConnack(first);
    if (this.state.sure && !sessionPresent) this.#violation("its session is gone");
    if (sessionPresent && !this.state.sure) {
      // One that it had ended, or an attempt that it was not told of.
      this.drop();
      this.connect(server, true);
      return;
    }
    if (!sessionPresent) this.#startAnew();
    this.#sendAgain();
  }

  /** The gateway, or the machine, has no session: nothing was promised for it. */
  #startAnew(): void {
    const { state } = this;
    if (state.outgoing.size > 0 || state.filters.size > 0 || state.incoming.size > 0) this.#say(`clean ${this.name}`);
  }

  #sendAgain(): void {
    for (const [id, sent] of this.state.outgoing) {
      this.#say(`dup ${this.name} ${id}`);
      if (sent.received) this.link?.send(ack(PUBREL, id));
      else this.#send(id, sent, true);
    }
  }

  /** The next packet id is the one after `id`, or the next free one. */
  startFrom(id: number): void {
    this.#lastId = (id + PACKET_IDS - 1) % PACKET_IDS;
  }

  /** The connection breaks. */
  drop(): void {
    this.#entering = null;
    this.link?.drop();
    this.link = null;
  }

  /** Ends session and connection: DISCONNECT with a Session Expiry Interval of 0. */
  end(): void {
    this.#say(`clean ${this.name}`);
    this.link?.send(packet(DISCONNECT, 0, 0, properties(5, SESSION_EXPIRY, [0, 0, 0, 0])));
    this.drop();
  }

  subscribe(filter: string, qos: number): void {
    this.asking = true;
    this.#say(`sub ${this.name} ${qos} ${filter}`);
    this.link?.send(subscribe(5, 1 + PACKET_IDS, [filter, qos | NO_RETAINED]));
  }

  unsubscribe(filter: string): void {
    this.asking = true;
    this.#say(`unsub ${this.name} ${filter}`);
    this.link?.send(packet(UNSUBSCRIBE, 2, u16(1 + PACKET_IDS), properties(5), field(filter)));
  }

  /** @returns false when all packet ids are in use */
  publish(topic: string, qos: number, retain: boolean, empty: boolean): boolean {
    const k = this.#world.lastK + 1;
    let id = 0;
    if (qos > 0) {
      if (this.state.outgoing.size >= PACKET_IDS - 1) return false;
      do this.#lastId = (this.#lastId % PACKET_IDS) + 1;
      while (this.state.outgoing.has(this.#lastId));
      id = this.#lastId;
    }
    this.#say(`pub ${this.name} ${id} ${k} ${qos} ${retain ? 1 : 0} ${empty ? 1 : 0} ${topic}`);
    this.#send(id, { k, qos, retain, empty, topic, received: false }, false);
    return true;
  }

  #send(packetId: number, { k, qos, retain, empty, topic }: Sent, dup: boolean): void {
    const payload = empty ? "" : payloadOf(k, this.#payloadBytes);
    const contentType = bytes(CONTENT_TYPE, field(String(k)));
    this.link?.send(publish(5, { topic, payload, qos, retain, dup, packetId }, contentType));
  }

  /** Handles what came. @returns whether anything did */
  receive(): boolean {
    const { link } = this;
    const packets = link?.take() ?? [];
    for (const packet of packets) {
      // It has connected again: what else came was for the connection before.
      if (this.#entering !== null && this.link !== link) break;
      if (this.#entering !== null) this.#onConnack(packet, this.#entering);
      else this.#onPacket(packet);
    }
    return packets.length > 0;
  }

  /** Sends the oldest acknowledgements that it owes. */
  acknowledge(count: number): void {
    for (const { bytes, k } of this.due.splice(0, count)) {
      if (k > 0) this.#say(`done ${this.name} ${k}`);
      this.link?.send(bytes);
    }
  }

  #onPacket(packet: Packet): void {
    const { name, state } = this;
    if (packet.type === PUBLISH) {
      this.#onPublish(packet);
    } else if (packet.type === PUBACK || packet.type === PUBREC) {
      const { packetId, reason } = readAck(packet);
      const sent = state.outgoing.get(packetId);
      if (sent === undefined) this.#violation(`an answer for packet id ${packetId}, which is not in use`);
      this.#say(`${reason >= 0x80 ? "no" : "told"} ${name} ${packetId}`);
      if (packet.type === PUBREC && reason < 0x80) this.link?.send(ack(PUBREL, packetId));
    } else if (packet.type === PUBCOMP) {
      this.#say(`comp ${name} ${readAck(packet).packetId}`);
    } else if (packet.type === PUBREL) {
      const { packetId } = readAck(packet);
      this.#say(`rel ${name} ${packetId}`);
      this.due.push({ bytes: ack(PUBCOMP, packetId), k: 0 });
    } else if (packet.type === SUBACK || packet.type === UNSUBACK) {
      this.asking = false;
      // Refused, as the disk has failed: whether it holds, nobody knows.
      if ((packet.body.at(-1) ?? 0x80) >= 0x80) this.#say(`clean ${name}`);
      else this.#say(`sure ${name}`);
    } else if (packet.type === DISCONNECT) {
      if (packet.body[0] !== IMPLEMENTATION_SPECIFIC_ERROR) this.#violation(`disconnected with ${packet.body[0]}`);
      this.drop();
    } else if (packet.type !== SUBSCRIBE) {
      this.#violation(`packet of type ${packet.type}`);
    }
  }

  #onPublish(packet: Packet): void {
    const { topic, payload, qos, packetId } = readPublish(5, packet);
    const text = readPublishProperties(packet).find(([id]) => id === CONTENT_TYPE)?.[1];
    const k = Number(text);
    const expected = this.#world.empty.has(k) ? "" : payloadOf(k, this.#payloadBytes);
    if (payload !== expected) this.#violation(`message ${k} on ${topic} is not as it was`);
    const { state } = this;
    if (qos === 2) {
      const known = state.incoming.get(packetId);
      if (known !== undefined && known !== k) this.#violation(`packet id of ${known} used again for ${k}`);
      if (known === undefined && state.received.has(k)) this.#violation(`QoS 2 twice: ${k}`);
    }
    this.arrived.push(k);
    this.#say(`got ${this.name} ${packetId} ${k} ${qos}`);
    if (qos > 0) this.due.push({ bytes: ack(qos === 1 ? PUBACK : PUBREC, packetId), k: qos === 1 ? k : 0 });
  }

  #violation(what: string): void {
    this.violations.push(`${this.name}: ${what}`);
  }
}
