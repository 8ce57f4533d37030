/** A server of bytes by hand: what the product's own client (uplink, `sluice pub`) connects to. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { eventually } from "../../support/eventually.ts";
import { CONNACK, type Packet, packet, properties, type Version } from "../../support/mqtt-packets.ts";
import { RawMqtt } from "../../support/raw-mqtt.ts";

export interface Accepted {
  /** The client's end: `send` is what a server sends, `next` what the client sent. */
  readonly raw: RawMqtt;
  /** Its first packet. */
  readonly connect: Packet;
}

export class RawServer {
  readonly #server: Server;
  readonly #waiting: RawMqtt[] = [];

  constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => this.#waiting.push(new RawMqtt(socket)));
  }

  async listen(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The next connection, with its first packet; the answer is up to the test. */
  async accept(): Promise<Accepted> {
    await eventually("a connection", () => this.#waiting.length > 0);
    const raw = this.#waiting.shift() as RawMqtt;
    return { raw, connect: await raw.next() };
  }

  /** The next connection, accepted. */
  async connected(
    version: Version,
    sessionPresent = false,
    ...more: Parameters<typeof properties>[1][]
  ): Promise<Accepted> {
    const accepted = await this.accept();
    accepted.raw.send(connack(version, sessionPresent, 0, ...more));
    return accepted;
  }

  close(): void {
    this.#server.close();
    for (const raw of this.#waiting) raw.socket.destroy();
  }
}

export function connack(
  version: Version,
  sessionPresent: boolean,
  reason: number,
  ...more: Parameters<typeof properties>[1][]
): Buffer {
  return packet(CONNACK, 0, sessionPresent ? 1 : 0, reason, properties(version, ...more));
}

/** The fields of a CONNECT, read by hand. */
export interface ReadConnect {
  readonly name: string;
  /** Without the bit that bridges set. */
  readonly level: number;
  readonly bridge: boolean;
  readonly flags: number;
  readonly keepAlive: number;
  readonly clientId: string;
  /** What follows the client id. */
  readonly rest: Buffer;
}

export function readConnect({ body }: Packet): ReadConnect {
  let at = 0;
  const text = (): string => {
    const from = at + 2;
    at = from + body.readUInt16BE(at);
    return body.toString("utf8", from, at);
  };
  const name = text();
  const level = body[at] as number;
  const flags = body[at + 1] as number;
  const keepAlive = body.readUInt16BE(at + 2);
  at += 4;
  if (level === 5) at += 1 + (body[at] as number);
  const clientId = text();
  const bridge = (level & 0x80) !== 0;
  return { name, level: level & 0x7f, bridge, flags, keepAlive, clientId, rest: body.subarray(at) };
}
