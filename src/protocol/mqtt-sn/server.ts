/**
 * One MQTT-SN listener: a gateway in the words of the specification, transparent in none: its clients are sessions of
 * the broker in the same process. Finds the client of a datagram and the file of its type.
 *
 * @see MQTT-SN 1.2
 */
import { Allowance } from "../../base/allowance.ts";
import type { Counter, Counters } from "../../base/counters.ts";
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import type { Authority, DatagramHandler, DatagramPort, LoginRequest, Store, TimeSource } from "../../core/ports.ts";
import { Publication } from "../../core/publication.ts";
import type { Router } from "../../core/router.ts";
import type { SessionRegistry } from "../../core/session-registry.ts";
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
import { writeAdvertise, writeEmpty, writeGwinfo } from "../../wire/mqtt-sn/encode.ts";
import { Client } from "./client.ts";
import { heldBytesOf, namesBytesOf } from "./limits.ts";
import { onPubcomp, onPubrec } from "./on-ack.ts";
import { onConnect, onWillMsg, onWillTopic } from "./on-connect.ts";
import { onPublish, onPubrel } from "./on-publish.ts";
import { onDisconnect, onPingreq } from "./on-sleep.ts";
import { onRegister, onSubscribe, onUnsubscribe } from "./on-subscribe.ts";
import { AWAKE, CONNECTING } from "./states.ts";
import { Strangers } from "./strangers.ts";
import { type Predefined, topicOf } from "./topic-ids.ts";
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
  readonly predefined: ReadonlyMap<number, string>;
  /** Where ADVERTISE goes, and how often; null = nowhere. */
  readonly advertise: { readonly address: string; readonly port: number; readonly intervalMs: number } | null;
  readonly anonymous: LoginRequest["anonymous"];
  /** Who all its clients are, by the cable that they are on; absent: who comes without a name. */
  readonly user?: string;
}

const ROOM_BYTES = 2048;

export class MqttSnServer implements DatagramHandler, Expirable {
  readonly port: DatagramPort;
  readonly parts: MqttSnParts;
  readonly options: MqttSnOptions;
  readonly predefined: Predefined;
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
  readonly #malformed: Counter;
  readonly #strange: Counter;
  readonly #clients = new Map<string, Client>();
  readonly #view = new MessageView();
  readonly #strangers = new Strangers(this);
  readonly #advertising = new Timer(this, 0);
  #room: Buffer = Buffer.allocUnsafeSlow(ROOM_BYTES);
  #publicationRoom: Buffer = Buffer.allocUnsafeSlow(ROOM_BYTES);

  constructor(port: DatagramPort, parts: MqttSnParts, options: MqttSnOptions) {
    this.port = port;
    this.parts = parts;
    this.options = options;
    this.predefined = new Map([...options.predefined].map(([id, name]) => [id, topicOf(name)]));
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
    this.#malformed = counters.counter("mqtt_sn.malformed");
    this.#strange = counters.counter("mqtt_sn.not_connected");
    port.handler = this;
    this.onTimer();
  }

  /** Says goodbye to all; wills go out, as with MQTT. */
  close(): void {
    this.parts.wheel.cancel(this.#advertising);
    for (const client of [...this.#clients.values()]) {
      this.sendEmpty(client, DISCONNECT);
      client.dispose(true);
    }
    this.port.close();
  }

  // ---- clients -----------------------------------------------------------------------------------------------

  get full(): boolean {
    return this.#clients.size >= this.options.clientsMax;
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  client(key: string): Client | null {
    return this.#clients.get(key) ?? null;
  }

  /** In the place of whoever had this address. */
  newClient(key: string, address: string, port: number): Client {
    const client = new Client(this, key, address, port);
    this.#clients.set(key, client);
    return client;
  }

  remove(client: Client): void {
    if (this.isCurrent(client)) this.#clients.delete(client.key);
  }

  isCurrent(client: Client): boolean {
    return this.#clients.get(client.key) === client;
  }

  count(what: string): void {
    this.parts.counters.counter(`mqtt_sn.${what}`).value++;
  }

  // ---- in ----------------------------------------------------------------------------------------------------

  onDatagram(bytes: Buffer, address: string, port: number): void {
    const view = this.#view;
    if (decode(bytes, 0, bytes.length, view) !== OK) {
      this.#malformed.value++;
      return;
    }
    const key = `${address} ${port}`;
    if (view.type === CONNECT) {
      onConnect(this, key, address, port, bytes, view);
      return;
    }
    if (view.type === SEARCHGW) {
      this.onSearch(address, port);
      return;
    }
    const client = this.#clients.get(key);
    if (client === undefined) {
      this.#onStranger(bytes, view, address, port);
    } else if (client.state === CONNECTING) {
      if (view.type === WILLTOPIC) onWillTopic(client, bytes, view);
      else if (view.type === WILLMSG) onWillMsg(client, bytes, view);
      else if (view.type === DISCONNECT) client.dispose(true);
    } else {
      client.heard();
      this.#onMessage(client, bytes, view);
    }
  }

  /** For what goes to everybody: who looks for a gateway is answered, nobody else. */
  readonly searches = {
    onDatagram: (bytes: Buffer, address: string, port: number): void => {
      if (decode(bytes, 0, bytes.length, this.#view) !== OK) this.#malformed.value++;
      else if (this.#view.type === SEARCHGW) this.onSearch(address, port);
    },
  };

  onSearch(address: string, port: number): void {
    this.sendTo(address, port, writeGwinfo(this.room(8), 0, this.options.gatewayId, NO_ADDRESS));
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
        // PINGRESP to a PINGREQ that we did not send, what gateways say, forwarders' envelopes.
        if (view.type === ENCAPSULATED) this.count("encapsulated");
        else if (view.type !== PINGRESP) this.count("unexpected");
        return;
    }
    // An answer: what waited for it goes on.
    client.session?.pump();
    if (client.state === AWAKE) client.afterSending();
  }

  /**
   * Nobody is connected at this address. Who asks for something is told so, in two bytes; who answers, or says goodbye, is
   * not, or two gateways could be made to talk to one another for ever.
   */
  #onStranger(bytes: Buffer, view: MessageView, address: string, port: number): void {
    if (view.type === PUBLISH && view.qos < 0) {
      this.#strangers.onPublish(bytes, view, address, port);
      return;
    }
    this.#strange.value++;
    switch (view.type) {
      case PUBLISH:
      case PUBREL:
      case REGISTER:
      case SUBSCRIBE:
      case UNSUBSCRIBE:
      case PINGREQ:
      case WILLTOPICUPD:
      case WILLMSGUPD:
        this.sendTo(address, port, writeEmpty(this.room(8), 0, DISCONNECT));
        return;
      default:
        return;
    }
  }

  // ---- out ---------------------------------------------------------------------------------------------------

  /** Scratch for one message of up to `bytes`: valid until it is sent. */
  room(bytes: number): Buffer {
    if (this.#room.length < bytes) this.#room = Buffer.allocUnsafeSlow(bytes);
    return this.#room;
  }

  /** Scratch for one publication. */
  publicationRoom(bytes: number): Buffer {
    if (this.#publicationRoom.length < bytes) this.#publicationRoom = Buffer.allocUnsafeSlow(bytes);
    return this.#publicationRoom;
  }

  /** Sends `room[0..end)`. */
  sendTo(address: string, port: number, end: number): void {
    this.port.send(this.#room, 0, end, address, port);
  }

  sendEmpty({ address, port }: Client, type: number): void {
    this.sendTo(address, port, writeEmpty(this.room(8), 0, type));
  }

  /** ADVERTISE is due. @see section 6.1 */
  onTimer(): void {
    const { advertise, gatewayId } = this.options;
    if (advertise === null) return;
    const { address, port, intervalMs } = advertise;
    this.sendTo(address, port, writeAdvertise(this.room(8), 0, gatewayId, Math.ceil(intervalMs / 1000)));
    this.parts.wheel.schedule(this.#advertising, intervalMs);
  }
}

const NO_ADDRESS: Buffer = Buffer.alloc(0);
