// A CoAP client by hand: any datagram, and requests with RFC 7252's message layer, whose timeouts the test chooses. It
// repeats a CON, takes piggybacked and separate responses, acknowledges the server's CONs, answers its pings, and keeps
// all that came.
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import type { Packet } from "coap-packet";
import { SystemClock } from "../../src/base/clock.ts";
import { TimerWheel } from "../../src/base/timer-wheel.ts";
import type { DtlsClientOptions } from "../../src/transport/dtls/client.ts";
import { blockBytes, bodyOf, type Response, requestOf, responseOf, uintBytes, uintOption } from "./coap-messages.ts";
import { type Door, whereIs } from "./coap-peers.ts";
import { eventually } from "./eventually.ts";

export interface RawOptions {
  /** RFC 7252 section 4.8; its default is 2,000. Ours is shorter, so that tests over loss do not take minutes. */
  readonly ackTimeoutMs?: number;
  readonly maxRetransmit?: number;
  /** Address to send from; all of 127/8 is local. */
  readonly from?: string;
  /** Message ID of the first request; the next ones count up. */
  readonly messageId?: number;
}

/** A response, and the bytes it came in. */
export interface Answer extends Response {
  readonly bytes: Buffer;
  /** 1 when the first copy of the request was answered. */
  readonly tries: number;
}

interface Waiting {
  readonly messageId: number;
  tries: number;
  acknowledged: boolean;
  timer: NodeJS.Timeout | undefined;
  readonly done: (answer: Answer) => void;
  readonly fail: (error: Error) => void;
}

/** What is observed: all notifications, and the newest by RFC 7641 section 3.4. */
export class Observed {
  readonly notifications: Response[] = [];
  /** Newest payload; what the network brought too late is not in its place. */
  value: string | null = null;
  #sequence = -1;

  take(notification: Response): void {
    this.notifications.push(notification);
    const bytes = notification.options.get("Observe");
    if (bytes === undefined) return;
    const sequence = bytes.reduce((value, byte) => value * 256 + byte, 0);
    const step = (sequence - this.#sequence) & 0xff_ffff;
    if (this.#sequence !== -1 && (step === 0 || step >= 1 << 23)) return;
    this.#sequence = sequence;
    this.value = notification.payload;
  }
}

/** What carries the datagrams: a UDP socket, a DTLS session, or a serial line. */
export interface Wire {
  send(bytes: Buffer): void;
  close(): void;
}

export class RawCoap {
  /** Every datagram that came, as hex. */
  readonly received: string[] = [];
  /** Whether the server's CONs are acknowledged; "reset" rejects them. */
  acknowledge: boolean | "reset" = true;
  #wire: Wire | null = null;
  readonly #options: Required<Omit<RawOptions, "from">>;
  readonly #waiting = new Map<string, Waiting>();
  readonly #observed = new Map<string, Observed>();
  #messageId: number;

  private constructor(options: RawOptions) {
    const { ackTimeoutMs = 300, maxRetransmit = 8, messageId = randomBytes(2).readUInt16BE() } = options;
    this.#options = { ackTimeoutMs, maxRetransmit, messageId };
    this.#messageId = messageId;
  }

  static async open(door: Door, options: RawOptions = {}): Promise<RawCoap> {
    const { host, port } = whereIs(door);
    const v6 = host.includes(":");
    const socket = createSocket({ type: v6 ? "udp6" : "udp4", recvBufferSize: 1 << 20 });
    socket.bind(0, options.from ?? (v6 ? "::1" : "127.0.0.1"));
    await once(socket, "listening");
    const client = new RawCoap(options);
    socket.on("message", (bytes) => client.#onMessage(bytes));
    socket.on("error", () => {}); // the gateway may be killed
    client.#wire = { send: (bytes) => socket.send(bytes, port, host, () => {}), close: () => socket.close() };
    return client;
  }

  /** Over DTLS: rejects when the handshake fails. */
  static async overDtls(
    door: Door,
    credentials: DtlsClientOptions["credentials"],
    options: RawOptions & { readonly handshakeTimeoutMs?: number } = {},
  ): Promise<RawCoap> {
    const { connectDtls } = await import("../../src/transport/dtls/client.ts");
    const wheel = new TimerWheel(new SystemClock(), 20);
    const ticking = setInterval(() => wheel.tick(), 20);
    const { handshakeTimeoutMs = 15_000 } = options;
    const client = new RawCoap(options);
    try {
      const session = await connectDtls(
        { ...whereIs(door), credentials, wheel, handshakeTimeoutMs },
        { onData: (bytes) => client.#onMessage(Buffer.from(bytes)), onClose: () => {} },
      );
      const close = () => {
        clearInterval(ticking);
        session.close();
      };
      client.#wire = { send: (bytes) => session.send(bytes), close };
      return client;
    } catch (error) {
      clearInterval(ticking);
      throw error;
    }
  }

  /** Over whatever carries datagrams. @param connect is given who takes what comes */
  static over(connect: (onDatagram: (bytes: Buffer) => void) => Wire, options: RawOptions = {}): RawCoap {
    const client = new RawCoap(options);
    client.#wire = connect((bytes) => client.#onMessage(bytes));
    return client;
  }

  /** @param bytes hex may have spaces */
  send(bytes: Buffer | string): void {
    this.#wire?.send(typeof bytes === "string" ? Buffer.from(bytes.replaceAll(" ", ""), "hex") : bytes);
  }

  nextMessageId(): number {
    const messageId = this.#messageId;
    this.#messageId = (messageId + 1) & 0xffff;
    return messageId;
  }

  /** A CON, repeated until something comes back; its Message ID and token are new unless given. */
  async request(path: string, packet: Packet = {}): Promise<Answer> {
    const { ackTimeoutMs, maxRetransmit } = this.#options;
    const { messageId = this.nextMessageId(), token = randomBytes(4), confirmable = true } = packet;
    const datagram = requestOf({ ...packet, messageId, token, confirmable }, path);
    const key = token.toString("hex");
    return new Promise((done, fail) => {
      const waiting: Waiting = { messageId, tries: 0, acknowledged: false, timer: undefined, done, fail };
      this.#waiting.set(key, waiting);
      const transmit = () => {
        if (waiting.acknowledged) return;
        if (waiting.tries > maxRetransmit) {
          this.#waiting.delete(key);
          fail(new Error(`no answer to ${packet.code ?? "GET"} ${path} after ${waiting.tries} tries`));
          return;
        }
        this.send(datagram);
        waiting.timer = setTimeout(transmit, ackTimeoutMs * 2 ** Math.min(waiting.tries, 2));
        waiting.tries++;
      };
      transmit();
    });
  }

  put(path: string, payload: string | Buffer, packet: Packet = {}): Promise<Answer> {
    return this.request(path, { code: "PUT", payload: Buffer.from(payload), ...packet });
  }

  /** Block by block (RFC 7959 section 2.5), each answered before the next. @returns the answer to the last one */
  async upload(path: string, payload: Buffer, packet: Packet = {}, szx = 6): Promise<Answer> {
    const blockSize = 16 << szx;
    for (let num = 0; ; num++) {
      const more = (num + 1) * blockSize < payload.length;
      const block = payload.subarray(num * blockSize, (num + 1) * blockSize);
      const options = [...(packet.options ?? []), { name: "Block1", value: blockBytes(num, more, szx) }];
      if (num === 0) options.push({ name: "Size1", value: uintBytes(payload.length) });
      const answer = await this.put(path, block, { ...packet, options });
      if (!more || answer.code !== "2.31") return answer;
    }
  }

  /** Block by block (section 2.4), of the size that the server chooses. Throws when the value changed meanwhile. */
  async download(path: string, packet: Packet = {}, szx = 6): Promise<Buffer> {
    const parts: Buffer[] = [];
    let [at, size, etag] = [0, szx, ""];
    for (;;) {
      const options = [
        ...(packet.options ?? []),
        { name: "Block2", value: blockBytes(at / (16 << size), false, size) },
      ];
      const answer = await this.request(path, { ...packet, options });
      const { code, options: got } = answer;
      if (code !== "2.05") throw new Error(`${code} at ${at} of ${path}: ${answer.payload}`);
      const tag = got.get("ETag")?.toString("hex") ?? "";
      if (at > 0 && tag !== etag) throw new Error(`${path} changed at ${at}`);
      etag = tag;
      const block = uintOption(answer, "Block2");
      const body = bodyOf(answer.bytes);
      parts.push(body);
      at += body.length;
      if (block === undefined || (block & 8) === 0) return Buffer.concat(parts);
      size = block & 7;
    }
  }

  /** GET with Observe 0. The first notification is the answer; those that follow have its token. */
  async observe(path: string, packet: Packet = {}): Promise<{ answer: Answer; observed: Observed; token: Buffer }> {
    const { token = randomBytes(4) } = packet;
    const observed = new Observed();
    this.#observed.set(token.toString("hex"), observed);
    const options = [{ name: "Observe", value: Buffer.alloc(0) }, ...(packet.options ?? [])];
    const answer = await this.request(path, { ...packet, token, options });
    return { answer, observed, token };
  }

  /** Ping: an Empty CON, which a server answers with RST. */
  async ping(): Promise<void> {
    const id = this.nextMessageId().toString(16).padStart(4, "0");
    this.send(`4000${id}`);
    await eventually("RST to a ping", () => this.received.includes(`7000${id}`));
  }

  [Symbol.dispose](): void {
    for (const { timer } of this.#waiting.values()) clearTimeout(timer);
    this.#wire?.close();
  }

  #onMessage(bytes: Buffer): void {
    this.received.push(bytes.toString("hex"));
    const response = responseOf(bytes);
    if (response.type === "CON" && this.acknowledge !== false) {
      const rejected = this.acknowledge === "reset" || response.code === "0.00"; // the latter is a ping
      const answer = Buffer.from([rejected ? 0x70 : 0x60, 0, 0, 0]);
      answer.writeUInt16BE(response.messageId, 2);
      this.send(answer);
    }
    if (response.code === "0.00") {
      for (const waiting of this.#waiting.values()) {
        if (waiting.messageId === response.messageId && response.type === "ACK") waiting.acknowledged = true;
      }
      return;
    }
    this.#observed.get(response.token)?.take(response);
    const waiting = this.#waiting.get(response.token);
    if (waiting === undefined) return;
    this.#waiting.delete(response.token);
    clearTimeout(waiting.timer);
    waiting.done({ ...response, bytes, tries: waiting.tries });
  }
}
