/**
 * From PUBLISH packets to messages, each at most once at QoS 2: a packet id is known from its PUBLISH until its PUBREL
 * ([MQTT5-4.3.3-10]), over connections of one session. A message that waits for its program when the connection is
 * lost is acknowledged on the next, when the server has sent it again; at QoS 1 it is given out as it comes again.
 */
import { decodePropertiesBlock } from "../core/message-properties.ts";
import type { MqttClient } from "../uplink/client/client.ts";
import type { Owed } from "../uplink/client/owed.ts";
import { PACKET_IDENTIFIER_NOT_FOUND, SUCCESS } from "../wire/mqtt/codes.ts";
import type { PublishView } from "../wire/mqtt/publish.ts";
import type { MessageProperties, ReceivedMessage } from "./api.ts";
import type { Inbox } from "./inbox.ts";

/** What is owed for one message; at QoS 2 it outlives the message's bytes. */
class Exchange {
  readonly #client: MqttClient;
  /** One more with each time the server sends it; those of connections that are gone mean nothing to the engine. */
  #owed: Owed[];
  #done = false;

  constructor(client: MqttClient, owed: Owed) {
    this.#client = client;
    this.#owed = [owed];
  }

  acknowledge(): void {
    if (this.#done) return;
    this.#done = true;
    for (const owed of this.#owed) this.#client.acknowledge(owed);
    this.#owed = [];
  }

  /** The server sent the message again. */
  owe(owed: Owed): void {
    if (this.#done) this.#client.acknowledge(owed);
    else this.#owed.push(owed);
  }
}

class Arrival implements ReceivedMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly properties: MessageProperties;
  readonly subscriptionIdentifiers: readonly number[];
  readonly #exchange: Exchange | null;

  constructor(bytes: Buffer, view: PublishView, exchange: Exchange | null) {
    const { topicAt, topicLength, payloadAt, payloadLength, propertiesAt, propertiesLength } = view;
    const decoded = decodePropertiesBlock(bytes, propertiesAt, propertiesLength);
    this.topic = bytes.toString("utf8", topicAt, topicAt + topicLength);
    this.payload = Buffer.from(bytes.subarray(payloadAt, payloadAt + payloadLength));
    this.qos = view.qos as 0 | 1 | 2;
    this.retain = view.retain;
    this.dup = view.dup;
    this.properties = decoded.properties;
    this.subscriptionIdentifiers = decoded.subscriptionIdentifiers;
    this.#exchange = exchange;
  }

  acknowledge(): void {
    this.#exchange?.acknowledge();
  }
}

export class Arrivals {
  readonly #client: MqttClient;
  readonly #inbox: Inbox;
  /** QoS 2, by packet id, until released. */
  readonly #known = new Map<number, Exchange>();

  constructor(client: MqttClient, inbox: Inbox) {
    this.#client = client;
    this.#inbox = inbox;
  }

  /** @param resumed the server has the session that the packet ids belong to */
  onConnected(resumed: boolean): void {
    if (resumed) this.#inbox.dropWaiting(({ qos }) => qos === 1);
    else this.#known.clear();
  }

  onPublish(bytes: Buffer, view: PublishView, owed: Owed | null): void {
    const known = owed !== null && view.qos === 2 ? this.#known.get(owed.packetId) : undefined;
    if (owed !== null && known !== undefined) {
      known.owe(owed);
      return;
    }
    const exchange = owed === null ? null : new Exchange(this.#client, owed);
    if (exchange !== null && view.qos === 2) this.#known.set(view.packetId, exchange);
    this.#inbox.push(new Arrival(bytes, view, exchange));
  }

  onPubrel(packetId: number): void {
    this.#client.sendPubcomp(packetId, this.#known.delete(packetId) ? SUCCESS : PACKET_IDENTIFIER_NOT_FOUND);
  }
}
