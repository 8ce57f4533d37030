// A socket that speaks MQTT by hand: sends any bytes, and tells what came back and how it ended.
import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { eventually } from "./eventually.ts";
import {
  CONNACK,
  type ConnectFields,
  connect,
  DISCONNECT,
  type Packet,
  PacketReader,
  SUBACK,
  subscribe,
  type Version,
} from "./mqtt-packets.ts";

export class RawMqtt {
  readonly socket: Socket;
  /** All that came and was not taken by `next`. */
  readonly packets: Packet[] = [];
  closed = false;
  readonly #reader = new PacketReader();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.packets.push(...this.#reader.read(chunk)));
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => {
      this.closed = true;
    });
  }

  /** A connection on which nothing was said yet. */
  static async open(port: number): Promise<RawMqtt> {
    const socket = connectTcp({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    return new RawMqtt(socket);
  }

  /** A connection whose CONNECT was answered. Throws when it was refused. */
  static async connected(port: number, fields: ConnectFields): Promise<RawMqtt> {
    const raw = await RawMqtt.open(port);
    raw.send(connect(fields));
    const { type, body } = await raw.next();
    if (type !== CONNACK || body[1] !== 0) throw new Error(`refused: packet ${type}, reason ${body[1]}`);
    return raw;
  }

  send(...packets: Buffer[]): void {
    this.socket.write(Buffer.concat(packets));
  }

  /** The next packet; throws when the connection closes before. */
  async next(timeoutMs?: number): Promise<Packet> {
    await eventually("a packet", () => this.packets.length > 0 || this.closed, timeoutMs);
    const packet = this.packets.shift();
    if (packet === undefined) throw new Error("the connection was closed");
    return packet;
  }

  async subscribe(version: Version, filter: string, qos: number): Promise<void> {
    this.send(subscribe(version, 1, [filter, qos]));
    const { type } = await this.next();
    if (type !== SUBACK) throw new Error(`packet ${type} instead of SUBACK`);
  }

  /** Waits until the peer has closed. @returns the reason of its last packet if that was a DISCONNECT, else null */
  async end(timeoutMs?: number): Promise<number | null> {
    await eventually("the connection is closed", () => this.closed, timeoutMs);
    const last = this.packets.at(-1);
    return last?.type === DISCONNECT ? (last.body[0] ?? 0) : null;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
