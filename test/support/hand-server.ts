// An MQTT server in the test's hand, for the other end of an uplink: it behaves well, as far as a test does not tell it
// otherwise. It keeps one session over connections and restarts of the client, and notes what the client does wrong.
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import {
  ack,
  CONNACK,
  CONNECT,
  type Packet,
  PacketReader,
  type Part,
  PINGREQ,
  PINGRESP,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  type Publish,
  packet,
  properties,
  readAck,
  readPublish,
  SUBACK,
  SUBSCRIBE,
  u16,
  type Version,
} from "./mqtt-packets.ts";

/** What a connection does otherwise. Each function may close it. */
export interface Manners {
  /** In place of the CONNACK. */
  readonly onConnect?: (connection: Connection) => void;
  /** Behind the CONNACK. */
  readonly onConnected?: (connection: Connection) => void;
  /** Properties of the CONNACK, 5.0 only. */
  readonly connackProperties?: readonly Part[];
  /** In place of the answer. */
  readonly onPublish?: (connection: Connection, publish: Publish) => void;
  readonly onPubrel?: (connection: Connection, packetId: number) => void;
  readonly onPing?: (connection: Connection) => void;
}

export class HandServer {
  /** How the nth connection (from 1) is treated. */
  manners: (nth: number) => Manners = () => ({});
  /** A message came for the first time, as the protocol has it. */
  onMessage: (publish: Publish) => void = () => {};
  /** What the client did wrong. */
  readonly violations: string[] = [];
  /** Most that may be outstanding: its Receive Maximum in 5.0, and what it watches over. */
  receiveMaximum = 65_535;
  connections = 0;
  /** When they came, on the clock of `performance.now`. */
  readonly connectedAtMs: number[] = [];
  /** QoS 2 ids received and not released. */
  readonly #received = new Set<number>();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      this.connections++;
      this.connectedAtMs.push(performance.now());
      new Connection(socket, this, this.connections, this.manners(this.connections));
    });
    this.#server.unref();
  }

  static async open(): Promise<HandServer> {
    const server = new HandServer();
    server.#server.listen(0, "127.0.0.1");
    await once(server.#server, "listening");
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** @returns whether it is new */
  receive(packetId: number): boolean {
    const isNew = !this.#received.has(packetId);
    this.#received.add(packetId);
    return isNew;
  }

  release(packetId: number): void {
    this.#received.delete(packetId);
  }

  /** Ends all connections; the client comes again. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }
}

export class Connection {
  readonly socket: Socket;
  readonly server: HandServer;
  /** From 1. */
  readonly nth: number;
  version: Version = 5;
  readonly #manners: Manners;
  readonly #outstanding = new Set<number>();

  constructor(socket: Socket, server: HandServer, nth: number, manners: Manners) {
    this.socket = socket;
    this.server = server;
    this.nth = nth;
    this.#manners = manners;
    const reader = new PacketReader();
    socket.setNoDelay(true);
    socket.on("error", () => {}); // "close" follows
    socket.on("data", (chunk: Buffer) => {
      for (const packet of reader.read(chunk)) this.#onPacket(packet);
    });
  }

  send(...bytes: Buffer[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(bytes));
  }

  /** CONNACK. @param parts properties, 5.0 only */
  connack(reason: number, sessionPresent = false, ...parts: Part[]): void {
    this.send(packet(CONNACK, 0, sessionPresent ? 1 : 0, reason, properties(this.version, ...parts)));
  }

  /** PUBACK or PUBREC, as the QoS asks for. */
  answer({ qos, packetId }: Publish): void {
    if (qos === 1) this.#outstanding.delete(packetId);
    if (qos > 0) this.send(ack(qos === 1 ? PUBACK : PUBREC, packetId));
  }

  #onPacket(received: Packet): void {
    const { type, body } = received;
    const manners = this.#manners;
    switch (type) {
      case CONNECT:
        this.version = ((body[6] as number) & 0x7f) === 5 ? 5 : 4;
        if (manners.onConnect !== undefined) manners.onConnect(this);
        else this.connack(0, this.nth > 1, ...this.#limits, ...(manners.connackProperties ?? []));
        manners.onConnected?.(this);
        return;
      case SUBSCRIBE:
        this.send(packet(SUBACK, 0, body.subarray(0, 2), properties(this.version), 2));
        return;
      case PUBLISH:
        this.#onPublish(readPublish(this.version, received));
        return;
      case PUBREL: {
        const { packetId } = readAck(received);
        this.server.release(packetId);
        if (manners.onPubrel !== undefined) {
          manners.onPubrel(this, packetId);
          return;
        }
        this.#outstanding.delete(packetId);
        this.send(ack(PUBCOMP, packetId));
        return;
      }
      case PINGREQ:
        if (manners.onPing !== undefined) manners.onPing(this);
        else this.send(packet(PINGRESP, 0));
    }
  }

  /** Receive Maximum, as a property. */
  get #limits(): readonly Part[] {
    const { receiveMaximum } = this.server;
    return receiveMaximum === 65_535 ? [] : [0x21, u16(receiveMaximum)];
  }

  #onPublish(message: Publish): void {
    const { qos, packetId } = message;
    if (qos > 0) this.#outstanding.add(packetId);
    if (this.#outstanding.size > this.server.receiveMaximum) {
      this.server.violations.push(`${this.#outstanding.size} outstanding, at most ${this.server.receiveMaximum}`);
    }
    if (this.#manners.onPublish !== undefined) {
      this.#manners.onPublish(this, message);
      return;
    }
    this.take(message);
    this.answer(message);
  }

  /** Hands it on unless it is known. */
  take(message: Publish): void {
    if (message.qos !== 2 || this.server.receive(message.packetId)) this.server.onMessage(message);
  }
}
