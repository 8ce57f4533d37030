/**
 * One MQTT client of the soak. It answers what the broker sends, and it never throws: whatever a connection comes to,
 * the life that it is part of goes on, and looks at `closed`.
 */
import { createConnection, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createWebSocketStream, WebSocket } from "ws";
import * as mqtt from "../../test/support/mqtt-packets.ts";

/** A broker that says nothing for so long has forgotten us. */
const ANSWER_MS_MAX = 20_000;

type Answered = (packet: mqtt.Packet | null) => void;

export class SoakClient {
  readonly version: mqtt.Version;
  closed = false;
  /** Acknowledges what comes at QoS 1 and 2. */
  answers = true;
  /** PUBLISH packets that came. */
  received = 0;
  /** Answers that did not come although the connection stood. */
  unanswered = 0;
  readonly #stream: Duplex;
  readonly #reader = new mqtt.PacketReader();
  readonly #waiting = new Map<string, Answered>();
  readonly #ended: Promise<void>;
  #lastId = 0;

  private constructor(stream: Duplex, version: mqtt.Version) {
    this.#stream = stream;
    this.version = version;
    stream.on("data", (chunk: Buffer) => this.#onData(chunk));
    stream.on("error", () => {}); // "close" follows
    this.#ended = new Promise((resolve) => {
      stream.on("close", () => {
        this.closed = true;
        for (const answered of this.#waiting.values()) answered(null);
        resolve();
      });
    });
  }

  /** Over TCP. */
  static tcp(port: number, version: mqtt.Version): SoakClient {
    return new SoakClient(createConnection({ port, host: "127.0.0.1", noDelay: true }), version);
  }

  static webSocket(port: number, version: mqtt.Version): SoakClient {
    return new SoakClient(createWebSocketStream(new WebSocket(`ws://127.0.0.1:${port}/mqtt`, "mqtt")), version);
  }

  /** @returns whether the broker let it in */
  async connect(fields: Omit<mqtt.ConnectFields, "version">): Promise<boolean> {
    const { version } = this;
    const connack = await this.#ask(mqtt.CONNACK, 0, mqtt.connect({ version, ...fields }));
    return connack !== null && mqtt.readConnack(connack).reason === 0;
  }

  async subscribe(filters: readonly string[], qos: number): Promise<void> {
    const id = this.#nextId();
    const entries = filters.map((filter): [string, number] => [filter, qos]);
    await this.#ask(mqtt.SUBACK, id, mqtt.subscribe(this.version, id, ...entries));
  }

  async unsubscribe(filters: readonly string[]): Promise<void> {
    const id = this.#nextId();
    const fields = filters.map((filter) => mqtt.field(filter));
    await this.#ask(
      mqtt.UNSUBACK,
      id,
      mqtt.packet(mqtt.UNSUBSCRIBE, 2, mqtt.u16(id), mqtt.properties(this.version), ...fields),
    );
  }

  /** Resolves when the broker has said that it has it; at QoS 0 at once. @param properties of 5.0 */
  async publish(
    message: { topic: string; payload?: string; qos?: number; retain?: boolean },
    ...properties: mqtt.Part[]
  ): Promise<void> {
    const { qos = 0 } = message;
    const packetId = qos > 0 ? this.#nextId() : 0;
    const packet = mqtt.publish(this.version, { ...message, packetId }, ...(this.version === 5 ? properties : []));
    if (qos === 0) this.send(packet);
    else if (qos === 1) await this.#ask(mqtt.PUBACK, packetId, packet);
    else {
      const pubrec = await this.#ask(mqtt.PUBREC, packetId, packet);
      if (pubrec === null || mqtt.readAck(pubrec).reason >= 0x80) return;
      await this.#ask(mqtt.PUBCOMP, packetId, mqtt.ack(mqtt.PUBREL, packetId));
    }
  }

  /** Any bytes. */
  send(bytes: Buffer): void {
    if (!this.closed) this.#stream.write(bytes);
  }

  /** Reads nothing any more: what the broker sends piles up. */
  stopReading(): void {
    this.#stream.pause();
  }

  /** Says goodbye. */
  async leave(): Promise<void> {
    if (!this.closed) this.#stream.end(mqtt.disconnect());
    this.#stream.resume();
    await this.#ended;
  }

  /** Ends without a word: with a reset where the transport has one. */
  async cut(): Promise<void> {
    if ("resetAndDestroy" in this.#stream) (this.#stream as Socket).resetAndDestroy();
    else this.#stream.destroy();
    await this.#ended;
  }

  /** Waits until the broker closes; makes it so after `timeoutMs`. */
  async end(timeoutMs: number): Promise<void> {
    const timer = setTimeout(() => this.#stream.destroy(), timeoutMs);
    await this.#ended;
    clearTimeout(timer);
  }

  #ask(type: number, packetId: number, question: Buffer): Promise<mqtt.Packet | null> {
    if (this.closed) return Promise.resolve(null);
    return new Promise((resolve) => {
      const key = `${type} ${packetId}`;
      const timer = setTimeout(() => {
        this.unanswered++;
        this.#stream.destroy();
      }, ANSWER_MS_MAX);
      this.#waiting.set(key, (packet) => {
        clearTimeout(timer);
        this.#waiting.delete(key);
        resolve(packet);
      });
      this.send(question);
    });
  }

  #onData(chunk: Buffer): void {
    for (const packet of this.#reader.read(chunk)) this.#onPacket(packet);
  }

  #onPacket(packet: mqtt.Packet): void {
    const { type, flags, body } = packet;
    switch (type) {
      case mqtt.PUBLISH: {
        this.received++;
        if (!this.answers || (flags & 6) === 0) return;
        const packetId = body.readUInt16BE(2 + body.readUInt16BE(0));
        this.send(mqtt.ack((flags & 6) === 2 ? mqtt.PUBACK : mqtt.PUBREC, packetId));
        return;
      }
      case mqtt.PUBREL:
        if (this.answers) this.send(mqtt.ack(mqtt.PUBCOMP, body.readUInt16BE(0)));
        return;
      case mqtt.CONNACK:
        this.#waiting.get(`${type} 0`)?.(packet);
        return;
      case mqtt.PUBACK:
      case mqtt.PUBREC:
      case mqtt.PUBCOMP:
      case mqtt.SUBACK:
      case mqtt.UNSUBACK:
        this.#waiting.get(`${type} ${body.readUInt16BE(0)}`)?.(packet);
        return;
    }
  }

  #nextId(): number {
    this.#lastId = (this.#lastId % 65_535) + 1;
    return this.#lastId;
  }
}
