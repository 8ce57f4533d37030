/**
 * A DTLS addon in the test's hand: datagrams have the form of records, and a plain text inside says what the real one
 * would find there. `FakePeer` writes them.
 */
import {
  CLOSED,
  type ConnectOptions,
  DATA,
  type DtlsAddon,
  type DtlsContext,
  type DtlsCredentials,
  type DtlsOptions,
  type DtlsSession,
  ESTABLISHED,
  FAILED,
  OUTPUT,
  TOO_LARGE,
} from "../../../../src/native/dtls/binding.ts";

export const PAYLOAD_MAX = 100;
const HEADER_BYTES = 13;

export class FakeSession implements DtlsSession {
  identity: Uint8Array | null = null;
  peerCertificate: Uint8Array | null = null;
  cipher = "";
  resumed = false;
  payloadMax = 0;
  error = "";
  /** What `timeoutMs` answers. */
  timeout = 1000;
  /** What `onTimeout` answers. */
  onTimeoutBits = OUTPUT;
  timeouts = 0;
  freed = false;
  saidGoodbye = false;
  readonly received: string[] = [];
  readonly records: string[] = [];
  /** What `read` says behind the last record. */
  behind = 0;
  readonly output: string[] = ["flight"];

  receive(datagram: Uint8Array): number {
    this.#alive();
    const text = textOf(datagram);
    this.received.push(text);
    let bits = 0;
    this.behind = 0;
    for (const word of text.split(" ")) {
      const [verb = "", value = ""] = word.split("=");
      if (verb === "identity") this.identity = Buffer.from(value);
      else if (verb === "certificate") this.peerCertificate = Buffer.from(value, "base64");
      else if (verb === "resumed") this.resumed = true;
      else if (verb === "finished") bits |= this.#establish();
      else if (verb === "data") bits |= this.#data(value);
      else if (verb === "close" && (bits & DATA) !== 0) this.behind = CLOSED;
      else if (verb === "close") bits |= CLOSED;
      else if (verb === "fail") bits |= this.#fail(value);
    }
    return bits;
  }

  #establish(): number {
    if (this.payloadMax > 0) return 0; // a copy
    this.payloadMax = PAYLOAD_MAX;
    this.timeout = -1;
    this.output.push("finished");
    return ESTABLISHED | OUTPUT;
  }

  #data(value: string): number {
    this.records.push(...value.split(","));
    return DATA;
  }

  #fail(value: string): number {
    this.error = value.replaceAll("_", " ");
    this.output.push("alert");
    return FAILED | OUTPUT;
  }

  read(into: Uint8Array): number {
    this.#alive();
    const record = this.records.shift();
    return record === undefined ? -this.behind : Buffer.from(into.buffer, into.byteOffset, into.length).write(record);
  }

  send(bytes: Uint8Array, from: number, end: number): number {
    this.#alive();
    if (end - from > this.payloadMax) return TOO_LARGE;
    const text = Buffer.from(bytes.subarray(from, end)).toString();
    if (text === "break") return FAILED;
    this.output.push(`sealed ${text}`);
    return OUTPUT;
  }

  takeOutput(): Uint8Array | null {
    this.#alive();
    const text = this.output.shift();
    return text === undefined ? null : Buffer.from(text);
  }

  timeoutMs(): number {
    this.#alive();
    return this.timeout;
  }

  onTimeout(): number {
    this.#alive();
    this.timeouts++;
    this.timeout *= 2;
    if ((this.onTimeoutBits & OUTPUT) !== 0) this.output.push("flight");
    return this.onTimeoutBits;
  }

  close(): number {
    this.#alive();
    this.saidGoodbye = true;
    if (this.payloadMax === 0) return 0;
    this.output.push("goodbye");
    return OUTPUT;
  }

  free(): void {
    this.#alive();
    this.freed = true;
  }

  resumption(): Uint8Array | null {
    return null;
  }

  #alive(): void {
    if (this.freed) throw new Error("a freed session is used");
  }
}

export class FakeContext implements DtlsContext {
  readonly refusal = "no shared cipher; sent alert handshake failure (40)";
  readonly options: DtlsOptions;
  readonly sessions: FakeSession[] = [];
  readonly updates: DtlsCredentials[] = [];
  freed = false;
  hellos = 0;

  constructor(options: DtlsOptions) {
    this.options = options;
  }

  get live(): number {
    return this.sessions.filter(({ freed }) => !freed).length;
  }

  /** The last one made. */
  get session(): FakeSession {
    return this.sessions.at(-1)!;
  }

  update(credentials: DtlsCredentials): void {
    this.updates.push(credentials);
  }

  hello(datagram: Uint8Array, peer: Uint8Array): DtlsSession | Uint8Array | null {
    this.hellos++;
    const cookieAt = HEADER_BYTES + 12 + 35;
    const length = datagram[cookieAt] ?? 0;
    const cookie = Buffer.from(datagram.subarray(cookieAt + 1, cookieAt + 1 + length)).toString();
    if (cookie === "broken") return null;
    if (cookie === "suites") return record(21, 0, "alert");
    if (cookie !== cookieOf(peer)) return Buffer.from(`cookie ${cookieOf(peer)}`);
    const session = new FakeSession();
    this.sessions.push(session);
    return session;
  }

  isCookieOf(peer: Uint8Array, cookie: Uint8Array): boolean {
    const text = Buffer.from(cookie).toString();
    return text === cookieOf(peer) || text === "suites";
  }

  connect(_options?: ConnectOptions): DtlsSession {
    throw new Error("not here");
  }

  rotate(): void {}

  free(): void {
    this.freed = true;
  }
}

/** @param check throws for credentials that "OpenSSL" does not take */
export function fakeAddon(
  check: (options: DtlsOptions) => void = () => {},
): DtlsAddon & { readonly contexts: FakeContext[] } {
  const contexts: FakeContext[] = [];
  const live = () => ({
    contexts: contexts.length,
    sessions: contexts.reduce((sum, context) => sum + context.live, 0),
  });
  class Context extends FakeContext {
    constructor(options: DtlsOptions) {
      check(options);
      super(options);
      contexts.push(this);
    }
  }
  return { DtlsContext: Context, contexts, live, openssl: "0.0.0" };
}

export function cookieOf(peer: Uint8Array | string): string {
  return `<${Buffer.from(peer).toString("latin1")}>`;
}

function textOf(datagram: Uint8Array): string {
  return Buffer.from(datagram.subarray(HEADER_BYTES)).toString();
}

/** One record of any type. */
export function record(type: number, epoch: number, content: string | Buffer): Buffer {
  const body = Buffer.from(content);
  const header = Buffer.alloc(HEADER_BYTES);
  header[0] = type;
  header.writeUInt16BE(0xfefd, 1);
  header.writeUInt16BE(epoch, 3);
  header.writeUInt16BE(body.length, 11);
  return Buffer.concat([header, body]);
}

/** @param random its first bytes after the time */
export function clientHello(random: string, cookie: string): Buffer {
  const body = Buffer.alloc(12 + 36 + cookie.length);
  body[0] = 1;
  body.writeUInt16BE(0xfefd, 12);
  body.write(random, 18, 6);
  body[47] = cookie.length;
  body.write(cookie, 48);
  return record(22, 0, body);
}

export const keyExchange = (identity: string): Buffer => record(22, 0, `identity=${identity}`);
export const finished = (): Buffer => record(22, 1, "finished");
export const data = (...texts: string[]): Buffer => record(23, 1, `data=${texts.join(",")}`);
export const goodbye = (): Buffer => record(21, 1, "close");
