// A TCP proxy between an MQTT client and its broker: cuts connections at any byte, and counts how many QoS 1 and 2
// messages of the client's are outstanding.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import {
  type Packet,
  PacketReader,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  readAck,
  readPublish,
  type Version,
} from "./mqtt-packets.ts";

export class MqttProxy {
  /** Most that were outstanding at once on one connection. */
  outstandingMax = 0;
  connections = 0;
  readonly #server: Server;
  readonly #version: Version;
  readonly #pairs = new Set<[Socket, Socket]>();
  /** Bytes from the client until all is cut; Infinity = never. */
  #bytesLeft = Number.POSITIVE_INFINITY;
  #onCut: () => void = () => {};

  constructor(version: Version, brokerPort: number) {
    this.#version = version;
    this.#server = createServer((client) => this.#pair(client, connect(brokerPort, "127.0.0.1")));
  }

  async listen(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  /** Cuts all connections once the client has sent so many bytes more. Resolves then. */
  cutAfter(bytes: number): Promise<void> {
    this.#bytesLeft = bytes;
    return new Promise((resolve) => {
      this.#onCut = resolve;
    });
  }

  #pair(client: Socket, broker: Socket): void {
    const pair: [Socket, Socket] = [client, broker];
    this.#pairs.add(pair);
    this.connections++;
    const outstanding = new Set<number>();
    const fromClient = new PacketReader();
    const fromBroker = new PacketReader();
    for (const [from, to] of [pair, [broker, client]] as const) {
      from.on("error", () => {});
      from.on("close", () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
    }
    client.on("data", (chunk: Buffer) => {
      const part = chunk.subarray(0, this.#bytesLeft);
      this.#bytesLeft -= part.length;
      broker.write(part);
      for (const packet of fromClient.read(part)) this.#onClientPacket(packet, outstanding);
      if (this.#bytesLeft <= 0) this.#cut();
    });
    broker.on("data", (chunk: Buffer) => {
      for (const packet of fromBroker.read(chunk)) {
        const { type } = packet;
        if (type !== PUBACK && type !== PUBREC && type !== PUBCOMP) continue;
        const { packetId, reason } = readAck(packet);
        if (type !== PUBREC || reason >= 0x80) outstanding.delete(packetId);
      }
      client.write(chunk);
    });
  }

  #onClientPacket(packet: Packet, outstanding: Set<number>): void {
    if (packet.type !== PUBLISH) return;
    const { packetId } = readPublish(this.#version, packet);
    if (packetId !== 0) outstanding.add(packetId);
    this.outstandingMax = Math.max(this.outstandingMax, outstanding.size);
  }

  #cut(): void {
    this.#bytesLeft = Number.POSITIVE_INFINITY;
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    this.#onCut();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}
