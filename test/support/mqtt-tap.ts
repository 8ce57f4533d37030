// Looks at the MQTT packets that pass between a gateway and its server: how much is outstanding at once, and how much of
// what was sent on earlier connections is sent again on a later one.
import type { Tap } from "./bad-link.ts";
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

export class MqttTap {
  /** Most messages of QoS 1 and 2 that were outstanding at once on one connection. */
  outstandingMax = 0;
  /** Most messages of QoS 1 and 2 that one connection repeated. */
  repeatedMax = 0;
  /** All of them. */
  repeated = 0;
  connections = 0;
  readonly #version: Version;
  /** Topic and payload of what was sent: the connection that sent it last. */
  readonly #sent = new Map<string, number>();

  constructor(version: Version) {
    this.#version = version;
  }

  /** For one connection. */
  readonly pair = (): Tap => {
    const connection = ++this.connections;
    const outstanding = new Set<number>();
    const fromClient = new PacketReader();
    const fromServer = new PacketReader();
    let repeated = 0;
    return {
      up: (chunk) => {
        for (const packet of fromClient.read(chunk)) {
          if (packet.type !== PUBLISH) continue;
          const { packetId, topic, payload } = readPublish(this.#version, packet);
          if (packetId === 0) continue;
          outstanding.add(packetId);
          this.outstandingMax = Math.max(this.outstandingMax, outstanding.size);
          const key = `${topic} ${payload}`;
          if ((this.#sent.get(key) ?? connection) !== connection) {
            this.repeated++;
            this.repeatedMax = Math.max(this.repeatedMax, ++repeated);
          }
          this.#sent.set(key, connection);
        }
      },
      down: (chunk) => {
        for (const packet of fromServer.read(chunk)) this.#onAnswer(packet, outstanding);
      },
    };
  };

  #onAnswer(packet: Packet, outstanding: Set<number>): void {
    const { type } = packet;
    if (type !== PUBACK && type !== PUBREC && type !== PUBCOMP) return;
    const { packetId, reason } = readAck(packet);
    if (type === PUBREC && reason < 0x80) return;
    outstanding.delete(packetId);
  }
}
