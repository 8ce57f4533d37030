// A device that speaks MQTT-SN by hand: what it sends and what it got, in hexadecimal.
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { eventually } from "./eventually.ts";

export const hexOf = (words: string): string => Buffer.from(words).toString("hex");

/** A message of MQTT-SN 1.2 with a Length of one byte. @param fields in hexadecimal, blanks are nothing */
export function messageOf(type: number, fields: string): string {
  const body = fields.replaceAll(" ", "");
  return Buffer.of(2 + body.length / 2, type).toString("hex") + body;
}

export class RawMqttSn implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #port: number;
  readonly got: string[] = [];

  constructor(socket: Socket, port: number) {
    this.#socket = socket;
    this.#port = port;
    socket.on("message", (bytes) => this.got.push(bytes.toString("hex")));
  }

  /** @param port of the listener on loopback  @param from an address of this machine */
  static async open(port: number, from = "127.0.0.1"): Promise<RawMqttSn> {
    const socket = createSocket("udp4");
    socket.bind(0, from);
    await once(socket, "listening");
    return new RawMqttSn(socket, port);
  }

  send(hex: string): void {
    this.#socket.send(Buffer.from(hex.replaceAll(" ", ""), "hex"), this.#port, "127.0.0.1");
  }

  /** Waits for a message that begins so, and takes it. */
  async take(prefix: string): Promise<string> {
    const begin = prefix.replaceAll(" ", "");
    let at = -1;
    await eventually(`${prefix}, got ${this.got.join(", ")}`, () => {
      at = this.got.findIndex((hex) => hex.startsWith(begin));
      return at >= 0;
    });
    return this.got.splice(at, 1)[0] as string;
  }

  async ask(hex: string, prefix: string): Promise<string> {
    this.send(hex);
    return this.take(prefix);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await once(this.#socket, "close");
  }
}
