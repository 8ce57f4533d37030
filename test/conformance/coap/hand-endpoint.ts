/** A CoAP endpoint in the test's hand: a UDP socket, bytes out, messages in, and no rules of its own. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import { ACK, CON, type Fields, type Message, message, RST, readMessage } from "./bytes.ts";

const WAIT_MS = 15_000;

export class HandEndpoint {
  readonly socket: Socket;
  readonly port: number;
  readonly host: string;
  /** What came and was not taken yet, in order. */
  readonly messages: Message[] = [];
  /** Where the last datagram came from. */
  from: RemoteInfo | null = null;
  /** Called with all that comes; throws when it breaks a rule. */
  check: (read: Message) => void = () => {};
  /** What becomes of the gateway's pings: answered by RST at once, as any endpoint does, passed over, or kept. */
  pings: "answer" | "ignore" | "keep" = "answer";
  /** What was wrong with the first datagram that could not be read, or broke a rule. */
  failure: unknown = null;
  #nextId = Math.floor(Math.random() * 0x1_0000);
  #nextToken = 0;

  constructor(socket: Socket, port: number, host: string) {
    this.socket = socket;
    this.port = port;
    this.host = host;
    socket.on("message", (bytes, from) => {
      this.from = from;
      try {
        const read = readMessage(bytes);
        if (this.pings !== "keep" && read.type === "CON" && read.code === "0.00") {
          if (this.pings === "answer") this.send(message({ type: RST, code: 0, id: read.id, token: "" }));
          return;
        }
        this.messages.push(read);
        this.check(read);
      } catch (error) {
        this.failure ??= new Error(`the gateway sent ${bytes.toString("hex")}: ${error}`);
      }
    });
  }

  static async open(port: number, host = "127.0.0.1", localPort = 0): Promise<HandEndpoint> {
    const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
    socket.bind(localPort, isIPv6(host) ? "::1" : "127.0.0.1");
    await once(socket, "listening");
    return new HandEndpoint(socket, port, host);
  }

  /** A Message ID that this endpoint has not used for its last 65,535 messages. */
  id(): number {
    this.#nextId = (this.#nextId + 1) & 0xffff;
    return this.#nextId;
  }

  /** Bytes as they are, or in hex; blanks do not count. */
  send(bytes: Uint8Array | string): void {
    const datagram = typeof bytes === "string" ? Buffer.from(bytes.replaceAll(" ", ""), "hex") : bytes;
    this.socket.send(datagram, this.port, this.host);
  }

  /** With a Message ID and a token of its own unless given. @returns the Message ID */
  request(fields: Fields): number {
    const id = fields.id ?? this.id();
    this.#nextToken++;
    this.send(message({ token: Buffer.from([0xc0, this.#nextToken >> 8, this.#nextToken]), ...fields, id }));
    return id;
  }

  /** Sends a request; its response, which must be the next that comes. A separate one is acknowledged. */
  async ask(fields: Fields): Promise<Message> {
    const behind = this.messages.length;
    const next = async (): Promise<Message> => {
      await this.#until("an answer", () => this.messages.length > behind);
      return this.messages.splice(behind, 1)[0]!;
    };
    const id = this.request(fields);
    let answer = await next();
    // On a machine that is very busy the gateway may have been slow.
    while (answer.type === "ACK" && answer.code === "0.00" && answer.id === id) answer = await next();
    if (answer.type === "CON") this.send(message({ type: ACK, code: 0, id: answer.id, token: "" }));
    return answer;
  }

  /** The next messages. */
  async take(count = 1): Promise<Message[]> {
    await this.#until(`${count} messages`, () => this.messages.length >= count);
    return this.messages.splice(0, count);
  }

  async next(): Promise<Message> {
    return (await this.take(1))[0]!;
  }

  /**
   * Takes all that the gateway had sent by now: a ping is answered by RST behind it, so an empty list shows silence
   * without waiting for it.
   */
  async untilNow(): Promise<Message[]> {
    const id = this.id();
    this.send(message({ type: CON, code: 0, id, token: "" }));
    const answered = () => this.messages.findIndex((read) => read.type === "RST" && read.id === id);
    await this.#until("the ping's RST", () => answered() >= 0);
    const before = this.messages.splice(0, answered());
    this.messages.shift();
    return before;
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    const tooLong = AbortSignal.timeout(WAIT_MS);
    while (this.failure === null && !condition()) {
      await once(this.socket, "message", { signal: tooLong }).catch(() => {
        const came = this.messages.map(({ type, code, id }) => `${type} ${code} ${id}`).join(", ");
        throw new Error(`not within ${WAIT_MS} ms: ${what}; here are: ${came || "none"}`);
      });
    }
    if (this.failure !== null) throw this.failure;
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}
