/**
 * One MQTT-SN listener: a gateway in the words of the specification, transparent in none: its clients are sessions of
 * the broker in the same process. Finds the client of a datagram and the file of its type.
 *
 * @see MQTT-SN 1.2
 */
import { Allowance } from "../../base/allowance.ts";
import type { Counter, Counters } from "../../base/counters.ts";
import type { TimerWheel } from "../../base/timer-wheel.ts";
import type { Authority, DatagramHandler, DatagramPort, LoginRequest, Store, TimeSource } from "../../core/ports.ts";
import { Publication } from "../../core/publication.ts";
import type { Router } from "../../core/router.ts";
import type { SessionRegistry } from "../../core/session-registry.ts";
import { addressHash, SourceRates } from "../../transport/source-rates.ts";
import {
  CONNECT,
  DISCONNECT,
  ENCAPSULATED,
  OK,
  PINGREQ,
  PINGRESP,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  REGACK,
  REGISTER,
  SEARCHGW,
  SUBSCRIBE,
  UNSUBSCRIBE,
  WILLMSG,
  WILLMSGUPD,
  WILLTOPIC,
  WILLTOPICUPD,
} from "../../wire/mqtt-sn/codes.ts";
import { decode, MessageView } from "../../wire/mqtt-sn/decode.ts";
import { writeEmpty, writeEncapsulation } from "../../wire/mqtt-sn/encode.ts";
import type { Client } from "./client.ts";
import { Clients } from "./clients.ts";
import { type AdvertiseOptions, Discovery } from "./discovery.ts";
import { CONNECT_COST, heldBytesOf, namesBytesOf } from "./limits.ts";
import { onPubcomp, onPubrec } from "./on-ack.ts";
import { onConnect, onWillAgain, onWillMsg, onWillTopic } from "./on-connect.ts";
import { onPublish, onPubrel } from "./on-publish.ts";
import { onDisconnect, onPingreq, onPingreqFromElsewhere } from "./on-sleep.ts";
import { onRegister, onSubscribe, onUnsubscribe } from "./on-subscribe.ts";
import { keyOf, NODE_ID_BYTES_MAX, nodeKeyOf, type Peer } from "./peer.ts";
import { AWAKE, CONNECTING } from "./states.ts";
import { Strangers } from "./strangers.ts";
import { type Predefined, TopicIdBlocks, TopicIds } from "./topic-ids.ts";
import { onWillMsgUpd, onWillTopicUpd } from "./will.ts";

export interface MqttSnParts {
  readonly router: Router;
  readonly registry: SessionRegistry;
  readonly authority: Authority;
  readonly store: Store;
  readonly time: TimeSource;
  readonly wheel: TimerWheel;
  readonly counters: Counters;
  readonly limits: {
    readonly keepAliveMaxMs: number;
    readonly sessionExpiryMaxMs: number;
    readonly stringBytes: number;
    readonly topicBytes: number;
    readonly topicLevels: number;
  };
}

export interface MqttSnOptions {
  readonly gatewayId: number;
  readonly clientsMax: number;
  readonly predefined: Predefined;
  /** Topic ids are given from here on. */
  readonly firstTopicId: number;
  /** Messages a second of one address; null: a cable has its own. */
  readonly rate: number | null;
  /** null: it does not say that it is there. */
  readonly advertise: AdvertiseOptions | null;
  readonly anonymous: LoginRequest["anonymous"];
  /** Who all its clients are, by the cable that they are on; absent: who comes without a name. */
  readonly user?: string;
}

const ROOM_BYTES = 2048;
/** Before a message, for a forwarder's envelope. */
const HEAD_BYTES = 3 + NODE_ID_BYTES_MAX;

export class MqttSnServer implements DatagramHandler {
  readonly port: DatagramPort;
  readonly parts: MqttSnParts;
  readonly options: MqttSnOptions;
  /** Of names that have ids, and of messages that wait outside of their session's queue, of all clients. */
  readonly names: Allowance;
  readonly held: Allowance;
  readonly publication = new Publication();
  readonly publishesReceived: Counter;
  readonly publishesSent: Counter;
  readonly congestion: Counter;
  readonly retries: Counter;
  readonly heldDropped: Counter;
  readonly undeliverable: Counter;
  readonly topicIdsFull: Counter;
  readonly malformed: Counter;
  /** Clients that said that they would sleep. */
  readonly sleeping: Counter;
  readonly clients: Clients;
  readonly discovery: Discovery;
  readonly #strange: Counter;
  readonly #tooFast: Counter;
  readonly #encapsulated: Counter;
  readonly #topicIdBlocks: TopicIdBlocks;
  readonly #rates = new SourceRates();
  readonly #seed = Math.floor(Math.random() * 0x1_0000_0000);
  readonly #view = new MessageView();
  readonly #strangers = new Strangers(this);
  /** HEAD_BYTES, and `#room`. */
  #sending: Buffer = Buffer.allocUnsafeSlow(HEAD_BYTES + ROOM_BYTES);
  #room: Buffer = this.#sending.subarray(HEAD_BYTES);
  #publicationRoom: Buffer = Buffer.allocUnsafeSlow(ROOM_BYTES);

  constructor(port: DatagramPort, parts: MqttSnParts, options: MqttSnOptions) {
    this.port = port;
    this.parts = parts;
    this.options = options;
    this.names = new Allowance(namesBytesOf(options.clientsMax));
    this.held = new Allowance(heldBytesOf(options.clientsMax));
    const { counters } = parts;
    this.publishesReceived = counters.counter("mqtt_sn.publishes_received");
    this.publishesSent = counters.counter("mqtt_sn.publishes_sent");
    this.congestion = counters.counter("mqtt_sn.congestion");
    this.retries = counters.counter("mqtt_sn.retries");
    this.heldDropped = counters.counter("mqtt_sn.held_dropped");
    this.undeliverable = counters.counter("mqtt_sn.undeliverable");
    this.topicIdsFull = counters.counter("mqtt_sn.topic_ids_full");
    this.sleeping = counters.counter("mqtt_sn.sleeping");
    this.malformed = counters.counter("mqtt_sn.malformed");
    this.#strange = counters.counter("mqtt_sn.not_connected");
    this.#tooFast = counters.counter("mqtt_sn.too_fast");
    this.#encapsulated = counters.counter("mqtt_sn.encapsulated");
    this.#topicIdBlocks = new TopicIdBlocks(options.firstTopicId);
    this.clients = new Clients(this);
    this.discovery = new Discovery(this);
    port.handler = this;
  }

  /** Says goodbye to all; wills go out, as with MQTT. */
  close(): void {
    this.discovery.close();
    for (const client of this.clients.all()) {
      this.sendEmpty(client.peer, DISCONNECT);
      client.dispose(true);
    }
    this.port.close();
  }

  /** For a client that knows none. */
  topicIds(): TopicIds {
    return new TopicIds(this.options.predefined, this.names, this.#topicIdBlocks.take());
  }

  count(what: string): void {
    this.parts.counters.counter(`mqtt_sn.${what}`).value++;
  }

  // ---- in ----------------------------------------------------------------------------------------------------

  onDatagram(bytes: Buffer, address: string, port: number): void {
    if (!this.#isSlowEnough(address, 1)) return;
    const view = this.#view;
    if (decode(bytes, 0, bytes.length, view) !== OK) {
      this.malformed.value++;
    } else if (view.type === ENCAPSULATED) {
      this.#onEnvelope(bytes, address, port);
    } else {
      this.#onPeer(bytes, keyOf(address, port), address, port, NO_NODE);
    }
  }

  /** A forwarder's: what it wraps is the message of a wireless node. @see section 5.5 */
  #onEnvelope(bytes: Buffer, address: string, port: number): void {
    const view = this.#view;
    const { restAt, restEnd } = view;
    const known = restEnd > restAt && restEnd - restAt <= NODE_ID_BYTES_MAX;
    if (!known || decode(bytes, restEnd, bytes.length, view) !== OK || view.type === ENCAPSULATED) {
      this.malformed.value++;
      return;
    }
    this.#encapsulated.value++;
    const key = nodeKeyOf(address, port, bytes, restAt, restEnd);
    this.#onPeer(bytes, key, address, port, bytes.subarray(restAt, restEnd));
  }

  /** @param node valid until return; empty: no node behind a forwarder */
  #onPeer(bytes: Buffer, key: string, address: string, port: number, node: Buffer): void {
    const view = this.#view;
    const client = this.clients.at(key);
    if (client === null || view.type === CONNECT || view.type === SEARCHGW) {
      const nodeId = node.length === 0 ? null : Buffer.copyBytesFrom(node);
      this.#onStranger(bytes, client?.peer ?? { key, address, port, nodeId });
    } else if (client.state === CONNECTING) {
      if (view.type === WILLTOPIC) onWillTopic(client, bytes, view);
      else if (view.type === WILLMSG) onWillMsg(client, bytes, view);
      else if (view.type === DISCONNECT) client.dispose(true);
    } else {
      client.heard();
      this.#onMessage(client, bytes, view);
    }
  }

  /** @param cost in messages, at most the rate */
  #isSlowEnough(address: string, cost: number): boolean {
    const { rate } = this.options;
    if (rate === null) return true;
    const may = this.#rates.take(addressHash(address, this.#seed), this.parts.time.nowMs(), (cost * 1000) / rate);
    if (!may) this.#tooFast.value++;
    return may;
  }

  /** The table of contents. */
  #onMessage(client: Client, bytes: Buffer, view: MessageView): void {
    switch (view.type) {
      case PUBLISH:
        onPublish(client, bytes, view);
        return;
      case PUBREL:
        onPubrel(client, view);
        return;
      case REGISTER:
        onRegister(client, bytes, view);
        return;
      case SUBSCRIBE:
        onSubscribe(client, bytes, view);
        return;
      case UNSUBSCRIBE:
        onUnsubscribe(client, bytes, view);
        return;
      case WILLTOPICUPD:
        onWillTopicUpd(client, bytes, view);
        return;
      case WILLMSGUPD:
        onWillMsgUpd(client, bytes, view);
        return;
      case PINGREQ:
        onPingreq(client, bytes, view);
        return;
      case DISCONNECT:
        onDisconnect(client, view);
        return;
      case WILLTOPIC:
      case WILLMSG:
        onWillAgain(client);
        return;
      case REGACK:
        client.deliveries.onRegack(view.msgId, view.topicId, view.returnCode);
        break;
      case PUBACK:
        client.deliveries.onPuback(view.msgId, view.topicId, view.returnCode);
        break;
      case PUBREC:
        onPubrec(client, view);
        break;
      case PUBCOMP:
        onPubcomp(client, view);
        break;
      default:
        // PINGRESP to a PINGREQ that we did not send, and what gateways say.
        if (view.type !== PINGRESP) this.count("unexpected");
        return;
    }
    // An answer: what waited for it goes on.
    client.session?.pump();
    if (client.state === AWAKE) client.afterSending();
  }

  /**
   * CONNECT, SEARCHGW, and what comes from where nobody is connected. Who asks for something is told so, in two bytes; who
   * answers, or says goodbye, is not, or two gateways could be made to talk to one another for ever.
   */
  #onStranger(bytes: Buffer, peer: Peer): void {
    const view = this.#view;
    switch (view.type) {
      case CONNECT:
        if (this.#isSlowEnough(peer.address, CONNECT_COST - 1)) onConnect(this, peer, bytes, view);
        return;
      case SEARCHGW:
        this.discovery.onSearch(peer, view.radius);
        return;
      case PINGREQ:
        if (onPingreqFromElsewhere(this, peer, bytes, view)) return;
        break;
      case PUBLISH:
        if (view.qos >= 0) break;
        this.#strangers.onPublish(bytes, view, peer);
        return;
      case PUBREL:
      case REGISTER:
      case SUBSCRIBE:
      case UNSUBSCRIBE:
      case WILLTOPICUPD:
      case WILLMSGUPD:
        break;
      default:
        this.#strange.value++;
        return;
    }
    this.#strange.value++;
    this.sendEmpty(peer, DISCONNECT);
  }

  // ---- out ---------------------------------------------------------------------------------------------------

  /** Scratch for one message of up to `bytes`: valid until it is sent. */
  room(bytes: number): Buffer {
    if (this.#room.length < bytes) {
      this.#sending = Buffer.allocUnsafeSlow(HEAD_BYTES + bytes);
      this.#room = this.#sending.subarray(HEAD_BYTES);
    }
    return this.#room;
  }

  /** Scratch for one publication. */
  publicationRoom(bytes: number): Buffer {
    if (this.#publicationRoom.length < bytes) this.#publicationRoom = Buffer.allocUnsafeSlow(bytes);
    return this.#publicationRoom;
  }

  /** Sends `room[0..end)`. @param radius how far a forwarder sends it; 0: to the node */
  sendTo({ address, port, nodeId }: Peer, end: number, radius = 0): void {
    let from = HEAD_BYTES;
    if (nodeId !== null) {
      from -= 3 + nodeId.length;
      writeEncapsulation(this.#sending, from, Math.min(radius, RADIUS_MAX), nodeId);
    }
    this.port.send(this.#sending, from, HEAD_BYTES + end, address, port);
  }

  /** Most bytes of a message to `peer`. */
  messageBytesMax({ nodeId }: Peer): number {
    return this.port.maxPayload - (nodeId === null ? 0 : HEAD_BYTES);
  }

  sendEmpty(peer: Peer, type: number): void {
    this.room(8);
    this.sendTo(peer, writeEmpty(this.#room, 0, type));
  }
}

const NO_NODE: Buffer = Buffer.alloc(0);
/** What Ctrl has two bits for. */
const RADIUS_MAX = 3;
