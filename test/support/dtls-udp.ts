// The addon on UDP, as small as can be: an echo server, and a client. For peers that are other programs.
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import {
  CLOSED,
  DATA,
  type DtlsContext,
  type DtlsSession,
  ESTABLISHED,
  FAILED,
  RECORD_BYTES_MAX,
} from "../../src/native/dtls/binding.ts";

const into = Buffer.alloc(RECORD_BYTES_MAX);

/** One session on a socket: its output, its timer, its content. */
class Association {
  readonly session: DtlsSession;
  readonly received: string[] = [];
  bits = 0;
  readonly #socket: Socket;
  readonly #to: { readonly port: number; readonly address: string };
  readonly #onContent: (content: Buffer) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    socket: Socket,
    to: { readonly port: number; readonly address: string },
    session: DtlsSession,
    onContent: (content: Buffer) => void = () => undefined,
  ) {
    this.#socket = socket;
    this.#to = to;
    this.session = session;
    this.#onContent = onContent;
    this.#after(0);
  }

  receive(datagram: Buffer): void {
    const bits = this.session.receive(datagram);
    let count = (bits & DATA) === 0 ? 0 : this.session.read(into);
    for (; count > 0; count = this.session.read(into)) {
      this.received.push(into.toString("latin1", 0, count));
      this.#onContent(into.subarray(0, count));
    }
    this.#after(bits | -count);
  }

  send(content: Uint8Array): void {
    this.#after(this.session.send(content, 0, content.length));
  }

  end(): void {
    this.#after(this.session.close());
    clearTimeout(this.#timer);
  }

  #after(bits: number): void {
    this.bits |= bits & (ESTABLISHED | CLOSED | FAILED);
    for (let datagram = this.session.takeOutput(); datagram !== null; datagram = this.session.takeOutput())
      this.#socket.send(datagram, this.#to.port, this.#to.address);
    clearTimeout(this.#timer);
    const wait = this.session.timeoutMs();
    if (wait >= 0) this.#timer = setTimeout(() => this.#after(this.session.onTimeout()), wait);
  }
}

/** Answers what it receives with the same. */
export class DtlsEcho {
  readonly associations = new Map<string, Association>();
  readonly #context: DtlsContext;
  readonly #socket = createSocket("udp4");

  constructor(context: DtlsContext) {
    this.#context = context;
    this.#socket.on("message", (datagram, from) => this.#onMessage(datagram, from));
  }

  /** @returns the port */
  async listen(): Promise<number> {
    this.#socket.bind(0, "127.0.0.1");
    await once(this.#socket, "listening");
    return this.#socket.address().port;
  }

  /** The one that came last. */
  get latest(): Association | undefined {
    return [...this.associations.values()].at(-1);
  }

  close(): void {
    for (const association of this.associations.values()) {
      association.end();
      association.session.free();
    }
    this.#socket.close();
  }

  #onMessage(datagram: Buffer, from: RemoteInfo): void {
    const key = `${from.address}:${from.port}`;
    const known = this.associations.get(key);
    if (known !== undefined) return void known.receive(datagram);
    const answer = this.#context.hello(datagram, Buffer.from(key));
    if (answer instanceof Uint8Array) this.#socket.send(answer, from.port, from.address);
    else if (answer !== null) {
      const association = new Association(this.#socket, from, answer, (content) => association.send(content));
      this.associations.set(key, association);
    }
  }
}

/** A client of somebody else's server. */
export class DtlsUdpClient {
  readonly association: Association;
  readonly #socket = createSocket("udp4");

  constructor(context: DtlsContext, port: number) {
    this.association = new Association(this.#socket, { port, address: "127.0.0.1" }, context.connect());
    this.#socket.on("message", (datagram) => this.association.receive(datagram));
  }

  close(): void {
    this.association.end();
    this.association.session.free();
    this.#socket.close();
  }
}
