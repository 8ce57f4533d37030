// An MQTT.js client that subscribes and keeps what it gets, for tests of the other protocols.
import { connect, type IClientOptions, type IPublishPacket, type MqttClient } from "mqtt";
import { eventually } from "./eventually.ts";

export interface Collected {
  readonly topic: string;
  readonly payload: string;
  readonly packet: IPublishPacket;
}

export class MqttCollector {
  readonly client: MqttClient;
  readonly messages: Collected[] = [];

  constructor(client: MqttClient) {
    this.client = client;
    client.on("error", () => {}); // the gateway may be killed
    client.on("message", (topic, payload, packet) => {
      this.messages.push({ topic, payload: payload.toString("latin1"), packet });
    });
  }

  /** Connects with MQTT 5 and subscribes at QoS 1. */
  static async open(port: number, filter: string, options: IClientOptions = {}): Promise<MqttCollector> {
    // What waits in a session comes at once with the connection, so the listener is there before it.
    const collector = new MqttCollector(
      connect({ host: "127.0.0.1", port, protocolVersion: 5, reconnectPeriod: 0, ...options }),
    );
    await new Promise<void>((resolve, reject) => {
      collector.client.once("connect", () => resolve());
      collector.client.once("error", reject);
    });
    await collector.client.subscribeAsync(filter, { qos: 1 });
    return collector;
  }

  get payloads(): string[] {
    return this.messages.map((message) => message.payload);
  }

  /** Waits until `count` messages are here, and gives them. */
  async take(count: number): Promise<Collected[]> {
    await eventually(`${count} messages, got ${this.messages.length}`, () => this.messages.length >= count);
    return this.messages.splice(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.endAsync(true);
  }
}

/** Options of a session that outlives its connection. */
export function persistent(clientId: string): IClientOptions {
  return { clientId, clean: false, properties: { sessionExpiryInterval: 3600 } };
}
