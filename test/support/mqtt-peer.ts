// An MQTT client whose session state is exact over any number of broken connections: what it published and was not
// answered for, and the QoS 2 ids it received and that were not released. What it saw decides whether a broker kept its
// promises, so it notes every breach in `violations` instead of forgiving it.
import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import {
  ack,
  CONNACK,
  connect,
  disconnect,
  type Packet,
  PacketReader,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  type Publish,
  publish,
  readAck,
  readPublish,
  SUBACK,
  subscribe,
  type Version,
} from "./mqtt-packets.ts";

/** A message on its way to the broker. */
export interface Outgoing {
  readonly topic: string;
  readonly payload: string;
  readonly qos: 1 | 2;
  readonly retain: boolean;
}

interface Sent extends Outgoing {
  readonly packetId: number;
  /** PUBREC was seen: PUBREL is what is sent again. */
  received: boolean;
  /** Sent on an earlier connection. */
  sentBefore: boolean;
}

export class MqttPeer {
  readonly clientId: string;
  readonly version: Version;
  /** What the broker did wrong. */
  readonly violations: string[] = [];
  connected = false;
  /** The broker said so in the last CONNACK. */
  sessionPresent = false;
  /** Refusals (0x80 and above in 5.0) seen. */
  refusals = 0;
  lastRefusal = 0;
  /** Connections that had their CONNACK. */
  connects = 0;
  onMessage: (message: Publish) => void = () => {};
  /** PUBACK or PUBCOMP. */
  onAcknowledged: (message: Outgoing) => void = () => {};
  /** Any packet came: for those who look for a moment to interfere. */
  onPacket: () => void = () => {};
  /** In the order of their PUBLISH. */
  readonly #outgoing = new Map<number, Sent>();
  /** QoS 2 ids received and not released, with the payload they stand for. */
  readonly #incoming = new Map<number, string>();
  /** Messages that wait for the window. */
  readonly #waiting: Outgoing[] = [];
  readonly #windowMax: number;
  /** Ids whose PUBACK or PUBREC is due on this connection, in order. */
  #due: number[] = [];
  #lastId = 0;
  #socket: Socket | null = null;
  #granted: (() => void) | null = null;

  /** @param windowMax messages on their way to the broker at once; others wait here */
  constructor(clientId: string, version: Version, windowMax = 20) {
    this.clientId = clientId;
    this.version = version;
    this.#windowMax = windowMax;
  }

  /** Messages not acknowledged. */
  get outstanding(): number {
    return this.#outgoing.size + this.#waiting.length;
  }

  /** Connects to the session of this client id and sends again what was not answered. Throws when it cannot. */
  async connect(port: number, host = "127.0.0.1", localAddress?: string): Promise<void> {
    const from = localAddress === undefined ? {} : { localAddress };
    const socket = connectTcp({ port, host, noDelay: true, ...from });
    this.#socket = socket;
    await once(socket, "connect");
    const reader = new PacketReader();
    const session = { clean: false, expirySeconds: 3600, keepAliveSeconds: 0 }; // it never pings
    socket.write(connect({ version: this.version, clientId: this.clientId, ...session }));
    await new Promise<void>((done, fail) => {
      socket.on("data", (chunk: Buffer) => {
        for (const packet of reader.read(chunk)) {
          if (this.#socket !== socket) return;
          if (packet.type === CONNACK) {
            if (packet.body[1] === 0) this.#onConnack(packet, done);
            else fail(new Error(`${this.clientId}: refused with ${packet.body[1]}`));
          } else {
            this.#onPacket(packet);
          }
          this.onPacket();
        }
      });
      socket.on("error", () => {}); // "close" follows
      socket.on("close", () => {
        if (this.#socket === socket) this.connected = false;
        fail(new Error(`${this.clientId}: closed`));
      });
    });
  }

  async subscribe(filter: string, qos: number): Promise<void> {
    const granted = new Promise<void>((done) => {
      this.#granted = done;
    });
    this.#send(subscribe(this.version, this.#nextId(), [filter, qos]));
    await granted;
  }

  publish(message: Outgoing): void {
    if (this.#outgoing.size >= this.#windowMax) {
      this.#waiting.push(message);
      return;
    }
    const packetId = this.#nextId();
    const sent = { ...message, packetId, received: false, sentBefore: false };
    this.#outgoing.set(packetId, sent);
    this.#sendPublish(sent);
  }

  /** Leaves in order; the session stays. */
  async leave(): Promise<void> {
    const socket = this.#socket as Socket;
    if (socket.destroyed) return;
    socket.end(disconnect());
    await once(socket, "close");
  }

  [Symbol.dispose](): void {
    this.#socket?.destroy();
  }

  // ------------------------------------------------------------------------------------------------------------

  #onConnack({ body }: Packet, done: () => void): void {
    this.sessionPresent = body[0] === 1;
    this.connected = true;
    this.#due = [];
    if (!this.sessionPresent && this.connects > 0) this.violations.push("the session is gone");
    if (!this.sessionPresent) this.#startAnew();
    this.connects++;
    for (const sent of this.#outgoing.values()) {
      sent.sentBefore = true;
      if (sent.received) this.#send(ack(PUBREL, sent.packetId));
      else this.#sendPublish(sent);
    }
    done();
  }

  /** [MQTT5-3.2.2-5]: the broker has no session, so nothing of ours is valid; the messages are published again. */
  #startAnew(): void {
    this.#incoming.clear();
    for (const sent of this.#outgoing.values()) sent.received = false;
  }

  #onPacket(packet: Packet): void {
    switch (packet.type) {
      case PUBLISH:
        this.#onPublish(readPublish(this.version, packet));
        return;
      case PUBACK:
      case PUBREC:
      case PUBCOMP:
        this.#onAnswer(packet);
        return;
      case PUBREL: {
        const { packetId } = readAck(packet);
        this.#incoming.delete(packetId);
        this.#send(ack(PUBCOMP, packetId));
        return;
      }
      case SUBACK:
        this.#granted?.();
        return;
    }
  }

  #onPublish(message: Publish): void {
    const { packetId, payload, qos, dup } = message;
    if (qos === 2) {
      const known = this.#incoming.get(packetId);
      if (known !== undefined && (known !== payload || !dup))
        this.violations.push(`id ${packetId} of "${known}" used again before its release, for "${payload}"`);
      this.#incoming.set(packetId, payload);
      if (known === undefined) this.onMessage(message);
      this.#send(ack(PUBREC, packetId));
      return;
    }
    this.onMessage(message);
    if (qos === 1) this.#send(ack(PUBACK, packetId));
  }

  #onAnswer(packet: Packet): void {
    const { packetId, reason } = readAck(packet);
    const sent = this.#outgoing.get(packetId);
    const type = ["PUBACK", "PUBREC", "PUBREL", "PUBCOMP"][packet.type - PUBACK];
    if (sent === undefined) {
      this.violations.push(`${type} for id ${packetId}, which is not in use`);
      return;
    }
    if (packet.type !== PUBCOMP) {
      // [MQTT311-4.6.0-2], [MQTT311-4.6.0-3]
      const due = this.#due.shift();
      if (due !== packetId) this.violations.push(`${type} for id ${packetId} while ${due} was due`);
    }
    if (reason >= 0x80 && packet.type !== PUBCOMP) {
      this.refusals++;
      this.lastRefusal = reason;
      this.#forget(packetId);
    } else if (packet.type === PUBREC && sent.qos === 2) {
      sent.received = true;
      this.#send(ack(PUBREL, packetId));
    } else if (packet.type === (sent.qos === 1 ? PUBACK : PUBCOMP) && (sent.qos === 1 || sent.received)) {
      this.#forget(packetId);
      this.onAcknowledged(sent);
    } else {
      this.violations.push(`${type} for id ${packetId}, which waits for something else`);
    }
  }

  #forget(packetId: number): void {
    this.#outgoing.delete(packetId);
    const next = this.#waiting.shift();
    if (next !== undefined) this.publish(next);
  }

  #sendPublish(sent: Sent): void {
    if (!this.connected) return;
    this.#due.push(sent.packetId);
    this.#send(publish(this.version, { ...sent, dup: sent.sentBefore }));
  }

  #send(bytes: Buffer): void {
    if (this.connected) this.#socket?.write(bytes);
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId % 65_535) + 1;
    while (this.#outgoing.has(this.#lastId));
    return this.#lastId;
  }
}
